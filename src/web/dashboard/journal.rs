//! What happened: role changes with their causes, and what managers did.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};

use super::super::Site;
use super::super::api::Failure;
use super::super::api::journal::After;
use super::super::params::Asked;
use super::super::session::Managing;
use super::cause::{receipt, sentence, transaction};
use super::context::{Context, Roles};
use super::format::{counted, listed, moment};
use super::shell::{self, Tab};
use crate::domain::{Act, Gate, Happened, Outcome, RoleAction, RoleId};
use crate::merchants::JournalRow;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new().route("/dashboard/{guild_id}/journal", get(page))
}

async fn page(
    State(site): State<Arc<Site>>,
    managing: Managing,
    Asked(after): Asked<After>,
) -> Response {
    let shown = show(Arc::clone(&site), managing, &after).await;
    shell::or_refusal(&site, shown)
}

async fn show(site: Arc<Site>, managing: Managing, after: &After) -> Result<Response, Failure> {
    let context = Context::load(site, managing).await?;
    let (roles, page) = tokio::join!(
        context.roles(),
        context
            .merchants()
            .journal(&context.manager, after.sequence())
    );
    let page = page?;
    let here = Tab::Journal.path(context.guild());
    let inner = html! {
        @if page.rows.is_empty() {
            p.panel { "Nothing happened yet. Every role change will stand here with its reason." }
        } @else {
            table.rows {
                caption.hidden { "Journal, newest first" }
                thead { tr {
                    th scope="col" { "What" }
                    th scope="col" { "When" }
                    th scope="col" { "Why" }
                    th scope="col" { "Transaction" }
                } }
                tbody { @for row in &page.rows { (line(&context, row, &roles)) } }
            }
        }
        p.row {
            @if after.sequence().is_some() { a.button.quiet href=(here) { "Newest" } }
            @if let Some(next) = page.next { a.button href={ (here) "?after=" (next) } rel="next" { "Older" } }
        }
    };
    Ok(shell::page(&context, Tab::Journal, "Journal", &inner))
}

fn line(context: &Context, row: &JournalRow, roles: &Roles) -> Markup {
    let when = moment(row.at, context.now());
    html! {
        @match &row.happened {
            Happened::Role(entry) => tr {
                th scope="row" {
                    @let member = row.name.clone().unwrap_or_else(|| entry.change.user.to_string());
                    @match entry.change.action {
                        RoleAction::Grant => { (member) " got " },
                        RoleAction::Revoke => { (member) " lost " },
                    }
                    (roles.label(entry.change.role))
                    @if let Outcome::Failed { message, .. } = &entry.outcome {
                        br; span.bad { "Not done: " (message) }
                    }
                }
                td data-label="When" { (when) }
                td data-label="Why" { (sentence(&entry.change.cause)) }
                td data-label="Transaction" {
                    @if let Some(hash) = transaction(&entry.change.cause) {
                        (receipt(context.site.settings().chain_id, hash))
                    }
                }
            },
            Happened::Act(entry) => tr.act {
                th scope="row" {
                    @match (&row.name, entry.by) {
                        (Some(name), _) => (name),
                        (None, Some(crate::domain::UserId(0))) => "A former manager",
                        (None, Some(user)) => (user),
                        (None, None) => "The operator",
                    }
                    " " (act_sentence(&entry.act, &|role| roles.name(role)))
                }
                td data-label="When" { (when) }
                td {}
                td {}
            },
        }
    }
}

/// What a manager did, after their name.
pub(in crate::web) fn act_sentence(act: &Act, role_name: &dyn Fn(RoleId) -> String) -> String {
    let gate = |gate: &Gate| {
        let plans: Vec<_> = gate.plans.iter().map(ToString::to_string).collect();
        let roles: Vec<_> = gate.roles.iter().map(|role| role_name(*role)).collect();
        let noun = if plans.len() == 1 { "plan" } else { "plans" };
        format!("{noun} {} to {}", listed(&plans), listed(&roles))
    };
    match act {
        Act::Connected => "connected the server".to_owned(),
        Act::Disconnected { remove_roles: true } => {
            "disconnected the server and had the roles taken".to_owned()
        }
        Act::Disconnected {
            remove_roles: false,
        } => "disconnected the server and left the roles".to_owned(),
        Act::Gate {
            before,
            after,
            is_undo,
        } => {
            let undone = if *is_undo {
                "took the last change back: "
            } else {
                ""
            };
            let what = match (before, after) {
                (None, Some(after)) => format!("mapped {}", gate(after)),
                (Some(before), None) => format!("removed the mapping of {}", gate(before)),
                (Some(before), Some(after)) => {
                    format!(
                        "changed the mapping of {} into {}",
                        gate(before),
                        gate(after)
                    )
                }
                (None, None) => "changed nothing".to_owned(),
            };
            format!("{undone}{what}")
        }
        Act::Settings { .. } => "changed the settings".to_owned(),
        Act::RoleMade { name, .. } => format!("made the role {name}"),
        Act::Approved { role, removals } => format!(
            "approved taking {} from {}",
            role_name(*role),
            counted(*removals, "member")
        ),
        Act::Tested { .. } => "tested a mapping".to_owned(),
    }
}
