//! PURE. The circuit breaker before the API: closed while it answers; open after failures in a row, when it is not asked for
//! a while; half open when that is over, when one question tells whether it answers again.

use std::time::{Duration, Instant};

/// Failures in a row that open it.
const MOST_FAILURES: u32 = 10;
/// How long it stays open at first, and at most.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

/// Whether the API may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// It may.
    Closed {
        /// Failures in a row.
        failures: u32,
    },
    /// Not before this moment.
    Open {
        /// When one question may be tried.
        until: Instant,
        /// How long it is open.
        pause: Duration,
    },
    /// One question is on its way.
    HalfOpen {
        /// How long it was open.
        pause: Duration,
    },
}

/// Whether a question may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// It may.
    Now,
    /// Not before this moment.
    At(Instant),
    /// Not before the answer to the one on its way.
    Later,
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Whether a question may be sent now.
    pub fn leave(&self, now: Instant) -> Leave {
        match self {
            Self::Closed { .. } => Leave::Now,
            Self::Open { until, .. } if *until <= now => Leave::Now,
            Self::Open { until, .. } => Leave::At(*until),
            Self::HalfOpen { .. } => Leave::Later,
        }
    }

    /// A question is sent, for which there was leave.
    pub fn sent(&mut self) {
        if let Self::Open { pause, .. } = *self {
            *self = Self::HalfOpen { pause };
        }
    }

    /// It was answered. Says whether it was not before.
    pub fn succeeded(&mut self) -> bool {
        // An answer that was on its way when it opened proves as much as the probe does.
        let was_closed = matches!(self, Self::Closed { .. });
        *self = Self::default();
        !was_closed
    }

    /// It was not. Says whether it has opened by that, and was closed until then.
    pub fn failed(&mut self, now: Instant) -> bool {
        match *self {
            Self::Closed { failures } if failures + 1 < MOST_FAILURES => {
                *self = Self::Closed {
                    failures: failures + 1,
                };
                false
            }
            Self::Closed { .. } => {
                *self = Self::open(FIRST, now);
                true
            }
            // What was on its way when it opened.
            Self::Open { .. } => false,
            Self::HalfOpen { pause } => {
                *self = Self::open((pause * 2).min(LONGEST), now);
                false
            }
        }
    }

    fn open(pause: Duration, now: Instant) -> Self {
        Self::Open {
            until: now + pause,
            pause,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_question_through_when_its_time_is_over() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 1..MOST_FAILURES {
            assert!(!breaker.failed(now));
        }
        breaker.succeeded();
        for _ in 1..MOST_FAILURES {
            assert!(!breaker.failed(now));
            assert_eq!(breaker.leave(now), Leave::Now);
        }
        assert!(breaker.failed(now));
        assert_eq!(breaker.leave(now), Leave::At(now + FIRST));
        assert!(!breaker.failed(now), "it was on its way");
        let then = now + FIRST;
        assert_eq!(breaker.leave(then), Leave::Now);
        breaker.sent();
        assert_eq!(breaker.leave(then), Leave::Later);
        assert!(!breaker.failed(then));
        assert_eq!(breaker.leave(then), Leave::At(then + FIRST * 2));
        breaker.sent();
        assert!(breaker.succeeded());
        assert_eq!(breaker.leave(then), Leave::Now);
        assert!(!breaker.succeeded());
    }

    proptest! {
        #[test]
        fn it_is_never_open_for_longer_than_the_longest_pause(steps in prop::collection::vec(0_u8..3, 0..200)) {
            let mut now = Instant::now();
            let mut breaker = Breaker::default();
            for step in steps {
                match breaker.leave(now) {
                    Leave::At(until) => {
                        prop_assert!(until - now <= LONGEST);
                        now = until;
                        breaker.sent();
                    }
                    Leave::Now => breaker.sent(),
                    Leave::Later => {}
                }
                match step {
                    0 => drop(breaker.succeeded()),
                    _ => drop(breaker.failed(now)),
                }
            }
        }
    }
}
