//! A server's first page: what to do next, how it stands, and its numbers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::Site;
use super::super::api::journal::{USUAL_DAYS, day_name};
use super::super::api::status::{self, Status};
use super::super::api::{Failure, told};
use super::super::params::{Asked, Filled};
use super::super::session::Managing;
use super::context::{Context, Plans, Roles};
use super::format::{about, ago, counted, moment, number};
use super::plots::{Daily, figure};
use super::shell::{self, Tab};
use super::wallet;
use crate::domain::{RoleId, Timestamp};
use crate::merchants::{Refusal, Series};

pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/dashboard/{guild_id}", get(page))
        .route("/dashboard/{guild_id}/approve", post(approve))
}

/// How often the page loads itself again where there is no script, in seconds.
const RELOAD_SECONDS: u32 = 30;

#[derive(Deserialize)]
struct Query {
    done: Option<String>,
    /// Without script: the visitor reads, and wants no reloading meanwhile.
    still: Option<String>,
    /// The script replaces the live part, and does without the numbers over time.
    live: Option<String>,
}

async fn page(
    State(site): State<Arc<Site>>,
    managing: Managing,
    Asked(query): Asked<Query>,
) -> Response {
    let shown = show(Arc::clone(&site), managing, &query).await;
    shell::or_refusal(&site, shown)
}

async fn show(site: Arc<Site>, managing: Managing, query: &Query) -> Result<Response, Failure> {
    let context = Context::load(site, managing).await?;
    let status = status::of(&context.site, context.guild(), &context.gates).await?;
    let (roles, plans) = tokio::join!(context.roles(), context.plans());
    let owned = wallet::owned(&context.site, context.session.user).await?;
    let series = match query.live {
        Some(_) => None,
        None => Some(
            context
                .merchants()
                .series(&context.manager, USUAL_DAYS)
                .await,
        ),
    };
    let next = Next::of(&status, owned.has_wallet(), !context.gates.is_empty());
    let here = Tab::Status.path(context.guild());
    let reload = format!("{RELOAD_SECONDS};url={here}");
    let head = html! {
        @if query.still.is_none() { noscript { meta http-equiv="refresh" content=(reload); } }
    };
    let inner = html! {
        (shell::note(query.done.as_deref()))
        @if next == Next::Wallet { (wallet::panel(context.site.settings(), &owned, &Tab::Gates.path(context.guild()))) }
        // The script replaces this part while the page is open.
        div #live data-events={ "/api/v1/guilds/" (context.guild()) "/events" } {
            (next.panel(&context))
            (problems(&context, &status, &roles))
            (facts(&context, &status))
        }
        @match &series {
            None => {},
            Some(Ok(series)) => (plots(series, &plans)),
            Some(Err(refusal)) => p.fine { (told(refusal)) },
        }
        noscript {
            p.fine {
                @if query.still.is_none() {
                    "This page loads itself again every " (RELOAD_SECONDS) " seconds. "
                    a href={ (here) "?still=1" } { "Stop that" } "."
                } @else {
                    a href=(here) { "Load this page again every " (RELOAD_SECONDS) " seconds" } "."
                }
            }
        }
    };
    Ok(shell::page_with(
        &context,
        Tab::Status,
        "Status",
        &head,
        &inner,
    ))
}

/// The one thing to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Wallet,
    Map,
    Mend,
    Approve,
    Wait,
    Nothing,
}

impl Next {
    fn of(status: &Status, has_wallet: bool, has_gates: bool) -> Self {
        if !status.failing.is_empty() {
            Self::Mend
        } else if !status.held_back.is_empty() {
            Self::Approve
        } else if has_gates {
            let is_read = status.discord.members_read == Some(true);
            let works = status.chain.at_tip && status.discord.connected && is_read;
            if works { Self::Nothing } else { Self::Wait }
        } else if has_wallet {
            Self::Map
        } else {
            Self::Wallet
        }
    }

