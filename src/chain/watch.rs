//! The modules that are read together, and whose logs count as their processor's at each position. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy::primitives::{Address, B256};

use super::decode::{Decoded, Emitter};
use super::question::Question;
use crate::domain::{
    ChainEvent, EventKind, ModuleAddress, ModuleRecord, Position, Synced, UnknownLogs,
};

/// One log of a watched address, decoded, with what is needed when it means nothing.
#[derive(Clone, Debug)]
pub(crate) struct WatchedLog {
    pub(crate) position: Position,
    pub(crate) address: Address,
    /// The first topic; zero for an anonymous event.
    pub(crate) topic: B256,
    pub(crate) decoded: Decoded,
}

/// Why a block must be read differently before it can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surprise {
    /// A module got a processor that was not watched; its logs from here on are missing.
    NewProcessor,
    /// A module had another processor than was thought: everything about it was read with the wrong filter.
    WrongProcessor {
        /// Which module.
        module: ModuleAddress,
        /// The processor it had up to this update.
        actual: Address,
    },
}

/// A block's logs, judged in chain order.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) events: Vec<ChainEvent>,
    pub(crate) unknown: Vec<UnknownLogs>,
}

/// Watched modules with their processors over time.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    modules: BTreeMap<ModuleAddress, ModuleRecord>,
    question: Arc<Question>,
}

impl Watch {
    /// Watches these modules.
    pub(crate) fn new(modules: BTreeMap<ModuleAddress, ModuleRecord>) -> Self {
        let question = Arc::new(Question::about(&modules));
        Self { modules, question }
    }

    /// The watched modules in order.
    pub(crate) fn modules(&self) -> Vec<ModuleAddress> {
        self.modules.keys().copied().collect()
    }

    /// What is known of each.
    pub(crate) fn records(&self) -> &BTreeMap<ModuleAddress, ModuleRecord> {
        &self.modules
    }

    /// Everything up to this block has been read for all of them.
    pub(crate) fn set_synced(&mut self, to: u64) {
        for record in self.modules.values_mut() {
            record.synced = Synced::To(Some(to));
        }
    }

    /// The first block that has not been read for all of them.
    pub(crate) fn next_block(&self) -> u64 {
        let next = |record: &ModuleRecord| {
            record
                .synced_to(None)
                .map_or(record.start_block, |to| to + 1)
        };
        self.modules.values().map(next).min().unwrap_or_default()
    }

    /// Whether this module is watched.
    pub(crate) fn contains(&self, module: &ModuleAddress) -> bool {
        self.modules.contains_key(module)
    }

    /// Whether nothing is watched.
    pub(crate) fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// The first block that matters to any of them; 0 when there are none.
    pub(crate) fn start_block(&self) -> u64 {
        self.modules
            .values()
            .map(|record| record.start_block)
            .min()
            .unwrap_or_default()
    }

    /// What to ask a node.
    pub(crate) fn question(&self) -> Arc<Question> {
        Arc::clone(&self.question)
    }

    /// Watches more modules from now on.
    pub(crate) fn add(&mut self, other: Self) {
        self.modules.extend(other.modules);
        self.question = Arc::new(Question::about(&self.modules));
    }

    /// Watches only those of the modules that are in `wanted`; says whether that changed anything.
    pub(crate) fn keep_only(&mut self, wanted: &BTreeSet<ModuleAddress>) -> bool {
        let before = self.modules.len();
        self.modules.retain(|module, _| wanted.contains(module));
        let changed = self.modules.len() != before;
        if changed {
            self.question = Arc::new(Question::about(&self.modules));
        }
        changed
    }

    /// Stops watching a module.
    pub(crate) fn remove(&mut self, module: &ModuleAddress) {
        self.modules.remove(module);
        self.question = Arc::new(Question::about(&self.modules));
    }

