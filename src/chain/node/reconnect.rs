//! When a failed call, node, module or plan is tried again: quickly at first, slower while it keeps failing.

use std::time::{Duration, Instant};

use backoff::SystemClock;
use backoff::backoff::Backoff;
use backoff::exponential::{ExponentialBackoff, ExponentialBackoffBuilder};

use super::error::LONGEST_ASKED;

/// First wait after a failure.
const FIRST: Duration = Duration::from_millis(100);
/// Longest wait between two tries; short enough that a node that comes back is used again within seconds.
const LONGEST: Duration = Duration::from_secs(5);

/// How long to wait before the next try of something that failed. Never gives up.
#[derive(Debug)]
pub(crate) struct Reconnect {
    schedule: ExponentialBackoff<SystemClock>,
    not_before: Option<Instant>,
}

impl Reconnect {
    /// Nothing failed yet: the first try may start at once.
    pub(crate) fn new() -> Self {
        Self::up_to(LONGEST)
    }

    /// The same with waits that grow to minutes: for what can wait.
    pub(crate) fn slow() -> Self {
        Self::up_to(LONGEST_ASKED)
    }

    fn up_to(longest: Duration) -> Self {
        let schedule = ExponentialBackoffBuilder::<SystemClock>::new()
            .with_initial_interval(FIRST)
            .with_multiplier(1.7)
            .with_randomization_factor(0.3)
            .with_max_interval(longest)
            .with_max_elapsed_time(None)
            .build();
        Self {
            schedule,
            not_before: None,
        }
    }

    /// Records a failure and returns the wait before the next try; `at_least` is what the other side asked for.
    pub(crate) fn failed(&mut self, at_least: Option<Duration>) -> Duration {
        let wait = self
            .schedule
            .next_backoff()
            .unwrap_or(LONGEST)
            .max(at_least.unwrap_or_default().min(LONGEST_ASKED));
        self.not_before = Some(Instant::now() + wait);
        wait
    }

    /// It works again: the next failure starts with the first wait.
    pub(crate) fn healthy(&mut self) {
        self.schedule.reset();
        self.not_before = None;
    }

    /// When the next try may start; `None` when at once.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        self.not_before.filter(|at| *at > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_start_over_when_healthy() {
        let mut reconnect = Reconnect::new();
        assert_eq!(reconnect.not_before(), None);
        let first = reconnect.failed(None);
        assert!(first <= FIRST * 2, "{first:?}");
        let waits: Vec<_> = (0..30).map(|_| reconnect.failed(None)).collect();
        assert!(waits.iter().all(|wait| *wait <= LONGEST * 2), "{waits:?}");
        assert!(waits[29] > Duration::from_secs(3), "{waits:?}");
        reconnect.healthy();
        assert!(reconnect.failed(None) <= FIRST * 2);
    }

    #[test]
    fn a_wait_the_other_side_asked_for_is_honoured() {
        let mut reconnect = Reconnect::new();
        let asked = Duration::from_secs(40);
        assert!(reconnect.failed(Some(asked)) >= asked);
        assert!(reconnect.not_before().is_some());
    }
}
