//! The newest blocks as they were followed, by hash: the unconfirmed ones with their events, below them the confirmed
//! ones with the places of their events. Pure.

use std::collections::{BTreeSet, VecDeque};

use alloy::primitives::B256;

use crate::chain::node::Header;
use crate::domain::{ChainEvent, Checkpoint, Position, UnknownLogs};

/// How many confirmed blocks are kept in memory: more than the second look reads.
pub(crate) const KEPT: usize = 256;

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
    /// Confirmed blocks without a gap, oldest first; the last is the newest confirmed one. Never empty.
    recent: VecDeque<Checkpoint>,
    /// Where the events of these blocks stand.
    positions: BTreeSet<Position>,
    tail: VecDeque<Block>,
}

impl Window {
    /// Everything up to `base` was followed; nothing is known above it, nor of the blocks below it.
    pub(crate) fn new(base: Checkpoint) -> Self {
        Self {
            recent: VecDeque::from([base]),
            positions: BTreeSet::new(),
            tail: VecDeque::new(),
        }
    }

    /// The same with what the store knows of the blocks below: their headers, newest first, and their events.
    pub(crate) fn resume(base: Checkpoint, below: &[Checkpoint], events: &[ChainEvent]) -> Self {
        let mut window = Self::new(base);
        for header in below {
            let oldest = window.oldest();
            if oldest.number == header.number + 1 && window.recent.len() < KEPT {
                window.recent.push_front(*header);
            }
        }
        window.positions = events.iter().map(|event| event.position).collect();
        window.drop_old();
        window
    }

    /// The newest confirmed block.
    pub(crate) fn base(&self) -> Checkpoint {
        *self.recent.back().expect("never empty")
    }

    /// The newest block, confirmed or not.
    pub(crate) fn tip(&self) -> Checkpoint {
        self.tail
            .back()
            .map_or_else(|| self.base(), |block| block.header.checkpoint())
    }

    /// The oldest block of which the followed events are known here.
    pub(crate) fn oldest(&self) -> Checkpoint {
        *self.recent.front().expect("never empty")
    }

    /// The unconfirmed blocks, oldest first.
    pub(crate) fn unconfirmed(&self) -> impl Iterator<Item = &Block> {
        self.tail.iter()
    }

