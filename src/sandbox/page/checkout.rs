//! The merchant's checkout, as the sandbox has one: it subscribes, pays the first time, and leads back. Beside it what
//! amser's API would say of the plans.
use alloy::primitives::{B256, U256};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::action::Action;
use super::view::head;
use super::{document, forward, from_here};
use crate::domain::UserId;
use crate::sandbox::discord::oauth::visitor::visitor;
use crate::sandbox::discord::world::World;
use crate::sandbox::discord::{Happening, LocalDiscord, shape};

/// What a checkout link carries.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Order {
    module: String,
    plan: String,
    /// Where to go afterwards.
    redirect: Option<String>,
    /// Who pays.
    #[serde(rename = "as")]
    user: Option<UserId>,
}

fn frame(title: &str, inner: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { (head(title)) }
            body.small { main.dialog { h1 { (title) } (inner) } }
        }
    }
}

/// Decimals of the sandbox's token.
const DECIMALS: u8 = 6;

/// `GET /v0/modules/{module}/plans`: as much of amser's API as the service asks. It answers once the chain is there.
pub(super) async fn plans(
    State(discord): State<LocalDiscord>,
    Path(module): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    let plans = discord
        .shared
        .read(|world| world.board.picture.plans.clone());
    if plans.is_empty() {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let of_module = plans
        .iter()
        .filter(|plan| plan.module.eq_ignore_ascii_case(&module));
    let named = of_module.map(|plan| {
        json!({
            "plan_id_on_chain": plan.plan_id,
            "name": plan.name,
            "token_decimals": DECIMALS,
            "token_symbol": "USD",
        })
    });
    Ok(Json(named.collect()))
}

/// `GET /checkout`
pub(super) async fn show(
    State(discord): State<LocalDiscord>,
    Query(order): Query<Order>,
    headers: HeaderMap,
) -> Response {
    let payer = order.user.or_else(|| visitor(&headers));
    document(
        discord
            .shared
            .read(|world| page(world, &order, payer, None)),
    )
}

fn page(world: &World, order: &Order, payer: Option<UserId>, trouble: Option<&str>) -> Markup {
    let picture = &world.board.picture;
    let mut plans = picture.plans.iter();
    let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
    let plan = plans.find(|plan| same(&plan.module, &order.module) && plan.plan_id == order.plan);
    let people = picture
        .people
        .keys()
        .filter(|user| Some(**user) != picture.merchant);
    let inner = html! {
        @if let Some(why) = trouble { p.notice role="alert" { (why) } }
        p { @if let Some(plan) = plan { strong { (plan.name) } " · " (plan.terms) "." } @else { "Plan " (order.plan) " of this merchant." } }
        p.quiet { "The wallet allows the payments, and the first one is made at once. The sandbox gives it the tokens." }
        form method="post" action="/checkout" {
            input type="hidden" name="module" value=(order.module);
            input type="hidden" name="plan" value=(order.plan);
            @if let Some(to) = &order.redirect { input type="hidden" name="redirect" value=(to); }
            div.row {
                label for="payer" { "Pay as" }
                select #payer name="as" {
                    @for id in people {
                        option value=(id) selected[Some(*id) == payer] { (shape::user_name(world, *id)) }
                    }
                }
                button type="submit" { "Subscribe and pay" }
            }
        }
        p { a href="/member" { "Back to the sandbox" } }
    };
    frame("Checkout", &inner)
}

/// `POST /checkout`
pub(super) async fn buy(
    State(discord): State<LocalDiscord>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !from_here(&discord, &headers) {
        return (StatusCode::FORBIDDEN, "Another site asked for this.").into_response();
    }
    let fields: Vec<_> = form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| {
        let mut all = fields.iter().filter(|(key, _)| key == name);
        all.next().map(|(_, value)| value.clone())
    };
    let order = Order {
        module: field("module").unwrap_or_default(),
        plan: field("plan").unwrap_or_default(),
        redirect: field("redirect"),
        user: field("as").and_then(|id| id.parse().ok()),
    };
    let refused = |why: &str| {
        discord.happened(Happening::Refused, why);
        let page = |world: &World| page(world, &order, order.user, Some(why));
        let mut response = document(discord.shared.read(page));
        *response.status_mut() = StatusCode::CONFLICT;
        response
    };
    let (Some(user_id), Ok(module), Ok(plan_id)) =
        (order.user, order.module.parse(), order.plan.parse())
    else {
        return refused("The checkout link names no plan, or nobody pays.");
    };
    let action = Action::Checkout {
        user_id,
        module,
        plan_id,
    };
    match forward(&discord, action).await {
        Ok(done) => {
            let to = onward(&discord, &order, done.payment);
            (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response()
        }
        Err(why) => refused(&why),
    }
}

/// Back to where the link says, if that is the service or this page, with the payment as amser's checkout names it; else to
/// the member's way.
fn onward(discord: &LocalDiscord, order: &Order, payment: Option<(U256, B256)>) -> String {
    let service = discord
        .shared
        .read(|world| world.board.picture.service.clone());
    let own = [service, discord.base_url()];
    let asked = order.redirect.clone().filter(|to| {
        let inside = |base: &String| {
            let rest = to.strip_prefix(base.as_str());
            !base.is_empty()
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        };
        own.iter().any(inside)
    });
    let home = || match order.user {
        Some(user) => format!("/member?as={user}"),
        None => "/member".to_owned(),
    };
    let Some(asked) = asked else {
        return home();
    };
    match (Url::parse(&asked), payment) {
        (Ok(mut to), Some((subscription, transaction))) => {
            to.query_pairs_mut()
                .append_pair("subscription_id", &subscription.to_string())
                .append_pair("tx_hash", &transaction.to_string());
            to.into()
        }
        _ => asked,
    }
}
