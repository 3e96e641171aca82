//! Sends what the outbox holds: one ordered worker per server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::header::CONTENT_LENGTH;
use reqwest::{Method, RequestBuilder};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Report;
use super::error::{Failure, Reason};
use super::limits::Lane;
use super::rest::{Permit, Rest, because};
use super::server::hierarchy::Obstacle;
use super::server::{End, Next, Origin, scope};
use super::shared::{Shared, Step};
use crate::clock::sleep_until;
use crate::domain::{GuildId, RoleAction, RoleChange, RoleId, UserId};
use crate::text;

/// How long a request under way may take after the stop.
const LAST_REQUEST: Duration = Duration::from_secs(5);

/// Starts a worker for each server that has something to send, until `stop`.
pub(crate) async fn deliver(
    shared: Arc<Shared>,
    mut to_start: mpsc::UnboundedReceiver<GuildId>,
    reports: mpsc::Sender<Report>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut workers = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(guild) = to_start.recv() => {
                workers.spawn(work(Arc::clone(&shared), guild, reports.clone(), stop.clone()));
            }
            Some(ended) = workers.join_next() => ended.context("a worker for role changes panicked")?,
        }
    }
    while let Some(ended) = workers.join_next().await {
        ended.context("a worker for role changes panicked")?;
    }
    Ok(())
}

async fn work(
    shared: Arc<Shared>,
    guild: GuildId,
    reports: mpsc::Sender<Report>,
    stop: CancellationToken,
) {
    let wake = shared.with(guild, |guild| Arc::clone(&guild.wake));
    let lane = |method| {
        Lane::of(
            method,
            &format!("/api/v10/guilds/{guild}/members/1/roles/1"),
        )
    };
    let (urgent, grants, revokes) = (lane("PUT"), lane("PUT").in_bulk(), lane("DELETE").in_bulk());
    // At most one: it goes on beside the role changes when it takes long.
    let mut reading = JoinSet::new();
    while !stop.is_cancelled() {
        // Also while there is always something to send: a reading that has ended makes room for the next.
        while let Some(ended) = reading.try_join_next() {
            ended.expect("nothing panics while the roles are read");
        }
        match shared.step(guild, !reading.is_empty()) {
            Step::ReadRoles { patience } => {
                reading.spawn(read_roles(Arc::clone(&shared), guild));
                let until = Instant::now() + patience;
                sleep(Some(until), &Notify::new(), &stop, &mut reading).await;
            }
            Step::Send(next) => {
                let lane = match next {
                    Next::JustNow => &urgent,
                    Next::Grant => &grants,
                    Next::Revoke => &revokes,
                };
                let permit = tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    // What is first in line may have changed.
                    () = wake.notified() => continue,
                    permit = shared.rest.acquire(lane) => permit,
                };
                let Some(report) = send_first(&shared, guild, next, permit, &stop).await else {
                    continue;
                };
                tokio::select! {
                    sent = reports.send(report) => if sent.is_err() {
                        // Nobody listens any more, so the program is about to stop.
                        return;
                    },
                    () = grace_period_over(&stop) => return,
                }
            }
            Step::Sleep(until) => sleep(until, &wake, &stop, &mut reading).await,
        }
    }
}

async fn read_roles(shared: Arc<Shared>, guild: GuildId) {
    // A start with thousands of servers must not take every place that the limits give.
    let _permit = shared.role_reads.acquire().await;
    if let Err(failure) = shared.read_roles(guild).await {
        tracing::debug!(%guild, %failure, "the server's roles cannot be read");
    }
}

/// Resolves [`LAST_REQUEST`] after the stop.
async fn grace_period_over(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_REQUEST).await;
}

/// Sleeps until then, a signal, or the end of the reading under way.
async fn sleep(
    until: Option<Instant>,
    wake: &Notify,
    stop: &CancellationToken,
    reading: &mut JoinSet<()>,
) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = wake.notified() => {}
        () = sleep_until(until) => {}
        Some(ended) = reading.join_next() => ended.expect("nothing panics while the roles are read"),
    }
}

