//! The rule of whose logs count, for ranges and for single blocks alike (a block is a range of one): a module's own, and
//! those of the processor that was the module's at the log's position. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy::primitives::Address;

use super::decode::Emitted;
use super::filter::LogFilter;
use crate::abi::Layouts;
use crate::domain::{ChainEvent, EventKind, ModuleAddress, ModuleRecord, Position};

/// Processors that one module may have had. A contract that names more is taken for hostile: each costs a second reading
/// of its block, and a place in every later question.
const MOST_PROCESSORS: usize = 16;

/// One watched module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedModule {
    /// The processor before the first of `updates`.
    pub initial: Address,
    /// Every replacement that was read, in chain order.
    pub updates: Vec<(Position, Address)>,
    /// The first block whose logs count. Those below are read elsewhere.
    pub from: u64,
}

impl WatchedModule {
    /// The processor after everything that was read.
    pub fn current(&self) -> Address {
        let last = self.updates.last();
        last.map_or(self.initial, |(_, processor)| *processor)
    }

    fn all(&self) -> impl Iterator<Item = Address> {
        let updates = self.updates.iter().map(|(_, processor)| *processor);
        updates.chain([self.initial])
    }
}

/// The watched modules, each with its processors over time, read in chain order.
#[derive(Clone, Debug)]
pub struct Processors {
    layouts: Arc<Layouts>,
    modules: BTreeMap<ModuleAddress, WatchedModule>,
    filter: Arc<LogFilter>,
}

/// What became of some logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The events that count, in chain order.
    Events(Vec<ChainEvent>),
    /// A module has a processor whose logs were not asked for; they are from now on. From this block on everything must be
    /// asked for again. These events, from before it, count and were taken; nothing else was.
    AskAgain {
        /// The block of the update.
        from: u64,
        /// The events before it.
        before: Vec<ChainEvent>,
    },
    /// This module was read with the wrong processor from its start on. Nothing was taken.
    WrongStart {
        /// Which module.
        module: ModuleAddress,
        /// The processor it had up to its first update.
        actual: Address,
    },
    /// This module named so many processors that it must be dropped. Nothing was taken.
    Hostile(ModuleAddress),
}

impl Processors {
    /// Watches these modules, as the store knows them.
    pub fn of(layouts: Arc<Layouts>, modules: &BTreeMap<ModuleAddress, ModuleRecord>) -> Self {
        let watched = modules.iter().map(|(module, record)| {
            let watched = WatchedModule {
                initial: record.initial_processor,
                updates: record.processor_updates.clone(),
                from: record.start_block,
            };
            (*module, watched)
        });
        Self::new(layouts, watched.collect())
    }

    /// Watches these modules.
    pub fn new(layouts: Arc<Layouts>, modules: BTreeMap<ModuleAddress, WatchedModule>) -> Self {
        let filter = Arc::new(filter(&layouts, &modules, []));
        Self {
            layouts,
            modules,
            filter,
        }
    }

    /// What to ask a node, and how its answers are decoded.
    pub fn filter(&self) -> Arc<LogFilter> {
        Arc::clone(&self.filter)
    }

    /// The watched modules, in order.
    pub fn modules(&self) -> impl Iterator<Item = ModuleAddress> {
        self.modules.keys().copied()
    }

    /// What is known of a watched module.
    pub fn get(&self, module: &ModuleAddress) -> Option<&WatchedModule> {
        self.modules.get(module)
    }

    /// How many modules are watched.
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// Watches these modules, too.
    pub fn add(&mut self, modules: impl IntoIterator<Item = (ModuleAddress, WatchedModule)>) {
        self.modules.extend(modules);
        self.filter = Arc::new(filter(&self.layouts, &self.modules, []));
    }

    /// Watches only those modules that are in `wanted`; says which are not watched any more.
    pub fn keep_only(&mut self, wanted: &BTreeSet<ModuleAddress>) -> Vec<ModuleAddress> {
        let dropped: Vec<_> = self
            .modules()
            .filter(|module| !wanted.contains(module))
            .collect();
        for module in &dropped {
            self.modules.remove(module);
        }
        if !dropped.is_empty() {
            self.filter = Arc::new(filter(&self.layouts, &self.modules, []));
        }
        dropped
    }

    /// Stops watching a module.
    pub fn remove(&mut self, module: &ModuleAddress) {
        self.modules.remove(module);
        self.filter = Arc::new(filter(&self.layouts, &self.modules, []));
    }

