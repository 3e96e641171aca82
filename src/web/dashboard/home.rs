//! `/dashboard`: the servers of the signed-in merchant; for everyone else, what this is and where to begin.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};

use super::super::Site;
use super::super::api::{Failure, status};
use super::super::params::Asked;
use super::super::session::{Session, Visitor};
use super::shell::{self, Done};
use super::wallet;
use crate::merchants::Server;

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new().route("/dashboard", get(home))
}

async fn home(
    State(site): State<Arc<Site>>,
    Visitor(session): Visitor,
    Asked(Done { done }): Asked<Done>,
) -> Response {
    let Some(session) = session.filter(|session| !session.is_handed_over()) else {
        return shell::plain(
            &site,
            StatusCode::OK,
            false,
            "Discord roles for your subscribers",
            &welcome(),
        );
    };
    match signed_in(&site, &session, done.as_deref()).await {
        Ok(inner) => shell::plain(&site, StatusCode::OK, true, "Your servers", &inner),
        Err(failure) => shell::refused(&site, &failure, "/dashboard"),
    }
}

/// One sentence and one thing to do.
fn welcome() -> Markup {
    html! {
        section.panel.lead {
            p {
                "Give a Discord role to everyone who pays for a plan on amser, and take it when they stop paying."
            }
            p { a.button.main href="/connect" { "Add to your Discord server" } }
            p.fine {
                "You choose the server on Discord's own page. The bot asks for one permission, Manage Roles, and changes only the roles that you choose here."
            }
        }
        p { "Is your server connected already? " a href="/oauth/login?next=/dashboard" { "Sign in with Discord" } "." }
    }
}

async fn signed_in(site: &Site, session: &Session, done: Option<&str>) -> Result<Markup, Failure> {
    let merchants = &site.state.merchants;
    let servers = merchants.servers(session.user, &session.servers).await?;
    let removed = merchants.removed_from(&session.servers).await?;
    let owned = wallet::owned(site, session.user).await?;
    let (connected, others): (Vec<_>, Vec<_>) =
        servers.into_iter().partition(|server| server.connected);
    let mut cards = Vec::new();
    for server in &connected {
        let gates = merchants.gates(server.guild).await?;
        let problems = status::problems(site, server.guild, &gates);
        cards.push(card(server, !gates.is_empty(), problems));
    }
    Ok(html! {
        (shell::note(done))
        @if connected.is_empty() {
            section.panel.lead {
                p { "Connect the Discord server in which your subscribers get their roles." }
                p { a.button.main href="/connect" { "Connect a server" } }
            }
        } @else {
            ul.cards {
                @for card in &cards { li { (card) } }
            }
            p { a.button href="/connect" { "Connect another server" } }
        }
        @if !others.is_empty() {
            section.panel {
                h2 { "The bot is here too" }
                ul.plain {
                    @for server in &others {
                        li.row {
                            span { (server.name) }
                            a.button.small href={ "/connect?guild_id=" (server.guild) } { "Connect" span.hidden { " " (server.name) } }
                        }
                    }
                }
            }
        }
        @if !removed.is_empty() {
            section.panel.problem {
                h2 { "The bot was removed" }
                p { "The bot is not in these servers any more, so no role changes there. Add it again, and their mappings work again." }
                ul.plain {
                    @for guild in &removed {
                        li { a.button.small href={ "/connect?guild_id=" (guild) } { "Add the bot to server " (guild) } }
                    }
                }
            }
        }
        p.fine { "Do you manage a server that is missing here? " a href="/oauth/login?next=/dashboard" { "Sign in again" } ", and Discord tells us which servers are yours." }
        (wallet::panel(site.settings(), &owned, "/dashboard"))
    })
}

/// A server, and how much is wrong there and waits for somebody.
fn card(server: &Server, has_gates: bool, problems: usize) -> Markup {
    html! {
        a.card-link href={ "/dashboard/" (server.guild) } {
            strong { (server.name) }
            @match problems {
                0 if !has_gates => span.state { "No plan gives a role yet" },
                0 => span.state.good { "Works" },
                1 => span.state.bad { "1 problem" },
                more => span.state.bad { (more) " problems" },
            }
        }
    }
}
