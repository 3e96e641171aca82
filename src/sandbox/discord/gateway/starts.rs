//! How often sessions may be begun: not too soon after one another, and so many in a day.
//!
//! Pure: `now` is a parameter. <https://discord.com/developers/docs/events/gateway#session-start-limit-object>
use std::time::{Duration, Instant};

use crate::sandbox::discord::limits::Allowance;

/// The IDENTIFYs that came with the right token.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    /// When the last one was admitted.
    last: Option<Instant>,
    /// When the first one of the window came.
    window: Option<Instant>,
    used: u32,
}

/// What becomes of an IDENTIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Admitted,
    /// It came sooner after the last one than the gap.
    TooSoon,
    /// None was left.
    TooMany,
}

impl Starts {
    pub(crate) fn admit(&mut self, allowance: Allowance, gap: Duration, now: Instant) -> Start {
        let (left, _) = self.left(allowance, now);
        if left == 0 {
            return Start::TooMany;
        }
        if left == allowance.requests {
            self.window = Some(now);
            self.used = 0;
        }
        // One that is refused counts as well.
        self.used += 1;
        // The client waits by its own clock from before it connects, and a busy machine may deliver its last IDENTIFY late.
        let earliest = self.last.map(|last| last + gap / 2);
        if earliest.is_some_and(|earliest| now < earliest) {
            return Start::TooSoon;
        }
        self.last = Some(now);
        Start::Admitted
    }

    /// How many are left, and when all are again.
    pub(crate) fn left(&self, allowance: Allowance, now: Instant) -> (u32, Duration) {
        let reset = self.window.map(|window| window + allowance.window);
        match reset.and_then(|reset| reset.checked_duration_since(now)) {
            Some(reset_after) if !reset_after.is_zero() => {
                (allowance.requests.saturating_sub(self.used), reset_after)
            }
            _ => (allowance.requests, allowance.window),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_begin_apart_and_so_many_in_a_window() {
        let allowance = Allowance::new(3, 60);
        let gap = Duration::from_secs(5);
        let start = Instant::now();
        let mut starts = Starts::default();
        let mut at = |seconds| starts.admit(allowance, gap, start + Duration::from_secs(seconds));
        assert_eq!(at(0), Start::Admitted);
        assert_eq!(at(2), Start::TooSoon);
        assert_eq!(at(5), Start::Admitted);
        assert_eq!(at(30), Start::TooMany);
        let left = |seconds| starts.left(allowance, start + Duration::from_secs(seconds));
        assert_eq!(left(30), (0, Duration::from_secs(30)));
        assert_eq!(left(60), (3, Duration::from_secs(60)));
        let admitted = starts.admit(allowance, gap, start + Duration::from_secs(60));
        assert_eq!(admitted, Start::Admitted);
    }
}