    fn panel(self, context: &Context) -> Markup {
        let gates = Tab::Gates.path(context.guild());
        html! {
            @match self {
                // The wallet's own panel stands above; what is wrong, and what waits for approval, follows.
                Self::Wallet | Self::Mend | Self::Approve => {},
                Self::Map => section.panel.lead {
                    p { strong { "Next: " } "choose the role that each of your plans gives." }
                    p { a.button.main href=(gates) { "Choose roles" } }
                },
                Self::Wait => section.panel {
                    p { strong { "Getting ready. " } "The members and the payments are being read; nothing is needed from you." }
                },
                Self::Nothing => section.panel.good {
                    p { strong { "Everything works. " } (counted(context.gates.len() as u64, "mapping")) " in force." }
                },
            }
        }
    }
}

fn problems(context: &Context, status: &Status, roles: &Roles) -> Markup {
    let whole_server = status
        .failing
        .iter()
        .any(|failing| failing.role_id.is_none());
    html! {
        @if !status.failing.is_empty() {
            section.panel.problem aria-labelledby="problems-title" {
                h2 #problems-title { "What does not work" }
                ul {
                    @for failing in &status.failing {
                        li {
                            @if let Some(role) = failing.role_id { (roles.label(role)) ": " }
                            (failing.message)
                        }
                    }
                }
                @if whole_server {
                    p { a.button href={ "/connect?guild_id=" (context.guild()) } { "Give the bot its permissions again" } }
                }
            }
        }
        @for stopped in &status.held_back {
            section.panel.warn {
                h2 { "Removals wait for your approval" }
                p {
                    (roles.label(stopped.role_id)) " would be taken from "
                    strong { (number(stopped.removals as u64)) " of " (counted(stopped.holders as u64, "member")) }
                    ", more than usual at once, and no event on the chain says why. Nothing is taken until you approve."
                }
                p.fine { "Stopped " (ago(stopped.since, context.now())) "." }
                (shell::button(
                    &context.path("approve"),
                    "danger",
                    &format!("Take {} from {}", roles.name(stopped.role_id), counted(stopped.removals as u64, "member")),
                    &[
                        ("role_id", &stopped.role_id.to_string()),
                        ("since", &stopped.since.0.to_string()),
                        ("removals", &stopped.removals.to_string()),
                    ],
                ))
            }
        }
    }
}

fn facts(context: &Context, status: &Status) -> Markup {
    let chain = &status.chain;
    html! {
        dl.facts-grid {
            div {
                dt { "Chain" }
                dd {
                    @match (&chain.trouble, chain.lag_seconds) {
                        (Some(trouble), _) => span.bad { (trouble) },
                        (None, None) => "Not read yet",
                        (None, Some(lag)) => {
                            @if chain.at_tip { "Up to date" } @else { "Catching up" }
                            span.fine { " newest block " (about(Duration::from_secs(lag))) " old" }
                        },
                    }
                }
            }
            div {
                dt { "Confirmed block" }
                dd { @if let Some(block) = chain.confirmed { (number(block)) } @else { "–" } }
            }
            div {
                dt { "Last event of your plans" }
                dd {
                    @match &status.last_event {
                        None => "None yet",
                        Some(event) => {
                            "Block " (number(event.block))
                            @if let Some(time) = event.time { span.fine { (moment(time, context.now())) } }
                        },
                    }
                }
            }
            div {
                dt { "Waiting for confirmations" }
                dd { (counted(status.pending_confirmations as u64, "event")) }
            }
            div {
                dt { "Role changes on their way" }
                dd {
                    (number(status.queue.changes as u64))
                    @if status.queue.changes > 0 {
                        span.fine { " the last one in about " (about(Duration::from_secs(status.queue.wait_seconds))) }
                    }
                }
            }
            div {
                dt { "Discord" }
                dd {
                    @match (status.discord.connected, status.discord.members_read) {
                        (false, _) => span.bad { "Not connected; it is tried again" },
                        (true, Some(false)) => "Connected; members are being read",
                        (true, _) => "Connected",
                    }
                }
            }
            div {
                dt { "Checks against the contracts" }
                dd {
                    @match status.disagreements {
                        0 => "No disagreement since the start",
                        count => { (counted(count, "disagreement")) " since the start" },
                    }
                }
            }
        }
    }
}