    /// The same, to drop or add events.
    pub(crate) fn unconfirmed_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        self.tail.iter_mut()
    }

    /// The blocks that have `confirmations` blocks on top of them, oldest first.
    pub(crate) fn confirmable(&self, confirmations: u64) -> impl Iterator<Item = &Block> {
        let keep = usize::try_from(confirmations).unwrap_or(usize::MAX);
        self.tail.iter().take(self.tail.len().saturating_sub(keep))
    }

    /// The followed block with this number, while it is remembered.
    pub(crate) fn at(&self, number: u64) -> Option<Checkpoint> {
        let index = usize::try_from(number.checked_sub(self.oldest().number)?).ok()?;
        match index.checked_sub(self.recent.len()) {
            None => self.recent.get(index).copied(),
            Some(above) => Some(self.tail.get(above)?.header.checkpoint()),
        }
    }

    /// Whether an event at this place was followed, in a block that is remembered.
    pub(crate) fn has_event_at(&self, position: Position) -> bool {
        self.positions.contains(&position)
            || self
                .tail
                .iter()
                .flat_map(|block| &block.events)
                .any(|event| event.position == position)
    }

    /// Adds an event that was missed. Says whether its block is unconfirmed: a confirmed one's must be stored as well.
    pub(crate) fn add(&mut self, event: &ChainEvent) -> bool {
        let number = event.position.block;
        if number <= self.base().number {
            self.positions.insert(event.position);
            return false;
        }
        let block = self
            .tail
            .iter_mut()
            .find(|block| block.header.number == number);
        if let Some(block) = block {
            block.events.push(event.clone());
            block.events.sort_by_key(|event| event.position);
        }
        true
    }

    /// Where a block whose parent is `parent_number`/`parent` joins the followed chain.
    pub(crate) fn meets(&self, parent_number: u64, parent: B256) -> Meeting {
        let known = self.at(parent_number);
        let is_followed = known.is_some_and(|known| known.hash == parent);
        match parent_number.checked_sub(self.base().number) {
            Some(above) if is_followed => Meeting::At(usize::try_from(above).unwrap_or(usize::MAX)),
            None | Some(0) => Meeting::Reorganised,
            Some(_) => Meeting::Below,
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
            self.recent.push_back(block.header.checkpoint());
            let positions = block.events.iter().map(|event| event.position);
            self.positions.extend(positions);
        }
        self.drop_old();
    }

    /// Goes back to `fork`, which stays: everything above it belonged to another chain, or is to be followed again.
    pub(crate) fn rewind(&mut self, fork: Checkpoint) {
        self.tail.clear();
        self.recent.retain(|block| block.number < fork.number);
        let is_apart = |below: &Checkpoint| below.number + 1 != fork.number;
        if self.recent.back().is_some_and(is_apart) {
            self.recent.clear();
        }
        self.recent.push_back(fork);
        self.positions
            .retain(|position| position.block <= fork.number);
        self.drop_old();
    }

    fn drop_old(&mut self) {
        let surplus = self.recent.len().saturating_sub(KEPT);
        self.recent.drain(..surplus);
        let oldest = self.oldest().number;
        self.positions = self.positions.split_off(&Position {
            block: oldest,
            log_index: 0,
        });
    }

    fn is_linked(&self) -> bool {
        let base = self.base();
        let mut below = (base.number, base.hash);
        self.tail.iter().all(|Block { header, .. }| {
            let linked = header.number == below.0 + 1 && header.parent_hash == below.1;
            below = (header.number, header.hash);
            linked
        })
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;
    use crate::domain::{EventKind, ModuleAddress, PlanId, Timestamp};

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

    fn checkpoint(number: u64) -> Checkpoint {
        block(number, 0, 0).header.checkpoint()
    }

    fn event(block: u64, log_index: u32) -> ChainEvent {
        ChainEvent {
            module: ModuleAddress(Address::repeat_byte(1)),
            position: Position { block, log_index },
            transaction: B256::ZERO,
            timestamp: None,
            kind: EventKind::PlanStatusChanged {
                plan: PlanId(alloy::primitives::U256::from(1)),
                active: true,
            },
        }
    }

    fn window() -> Window {
        let mut window = Window::new(checkpoint(10));
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
        for number in 10..=14 {
            assert_eq!(window.at(number), Some(checkpoint(number)));
        }
        assert_eq!(window.at(9), None, "never seen");
        assert_eq!(window.oldest(), checkpoint(10));
    }

    #[test]
    fn only_blocks_without_a_gap_below_the_cursor_are_resumed() {
        let below = [9, 8, 6].map(checkpoint);
        let events = [event(7, 0), event(8, 3)];
        let window = Window::resume(checkpoint(10), &below, &events);
        assert_eq!(window.oldest(), checkpoint(8));
        assert!(window.has_event_at(events[1].position));
        assert!(
            !window.has_event_at(events[0].position),
            "too old to be compared"
        );
    }

    #[test]
    fn a_missed_event_is_added_where_its_block_is() {
        let mut window = window();
        window.confirm(2);
        assert!(!window.has_event_at(event(12, 1).position));
        assert!(!window.add(&event(12, 1)), "its block is confirmed");
        assert!(window.add(&event(13, 5)) && window.add(&event(13, 2)));
        assert!(window.has_event_at(event(12, 1).position));
        let unconfirmed: Vec<_> = window.unconfirmed().next().unwrap().events.clone();
        assert_eq!(unconfirmed, [event(13, 2), event(13, 5)]);
        window.confirm(0);
        assert!(window.has_event_at(event(13, 2).position));
    }

    #[test]
    fn rewinding_forgets_everything_above_the_fork() {
        let mut window = window();
        window.confirm(1);
        window.add(&event(11, 0));
        window.add(&event(13, 0));
        let fork = window.at(12).expect("remembered");
        window.rewind(fork);
        assert_eq!((window.base(), window.tip()), (fork, fork));
        assert_eq!(window.at(11), Some(checkpoint(11)));
        assert!(window.has_event_at(event(11, 0).position));
        assert!(!window.has_event_at(event(13, 0).position));
        window.replace(0, [block(13, 1, 0)]);
        // To a block of which no neighbour is remembered.
        window.rewind(checkpoint(3));
        assert_eq!(window.oldest(), checkpoint(3));
        assert!(!window.has_event_at(event(11, 0).position));
    }
}
