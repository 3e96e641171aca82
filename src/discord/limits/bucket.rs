//! One rate limit bucket: how many requests are left in the window, and when the next window begins.

use std::time::{Duration, Instant};

use super::{Allowance, MARGIN, Wait, not_before};

/// A fifth of a window's places is kept for what somebody waits for.
const KEPT_SHARE: u32 = 5;
/// Until so long before the window's end.
const NEAR: Duration = Duration::from_secs(2);

/// A bucket of one route family and one major parameter.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// Requests per window; `None` before the first answer.
    limit: Option<u32>,
    /// How many may still leave in this window; those under way are taken off.
    remaining: u32,
    /// When this window ends, if an answer told.
    reset_at: Option<Instant>,
    /// The longest window that an answer told of.
    window: Duration,
    /// Set by a 429.
    blocked_until: Option<Instant>,
    /// Requests without an answer yet.
    in_flight: u32,
}

impl Bucket {
    /// Takes one request, or says when to ask again.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Wait> {
        not_before(self.blocked(now))?;
        let Some(limit) = self.limit else {
            // Nothing is known yet: one request goes ahead, the others wait for what its answer says.
            if self.in_flight > 0 {
                return Err(Wait::ForAnswer);
            }
            self.in_flight = 1;
            return Ok(());
        };
        if self.reset_at.is_some_and(|reset_at| reset_at <= now) {
            self.reset_at = None;
            // A request under way may be counted in the new window.
            self.remaining = limit.saturating_sub(self.in_flight);
        }
        if self.remaining == 0 {
            not_before(self.reset_at)?;
            if self.in_flight > 0 {
                return Err(Wait::ForAnswer);
            }
            // The answers that would have told the window's end were lost; one request finds out.
            self.remaining = 1;
        }
        self.remaining -= 1;
        self.in_flight += 1;
        Ok(())
    }

    /// When a request that nobody waits for may take one of the last places in this window: until its end is near they are
    /// kept for what somebody waits for. A window that is short is not worth it.
    pub(super) fn kept_until(&self, now: Instant) -> Option<Instant> {
        let kept = self.limit? / KEPT_SHARE;
        let near = self.reset_at?.checked_sub(NEAR)?;
        (self.remaining <= kept && now < near).then_some(near)
    }

    /// A request was answered.
    pub(super) fn release(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A request got no answer. Discord may have counted it, and it may have begun a window that nobody told of.
    pub(super) fn lost(&mut self, now: Instant) {
        self.release();
        self.reset_at = self.reset_at.max(Some(now + self.window + MARGIN));
    }

    /// A request was not sent after all.
    pub(super) fn unused(&mut self) {
        self.release();
        self.remaining = self
            .remaining
            .saturating_add(1)
            .min(self.limit.unwrap_or(0));
    }

    /// Takes over what an answer said.
    pub(super) fn learn(&mut self, allowance: &Allowance, now: Instant) {
        let reset_at = now + allowance.reset_after + MARGIN;
        let same_window = self.limit.is_some() && self.reset_at.is_some_and(|old| now < old);
        if same_window {
            // Answers overtake one another; the lower figure is the later one.
            self.remaining = self.remaining.min(allowance.remaining);
            self.reset_at = self.reset_at.max(Some(reset_at));
        } else {
            // Requests under way may or may not be in the figure already.
            self.remaining = allowance.remaining.saturating_sub(self.in_flight);
            self.reset_at = Some(reset_at);
        }
        self.limit = Some(allowance.limit.max(1));
        self.window = self.window.max(allowance.reset_after);
    }

    /// Nothing may leave before `until`.
    pub(super) fn block(&mut self, until: Instant) {
        self.blocked_until = self.blocked_until.max(Some(until));
    }

    /// Until when a 429 blocks it.
    pub(super) fn blocked(&self, now: Instant) -> Option<Instant> {
        self.blocked_until.filter(|until| now < *until)
    }

    /// Whether a request is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight > 0
    }

    /// Whether it still says more than an unknown bucket would.
    pub(super) fn is_telling(&self, now: Instant) -> bool {
        let ahead = |moment: Option<Instant>| moment.is_some_and(|moment| now < moment);
        self.in_flight > 0 || ahead(self.reset_at) || ahead(self.blocked_until)
    }
}
