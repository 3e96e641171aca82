//! The newest blocks as they were followed, by hash: the unconfirmed ones with their events, below them the confirmed
//! ones' headers. Pure.

use std::collections::VecDeque;

use alloy::primitives::B256;

use super::node::read::Header;
use crate::domain::{ChainEvent, Checkpoint, UnknownLogs};

/// How many confirmed headers are kept in memory: what a module that joins late reads block by block.
const KEPT: usize = 256;

/// A followed block and what it says about the watched contracts.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The block's header.
    pub(crate) header: Header,
    /// Its events, in order.
    pub(crate) events: Vec<ChainEvent>,
    /// Its logs of watched addresses that mean nothing to this ABI.
    pub(crate) unknown: Vec<UnknownLogs>,
}

/// Where a chain of headers meets the followed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meeting {
    /// At the confirmed tip or at an unconfirmed block; this many unconfirmed blocks stay.
    At(usize),
    /// Not seen yet: further down.
    Below,
    /// It has another block at the height of the confirmed tip: confirmed blocks were reorganised.
    Reorganised,
}

/// The followed end of the chain.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    base: Checkpoint,
    recent: VecDeque<Header>,
    tail: VecDeque<Block>,
}

impl Window {
    /// Everything up to `base` was followed; nothing is known above it.
    pub(crate) fn new(base: Checkpoint) -> Self {
        Self {
            base,
            recent: VecDeque::new(),
            tail: VecDeque::new(),
        }
    }

    /// The newest confirmed block.
    pub(crate) fn base(&self) -> Checkpoint {
        self.base
    }

    /// The newest block, confirmed or not.
    pub(crate) fn tip(&self) -> Checkpoint {
        self.tail
            .back()
            .map_or(self.base, |block| block.header.checkpoint())
    }

    /// The unconfirmed blocks, oldest first.
    pub(crate) fn tail(&self) -> impl Iterator<Item = &Block> {
        self.tail.iter()
    }

