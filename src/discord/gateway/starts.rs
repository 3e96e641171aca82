//! Where the gateway is, and when a session may be begun there: five seconds after the last one, and ever more rarely once
//! half of those that Discord allows in a day are used up. A bot that begins more than those loses its token.
//! <https://discord.com/developers/docs/events/gateway#session-start-limit-object>

use std::sync::{Mutex as StdMutex, MutexGuard as StdMutexGuard};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serenity::model::gateway::{BotGateway, SessionStartLimit};
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
#[derive(Debug)]
pub(super) struct Starts {
    /// When the last session was begun, for each of the shards that may begin one at the same time.
    lanes: Vec<Mutex<Option<Instant>>>,
    allowance: StdMutex<Allowance>,
}

/// How many sessions may be begun, as Discord said when it was last asked.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    total: u64,
    left: u64,
    /// When all of them may be begun again.
    resets_at: Instant,
}

impl Allowance {
    fn new(limit: &SessionStartLimit, now: Instant) -> Self {
        Self {
            total: limit.total,
            left: limit.remaining,
            resets_at: now + Duration::from_millis(limit.reset_after),
        }
    }

    /// From one IDENTIFY to the next: sessions that break at once must not use up a day's allowance in an hour.
    fn gap(&self, now: Instant) -> Duration {
        let until_reset = self.resets_at.saturating_duration_since(now);
        match u32::try_from(self.left.max(1)) {
            Ok(left) if self.left * 2 < self.total => GAP.max(until_reset / left),
            _ => GAP,
        }
    }
}

/// The right to send one IDENTIFY.
#[derive(Debug)]
#[must_use]
pub(super) struct Start<'a> {
    last: MutexGuard<'a, Option<Instant>>,
    starts: &'a Starts,
}

impl Starts {
    pub(super) fn new(gateway: &BotGateway) -> Self {
        let limit = &gateway.session_start_limit;
        Self {
            lanes: (0..limit.max_concurrency.max(1))
                .map(|_| Mutex::default())
                .collect(),
            allowance: StdMutex::new(Allowance::new(limit, Instant::now())),
        }
    }

    fn allowance(&self) -> StdMutexGuard<'_, Allowance> {
        let allowance = self.allowance.lock();
        allowance.expect("never poisoned: no panic while held")
    }

    /// Takes in how many are left now. False when another number may begin at a time, which needs other lanes.
    pub(super) fn renew(&self, gateway: &BotGateway) -> bool {
        let limit = &gateway.session_start_limit;
        *self.allowance() = Allowance::new(limit, Instant::now());
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
            let gap = self.allowance().gap(Instant::now());
            tokio::time::sleep_until(at + gap).await;
        }
        while self.is_used_up(Instant::now()) {
            let limit = find(shared, 1).await?.session_start_limit;
            *self.allowance() = Allowance::new(&limit, Instant::now());
        }
        Ok(Start { last, starts: self })
    }

    /// Whether none is left, or it is not known how many are since the number was reset.
    fn is_used_up(&self, now: Instant) -> bool {
        let Allowance {
            total,
            left,
            resets_at,
        } = *self.allowance();
        left == 0 || left * 2 < total && resets_at < now
    }
}

impl Start<'_> {
    /// IDENTIFY is being sent.
    pub(super) fn used(mut self) {
        *self.last = Some(Instant::now());
        let mut allowance = self.starts.allowance();
        allowance.left = allowance.left.saturating_sub(1);
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
        let pause = match shared.rest.get::<BotGateway>("gateway/bot").await {
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
                match failures {
                    0 => tracing::warn!(%failure, "Discord's gateway cannot be found yet"),
                    _ => tracing::debug!(%failure, "Discord's gateway cannot be found yet"),
                }
                failures += 1;
                delay(failures - 1, rand::random())
            }
        };
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_half_of_a_days_sessions_is_spread_over_what_is_left_of_the_day() {
        let now = Instant::now();
        let hour = Duration::from_secs(3_600);
        let gap = |left| {
            let resets_at = now + 10 * hour;
            let total = 1_000;
            Allowance {
                total,
                left,
                resets_at,
            }
            .gap(now)
        };
        assert_eq!(gap(1_000), GAP);
        assert_eq!(gap(500), GAP);
        assert_eq!(gap(400), hour / 40);
        assert_eq!(gap(1), 10 * hour);
        assert_eq!(gap(0), 10 * hour, "and Discord is asked first");
    }
}
