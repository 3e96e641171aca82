//! Where the follower is and what of it is not stored yet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::compare::History;
use super::context::Context;
use super::error::SessionError;
use super::node::{Header, Node};
use super::processors::Processors;
use super::reorg::window::Window;
use super::unsaved::Unsaved;
use crate::domain::{Batch, ChainEvent, Checkpoint, ModuleAddress};

/// How long a new chain that is lower than the old confirmed one is waited for before its end counts as the tip.
const CATCH_UP: Duration = Duration::from_secs(600);

/// A module that is watched at the tip while its past is read beside.
#[derive(Clone, Debug)]
pub(super) struct Joining {
    /// The last block of its past: the confirmed tip when it began to be watched.
    pub(super) target: Checkpoint,
    /// Its confirmed events since, in chain order.
    pub(super) events: Vec<ChainEvent>,
}

/// Confirmed blocks were undone. What they held may be included again, so for a while nothing is concluded from its absence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lost {
    /// The confirmed height before.
    pub(super) height: u64,
    /// When they were undone.
    pub(super) since: Instant,
    /// Whether a node undid them that is not the preferred one: that one may come back, and have them still.
    pub(super) by_another: bool,
}

impl Lost {
    /// After confirmed blocks up to `height` were undone. What a node had that was not the preferred one is not missed.
    pub(super) fn after(before: Option<Self>, height: u64, by_another: bool) -> Self {
        let height = match before {
            Some(before) if before.by_another => before.height,
            Some(before) => before.height.max(height),
            None => height,
        };
        Self {
            height,
            since: Instant::now(),
            by_another,
        }
    }

    /// Whether a chain that is confirmed up to this block has made up for them.
    fn is_made_up_by(&self, confirmed: u64) -> bool {
        !self.by_another && confirmed >= self.height
    }
}

/// The followed end of the chain. It survives a change of node.
pub(super) struct Followed {
    pub(super) window: Window,
    pub(super) processors: Processors,
    pub(super) joining: BTreeMap<ModuleAddress, Joining>,
    pub(super) unsaved: Unsaved,
    /// The newest finalized block that a node has shown.
    pub(super) finalized: Option<Checkpoint>,
    /// A followed block that a preferred node, which is lower, has another one in place of.
    pub(super) passed: Option<Checkpoint>,
    /// The newest reorganisation of confirmed blocks, until the new chain counts.
    pub(super) lost: Option<Lost>,
    /// Up to which block the second look has seen the chain, at the look before the last and at the last.
    pub(super) looked: (u64, u64),
    /// When the last second look ended, and how many there were: a node whose sessions are short gets them all the same.
    pub(super) looks: (Instant, u32),
    /// Where the first range ends, if it is known already.
    pub(super) range_end: Option<Header>,
    /// The places of the nodes that did not let a module be read.
    pub(super) refused: BTreeMap<ModuleAddress, BTreeSet<usize>>,
    /// Histories that are to be compared with another node's.
    pub(super) histories: Vec<History>,
    /// Modules that `holes` need not look at again: they have events, or were asked for their plan.
    pub(super) not_empty: BTreeSet<ModuleAddress>,
    /// Whether the warning about orphans was logged already.
    pub(super) warned_of_orphans: bool,
    /// Whether the modules of the start have been read. Ones that come later do not hold up the others.
    pub(super) settled: bool,
}

impl Followed {
    /// At a confirmed block, whether the store has one or not.
    pub(super) fn at(window: Window, processors: Processors, has_cursor: bool) -> Self {
        Self {
            window,
            processors,
            joining: BTreeMap::new(),
            unsaved: Unsaved::new(has_cursor),
            finalized: None,
            passed: None,
            lost: None,
            looked: (0, 0),
            looks: (Instant::now(), 0),
            range_end: None,
            refused: BTreeMap::new(),
            histories: Vec::new(),
            not_empty: BTreeSet::new(),
            warned_of_orphans: false,
            settled: false,
        }
    }

    /// Goes back to `fork`: everything above it is undone by the next commit, and followed again.
    pub(super) fn roll_back_to(&mut self, fork: Checkpoint) {
        self.window.rewind(fork);
        self.replaced_above(fork.number);
        self.unsaved.roll_back_to(fork.number);
        self.histories.retain(|history| history.from <= fork.number);
        for history in &mut self.histories {
            if history.to.number > fork.number {
                history.to = fork;
            }
        }
        for joining in self.joining.values_mut() {
            joining
                .events
                .retain(|event| event.position.block <= fork.number);
            if joining.target.number > fork.number {
                joining.target = fork;
            }
        }
    }

