//! How long to wait after a rate limit that does not say it. Pure.

use tokio::time::{Duration, Instant};

/// Wait after a rate limit that names none; counted from the first call of a burst that was answered in part, because most
/// providers count by the second.
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(1);
/// The least wait then.
const LEAST_WAIT: Duration = Duration::from_millis(100);

/// When to go on after a rate limit that names no time, refused `now` to a call of the burst that began at `burst_since`.
/// `limited_since`: no call was answered since then. `paused_until`: an earlier refusal of the same burst said so.
pub(super) fn after_burst(
    now: Instant,
    burst_since: Instant,
    limited_since: Option<Instant>,
    paused_until: Option<Instant>,
) -> Instant {
    let next = burst_since + RATE_LIMIT_WAIT;
    match (limited_since, paused_until) {
        (None, _) if next > now => next.max(now + LEAST_WAIT),
        (Some(_), Some(until)) => until,
        _ => now + RATE_LIMIT_WAIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_by_the_second_is_waited_out_from_the_first_call_and_any_other_from_the_refusal() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        // Some calls of the burst were answered: the second that is counted began with the first of them, or before.
        let until = after_burst(at(80), start, None, None);
        assert_eq!(until, at(1_000));
        assert_eq!(after_burst(at(90), start, Some(at(80)), Some(until)), until);
        assert_eq!(after_burst(at(980), start, None, None), at(1_080));
        // It took longer than a second, or nothing was answered: the limit is of another kind.
        assert_eq!(after_burst(at(5_000), start, None, None), at(6_000));
        assert_eq!(
            after_burst(at(1_010), at(1_000), Some(at(80)), None),
            at(2_010)
        );
    }
}
