//! How many blocks to ask for at once: large enough to save calls, small enough for the provider and the memory.

/// Logs that one answer should hold; half of the most common limit, so that a denser stretch still fits.
const LOGS_WANTED: u64 = 5_000;
/// Bytes that one answer should have.
const BYTES_WANTED: u64 = 5 << 20;
/// The first guess, before anything is known of the chain or the provider.
const FIRST: u64 = 500;
/// Never more blocks than this: half a week on a chain with a block every two seconds.
const WIDEST: u64 = 131_072;
/// Answers after which a limit that was only guessed is tried again.
const PATIENCE: u32 = 64;

/// The range size, as it adapts to a provider and to how crowded its chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeSize {
    blocks: u64,
    /// Most blocks per call as far as is known.
    ceiling: u64,
    /// Whether the provider named the ceiling, rather than we guessed it from refusals.
    told: bool,
    /// Answers since the ceiling was guessed or tried.
    quiet: u32,
    /// Logs and blocks of the last answer.
    last: (u64, u64),
}

impl Default for RangeSize {
    fn default() -> Self {
        Self {
            blocks: FIRST,
            ceiling: WIDEST,
            told: false,
            quiet: 0,
            last: (0, 1),
        }
    }
}

impl RangeSize {
    /// Blocks to ask for next.
    pub fn blocks(&self) -> u64 {
        self.blocks.min(self.ceiling)
    }

    /// Most blocks to ask for, whatever they hold.
    pub fn ceiling(&self) -> u64 {
        self.ceiling
    }

    /// Logs expected in this many blocks: as in the last ones, and an eighth more.
    pub fn expected(&self, blocks: u64) -> usize {
        let (logs, of) = self.last;
        let scaled = u128::from(logs) * u128::from(blocks) / u128::from(of);
        let expected = scaled.saturating_mul(9) / 8;
        usize::try_from(expected).unwrap_or(usize::MAX)
    }

    /// A range was answered.
    pub fn answered(&mut self, blocks: u64, logs: u64, bytes: u64) {
        self.last = (logs, blocks.max(1));
        let room = |wanted: u64, had: u64| blocks.saturating_mul(wanted) / had.max(1);
        let fitting = room(LOGS_WANTED, logs).min(room(BYTES_WANTED, bytes));
        // One answer says little about the next: grow in steps, and do not let a short rest of a range decide.
        let most = blocks.max(self.blocks / 2).saturating_mul(8);
        self.blocks = fitting.min(most).clamp(1, WIDEST);
        self.quiet = self.quiet.saturating_add(1);
        if !self.told && self.ceiling < WIDEST && self.quiet >= PATIENCE {
            self.ceiling = (self.ceiling.saturating_mul(3) / 2 + 1).min(WIDEST);
            self.quiet = 0;
        }
    }

    /// The provider refused a range as too wide.
    pub fn too_wide(&mut self, asked: u64, max: Option<u64>) {
        match max.filter(|max| *max < asked) {
            Some(max) => {
                self.ceiling = self.ceiling.min(max.max(1));
                self.told = true;
            }
            None => {
                self.ceiling = self.ceiling.min((asked / 2).max(1));
                self.told = false;
            }
        }
        self.quiet = 0;
    }

    /// The provider refused a range because of what it holds, or took too long over it.
    pub fn too_heavy(&mut self, asked: u64) {
        self.blocks = self.blocks.min((asked / 2).max(1));
        self.quiet = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_ranges_grow_to_the_widest_and_dense_ones_shrink_to_what_is_wanted() {
        let mut size = RangeSize::default();
        for _ in 0..4 {
            size.answered(size.blocks(), 0, 40);
        }
        assert_eq!(size.blocks(), WIDEST);
        size.answered(WIDEST, WIDEST * 10, WIDEST * 9_000);
        assert!((400..=600).contains(&size.blocks()), "{}", size.blocks());
    }

    #[test]
    fn a_named_limit_stays() {
        let mut size = RangeSize::default();
        size.answered(500, 0, 40);
        size.too_wide(4_000, Some(2_000));
        for _ in 0..200 {
            size.answered(size.blocks(), 1, 1_000);
        }
        assert_eq!(size.blocks(), 2_000);
    }

    #[test]
    fn a_guessed_limit_is_tried_again_after_a_while() {
        let mut size = RangeSize::default();
        size.too_wide(500, None);
        assert_eq!(size.blocks(), 250);
        for _ in 0..PATIENCE {
            size.answered(size.blocks(), 1, 1_000);
        }
        assert_eq!(size.blocks(), 376);
    }

    #[test]
    fn no_refusal_leads_to_an_empty_range() {
        let mut size = RangeSize::default();
        for max in [Some(0), Some(1), None] {
            size.too_wide(1, max);
            size.too_heavy(1);
        }
        assert_eq!(size.blocks(), 1);
    }

    #[test]
    fn a_short_rest_of_a_range_does_not_shrink_the_next_one() {
        let mut size = RangeSize::default();
        size.answered(1, 0, 40);
        assert!(size.blocks() >= FIRST);
    }

    #[test]
    fn the_next_range_is_expected_to_be_like_the_last() {
        let mut size = RangeSize::default();
        assert_eq!(size.expected(1_000), 0, "nothing is known yet");
        size.answered(500, 4_000, 1);
        assert_eq!(size.expected(500), 4_500);
        assert_eq!(size.expected(50), 450);
        size.answered(0, u64::MAX, 1);
        assert_eq!(size.expected(u64::MAX), usize::MAX);
    }
}