    /// Takes in the processor updates among events that were judged elsewhere, in chain order.
    pub(crate) fn take_updates(&mut self, events: &[ChainEvent]) -> Result<(), Surprise> {
        let mut is_new = false;
        for event in events {
            let EventKind::PaymentProcessorUpdated { previous, current } = event.kind else {
                continue;
            };
            let Some(record) = self.modules.get_mut(&event.module) else {
                continue;
            };
            check_first(event.module, record, event.position, previous)?;
            record.processor_updates.push((event.position, current));
            is_new = true;
        }
        if is_new {
            self.question = Arc::new(Question::about(&self.modules));
        }
        Ok(())
    }

    /// Forgets what happened above this block.
    pub(crate) fn rewind(&mut self, to: u64) {
        for record in self.modules.values_mut() {
            record
                .processor_updates
                .retain(|(position, _)| position.block <= to);
        }
    }

    /// Judges logs in chain order: only a module itself and the processor that was its own at a log's position count.
    /// On a surprise nothing of this block has been taken in, but for a new processor that is watched from now on.
    pub(crate) fn judge(&mut self, logs: &[WatchedLog]) -> Result<Judged, Surprise> {
        let mut judged = Judged::default();
        let mut updates: Vec<(ModuleAddress, Position, Address)> = Vec::new();
        for log in logs {
            match &log.decoded {
                Decoded::NotOurs | Decoded::Foreign => {}
                Decoded::Unknown => count(&mut judged.unknown, log.address, log.topic),
                Decoded::Event(event, emitter) => {
                    let Some(record) = self.modules.get(&event.module) else {
                        continue;
                    };
                    let processor = updates
                        .iter()
                        .rev()
                        .find(|(module, ..)| *module == event.module)
                        .map_or_else(|| record.processor_at(log.position), |(.., now)| *now);
                    if let Emitter::Processor(_) = emitter
                        && log.address != processor
                    {
                        continue;
                    }
                    if let EventKind::PaymentProcessorUpdated { previous, current } = event.kind {
                        if updates.iter().all(|(module, ..)| *module != event.module) {
                            check_first(event.module, record, log.position, previous)?;
                        }
                        updates.push((event.module, log.position, current));
                    }
                    judged.events.push(event.clone());
                }
            }
        }
        let known = self.question.watched.processors();
        // The zero address emits nothing, so nothing is missing of it.
        let is_new = updates
            .iter()
            .any(|(.., current)| *current != Address::ZERO && !known.contains(current));
        if is_new {
            self.question = Arc::new(Question::with(
                &self.modules,
                updates.iter().map(|(.., current)| *current),
            ));
            return Err(Surprise::NewProcessor);
        }
        for (module, position, current) in updates {
            if let Some(record) = self.modules.get_mut(&module) {
                record.processor_updates.push((position, current));
            }
        }
        Ok(judged)
    }
}

/// Whether a module's first update contradicts what was thought of the time before it. The zero address emits nothing: an
/// initial "update" from it contradicts nothing. A later one that contradicts the one before it is the module's own
/// affair: reading it all again would bring the same.
fn check_first(
    module: ModuleAddress,
    record: &ModuleRecord,
    position: Position,
    previous: Address,
) -> Result<(), Surprise> {
    let is_first = record
        .processor_updates
        .iter()
        .all(|(at, _)| *at >= position);
    if !is_first || previous == record.initial_processor || previous == Address::ZERO {
        return Ok(());
    }
    Err(Surprise::WrongProcessor {
        module,
        actual: previous,
    })
}

fn count(unknown: &mut Vec<UnknownLogs>, address: Address, topic: B256) {
    let known = unknown
        .iter_mut()
        .find(|seen| seen.address == address && seen.topic == topic);
    match known {
        Some(seen) => seen.count += 1,
        None => unknown.push(UnknownLogs {
            address,
            topic,
            count: 1,
        }),
    }
}

#[cfg(test)]
mod tests;