    /// These blocks were read as history.
    pub(super) fn add_history(
        &mut self,
        modules: BTreeSet<ModuleAddress>,
        from: u64,
        to: Checkpoint,
    ) {
        // What was read piece by piece, from one node after another, is compared as a whole.
        let before = self.histories.last_mut().filter(|before| {
            let is_next = before.to.number + 1 == from && before.doubted.is_none();
            is_next && before.modules == modules
        });
        match before {
            Some(before) => before.to = to,
            None => self.histories.push(History {
                modules,
                from,
                to,
                doubted: None,
            }),
        }
    }

    /// The blocks above this one are read again, or are others.
    pub(super) fn replaced_above(&mut self, number: u64) {
        self.processors.rewind(number);
        // Also of modules whose past was read beside up to a later block: that past is undone, too.
        self.processors.watch_from(number + 1);
        self.looked = (self.looked.0.min(number), self.looked.1.min(number));
    }

    /// Watches only the modules that `keep` names; the others are behind from the next commit on. Says whether there are any.
    pub(super) fn retain(&mut self, keep: impl Fn(&ModuleAddress) -> bool) -> bool {
        let dropped = self.processors.retain(&keep);
        let next = &mut self.unsaved.next;
        for module in &dropped {
            // One that never came to the cursor has not left it.
            if self.joining.remove(module).is_none() {
                match next.joined.iter().position(|joined| joined == module) {
                    Some(index) => drop(next.joined.remove(index)),
                    None => next.left.push(*module),
                }
            }
            self.not_empty.remove(module);
        }
        for block in self.window.unconfirmed_mut() {
            block.events.retain(|event| keep(&event.module));
        }
        !dropped.is_empty()
    }

    /// Stops watching a module.
    pub(super) fn drop_module(&mut self, module: ModuleAddress) {
        self.retain(|other| *other != module);
    }

    /// The modules at the cursor that `holes` has not looked at yet.
    pub(super) fn maybe_empty(&self) -> Vec<ModuleAddress> {
        let modules = self.processors.modules();
        let is_open = |module: &ModuleAddress| {
            !self.joining.contains_key(module) && !self.not_empty.contains(module)
        };
        modules.filter(is_open).collect()
    }

    /// Stores what has enough blocks on top of it; what joining modules have in it is kept until they have joined.
    pub(super) async fn confirm(
        &mut self,
        context: &Context,
        node: &Node,
    ) -> Result<(), SessionError> {
        let confirmations = context.confirmations();
        let (mut headers, mut later) = (Vec::new(), Vec::new());
        let (mut events, mut unknown) = (Vec::new(), Vec::new());
        for block in self.window.confirmable(confirmations) {
            headers.push(block.header.checkpoint());
            for event in &block.events {
                match self.joining.contains_key(&event.module) {
                    true => later.push(event.clone()),
                    false => events.push(event.clone()),
                }
            }
            unknown.extend(block.unknown.iter().copied());
        }
        let Some(to) = headers.last().copied() else {
            return Ok(());
        };
        if events.is_empty() && unknown.is_empty() && !self.unsaved.has_news() {
            self.unsaved.keep(headers);
        } else {
            let mut batch = self.batch(to, events);
            batch.headers.extend(headers);
            batch.unknown = unknown;
            self.commit(context, node, batch).await?;
        }
        for event in later {
            if let Some(joining) = self.joining.get_mut(&event.module) {
                joining.events.push(event);
            }
        }
        self.window.confirm(confirmations);
        self.lost = self.lost.filter(|lost| !lost.is_made_up_by(to.number));
        Ok(())
    }

    /// What the next commit up to `to` holds: these events, with the eventless blocks before them.
    pub(super) fn batch(&self, to: Checkpoint, events: Vec<ChainEvent>) -> Batch {
        Batch {
            events,
            headers: self.unsaved.headers.clone(),
            finalized: self.finalized,
            ..self.unsaved.next.clone().batch(to)
        }
    }

    /// Stores the next commit.
    pub(super) async fn commit(
        &mut self,
        context: &Context,
        node: &Node,
        batch: Batch,
    ) -> Result<(), SessionError> {
        context.plans.ingest(node, &context.writer, batch).await?;
        self.unsaved.clear();
        Ok(())
    }

    /// Stores the eventless blocks, and what else the next commit has to say, now.
    pub(super) async fn save(&mut self, context: &Context) -> Result<(), SessionError> {
        if !self.unsaved.has_cursor || self.unsaved.due().is_some() {
            let batch = self.batch(self.window.base(), Vec::new());
            context.writer.ingest(batch).await?;
            self.unsaved.clear();
        }
        Ok(())
    }

