//! How many blocks a node lets one call for logs span, as far as it said or as its refusals show. Pure.
//!
//! Most providers name their limit. Where a refusal does not say what it is about, much smaller ranges are asked for one at
//! a time, then larger ones. A size that is refused while a smaller one, asked for directly afterwards, is answered, and this
//! twice, is too wide. Where the smaller one is refused as well, the reason was another one, and nothing is learned.
//!
//! Some nodes do not refuse too wide a range, but hang over it: one that is wider than all that were answered has less time.

use std::time::Duration;

/// Never more blocks than this: half a week on a chain with a block every two seconds.
pub(crate) const WIDEST: u64 = 131_072;
/// Answers after which a limit that was only guessed is tried again.
const PATIENCE: u64 = 64;
/// The same for a limit that the node named, since a plan may have been upgraded, or that was found again and again.
const PATIENCE_TOLD: u64 = 16 * PATIENCE;
/// How long a node may take before the first byte of an answer.
pub(super) const FIRST_BYTE: Duration = Duration::from_secs(30);
/// The same over a range wider than any that was answered, where the answers so far came quickly.
const FIRST_BYTE_WIDER: Duration = Duration::from_secs(5);
/// How many times longer than over a range that was answered it may take over a wider one: ranges grow eightfold.
const SLOWER: u32 = 8;
/// How often a size must be refused and a smaller one answered before it counts as too wide.
const EVIDENCE: u32 = 2;
/// Answers after which a trial ends that has come to nothing.
const INCONCLUSIVE: u64 = 16;
/// By how much ranges shrink until one is answered.
const DESCENT: u64 = 8;

/// The limit, as it is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RangeLimit {
    /// Most blocks per call as far as is known.
    ceiling: u64,
    /// Answers after which a higher one is tried.
    patience: u64,
    /// Answers since the ceiling was set or tried.
    quiet: u64,
    /// The widest range that was answered since the last one that was refused at its size.
    served: u64,
    /// The longest that a range took to be answered.
    longest: Duration,
    trial: Option<Trial>,
}

/// A size was refused without a reason, and it is being found out whether the size was the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Trial {
    /// The widest range that was answered; 0: none yet.
    served: u64,
    /// The least range that was refused.
    refused: u64,
    /// A wider range than `served` was just refused: one of that size is asked for directly afterwards.
    comparing: bool,
    /// How often that one was answered.
    evidence: u32,
}

impl Default for RangeLimit {
    fn default() -> Self {
        Self {
            ceiling: WIDEST,
            patience: PATIENCE,
            quiet: 0,
            served: 0,
            longest: Duration::ZERO,
            trial: None,
        }
    }
}

impl RangeLimit {
    /// Most blocks to ask for.
    pub(crate) fn most(&self) -> u64 {
        let most = match self.trial {
            None => self.ceiling,
            Some(Trial {
                served: 0, refused, ..
            }) => refused / DESCENT,
            Some(Trial {
                served,
                comparing: true,
                ..
            }) => served,
            Some(Trial {
                served, refused, ..
            }) => refused.min(served * 2),
        };
        most.clamp(1, self.ceiling)
    }

    /// How long the node may take before it begins to answer for a range of so many blocks.
    pub(crate) fn first_byte_within(&self, blocks: u64) -> Duration {
        match self.served {
            served if served > 0 && blocks > served => {
                (self.longest * SLOWER).clamp(FIRST_BYTE_WIDER, FIRST_BYTE)
            }
            _ => FIRST_BYTE,
        }
    }

    /// A call for logs took so long to be answered.
    pub(crate) fn took(&mut self, time: Duration) {
        self.longest = self.longest.max(time);
    }

    /// Whether it is being found out what a refusal was about: then one call at a time tells it.
    pub(crate) fn is_on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Whether the next, smaller range is to be asked for directly after the refusal.
    pub(crate) fn is_comparing(&self) -> bool {
        self.trial.is_some_and(|trial| trial.comparing)
    }

