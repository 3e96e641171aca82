//! Until when a node is left alone, because it refused a call for its rate. Pure: the clock is a parameter.

use std::time::{Duration, Instant};

use super::error::LONGEST_ASKED;

/// The least pause after a refusal, whatever it asks for: `Retry-After: 0` is common, and no hint is more common.
const LEAST: Duration = Duration::from_millis(250);
/// The longest pause without a hint: a used-up quota is asked about this often.
const LONGEST: Duration = Duration::from_secs(30);
/// By how much the pause grows while calls are still refused after it.
const GROWTH: f64 = 1.7;

/// What the refusals so far ask for; it holds for all calls on the node.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    until: Option<Instant>,
    /// The last refused call's sentence.
    message: String,
    pause: Duration,
    refused_at: Option<Instant>,
    /// When the pause ended that preceded the last refusal: calls sent since then are of the same burst as the refused one.
    resumed_at: Option<Instant>,
}

impl Quiet {
    /// A call that was sent at `sent` was refused, with this hint.
    pub(super) fn refused(
        &mut self,
        sent: Instant,
        now: Instant,
        asked: Option<Duration>,
        message: &str,
    ) {
        let mut wait = asked.unwrap_or_default().min(LONGEST_ASKED);
        // Calls that were under way when the first one was refused are no further warning.
        if self.refused_at.is_none_or(|at| sent >= at) {
            self.pause = self.pause.mul_f64(GROWTH).clamp(LEAST, LONGEST);
            self.refused_at = Some(now);
            self.resumed_at = self.until;
            wait = wait.max(self.pause);
        }
        self.until = self.until.max(Some(now + wait));
        message.clone_into(&mut self.message);
    }

    /// A call that was sent at `sent` was answered. After a pause that shows that the pause was long enough, even where
    /// another call of the same burst was refused: a limit by the second serves a part of each burst.
    pub(super) fn answered(&mut self, sent: Instant) {
        if self
            .resumed_at
            .or(self.refused_at)
            .is_some_and(|at| sent >= at)
        {
            self.pause = Duration::ZERO;
        }
    }

    /// Until when nothing may be asked, and in whose words; `None` when calls are allowed.
    pub(super) fn until(&self, now: Instant) -> Option<(Instant, &str)> {
        let until = self.until.filter(|at| *at > now)?;
        Some((until, &self.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn waits(quiet: &Quiet, now: Instant) -> Duration {
        quiet
            .until(now)
            .map_or(Duration::ZERO, |(until, _)| until - now)
    }

    #[test]
    fn a_refusal_without_a_hint_or_with_zero_still_makes_a_pause_that_grows() {
        for asked in [None, Some(Duration::ZERO)] {
            let mut quiet = Quiet::default();
            let mut now = Instant::now();
            let mut last = Duration::ZERO;
            for _ in 0..20 {
                quiet.refused(now, now, asked, "slow down");
                let wait = waits(&quiet, now);
                assert!(
                    wait >= LEAST && (wait > last || wait == LONGEST),
                    "{wait:?}"
                );
                (last, now) = (wait, now + wait);
                assert_eq!(quiet.until(now), None);
            }
            assert_eq!(last, LONGEST);
            quiet.answered(now);
            quiet.refused(now, now, asked, "slow down");
            assert_eq!(waits(&quiet, now), LEAST);
        }
    }

    #[test]
    fn calls_that_were_under_way_do_not_lengthen_the_pause() {
        let mut quiet = Quiet::default();
        let sent = Instant::now();
        for after in 1..9 {
            quiet.refused(sent, sent + after * MS, None, "slow down");
        }
        assert_eq!(waits(&quiet, sent + MS), LEAST);
        // Nor does a late answer to one of them shorten the next.
        quiet.answered(sent);
        let later = sent + 2 * LEAST;
        quiet.refused(later, later, None, "slow down");
        assert!(waits(&quiet, later) > LEAST);
    }

    #[test]
    fn a_limit_that_serves_a_part_of_each_burst_does_not_lengthen_the_pause() {
        let mut quiet = Quiet::default();
        let mut now = Instant::now();
        for _ in 0..20 {
            // The refusal is the quickest answer.
            quiet.refused(now, now + MS, Some(50 * MS), "slow down");
            quiet.answered(now);
            let wait = waits(&quiet, now + MS);
            assert!(wait <= LEAST.mul_f64(GROWTH), "{wait:?}");
            now += MS + wait;
        }
    }

    #[test]
    fn the_longest_wait_that_was_asked_for_is_kept_with_its_words() {
        let mut quiet = Quiet::default();
        let now = Instant::now();
        quiet.refused(now, now, Some(Duration::from_secs(40)), "try in 40 s");
        assert_eq!(
            quiet.until(now),
            Some((now + Duration::from_secs(40), "try in 40 s"))
        );
        quiet.refused(now, now, Some(Duration::from_secs(86_400)), "tomorrow");
        assert_eq!(waits(&quiet, now), LONGEST_ASKED);
    }
}