    /// The same, to add what a module that just joined has in them.
    pub(crate) fn tail_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        self.tail.iter_mut()
    }

    /// Headers of confirmed blocks without a gap up to the confirmed tip, oldest first.
    pub(crate) fn recent(&self) -> impl Iterator<Item = &Header> {
        self.recent.iter()
    }

    /// Takes these headers, oldest first, as the newest confirmed ones; not when they do not lead up to the confirmed tip.
    pub(crate) fn remember(&mut self, headers: Vec<Header>) -> bool {
        let leads = headers
            .windows(2)
            .all(|pair| pair[0].hash == pair[1].parent_hash)
            && headers.last().map(|header| header.hash) == Some(self.base.hash);
        if leads {
            self.recent = headers.into();
        }
        leads
    }

    /// The oldest confirmed block from which headers lead to the tip without a gap.
    pub(crate) fn oldest(&self) -> Checkpoint {
        self.recent.front().map_or(self.base, Header::checkpoint)
    }

    /// The blocks that have `confirmations` blocks on top of them, oldest first.
    pub(crate) fn confirmable(&self, confirmations: u64) -> impl Iterator<Item = &Block> {
        let keep = usize::try_from(confirmations).unwrap_or(usize::MAX);
        self.tail.iter().take(self.tail.len().saturating_sub(keep))
    }

    /// The followed block with this number, while it is remembered.
    pub(crate) fn at(&self, number: u64) -> Option<Checkpoint> {
        if number == self.base.number {
            return Some(self.base);
        }
        let header = if number > self.base.number {
            let above = usize::try_from(number - self.base.number - 1).ok()?;
            &self.tail.get(above)?.header
        } else {
            let below = usize::try_from(self.base.number - number).ok()?;
            self.recent.get(self.recent.len().checked_sub(below + 1)?)?
        };
        Some(header.checkpoint())
    }

    /// Where a block whose parent is `parent_number`/`parent` joins the followed chain.
    pub(crate) fn meets(&self, parent_number: u64, parent: B256) -> Meeting {
        match parent_number.checked_sub(self.base.number) {
            None => Meeting::Reorganised,
            Some(0) if parent == self.base.hash => Meeting::At(0),
            Some(0) => Meeting::Reorganised,
            Some(above) => {
                let stays = usize::try_from(above).unwrap_or(usize::MAX);
                match self.tail.get(stays - 1) {
                    Some(block) if block.header.hash == parent => Meeting::At(stays),
                    _ => Meeting::Below,
                }
            }
        }
    }

    /// Keeps the oldest `stay` unconfirmed blocks and puts `blocks` on top of them.
    pub(crate) fn replace(&mut self, stay: usize, blocks: impl IntoIterator<Item = Block>) {
        self.tail.truncate(stay);
        self.tail.extend(blocks);
        debug_assert!(self.is_linked(), "blocks must be linked by their hashes");
    }

    /// Moves the confirmable blocks below the confirmed tip; their events are stored.
    pub(crate) fn confirm(&mut self, confirmations: u64) {
        for block in self.tail.drain(..self.confirmable(confirmations).count()) {
            self.base = block.header.checkpoint();
            self.recent.push_back(block.header);
        }
        let surplus = self.recent.len().saturating_sub(KEPT);
        self.recent.drain(..surplus);
    }

    /// Forgets the unconfirmed blocks from this number on.
    pub(crate) fn forget_from(&mut self, number: u64) {
        self.tail.retain(|block| block.header.number < number);
    }

    /// Goes back to `fork`, which stays: everything above it belonged to another chain.
    pub(crate) fn rewind(&mut self, fork: Checkpoint) {
        self.tail.clear();
        while self
            .recent
            .back()
            .is_some_and(|header| header.number > fork.number)
        {
            self.recent.pop_back();
        }
        self.base = fork;
    }

    fn is_linked(&self) -> bool {
        let mut below = (self.base.number, self.base.hash);
        self.tail.iter().all(|Block { header, .. }| {
            let linked = header.number == below.0 + 1 && header.parent_hash == below.1;
            below = (header.number, header.hash);
            linked
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn hash(number: u64, branch: u8) -> B256 {
        let mut hash = B256::with_last_byte(branch);
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    }

    fn block(number: u64, branch: u8, parent_branch: u8) -> Block {
        Block {
            header: Header {
                number,
                hash: hash(number, branch),
                parent_hash: hash(number - 1, parent_branch),
                timestamp: Timestamp(number * 2),
                logs_bloom: None,
                transactions_root: None,
            },
            events: Vec::new(),
            unknown: Vec::new(),
        }
    }

    fn window() -> Window {
        let mut window = Window::new(Checkpoint {
            number: 10,
            hash: hash(10, 0),
            timestamp: Timestamp(20),
        });
        window.replace(0, (11..=14).map(|number| block(number, 0, 0)));
        window
    }

    #[test]
    fn a_child_of_the_tip_keeps_every_block() {
        assert_eq!(window().meets(14, hash(14, 0)), Meeting::At(4));
    }

    #[test]
    fn a_fork_within_the_unconfirmed_blocks_keeps_those_below_it() {
        let mut window = window();
        assert_eq!(window.meets(14, hash(14, 1)), Meeting::Below);
        assert_eq!(window.meets(13, hash(13, 1)), Meeting::Below);
        assert_eq!(window.meets(12, hash(12, 0)), Meeting::At(2));
        window.replace(2, [block(13, 1, 0), block(14, 1, 1)]);
        assert_eq!(window.tip().hash, hash(14, 1));
        assert_eq!(window.at(12).map(|at| at.hash), Some(hash(12, 0)));
    }

    #[test]
    fn a_fork_at_or_below_the_confirmed_tip_is_a_reorganisation() {
        assert_eq!(window().meets(10, hash(10, 0)), Meeting::At(0));
        assert_eq!(window().meets(10, hash(10, 1)), Meeting::Reorganised);
        assert_eq!(window().meets(9, hash(9, 0)), Meeting::Reorganised);
    }

    #[test]
    fn blocks_are_confirmed_once_enough_lie_on_top() {
        let mut window = window();
        let numbers = |window: &Window, confirmations| -> Vec<u64> {
            let blocks = window.confirmable(confirmations);
            blocks.map(|block| block.header.number).collect()
        };
        assert_eq!(numbers(&window, 4), Vec::<u64>::new());
        assert_eq!(numbers(&window, 1), [11, 12, 13]);
        window.confirm(1);
        assert_eq!(window.base().number, 13);
        assert_eq!(numbers(&window, 0), [14]);
        window.confirm(0);
        assert_eq!(window.at(12).map(|at| at.hash), Some(hash(12, 0)));
        assert_eq!(window.at(10), None, "never seen as a header");
    }

    #[test]
    fn only_headers_that_lead_to_the_confirmed_tip_are_remembered() {
        let header = |number, branch, parent| block(number, branch, parent).header;
        let mut window = window();
        assert!(!window.remember(vec![header(9, 0, 0), header(10, 1, 0)]));
        assert!(!window.remember(vec![header(9, 1, 0), header(10, 0, 0)]));
        assert_eq!(window.oldest().number, 10);
        assert!(window.remember(vec![header(9, 0, 0), header(10, 0, 0)]));
        assert_eq!(window.oldest().number, 9);
    }

    #[test]
    fn rewinding_forgets_everything_above_the_fork() {
        let mut window = window();
        window.confirm(1);
        let fork = window.at(12).expect("remembered");
        window.rewind(fork);
        assert_eq!(window.base(), fork);
        assert_eq!(window.tip(), fork);
        assert_eq!(window.recent().count(), 2);
        window.replace(0, [block(13, 1, 0)]);
    }
}
