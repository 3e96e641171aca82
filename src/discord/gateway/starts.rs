//! Where the gateway is, and when a session may be begun there: five seconds after the last one, and fewer times a day than Discord allows. A bot that
//! begins more loses its token. <https://discord.com/developers/docs/events/gateway#session-start-limit-object>

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serenity::http::Route;
use serenity::model::gateway::BotGateway;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::clock::machine_time;
use crate::discord::backoff::delay;
use crate::discord::error::{Failure, Reason};
use crate::discord::shared::Shared;
use crate::text;

/// From one IDENTIFY to the next: Discord says 5 s; the network may bring two of them closer together.
const GAP: Duration = Duration::from_millis(5_250);
/// The shortest wait for Discord to allow another one.
const SHORTEST: Duration = Duration::from_millis(250);

/// The session starts of all shards.
pub(super) struct Starts {
    /// When the last session was begun, for each of the shards that may begin one at the same time.
    lanes: Vec<Mutex<Option<Instant>>>,
    /// How many are left, as Discord said when it was last asked.
    left: AtomicU64,
}

/// The right to send one IDENTIFY.
#[derive(Debug)]
#[must_use]
pub(super) struct Start<'a> {
    last: MutexGuard<'a, Option<Instant>>,
    left: &'a AtomicU64,
}

impl Starts {
    pub(super) fn new(gateway: &BotGateway) -> Self {
        let limit = &gateway.session_start_limit;
        Self {
            lanes: (0..limit.max_concurrency.max(1))
                .map(|_| Mutex::default())
                .collect(),
            left: AtomicU64::new(limit.remaining),
        }
    }

    /// Takes in how many are left now. False when another number may begin at a time, which needs other lanes.
    pub(super) fn renew(&self, gateway: &BotGateway) -> bool {
        let limit = &gateway.session_start_limit;
        self.left.store(limit.remaining, Ordering::Relaxed);
        self.lanes.len() as u64 == limit.max_concurrency.max(1)
    }

    /// Waits until this shard may begin a session. Where none is left for the day, that is the next day.
    ///
    /// # Errors
    /// When Discord refuses to say whether one is left.
    pub(super) async fn acquire(&self, shard: u32, shared: &Shared) -> anyhow::Result<Start<'_>> {
        let lane = shard as usize % self.lanes.len();
        let last = self.lanes[lane].lock().await;
        if let Some(at) = *last {
            tokio::time::sleep_until(at + GAP).await;
        }
        while self.left.load(Ordering::Relaxed) == 0 {
            let limit = find(shared, 1).await?.session_start_limit;
            self.left.store(limit.remaining, Ordering::Relaxed);
        }
        Ok(Start {
            last,
            left: &self.left,
        })
    }
}

impl Start<'_> {
    /// IDENTIFY is being sent.
    pub(super) fn used(mut self) {
        *self.last = Some(Instant::now());
        let one_less = |left: u64| Some(left.saturating_sub(1));
        let _always = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
    }
}

/// Asks Discord where the gateway is, which also shows whether the token is good, and waits until a session may be begun
/// there for each shard, or until `enough` may be begun.
///
/// # Errors
/// In one sentence, when Discord refuses.
pub(super) async fn find(shared: &Shared, enough: u32) -> anyhow::Result<BotGateway> {
    let mut failures = 0;
    loop {
        let pause = match shared.rest.get::<BotGateway>(Route::GatewayBot).await {
            Ok(gateway) => {
                let limit = &gateway.session_start_limit;
                if limit.remaining >= u64::from(gateway.shards.min(enough).max(1)) {
                    return Ok(gateway);
                }
                // Discord takes the token away from a bot that begins more sessions.
                let pause = Duration::from_millis(limit.reset_after).max(SHORTEST);
                let until = machine_time().plus(pause.as_secs());
                tracing::warn!(%until, "Discord allows no more sessions before then; role changes go on meanwhile");
                pause
            }
            Err(failure) if failure.reason() == Some(Reason::Token) => bail!(text::token_refused()),
            Err(Failure::Refused(refusal)) => {
                return Err(refusal).context("Discord does not say where its gateway is");
            }
            Err(failure) => {
                tracing::warn!(%failure, "Discord's gateway cannot be found yet");
                failures += 1;
                delay(failures - 1, rand::random())
            }
        };
        tokio::time::sleep(pause).await;
    }
}
