//! PURE. How often the API is asked: as often as its questions need, as its answers take and as its limits allow; learned
//! from what it answers, evenly, and never before it said.

use std::time::{Duration, Instant};

use crate::amser_api::Limits;

/// Requests that may be under way at the same time.
pub const AT_ONCE: usize = 8;

/// Requests a second at the start.
const FIRST: f64 = 2.0;
/// What each answer adds to the rate, while that is what holds the requests back.
const GROWTH: f64 = 1.02;
/// What is left of the rate at which it was too much, and what of that is used for a while.
const BELOW: f64 = 0.9;
const SHY: f64 = 0.9;
/// How long a rate that was too much is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);
/// The slowest rate.
const SLOWEST: f64 = 1.0 / 600.0;
/// The share of the time during which requests may be under way, of as many as may be so.
const BUSY: f64 = 0.5;
/// The pause after a 429 that does not say how long; twice as long after each one that follows.
const PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(900);
/// How much a gap differs from the one before, at most: by so much of its length to either side.
const JITTER: f64 = 0.2;

/// How often to ask.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Requests a second that the API was seen to allow.
    rate: f64,
    /// It allows less than this, as it said then.
    too_much: Option<(f64, Instant)>,
    /// The API's own word, and until when it holds.
    advised: Option<(f64, Instant)>,
    /// Seconds that an answer takes.
    took: f64,
    /// Not before this.
    not_before: Option<Instant>,
    last: Option<Instant>,
    /// Answers in a row that were 429.
    refusals: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            rate: FIRST,
            too_much: None,
            advised: None,
            took: 0.1,
            not_before: None,
            last: None,
            refusals: 0,
        }
    }
}

impl Pace {
    /// When the next request may be sent, where `wanted` are wanted a second. `jitter`: any number from 0 to 1.
    pub fn next_at(&self, wanted: f64, jitter: f64, now: Instant) -> Instant {
        let rate = self.effective(wanted, now);
        let gap = (1.0 + JITTER * (2.0 * jitter - 1.0)) / rate;
        let gap = Duration::try_from_secs_f64(gap).unwrap_or(LONGEST_PAUSE);
        let at = self.last.map_or(now, |last| last + gap);
        self.not_before.map_or(at, |not_before| at.max(not_before))
    }

    /// Until when the API asked not to be asked, if that is to come.
    pub fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|until| *until > now)
    }

    /// A request is sent.
    pub fn sent(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// It was answered in this time, whatever the answer was. `wanted`: as in [`Pace::next_at`].
    pub fn answered(&mut self, wanted: f64, took: Duration, limits: Limits, now: Instant) {
        self.refusals = 0;
        self.took += 0.1 * (took.as_secs_f64() - self.took);
        // What does not hold back must not grow: a crowd of new questions would find no limit.
        if self.effective(wanted, now) >= self.rate * 0.99 {
            let most = self.remembered(now).unwrap_or(f64::INFINITY);
            self.rate = (self.rate * GROWTH).min(most);
        }
        self.take(limits, now);
    }

    /// It was one too many.
    pub fn too_many(&mut self, limits: Limits, now: Instant) {
        // What was sent before the first refusal is refused for the same reason.
        if self.paused_until(now).is_none() {
            let most = (self.rate * BELOW).max(SLOWEST);
            self.too_much = Some((most, now));
            self.rate = most * SHY;
            self.refusals = self.refusals.saturating_add(1);
        }
        self.take(limits, now);
        let doubled = PAUSE.saturating_mul(2_u32.saturating_pow(self.refusals.saturating_sub(1)));
        let least = match limits.retry_after {
            // A server that says 0 and goes on refusing would be asked without end.
            Some(said) if self.refusals < 3 => said.max(Duration::from_secs(1)),
            Some(said) => said.max(doubled.min(LONGEST_PAUSE)),
            None => doubled.min(LONGEST_PAUSE),
        };
        self.not_before = self.not_before.max(Some(now + least));
    }

    /// Heeds what an answer says of limits.
    fn take(&mut self, limits: Limits, now: Instant) {
        if let Some(wait) = limits.retry_after {
            self.not_before = self.not_before.max(Some(now + wait));
        }
        if let Some(window) = limits.window {
            let until = now + window.resets_in;
            if window.remaining == 0 {
                self.not_before = self.not_before.max(Some(until));
                return;
            }
            #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
            let left = window.remaining as f64;
            let seconds = window.resets_in.as_secs_f64().max(0.1);
            self.advised = Some((left / seconds, until));
        }
    }

    /// The rate above which it was too much not long ago.
    fn remembered(&self, now: Instant) -> Option<f64> {
        let (most, at) = self.too_much?;
        (now.saturating_duration_since(at) < REMEMBERED).then_some(most)
    }

    #[expect(clippy::cast_precision_loss, reason = "a few requests")]
    fn effective(&self, wanted: f64, now: Instant) -> f64 {
        let by_time = AT_ONCE as f64 * BUSY / self.took.max(0.001);
        let advised = self.advised.filter(|(_, until)| *until > now);
        let advised = advised.map_or(f64::INFINITY, |(rate, _)| rate);
        let rate = wanted.min(self.rate).min(by_time).min(advised);
        rate.max(SLOWEST)
    }
}

#[cfg(test)]
mod tests;