fn plots(series: &Series, plans: &Plans) -> Markup {
    let days: Vec<_> = series.days.iter().map(day_name).collect();
    let mut keys: Vec<_> = series
        .days
        .iter()
        .flat_map(|day| day.active.keys().copied())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let active: Vec<_> = keys
        .into_iter()
        .map(|key| {
            let numbers = series.days.iter().map(|day| day.active.get(&key).copied());
            (plans.name(key.0, key.1), numbers.collect())
        })
        .collect();
    let daily = |name: &str, number: &dyn Fn(&crate::merchants::Day) -> Option<u64>| {
        let numbers: Vec<_> = series.days.iter().map(number).collect();
        (name.to_owned(), numbers)
    };
    // A flat line at zero is nothing to look at.
    let has_changes = series.days.iter().any(|day| day.grants + day.revokes > 0);
    let changes = [
        daily("Given", &|day| has_changes.then_some(day.grants)),
        daily("Taken", &|day| has_changes.then_some(day.revokes)),
    ];
    let delays = [
        daily("Median", &|day| {
            day.block_to_role.map(|latency| latency.median)
        }),
        daily("Slowest", &|day| {
            day.block_to_role.map(|latency| latency.slowest)
        }),
    ];
    let plot = |title, unit, series: &[_]| {
        figure(&Daily {
            title,
            unit,
            days: &days,
            series,
        })
    };
    html! {
        section.plots aria-label="The last 30 days" {
            (plot("Active subscriptions per plan", "Subscriptions", &active))
            (plot("Roles given and taken", "Role changes", &changes))
            (plot("From payment to role, in seconds", "Seconds", &delays))
        }
    }
}

#[derive(Deserialize)]
struct Approve {
    role_id: RoleId,
    /// As they were shown.
    since: Option<u64>,
    removals: Option<usize>,
}

async fn approve(
    State(site): State<Arc<Site>>,
    Managing(manager, _): Managing,
    Filled(Approve {
        role_id,
        since,
        removals,
    }): Filled<Approve>,
) -> Response {
    let here = Tab::Status.path(manager.guild);
    let shown = since.map(Timestamp).zip(removals);
    match site.state.merchants.approve(&manager, role_id, shown).await {
        // Somebody else approved them a moment ago, or they came to nothing.
        Ok(_) | Err(Refusal::NothingHeld) => shell::done(&format!("{here}?done=approved")),
        Err(refusal) => shell::refused(&site, &refusal.into(), &here),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::api::status::{Chain, Discord, Failing, Queue, Stopped};
    use super::*;

    fn healthy() -> Status {
        Status {
            chain: Chain {
                head: Some(12),
                confirmed: Some(10),
                lag_seconds: Some(3),
                at_tip: true,
                trouble: None,
            },
            discord: Discord {
                connected: true,
                members_read: Some(true),
            },
            last_event: None,
            pending_confirmations: 0,
            queue: Queue::default(),
            failing: Vec::new(),
            held_back: Vec::new(),
            disagreements: 0,
        }
    }

    #[test]
    fn what_to_do_next_follows_from_the_status() {
        let status = healthy();
        assert_eq!(Next::of(&status, false, false), Next::Wallet);
        assert_eq!(Next::of(&status, true, false), Next::Map);
        assert_eq!(Next::of(&status, false, true), Next::Nothing);
        let mut stopped = healthy();
        stopped.held_back.push(Stopped {
            role_id: RoleId(1),
            removals: 9,
            holders: 10,
            since: Timestamp(1),
        });
        assert_eq!(Next::of(&stopped, true, true), Next::Approve);
        stopped.failing.push(Failing {
            role_id: None,
            message: "x".to_owned(),
        });
        assert_eq!(Next::of(&stopped, true, true), Next::Mend);
        let mut unread = healthy();
        unread.discord.members_read = Some(false);
        assert_eq!(Next::of(&unread, true, true), Next::Wait);
    }
}
