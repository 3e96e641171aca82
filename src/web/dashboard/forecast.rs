//! Whose subscription will fail to renew within a week, why, and what that is worth.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};

use super::super::Site;
use super::super::api::{Failure, told};
use super::super::session::Managing;
use super::context::{Context, Plans};
use super::format::{counted, moment, price};
use super::shell::{self, Tab};
use crate::domain::{Amount, ForecastRow, ServerForecast};
use crate::text;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new().route("/dashboard/{guild_id}/forecast", get(page))
}

async fn page(State(site): State<Arc<Site>>, managing: Managing) -> Response {
    let shown = show(Arc::clone(&site), managing).await;
    shell::or_refusal(&site, shown)
}

async fn show(site: Arc<Site>, managing: Managing) -> Result<Response, Failure> {
    let context = Context::load(site, managing).await?;
    let (plans, forecast) = tokio::join!(
        context.plans(),
        context.merchants().forecast(context.guild())
    );
    let inner = match &forecast {
        _ if context.gates.is_empty() => html! {
            p.panel { "No plan of this server gives a role yet, so there are no renewals to foresee." }
        },
        Ok(forecast) => html! {
            (summary(forecast))
            @if !forecast.rows.is_empty() { (table(&context, forecast, &plans)) }
        },
        Err(refusal) => html! { p.panel.problem role="alert" { (told(refusal)) } },
    };
    Ok(shell::page(&context, Tab::Forecast, "Renewals", &inner))
}

fn summary(forecast: &ServerForecast) -> Markup {
    let note = text::unread(forecast);
    let failing = forecast.rows.len() as u64;
    html! {
        @if failing > 0 {
            section.panel.warn {
                p { strong { (counted(failing, "renewal")) " of the next 7 days will fail, worth " (worth(forecast)) "." } }
                p { "There is still time to mend each of them: write to the member, who sees the same in " code { "/status" } "." }
            }
        } @else if note.is_none() {
            section.panel.good { p { "Every renewal of the next 7 days should succeed." } }
        } @else {
            section.panel { p { "No renewal of the next 7 days is known to fail." } }
        }
        @if let Some(note) = note { p.fine { (note) } }
    }
}

fn worth(forecast: &ServerForecast) -> String {
    let each: Vec<_> = forecast.worth.iter().map(amount).collect();
    each.join(" and ")
}

fn amount(amount: &Amount) -> String {
    price(amount.amount, amount.decimals, amount.symbol.as_deref())
}

fn table(context: &Context, forecast: &ServerForecast, plans: &Plans) -> Markup {
    html! {
        table.rows {
            caption.hidden { "Renewals that will fail, the first to be due first" }
            thead { tr {
                th scope="col" { "Member" }
                th scope="col" { "Plan" }
                th scope="col" { "Due" }
                th scope="col" { "Worth" }
                th scope="col" { "Why it will fail" }
                th scope="col" { "Access ends" }
            } }
            tbody { @for row in &forecast.rows { (line(context, row, plans)) } }
        }
    }
}

fn line(context: &Context, row: &ForecastRow, plans: &Plans) -> Markup {
    let one = &row.at_risk;
    let now = context.now();
    html! {
        tr {
            th scope="row" {
                @match &row.member {
                    Some((_, name)) => (name),
                    None => span.fine { "Subscription " (one.subscription) ", no member here" },
                }
            }
            td data-label="Plan" { (plans.name(one.module, one.plan)) }
            td.when data-label="Due" { (moment(one.due_at, now)) }
            td data-label="Worth" { (amount(&row.price)) }
            td data-label="Why it will fail" { (text::risk(one.risk, |at| at.to_string())) }
            td.when data-label="Access ends" { (moment(one.access_until, now)) }
        }
    }
}