    /// The logs of a watched module count from this block on.
    pub fn watch_from(&mut self, module: &ModuleAddress, from: u64) {
        if let Some(watched) = self.modules.get_mut(module) {
            watched.from = from;
        }
    }

    /// Forgets what happened above this block. What was asked for is asked for on.
    pub fn rewind(&mut self, to: u64) {
        for module in self.modules.values_mut() {
            module.updates.retain(|(position, _)| position.block <= to);
        }
    }

    /// Takes the logs of the next blocks, in chain order.
    pub fn take(&mut self, logs: Vec<Emitted>) -> Taken {
        let ends_before = match self.surprise(&logs) {
            None => return Taken::Events(self.count(logs)),
            Some(Surprise::NewProcessors(block)) => block,
            Some(Surprise::WrongStart { module, actual }) => {
                return Taken::WrongStart { module, actual };
            }
            Some(Surprise::Hostile(module)) => return Taken::Hostile(module),
        };
        let mut before = logs;
        let cut = before.partition_point(|log| log.event.position.block < ends_before);
        let again = before.split_off(cut);
        let before = self.count(before);
        let new = again
            .iter()
            .take_while(|log| log.event.position.block == ends_before)
            .filter_map(|log| self.update(log).map(|(_, current)| current));
        self.filter = Arc::new(filter(&self.layouts, &self.modules, new));
        Taken::AskAgain {
            from: ends_before,
            before,
        }
    }

    /// The logs that count, in order; remembers the updates among them.
    fn count(&mut self, logs: Vec<Emitted>) -> Vec<ChainEvent> {
        let counts = logs.into_iter().filter_map(|log| {
            let Emitted { emitter, event } = log;
            let module = self.modules.get_mut(&event.module)?;
            if event.position.block < module.from {
                return None;
            }
            if emitter != event.module.0 {
                return (emitter == module.current()).then_some(event);
            }
            if let EventKind::PaymentProcessorUpdated { current, .. } = event.kind {
                module.updates.push((event.position, current));
            }
            Some(event)
        });
        counts.collect()
    }

    /// The previous and the new processor of an update that counts.
    fn update(&self, log: &Emitted) -> Option<(Address, Address)> {
        let EventKind::PaymentProcessorUpdated { previous, current } = log.event.kind else {
            return None;
        };
        let module = self.modules.get(&log.event.module)?;
        let counts = log.emitter == log.event.module.0 && log.event.position.block >= module.from;
        counts.then_some((previous, current))
    }

    /// The first thing among these logs for which they cannot be taken as they are.
    fn surprise(&self, logs: &[Emitted]) -> Option<Surprise> {
        let mut seen: BTreeMap<ModuleAddress, BTreeSet<Address>> = BTreeMap::new();
        for log in logs {
            let Some((previous, current)) = self.update(log) else {
                continue;
            };
            let module = log.event.module;
            let watched = self.modules.get(&module)?;
            let is_first = watched.updates.is_empty() && !seen.contains_key(&module);
            // The zero address emits nothing: an initial "update" from it contradicts nothing. A later update that
            // contradicts the one before it is the contract's own affair: reading it all again would bring the same.
            if is_first && previous != watched.initial && previous != Address::ZERO {
                let actual = previous;
                return Some(Surprise::WrongStart { module, actual });
            }
            let processors = seen
                .entry(module)
                .or_insert_with(|| watched.all().collect());
            processors.insert(current);
            if processors.len() > MOST_PROCESSORS {
                return Some(Surprise::Hostile(module));
            }
            // The zero address emits nothing, so nothing is missing of it.
            if current != Address::ZERO && !self.filter.asks_for_processor(&current) {
                return Some(Surprise::NewProcessors(log.event.position.block));
            }
        }
        None
    }
}

enum Surprise {
    /// In this block.
    NewProcessors(u64),
    WrongStart {
        module: ModuleAddress,
        actual: Address,
    },
    Hostile(ModuleAddress),
}

fn filter(
    layouts: &Arc<Layouts>,
    modules: &BTreeMap<ModuleAddress, WatchedModule>,
    more: impl IntoIterator<Item = Address>,
) -> LogFilter {
    let addresses = modules.keys().map(|module| module.0).collect();
    let processors: BTreeSet<Address> = modules
        .values()
        .flat_map(WatchedModule::all)
        .chain(more)
        .filter(|processor| *processor != Address::ZERO)
        .collect();
    LogFilter::combined(
        Arc::clone(layouts),
        addresses,
        processors.into_iter().collect(),
    )
}

#[cfg(test)]
mod tests;
