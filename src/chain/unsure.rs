//! Blocks whose logs are to be looked at once more: the answer was empty, and nothing proves that it had to be. Pure.
//!
//! A node may show a block before its logs. Most blocks' blooms settle it; a full one, or none, does not.

use std::time::{Duration, Instant};

use crate::domain::Checkpoint;

/// When a block is looked at again, counted from the look before; the first time as soon as there is a block on top of
/// it.
const LOOKS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(20)];

/// When a look that failed is taken again.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The blocks, oldest first.
#[derive(Debug, Default)]
pub(super) struct Unsure(Vec<Look>);

/// A look that is still to be taken.
#[derive(Clone, Copy, Debug)]
struct Look {
    block: Checkpoint,
    /// How many were taken since the block was read.
    taken: usize,
    at: Instant,
    /// Not before, after a look that failed.
    postponed: Option<Instant>,
}

impl Look {
    /// The first look comes as soon as there is a block on top, the others when it is their time.
    fn is_due(&self, tip: u64, now: Instant) -> bool {
        match self.postponed {
            Some(until) => until <= now,
            None => self.at <= now || (self.taken == 0 && self.block.number < tip),
        }
    }
}

impl Unsure {
    /// Takes these blocks in.
    pub(super) fn extend(&mut self, blocks: impl IntoIterator<Item = Checkpoint>) {
        let at = Instant::now() + LOOKS[0];
        self.take_in(blocks, at);
    }

    fn take_in(&mut self, blocks: impl IntoIterator<Item = Checkpoint>, at: Instant) {
        for block in blocks {
            self.settled(block);
            self.0.push(Look {
                block,
                taken: 0,
                at,
                postponed: None,
            });
        }
        self.0.sort_by_key(|look| look.block.number);
    }

    /// The blocks whose next look is due, oldest first, with the followed chain up to `tip`.
    pub(super) fn due(&self, tip: u64) -> Vec<Checkpoint> {
        let now = Instant::now();
        let due = self.0.iter().filter(|look| look.is_due(tip, now));
        due.map(|look| look.block).collect()
    }

    /// When the next look is due, if there is one.
    pub(super) fn next(&self) -> Option<Instant> {
        let at = |look: &Look| look.postponed.unwrap_or(look.at);
        self.0.iter().map(at).min()
    }

    /// Makes every look due.
    pub(super) fn hurry(&mut self) {
        let now = Instant::now();
        for look in &mut self.0 {
            look.at = now;
            look.postponed = None;
        }
    }

    /// The look failed.
    pub(super) fn postpone(&mut self, block: Checkpoint) {
        let until = Instant::now() + AFTER_FAILURE;
        let looks = self.0.iter_mut().filter(|look| look.block == block);
        looks.for_each(|look| look.postponed = Some(until));
    }

    /// This block had no logs once more.
    pub(super) fn still_empty(&mut self, block: Checkpoint) {
        let now = Instant::now();
        for look in &mut self.0 {
            if look.block == block {
                look.taken += 1;
                look.postponed = None;
                look.at = now + LOOKS.get(look.taken).copied().unwrap_or_default();
            }
        }
        self.0.retain(|look| look.taken < LOOKS.len());
    }

    /// This block needs no look any more.
    pub(super) fn settled(&mut self, block: Checkpoint) {
        self.0.retain(|look| look.block != block);
    }

    /// The blocks from this number on are read again anyway.
    pub(super) fn forget_from(&mut self, number: u64) {
        self.0.retain(|look| look.block.number < number);
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;

    use super::*;
    use crate::domain::Timestamp;

    fn block(number: u64) -> Checkpoint {
        Checkpoint {
            number,
            hash: B256::with_last_byte(number as u8),
            timestamp: Timestamp(number),
        }
    }

    fn up_to(unsure: &Unsure, number: u64) -> Vec<Checkpoint> {
        let blocks = unsure.0.iter().map(|look| look.block);
        blocks.filter(|block| block.number <= number).collect()
    }

    #[test]
    fn a_block_is_looked_at_with_the_next_one_and_once_more_later() {
        let mut unsure = Unsure::default();
        unsure.extend([block(8), block(7)]);
        assert_eq!(unsure.due(7), [], "nothing lies on top of it yet");
        assert_eq!(unsure.due(8), [block(7)]);
        unsure.still_empty(block(7));
        assert_eq!(unsure.due(8), [], "the next look is later");
        assert_eq!(unsure.due(9), [block(8)]);
        unsure.postpone(block(8));
        assert_eq!(
            unsure.due(9),
            [],
            "a failed look is not taken again at once"
        );
        unsure.hurry();
        assert_eq!(unsure.due(8), [block(7), block(8)]);
        unsure.still_empty(block(7));
        assert_eq!(up_to(&unsure, 100), [block(8)], "two looks are enough");
    }

    #[test]
    fn what_is_read_again_is_forgotten() {
        let mut unsure = Unsure::default();
        unsure.extend([block(7), block(8), block(9)]);
        unsure.extend([block(8)]);
        assert_eq!(up_to(&unsure, 8), [block(7), block(8)]);
        unsure.forget_from(9);
        unsure.settled(block(7));
        assert_eq!(up_to(&unsure, 100), [block(8)]);
    }
}
