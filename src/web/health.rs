//! What monitors ask: alive, ready, status and metrics. No address and no Discord id in any answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::error::WebError;
use super::ready::{Moment, why_not_ready};
use super::{Site, drift};
use crate::domain::Checkpoint;
use crate::watching;

/// What comes before the token.
const BEARER: &[u8] = b"Bearer ";

/// For everyone.
pub(super) fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
}

/// The numbers, which tell of the merchants' business. On the main listener [`may_watch`] stands before them.
pub(super) fn numbers_router() -> Router<Arc<Site>> {
    Router::new()
        .route("/api/status", get(status))
        .route("/metrics", get(metrics))
}

/// Lets the numbers be seen by whoever has the monitors' token, or asks from this machine without a proxy in between.
pub(super) async fn may_watch(
    State(site): State<Arc<Site>>,
    request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(peer)| peer.ip().to_canonical());
    let headers = request.headers();
    let is_forwarded = ["x-forwarded-for", "forwarded", "x-real-ip", "via"]
        .iter()
        .any(|name| headers.contains_key(*name));
    let is_local = peer.is_some_and(|peer| peer.is_loopback()) && !is_forwarded;
    let token = site.settings().monitor_token.as_ref();
    if is_local || token.is_some_and(|token| brings(headers, token)) {
        next.run(request).await
    } else {
        WebError::ForMonitors.into_response()
    }
}

/// Whether a request brings the token. The scheme's case does not matter (RFC 9110, 11.1).
fn brings(headers: &HeaderMap, token: &SecretString) -> bool {
    let given = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let Some((scheme, given)) = given.and_then(|given| given.split_at_checked(BEARER.len())) else {
        return false;
    };
    let is_bearer = scheme.eq_ignore_ascii_case(BEARER);
    is_bearer && bool::from(given.ct_eq(token.expose_secret().as_bytes()))
}

/// What answers before the store is open. Each connection is for one request, since the service itself takes the next one.
pub fn while_starting() -> Router {
    let closing = || [(CONNECTION, "close")];
    let starting = "The service is starting. Please try again in a minute.";
    Router::new()
        .route("/healthz", get(async move || (closing(), "ok\n")))
        .fallback(async move || (closing(), WebError::NotReady(starting)))
}

/// Why the service is not ready, in one sentence.
fn why_not_ready_now(site: &Site) -> Option<&'static str> {
    let chain = site.state.chain.borrow().clone();
    let is_connected = site.state.discord.borrow().connected;
    let now = Moment {
        time: site.now(),
        instant: Instant::now(),
    };
    why_not_ready(&chain, site.settings().chain_id, is_connected, now)
}

async fn ready(State(site): State<Arc<Site>>) -> Result<Json<Value>, WebError> {
    if let Some(why_not) = why_not_ready_now(&site) {
        return Err(WebError::NotReady(why_not));
    }
    // One gate that cannot work must not take the service away from the others; but nobody is to think that all is well.
    // Anybody may ask, so nothing is read for it.
    let mut trouble = Vec::new();
    let gates = site.state.gate_troubles.borrow().len();
    if gates > 0 {
        trouble.push(format!(
            "Gates that cannot work: {gates}; `amser-roles plan` says why."
        ));
    }
    let discord = site.state.discord.borrow();
    if !discord.failing.is_empty() {
        let failing = discord.failing.len();
        trouble.push(format!(
            "Roles or servers in which Discord refuses changes: {failing}; `amser-roles plan` says why."
        ));
    }
    if discord.commands_refused.is_some() {
        trouble.push("Discord refuses the slash commands; the log says why.".to_owned());
    }
    drop(discord);
    Ok(Json(match trouble.is_empty() {
        true => json!({ "ready": true }),
        false => json!({ "ready": true, "trouble": trouble }),
    }))
}

/// The numbers behind status and metrics.
struct Numbers {
    head: Option<u64>,
    confirmed: Option<u64>,
    cursor: Option<u64>,
    lag_seconds: Option<u64>,
    unknown_logs: u64,
    orphans: u64,
    failing: u64,
    pending: u64,
    /// Seconds since the last complete backup.
    backup_age: Option<u64>,
}

async fn numbers(site: &Site) -> Result<Numbers, WebError> {
    let chain = site.state.chain.borrow().clone();
    let lag_seconds = chain.age_of_newest(site.now());
    let (failing, has_no_commands) = {
        let discord = site.state.discord.borrow();
        (discord.failing.clone(), discord.commands_refused.is_some())
    };
    let unread = chain.unread_modules;
    let troubled = site.state.gate_troubles.borrow().clone();
    let (cursor, unknown_logs, orphans, failing, last_backup) = site
        .with_store(move |store| {
            let unknown = store.unknown_logs()?.iter().map(|logs| logs.count).sum();
            let gates = store.gates()?;
            let stands = |gate: &&crate::domain::Gate| {
                // Without slash commands no member can link a wallet, whatever the gate.
                has_no_commands
                    || unread.contains_key(&gate.module)
                    || troubled.contains_key(&gate.id)
                    || failing.keys().any(|(guild, role)| {
                        *guild == gate.guild && role.is_none_or(|role| gate.roles.contains(&role))
                    })
            };
            let failing = gates.iter().filter(stands).count();
            let orphans = store.orphans()?;
            let last_backup = store.last_backup()?;
            Ok((store.cursor()?, unknown, orphans, failing, last_backup))
        })
        .await?;
    let number = |checkpoint: Option<Checkpoint>| checkpoint.map(|block| block.number);
    Ok(Numbers {
        head: number(chain.head),
        confirmed: number(chain.confirmed),
        // Blocks without events are stored now and then only; their cursor is as sure as the events before them.
        cursor: number(cursor.max(chain.confirmed)),
        lag_seconds,
        unknown_logs,
        orphans,
        failing: failing.try_into().unwrap_or(u64::MAX),
        pending: (site.state.pending)(),
        backup_age: last_backup.map(|last| site.now().0.saturating_sub(last.0)),
    })
}

