//! Whose logs count, in ranges and single blocks alike: a module's own, and those of the processor that the module had at
//! the log's position. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy::primitives::Address;

use super::decode::Emitted;
use super::filter::LogFilter;
use crate::abi::Layouts;
use crate::domain::{ChainEvent, EventKind, ModuleAddress, ModuleRecord, Position};

/// Processors that one module may have had. Each costs a second reading of its block and a part of every later query, so a
/// contract that names more is taken for hostile.
const MOST_PROCESSORS: usize = 16;
/// Changes of processor that one module may have made: all of them are kept, in one record.
const MOST_UPDATES: usize = 256;

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

/// The events among some logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Those that count, in chain order.
    pub events: Vec<ChainEvent>,
    /// In this block a module got a processor whose logs were not asked for; they are from now on. `events` ends before
    /// this block: everything from it on must be asked for again.
    pub again_from: Option<u64>,
}

/// Why the logs of a module cannot be taken. Nothing was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessorError {
    /// The module was read with the wrong processor from its start on.
    WrongStart {
        /// Which module.
        module: ModuleAddress,
        /// The processor it had up to its first update.
        actual: Address,
    },
    /// The node has not told of every processor that the module had: another node does, or the module names another one now.
    Hidden(ModuleAddress),
    /// The module named too many processors and must be dropped.
    TooMany(ModuleAddress),
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
        let modules = watched.collect();
        let filter = filter(&layouts, &modules, []);
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

    /// Whether nothing is watched.
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// Watches these modules, too.
    pub fn add(&mut self, modules: impl IntoIterator<Item = (ModuleAddress, WatchedModule)>) {
        self.modules.extend(modules);
        self.filter = filter(&self.layouts, &self.modules, []);
    }

    /// Watches only the modules that `keep` names; returns the others.
    pub fn retain(&mut self, keep: impl Fn(&ModuleAddress) -> bool) -> Vec<ModuleAddress> {
        let dropped: Vec<_> = self.modules().filter(|module| !keep(module)).collect();
        if !dropped.is_empty() {
            self.modules.retain(|module, _| keep(module));
            self.filter = filter(&self.layouts, &self.modules, []);
        }
        dropped
    }

    /// The logs of every module count from this block on, at the latest: all that is above it is read here.
    pub fn watch_from(&mut self, from: u64) {
        for module in self.modules.values_mut() {
            module.from = module.from.min(from);
        }
    }

    /// Forgets what happened above this block. What was asked for is asked for on.
    pub fn rewind(&mut self, to: u64) {
        for module in self.modules.values_mut() {
            module.updates.retain(|(position, _)| position.block <= to);
        }
    }

    /// Takes the logs of the next blocks, in chain order.
    ///
    /// # Errors
    /// When a module's processors are not those that its logs were read with.
    pub fn take(&mut self, mut logs: Vec<Emitted>) -> Result<Taken, ProcessorError> {
        let again_from = self.first_new(&logs)?;
        let again = again_from.map_or_else(Vec::new, |from| {
            let cut = logs.partition_point(|log| log.event.position.block < from);
            logs.split_off(cut)
        });
        // First, because what is asked for from now on are the processors of these updates, too.
        let events = self.count(logs);
        if let Some(from) = again_from {
            let new = again
                .iter()
                .take_while(|log| log.event.position.block == from)
                .filter_map(|log| self.update(log).map(|(_, _, current)| current));
            self.filter = filter(&self.layouts, &self.modules, new);
        }
        Ok(Taken { events, again_from })
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

    /// The module, and the previous and the new processor, of an update that counts.
    fn update(&self, log: &Emitted) -> Option<(&WatchedModule, Address, Address)> {
        let EventKind::PaymentProcessorUpdated { previous, current } = log.event.kind else {
            return None;
        };
        let module = self.modules.get(&log.event.module)?;
        let counts = log.emitter == log.event.module.0 && log.event.position.block >= module.from;
        counts.then_some((module, previous, current))
    }

    /// The first block in which a module gets a processor whose logs are not asked for.
    fn first_new(&self, logs: &[Emitted]) -> Result<Option<u64>, ProcessorError> {
        let mut seen: BTreeMap<ModuleAddress, (usize, BTreeSet<Address>)> = BTreeMap::new();
        for log in logs {
            let Some((watched, previous, current)) = self.update(log) else {
                continue;
            };
            let module = log.event.module;
            let is_first = watched.updates.is_empty() && !seen.contains_key(&module);
            // An initial update from the zero address contradicts nothing. Where a later update contradicts the one
            // before it, reading everything again would bring the same.
            if is_first && previous != watched.initial && previous != Address::ZERO {
                let actual = previous;
                return Err(ProcessorError::WrongStart { module, actual });
            }
            let (updates, processors) = seen
                .entry(module)
                .or_insert_with(|| (watched.updates.len(), watched.all().collect()));
            *updates += 1;
            processors.insert(current);
            if processors.len() > MOST_PROCESSORS || *updates > MOST_UPDATES {
                return Err(ProcessorError::TooMany(module));
            }
            if current != Address::ZERO && !self.filter.asks_for_processor(&current) {
                return Ok(Some(log.event.position.block));
            }
        }
        Ok(None)
    }
}

fn filter(
    layouts: &Arc<Layouts>,
    modules: &BTreeMap<ModuleAddress, WatchedModule>,
    more: impl IntoIterator<Item = Address>,
) -> Arc<LogFilter> {
    let addresses = modules.keys().map(|module| module.0).collect();
    let processors: BTreeSet<Address> = modules
        .values()
        .flat_map(WatchedModule::all)
        .chain(more)
        .filter(|processor| *processor != Address::ZERO)
        .collect();
    let processors = processors.into_iter().collect();
    Arc::new(LogFilter::combined(
        Arc::clone(layouts),
        addresses,
        processors,
    ))
}

#[cfg(test)]
mod tests;
