//! How many blocks to ask for at once by what they hold: enough to save calls, few enough for the memory. What the provider allows
//! is known to the node.

use crate::chain::node::WIDEST;

/// Logs that one answer should hold; half of the most common limit, so that a denser stretch still fits.
const LOGS_WANTED: u64 = 5_000;
/// Bytes that one answer should have.
const BYTES_WANTED: u64 = 5 << 20;
/// The first guess, before anything is known of the chain or the provider.
const FIRST: u64 = 500;

/// The range size, as it adapts to how crowded the chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RangeSize {
    blocks: u64,
    /// Logs and blocks of the last answer.
    last: (u64, u64),
}

impl Default for RangeSize {
    fn default() -> Self {
        Self {
            blocks: FIRST,
            last: (0, 1),
        }
    }
}

impl RangeSize {
    /// Blocks to ask for next.
    pub(super) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Logs expected in this many blocks: as in the last ones, and an eighth more.
    pub(super) fn expected(&self, blocks: u64) -> usize {
        let (logs, of) = self.last;
        let scaled = u128::from(logs) * u128::from(blocks) / u128::from(of);
        let expected = scaled.saturating_mul(9) / 8;
        usize::try_from(expected).unwrap_or(usize::MAX)
    }

    /// A range was answered.
    pub(super) fn answered(&mut self, blocks: u64, logs: u64, bytes: u64) {
        self.last = (logs, blocks.max(1));
        let room = |wanted: u64, had: u64| blocks.saturating_mul(wanted) / had.max(1);
        let fitting = room(LOGS_WANTED, logs).min(room(BYTES_WANTED, bytes));
        // One answer says little about the next: grow in steps, and do not let a short rest of a range decide.
        let most = blocks.max(self.blocks / 2).saturating_mul(8);
        self.blocks = fitting.min(most).clamp(1, WIDEST);
    }

    /// The provider refused a range because of what it holds.
    pub(super) fn too_heavy(&mut self, asked: u64) {
        self.blocks = self.blocks.min((asked / 2).max(1));
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
    fn no_refusal_leads_to_an_empty_range() {
        let mut size = RangeSize::default();
        size.too_heavy(1);
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