async fn status(State(site): State<Arc<Site>>) -> Result<Json<Value>, WebError> {
    let numbers = numbers(&site).await?;
    let (rpc, reorgs) = {
        let chain = site.state.chain.borrow();
        (chain.rpc.clone(), chain.reorgs)
    };
    let (connected, members_intent) = {
        let discord = site.state.discord.borrow();
        (discord.connected, discord.members_intent.name())
    };
    let counts = *site.state.counts.borrow();
    Ok(Json(json!({
        "chain": {
            "head": numbers.head,
            "confirmed": numbers.confirmed,
            "cursor": numbers.cursor,
            "lag_seconds": numbers.lag_seconds,
            "rpc": rpc,
            "reorgs": reorgs,
            "unknown_logs": numbers.unknown_logs,
            "orphans": numbers.orphans,
        },
        "discord": {
            "connected": connected,
            "members_intent": members_intent,
            "pending_changes": numbers.pending,
            "failing": numbers.failing,
            "held_back": counts.held_back,
        },
        "drift": drift::status(&site),
        "counts": {
            "subscriptions": counts.subscriptions,
            "active": counts.active,
            "links": counts.links,
            "gates": counts.gates,
        },
    })))
}

async fn metrics(State(site): State<Arc<Site>>) -> Result<Response, WebError> {
    let numbers = numbers(&site).await?;
    let is_ready = why_not_ready_now(&site).is_none();
    let reorgs = site.state.chain.borrow().reorgs;
    metrics::counter!(watching::REORGS).absolute(reorgs);
    let (connected, queue_wait) = {
        let discord = site.state.discord.borrow();
        let waits = discord.servers.values().map(|server| server.queue_wait);
        (discord.connected, waits.max().unwrap_or_default())
    };
    let counts = *site.state.counts.borrow();
    let gauges = [
        (
            "amser_roles_chain_head_block",
            numbers.head,
            "Newest block that a node has shown.",
        ),
        (
            "amser_roles_chain_confirmed_block",
            numbers.confirmed,
            "Newest block whose events count.",
        ),
        (
            "amser_roles_chain_cursor_block",
            numbers.cursor,
            "Block up to which every event is stored.",
        ),
        (
            "amser_roles_chain_lag_seconds",
            numbers.lag_seconds,
            "Age of the newest block in seconds.",
        ),
        (
            "amser_roles_chain_unknown_logs",
            Some(numbers.unknown_logs),
            "Logs of followed contracts that could not be decoded.",
        ),
        (
            "amser_roles_chain_orphans",
            Some(numbers.orphans),
            "Subscriptions with events whose creation was not read: start_block is too late, or a node has lost old logs.",
        ),
        (
            "amser_roles_discord_connected",
            Some(u64::from(connected)),
            "1 while the Discord gateway is connected, else 0.",
        ),
        (
            "amser_roles_discord_pending_changes",
            Some(numbers.pending),
            "Role changes that Discord has not acknowledged yet.",
        ),
        (
            "amser_roles_discord_queue_wait_seconds",
            Some(queue_wait.as_secs()),
            "How long the last queued role change waits at the pace that Discord allows, in the server where that is longest.",
        ),
        (
            "amser_roles_discord_failing_gates",
            Some(numbers.failing),
            "Gates with a standing error.",
        ),
        (
            "amser_roles_subscriptions",
            Some(counts.subscriptions),
            "Subscriptions in the store.",
        ),
        (
            "amser_roles_subscriptions_active",
            Some(counts.active),
            "Subscriptions that give access now.",
        ),
        (
            "amser_roles_links",
            Some(counts.links),
            "Wallets that members have linked.",
        ),
        ("amser_roles_gates", Some(counts.gates), "Gates in force."),
        (
            "amser_roles_held_back_revokes",
            Some(counts.held_back),
            "Removals that were stopped and wait for an approval.",
        ),
        (
            "amser_roles_ready",
            Some(u64::from(is_ready)),
            "1 while /readyz answers 200, else 0.",
        ),
        (
            "amser_roles_backup_age_seconds",
            numbers.backup_age,
            "Time since the last complete backup; missing while none was ever made.",
        ),
    ];
    // Of this moment, and of this one alone: in the process's recorder a number that is not known any more would stay.
    let now = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&now, || {
        for (name, value, help) in gauges {
            metrics::describe_gauge!(name, help);
            if let Some(value) = value {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "Prometheus knows floating point numbers alone"
                )]
                metrics::gauge!(name).set(value as f64);
            }
        }
        drift::measure(&site);
    });
    let text = site.state.metrics.render() + &now.handle().render();
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

/// How often the recorder is tidied.
pub const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Tidies the metrics' recorder until `stop`: samples of request times are kept one by one until somebody scrapes or this
/// sums them up.
pub async fn keep_metrics_small(
    metrics: PrometheusHandle,
    every: Duration,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => metrics.run_upkeep(),
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn before_the_store_is_open_only_healthz_is_well_and_no_connection_is_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(super::super::serve(
            listener,
            while_starting(),
            Vec::new(),
            stop,
        ));
        for (path, status) in [
            ("healthz", StatusCode::OK),
            ("readyz", StatusCode::SERVICE_UNAVAILABLE),
            ("dashboard", StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let client = crate::http::local_client().build().unwrap();
            let asked = client.get(format!("http://{address}/{path}")).send();
            let answer = asked.await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
            assert_eq!(answer.headers()["connection"], "close");
        }
        serving.abort();
    }
}