    /// A range of so many blocks was answered.
    pub(crate) fn answered(&mut self, blocks: u64) {
        self.served = self.served.max(blocks);
        self.quiet = self.quiet.saturating_add(1);
        if self.ceiling < WIDEST && self.quiet >= self.patience {
            self.set(self.ceiling.saturating_mul(3) / 2 + 1, self.patience);
        }
        let most = self.most();
        let Some(trial) = &mut self.trial else {
            return;
        };
        if trial.comparing && blocks == trial.served {
            trial.comparing = false;
            trial.evidence += 1;
            if trial.evidence >= EVIDENCE {
                let served = trial.served;
                self.served = served;
                // A guess that is confirmed when it is tried again: trying may have cost the time of a call that hangs.
                let patience = match self.ceiling < WIDEST {
                    true => (self.patience * 2).min(PATIENCE_TOLD),
                    false => PATIENCE,
                };
                self.set(served, patience);
                self.trial = None;
            }
        } else if blocks >= trial.refused || self.quiet > INCONCLUSIVE {
            // It was not the size, or nothing so wide is asked for any more.
            self.trial = None;
        } else if blocks > trial.served && blocks >= most {
            // The short end of a range would say little.
            *trial = Trial {
                served: blocks,
                comparing: false,
                evidence: 0,
                ..*trial
            };
        }
    }

    /// The provider refused a range of so many blocks as too wide; `max` where it named its limit.
    pub(crate) fn too_wide(&mut self, blocks: u64, max: Option<u64>) {
        let named = max.filter(|max| *max < blocks);
        let ceiling = named.unwrap_or(blocks / 2).max(1);
        if ceiling <= self.ceiling {
            let patience = match named {
                Some(_) => PATIENCE_TOLD,
                None => PATIENCE,
            };
            self.set(ceiling, patience);
        }
        self.quiet = 0;
        self.trial = None;
    }

    /// A range of so many blocks, more than one, was refused in words that do not say why, or not answered in time.
    pub(crate) fn refused(&mut self, blocks: u64) {
        self.quiet = 0;
        match &mut self.trial {
            None => {
                let served = if self.served < blocks { self.served } else { 0 };
                self.served = served;
                self.trial = Some(Trial {
                    served,
                    refused: blocks,
                    comparing: served > 0,
                    evidence: 0,
                });
            }
            Some(trial) if trial.served == 0 => trial.refused = trial.refused.min(blocks),
            Some(trial) if blocks > trial.served => {
                trial.refused = blocks;
                trial.comparing = true;
            }
            // What was answered before is refused now as well: nothing is known.
            Some(_) => {
                self.served = 0;
                self.trial = None;
            }
        }
    }

