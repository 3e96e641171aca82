//! When a change that failed for a passing reason is tried again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// The pause after so many earlier failures in a row: doubling from half a second up to a minute, spread by `jitter`
/// (0 to 1) over half to one and a half times that, so that members who failed together do not return together.
pub(crate) fn delay(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST.saturating_mul(2_u32.saturating_pow(failures.min(16)));
    doubled.min(LONGEST).mul_f64(0.5 + jitter.clamp(0.0, 1.0))
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
}
