//! Who pays, who holds the role, and who does not for what reason.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;
use url::form_urlencoded;

use super::super::Site;
use super::super::api::members::Search;
use super::super::api::{Failure, told};
use super::super::params::{Asked, Filled};
use super::super::session::Managing;
use super::cause::{receipt, sentence, state_help, state_name};
use super::context::{Context, Roles};
use super::shell::{self, Tab};
use crate::domain::{MemberPage, MemberRow, MemberState, UserId};

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/dashboard/{guild_id}/members", get(page))
        .route("/dashboard/{guild_id}/members/invite", post(invite))
}

async fn page(
    State(site): State<Arc<Site>>,
    managing: Managing,
    Asked(search): Asked<Search>,
) -> Response {
    let shown = show(Arc::clone(&site), managing, search).await;
    shell::or_refusal(&site, shown)
}

async fn show(site: Arc<Site>, managing: Managing, search: Search) -> Result<Response, Failure> {
    let context = Context::load(site, managing).await?;
    let (roles, found) = tokio::join!(
        context.roles(),
        search.page(&context.site, &context.manager)
    );
    let here = Tab::Members.path(context.guild());
    let inner = html! {
        (form(&here, &search))
        @match &found {
            Ok(found) => (results(&context, &here, &search, found, &roles)),
            Err(refusal) => p.panel.problem role="alert" { (told(refusal)) },
        }
    };
    Ok(shell::page(&context, Tab::Members, "Members", &inner))
}

fn form(here: &str, search: &Search) -> Markup {
    html! {
        form.search role="search" method="get" action=(here) {
            label {
                "Name or Discord id"
                input type="search" name="query" value=(search.query) autocomplete="off" spellcheck="false";
            }
            label {
                "State"
                select name="filter" {
                    option value="" { "Everyone" }
                    @for state in MemberState::ALL {
                        option value=(state.name()) selected[search.filter == state.name()] { (state_name(state)) }
                    }
                }
            }
            button.button type="submit" { "Search" }
        }
    }
}

fn results(
    context: &Context,
    here: &str,
    search: &Search,
    page: &MemberPage,
    roles: &Roles,
) -> Markup {
    let query = |after: Option<&str>| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("filter", &search.filter);
        query.append_pair("query", &search.query);
        if let Some(after) = after {
            query.append_pair("after", after);
        }
        query.finish()
    };
    let help = search.filter.parse().ok().and_then(state_help);
    html! {
        @if let Some(help) = help { p.panel { (help) } }
        @if page.members.is_empty() {
            p.panel {
                @if search.filter.is_empty() && search.query.trim().is_empty() {
                    "Nobody here yet. Everyone who pays for one of this server's plans, or holds one of their roles, will stand here."
                } @else {
                    "Nobody here fits that."
                }
            }
        } @else {
            (table(context, &page.members, roles))
        }
        p.row {
            @if search.after.is_some() { a.button.quiet href={ (here) "?" (query(None)) } { "First page" } }
            @if let Some(next) = &page.next {
                a.button href={ (here) "?" (query(Some(next))) } rel="next" { "Next page" }
            }
            a.button.quiet href={ "/api/v1/guilds/" (context.guild()) "/members.csv?" (query(None)) } download { "Download as CSV" }
        }
    }
}

fn table(context: &Context, members: &[MemberRow], roles: &Roles) -> Markup {
    let names = roles.names();
    let chain_id = context.site.settings().chain_id;
    html! {
        table.rows {
            caption.hidden { "Members" }
            thead { tr {
                th scope="col" { "Member" }
                th scope="col" { "State" }
                th scope="col" { "Roles" }
                th scope="col" { "Why" }
                th scope="col" { "Transaction" }
            } }
            tbody {
                @for row in members {
                    tr {
                        th scope="row" {
                            @match (&row.name, row.user) {
                                (Some(name), _) => (name),
                                (None, Some(user)) => code { (user) },
                                (None, None) => span.fine { "Not linked" },
                            }
                        }
                        td data-label="State" { span class={ "state " (class(row.state)) } { (state_name(row.state)) } (invite_button(context, row)) }
                        td data-label="Roles" {
                            @for (index, role) in row.roles.iter().enumerate() {
                                @if index > 0 { ", " }
                                @match names.get(role) { Some(name) => (name), None => code { (role) } }
                            }
                        }
                        td data-label="Why" { @if let Some(cause) = &row.cause { (sentence(cause)) } }
                        td data-label="Transaction" { @if let Some(hash) = row.transaction { (receipt(chain_id, hash)) } }
                    }
                }
            }
        }
    }
}

/// Who paid and is not in the server can be invited.
fn invite_button(context: &Context, row: &MemberRow) -> Markup {
    html! {
        @if let (MemberState::NotInServer, Some(user)) = (row.state, row.user) {
            (shell::button(&context.path("members/invite"), "small", "Make an invite", &[("user_id", &user.to_string())]))
        }
    }
}

#[derive(Deserialize)]
struct Invited {
    user_id: UserId,
}

async fn invite(
    State(site): State<Arc<Site>>,
    managing: Managing,
    Filled(Invited { user_id }): Filled<Invited>,
) -> Response {
    let made = make_invite(Arc::clone(&site), managing, user_id).await;
    shell::or_refusal(&site, made)
}

async fn make_invite(
    site: Arc<Site>,
    managing: Managing,
    user: UserId,
) -> Result<Response, Failure> {
    let context = Context::load(site, managing).await?;
    let made = context.merchants().invite(&context.manager, user).await;
    let inner = html! {
        @match &made {
            Ok(url) => section.panel.good {
                p { "Send this to the subscriber. Only they can use it (Discord id " code { (user) } "), once, within a week. It gives them their role:" }
                p { code #invite { (url) } }
            },
            Err(refusal) => p.panel.problem role="alert" { (told(refusal)) },
        }
        p { a.button href={ (Tab::Members.path(context.guild())) "?filter=not_in_server" } { "Back to the members" } }
    };
    Ok(shell::page(&context, Tab::Members, "An invite", &inner))
}

/// Good, bad, or on its way.
fn class(state: MemberState) -> &'static str {
    match state {
        MemberState::Active => "good",
        MemberState::Grace
        | MemberState::Waiting
        | MemberState::NotLinked
        | MemberState::NotInServer => "warn",
        MemberState::Failed | MemberState::RoleTooLow | MemberState::RoleGone => "bad",
        MemberState::Paused
        | MemberState::Cancelled
        | MemberState::Lapsed
        | MemberState::Unpaid => "",
    }
}