/// Sends the change that is first in line now, which may be a newer one than when the permit was asked for.
async fn send_first(
    shared: &Shared,
    guild: GuildId,
    next: Next,
    permit: Permit<'_>,
    stop: &CancellationToken,
) -> Option<Report> {
    let now = Instant::now();
    let (intent, roles) = shared.with(guild, |state| {
        Some((state.queue.take(next, now)?, state.roles.clone()))
    })?;
    let RoleChange {
        action, user, role, ..
    } = intent.change;
    let obstacle = roles
        .as_ref()
        .and_then(|roles| Some((roles, roles.obstacle(guild, role)?)));
    let end = match obstacle {
        // Whether a role that is to be taken is gone, Discord says.
        Some((roles, obstacle)) if (action, &obstacle) != (RoleAction::Revoke, &Obstacle::Gone) => {
            End::Stuck {
                scope: scope(role, &obstacle),
                code: 0,
                sentence: text::obstacle(&roles.name, role, &obstacle),
                origin: Origin::of(&obstacle),
            }
        }
        gone => {
            let reason = text::audit_reason(&intent.change.cause);
            let request = shared.rest.role_request(action, guild, user, role, &reason);
            let sending = async { permit.send(request.build()?).await };
            let result = tokio::select! {
                result = sending => result,
                () = grace_period_over(stop) => {
                    Err(Failure::Transient("the program stopped".to_owned()))
                }
            };
            end(shared, &intent.change, gone.is_some(), result)
        }
    };
    tracing::debug!(?action, %guild, %user, %role, ?end, "role change answered");
    let now = Instant::now();
    let told = shared.with(guild, |state| {
        if matches!(&end, End::Stuck { origin, .. } if *origin == Origin::Refusal) {
            // The roles as they are now may explain the refusal better than its code.
            state.read_again(false);
        }
        state.queue.finish(end, now, rand::random())
    });
    told.map(|(intent, outcome)| Report { intent, outcome })
}

/// What Discord's answer means for the change. `is_gone`: the server's roles, as they were last read, do not have its role.
fn end(
    shared: &Shared,
    change: &RoleChange,
    is_gone: bool,
    result: Result<Vec<u8>, Failure>,
) -> End {
    let (guild, role) = (change.guild, change.role);
    let refusal = match result {
        Ok(_) => {
            shared.token(true);
            return End::Done;
        }
        Err(Failure::RateLimited) => return End::Postponed,
        Err(Failure::Transient(message)) => return End::Passing { message },
        Err(Failure::Refused(refusal)) => refusal,
    };
    let (code, message) = (refusal.code, refusal.to_string());
    let stuck = |scope| {
        let name = shared.with(guild, |state| state.name(guild));
        End::Stuck {
            scope,
            code,
            sentence: text::refusal(&name, scope, &refusal),
            origin: Origin::Refusal,
        }
    };
    match refusal.reason {
        // Nobody holds a role that is gone. Where the roles have it still, they are read again first.
        Reason::Role if is_gone && change.action == RoleAction::Revoke => End::Done,
        Reason::Token => {
            shared.token(false);
            End::Held { code, message }
        }
        Reason::Guild | Reason::TwoFactor => stuck(None),
        Reason::Permissions | Reason::Role => stuck(Some(role)),
        Reason::Member => End::NotThere,
        Reason::Other => End::Unclassified { code, message },
    }
}

impl Rest {
    /// The request for one role change, with a reason for the server's audit log.
    pub(super) fn role_request(
        &self,
        action: RoleAction,
        guild: GuildId,
        user: UserId,
        role: RoleId,
        reason: &str,
    ) -> RequestBuilder {
        let method = match action {
            RoleAction::Grant => Method::PUT,
            RoleAction::Revoke => Method::DELETE,
        };
        let path = format!("guilds/{guild}/members/{user}/roles/{role}");
        // Some servers on the way want to be told that there is no body.
        because(self.request(method, path).header(CONTENT_LENGTH, 0), reason)
    }
}