    /// A node has shown its newest finalized block; `stored` is the newest block up to there that the store knows. Only one
    /// that is followed counts.
    pub(super) fn take_finalized(&mut self, shown: Checkpoint, stored: Option<Checkpoint>) {
        let is_newer = self
            .finalized
            .is_none_or(|finalized| finalized.number < shown.number);
        let stored = stored.filter(|stored| stored.number == shown.number);
        let known = self.window.at(shown.number).or(stored);
        let is_other = known.is_some_and(|known| known.hash != shown.hash);
        if is_newer && !is_other && shown.number <= self.window.base().number {
            self.finalized = Some(shown);
        }
    }

    /// Whether everything up to the confirmed tip is stored, of a chain that is as high as the one followed before.
    pub(super) fn is_whole(&self) -> bool {
        let waits = self
            .lost
            .is_some_and(|lost| lost.since.elapsed() < CATCH_UP);
        self.unsaved.next.rollback_to.is_none() && !waits
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alloy::primitives::Address;

    use super::*;
    use crate::abi::Layouts;
    use crate::chain::processors::WatchedModule;
    use crate::domain::Timestamp;

    fn at(number: u64) -> Checkpoint {
        Checkpoint {
            number,
            hash: alloy::primitives::B256::with_last_byte(u8::try_from(number).unwrap()),
            timestamp: Timestamp(number),
        }
    }

    fn followed() -> Followed {
        let processors = Processors::of(Layouts::built_in(), &BTreeMap::new());
        Followed::at(Window::new(at(100)), processors, true)
    }

    #[test]
    fn a_lower_chain_counts_as_the_tip_after_ten_minutes() {
        let mut followed = followed();
        assert!(followed.is_whole());
        let since = Instant::now();
        let lost = |since, by_another| Lost {
            height: 200,
            since,
            by_another,
        };
        followed.lost = Some(lost(since, false));
        assert!(!followed.is_whole());
        let long_ago = since.checked_sub(CATCH_UP).unwrap();
        followed.lost = Some(lost(long_ago, false));
        assert!(followed.is_whole());
        assert!(!lost(since, false).is_made_up_by(199));
        assert!(lost(since, false).is_made_up_by(200));
        assert!(!lost(since, true).is_made_up_by(200));
    }

    #[test]
    fn blocks_that_another_node_had_are_not_waited_for_on_the_preferred_one() {
        let first = Lost::after(None, 100, true);
        assert_eq!((first.height, first.by_another), (100, true));
        let back = Lost::after(Some(first), 500, false);
        assert_eq!((back.height, back.by_another), (100, false));
        let again = Lost::after(Some(back), 90, false);
        assert_eq!(again.height, 100);
    }

    #[test]
    fn what_a_module_did_below_the_block_where_it_joined_counts_when_that_is_read_again() {
        let module = ModuleAddress(Address::repeat_byte(1));
        let watched = WatchedModule {
            initial: Address::ZERO,
            updates: Vec::new(),
            from: 101,
        };
        let mut followed = followed();
        followed.processors.add([(module, watched)]);
        let from = |followed: &Followed| followed.processors.get(&module).unwrap().from;
        followed.replaced_above(100);
        assert_eq!(from(&followed), 101);
        followed.roll_back_to(at(96));
        assert_eq!(from(&followed), 97);
    }

    #[test]
    fn a_history_that_was_read_piece_by_piece_is_one() {
        let mut followed = followed();
        let modules = BTreeSet::from([ModuleAddress(Address::repeat_byte(1))]);
        followed.add_history(modules.clone(), 1, at(40));
        followed.add_history(modules.clone(), 41, at(60));
        followed.add_history(modules, 70, at(90));
        let left = followed.histories.iter();
        let left: Vec<_> = left.map(|history| (history.from, history.to)).collect();
        assert_eq!(left, [(1, at(60)), (70, at(90))]);
    }

    #[test]
    fn a_history_ends_where_the_chain_was_undone() {
        let mut followed = followed();
        let history = |from, to| History {
            modules: BTreeSet::new(),
            from,
            to: at(to),
            doubted: None,
        };
        followed.histories = vec![history(1, 40), history(1, 90), history(60, 90)];
        followed.roll_back_to(at(50));
        let left = followed.histories.iter();
        let left: Vec<_> = left.map(|history| (history.from, history.to)).collect();
        assert_eq!(left, [(1, at(40)), (1, at(50))]);
    }
}
