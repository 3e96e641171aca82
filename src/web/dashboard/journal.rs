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
use super::cause::{act_sentence, receipt, sentence, transaction};
use super::context::{Context, Roles};
use super::format::moment;
use super::shell::{self, Tab};
use crate::domain::{Happened, Outcome, RoleAction, UserId};
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
                td.at data-label="When" { (when) }
                td data-label="Why" { (sentence(&entry.change.cause)) }
                td data-label="Transaction" {
                    @if let Some(hash) = transaction(&entry.change.cause) {
                        (receipt(context.site.settings().chain_id, hash))
                    }
                }
            },
            Happened::Act(entry) => tr.act {
                th scope="row" {
                    @match (&row.name, entry.by, entry.act.is_somebodys()) {
                        (_, _, false) => {},
                        (Some(name), _, _) => { (name) " " },
                        (None, Some(UserId(0)), _) => "A former manager ",
                        (None, Some(user), _) => { (user) " " },
                        (None, None, _) => "The operator ",
                    }
                    (act_sentence(&entry.act, &|role| roles.name(role)))
                }
                td.at data-label="When" { (when) }
                td {}
                td {}
            },
        }
    }
}
