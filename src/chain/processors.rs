//! Which processor each module has, as the chain is read in order.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy::primitives::Address;
use rustc_hash::FxHashMap;

use super::decode::{Emitter, Watched};
use crate::abi::Layouts;
use crate::domain::{ChainEvent, EventKind, ModuleAddress, ModuleRecord};

/// The modules that are read and the processor of each at the place that the reading has come to.
#[derive(Clone, Debug)]
pub struct Processors {
    layouts: Arc<Layouts>,
    current: FxHashMap<ModuleAddress, Address>,
    /// All that were or are the processor of some module.
    known: Vec<Address>,
}

impl Processors {
    /// As they are just before block `from`.
    pub fn before(
        layouts: Arc<Layouts>,
        modules: &BTreeMap<ModuleAddress, ModuleRecord>,
        from: u64,
    ) -> Self {
        let mut known = Vec::new();
        let mut current = FxHashMap::default();
        for (module, record) in modules {
            let updates = record
                .processor_updates
                .iter()
                .take_while(|(position, _)| position.block < from);
            let processor = updates
                .last()
                .map_or(record.initial_processor, |update| update.1);
            current.insert(*module, processor);
            // Later ones are known already when blocks are read again.
            known.push(processor);
            known.extend(record.processor_updates.iter().map(|update| update.1));
        }
        known.sort();
        known.dedup();
        Self {
            layouts,
            current,
            known,
        }
    }

    /// What to watch: the modules and all known processors.
    pub fn watched(&self) -> Watched {
        Watched::new(
            Arc::clone(&self.layouts),
            self.modules(),
            self.known.clone(),
        )
    }

    /// The modules, in order.
    pub fn modules(&self) -> Vec<Address> {
        let mut modules: Vec<_> = self.current.keys().map(|module| module.0).collect();
        modules.sort();
        modules
    }

    /// All known processors, in order.
    pub fn known(&self) -> &[Address] {
        &self.known
    }

    /// The first event that names a processor whose logs have not been asked for: from its block on, everything must
    /// be read again with it.
    pub fn first_new(&self, events: &[ChainEvent]) -> Option<(u64, Address)> {
        events.iter().find_map(|event| match event.kind {
            EventKind::PaymentProcessorUpdated { current, .. }
                if current != Address::ZERO && !self.known.contains(&current) =>
            {
                Some((event.position.block, current))
            }
            _ => None,
        })
    }

    /// From now on, this one's logs are asked for.
    pub fn add(&mut self, processor: Address) {
        self.known.push(processor);
        self.known.sort();
        self.known.dedup();
    }

    /// Keeps the events that count: those of modules, and those of a processor that is the module's at that position.
    /// Must be called in chain order, with events decoded by `watched`.
    pub fn keep_counting(
        &mut self,
        events: &mut Vec<ChainEvent>,
        emitters: &[Emitter],
        watched: &Watched,
    ) {
        let mut emitters = emitters.iter();
        events.retain(|event| match emitters.next() {
            Some(Emitter::Processor(index)) => {
                watched.processors().get(usize::from(*index)) == self.current.get(&event.module)
            }
            _ => {
                if let EventKind::PaymentProcessorUpdated { current, .. } = event.kind {
                    self.current.insert(event.module, current);
                }
                true
            }
        });
    }
}
