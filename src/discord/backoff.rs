//! When what failed for a passing reason is tried again.

use std::time::Duration;

use super::error::Failure;

/// The first and the longest pause after a failure that passes by itself.
const SOON: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// The first and the longest pause after a refusal that a person must repair; the repair is usually seen before.
const RARELY: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// The pause after so many earlier failures in a row: doubling from half a second up to a minute, spread by `jitter`
/// (0 to 1) over half to one and a half times that, so that members who failed together do not return together.
pub(crate) fn delay(failures: u32, jitter: f64) -> Duration {
    doubled(SOON, failures).mul_f64(0.5 + jitter.clamp(0.0, 1.0))
}

/// The pause after so many earlier refusals in a row: doubling from half a minute up to ten minutes.
pub(crate) fn rare_delay(refusals: u32) -> Duration {
    doubled(RARELY, refusals)
}

/// The first pause doubled so many times, up to the longest.
pub(crate) fn doubled((first, longest): (Duration, Duration), times: u32) -> Duration {
    first
        .saturating_mul(2_u32.saturating_pow(times.min(16)))
        .min(longest)
}

/// Does `work` again while it fails for a passing reason, `tries` times at most.
///
/// # Errors
/// The last failure.
pub(super) async fn retry<T, W: Future<Output = Result<T, Failure>>>(
    tries: u32,
    work: impl Fn() -> W,
) -> Result<T, Failure> {
    let mut failures = 0;
    loop {
        match work().await {
            Err(Failure::Transient(_)) if failures + 1 < tries => {
                tokio::time::sleep(delay(failures, rand::random())).await;
                failures += 1;
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_are_spread() {
        let middle = |failures| delay(failures, 0.5).as_millis();
        assert_eq!(
            [0, 1, 2, 3, 7, 100, u32::MAX].map(middle),
            [500, 1000, 2000, 4000, 60_000, 60_000, 60_000]
        );
        assert_eq!(delay(0, 0.0), Duration::from_millis(250));
        assert_eq!(delay(0, 1.0), Duration::from_millis(750));
    }

    #[test]
    fn refusals_are_tried_again_ever_more_rarely() {
        let seconds = |refusals| rare_delay(refusals).as_secs();
        assert_eq!([0, 1, 4, 5, u32::MAX].map(seconds), [30, 60, 480, 600, 600]);
    }
}