    fn set(&mut self, ceiling: u64, patience: u64) {
        self.ceiling = ceiling.min(WIDEST);
        self.patience = patience;
        self.quiet = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks so often for what may be asked for, up to `wanted` blocks, from a node that serves as `serves` says of the call's
    /// number and its size. Returns how many calls were refused.
    fn play(
        limit: &mut RangeLimit,
        wanted: u64,
        calls: u64,
        serves: impl Fn(u64, u64) -> bool,
    ) -> u64 {
        let mut refused = 0;
        for call in 0..calls {
            let blocks = wanted.min(limit.most());
            match serves(call, blocks) {
                true => limit.answered(blocks),
                false => {
                    refused += 1;
                    limit.refused(blocks);
                }
            }
        }
        refused
    }

    #[test]
    fn a_named_limit_stays_and_is_tried_again_after_a_long_while() {
        let mut limit = RangeLimit::default();
        limit.too_wide(4_000, Some(2_000));
        for _ in 1..PATIENCE_TOLD {
            limit.answered(2_000);
            assert_eq!(limit.most(), 2_000);
        }
        limit.answered(2_000);
        assert_eq!(limit.most(), 3_001);
    }

    #[test]
    fn a_guessed_limit_is_tried_again_after_a_while() {
        let mut limit = RangeLimit::default();
        limit.too_wide(500, None);
        assert_eq!(limit.most(), 250);
        for _ in 0..PATIENCE {
            limit.answered(250);
        }
        assert_eq!(limit.most(), 376);
    }

    #[test]
    fn no_refusal_leads_to_an_empty_range() {
        let mut limit = RangeLimit::default();
        for max in [Some(0), Some(1), None] {
            limit.too_wide(1, max);
            limit.refused(2);
            limit.refused(1);
            assert_eq!(limit.most(), 1);
        }
    }

    #[test]
    fn a_range_that_is_refused_in_unknown_words_while_a_smaller_one_is_answered_is_too_wide() {
        for most in [1, 2, 7, 10, 30, 62, 100, 499] {
            let mut limit = RangeLimit::default();
            let refused = play(&mut limit, 500, 20, |_, blocks| blocks <= most);
            assert!(!limit.is_on_trial(), "{most}: {limit:?}");
            let learned = limit.most();
            assert!(learned <= most && learned * 2 > most, "{most}: {learned}");
            assert!(refused <= 5, "{most}: {refused} refusals");
            // Afterwards next to nothing is refused.
            let refused = play(&mut limit, 500, 1_000, |_, blocks| blocks <= most);
            assert!(refused <= 60, "{most}: {refused} refusals");
        }
    }

    #[test]
    fn a_refusal_for_another_reason_teaches_no_size() {
        let mut limit = RangeLimit::default();
        play(&mut limit, 500, 1_000, |call, _| !call.is_multiple_of(20));
        play(&mut limit, 500, 10, |_, _| true);
        assert_eq!(limit.most(), WIDEST);
        // A node that serves nothing for a while, or only the first call of each burst.
        play(&mut limit, 500, 8, |_, _| false);
        play(&mut limit, 500, 10, |_, _| true);
        assert_eq!(limit.most(), WIDEST);
        play(&mut limit, 500, 100, |call, _| call.is_multiple_of(3));
        play(&mut limit, 500, 10, |_, _| true);
        assert_eq!(limit.most(), WIDEST);
    }

    #[test]
    fn only_a_wider_range_than_was_answered_quickly_has_less_time() {
        let mut limit = RangeLimit::default();
        assert_eq!(limit.first_byte_within(500), FIRST_BYTE, "nothing is known");
        limit.answered(500);
        limit.took(Duration::from_millis(200));
        assert_eq!(limit.first_byte_within(500), FIRST_BYTE);
        assert_eq!(limit.first_byte_within(501), FIRST_BYTE_WIDER);
        limit.took(Duration::from_secs(3));
        assert_eq!(
            limit.first_byte_within(501),
            SLOWER * Duration::from_secs(3)
        );
        limit.took(Duration::from_secs(25));
        assert_eq!(limit.first_byte_within(501), FIRST_BYTE, "it is just slow");
    }

    #[test]
    fn a_limit_that_only_hangs_is_found_with_few_calls_and_tried_again_ever_more_rarely() {
        let mut limit = RangeLimit::default();
        play(&mut limit, WIDEST, 1, |_, _| false);
        let hung = play(&mut limit, WIDEST, 30, |_, blocks| blocks <= 2_000);
        assert!(hung <= 4, "{hung}");
        let hung = play(&mut limit, WIDEST, 16_000, |_, blocks| blocks <= 2_000);
        assert!(hung <= 60, "{hung}");
        assert!(limit.most() > 1_000 && limit.most() <= 2_000, "{limit:?}");
    }

    #[test]
    fn what_a_limit_was_guessed_to_be_is_what_is_compared_with_when_it_is_tried_again() {
        let mut limit = RangeLimit::default();
        play(&mut limit, 500, 20, |_, blocks| blocks <= 100);
        assert_eq!(limit.most(), 62);
        let refused = play(&mut limit, 500, PATIENCE + PATIENCE / 2, |_, blocks| {
            blocks <= 70
        });
        assert_eq!(limit.most(), 62);
        assert_eq!(refused, u64::from(EVIDENCE));
    }
}
