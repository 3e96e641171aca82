//! What a node is asked about the watched modules, and what a block's bloom says before it is asked. Pure.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256, Bloom, BloomInput, keccak256};

use super::decode::Watched;
use super::filter::LogFilter;
use crate::abi::WATCHED_EVENTS;
use crate::domain::{ModuleAddress, ModuleRecord};

/// What is asked for; shared with the tasks that read.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) watched: Watched,
    pub(crate) filter: LogFilter,
    address_hashes: Vec<B256>,
    topic_hashes: Vec<B256>,
}

impl Question {
    /// About these modules and all their processors.
    pub(crate) fn about(modules: &BTreeMap<ModuleAddress, ModuleRecord>) -> Self {
        Self::with(modules, [])
    }

    /// The same with more processors.
    pub(crate) fn with(
        modules: &BTreeMap<ModuleAddress, ModuleRecord>,
        more: impl IntoIterator<Item = Address>,
    ) -> Self {
        let addresses: Vec<Address> = modules.keys().map(|module| module.0).collect();
        let processors: BTreeSet<Address> = modules
            .values()
            .flat_map(|record| {
                let updates = record.processor_updates.iter().map(|(_, address)| *address);
                updates.chain([record.initial_processor])
            })
            .chain(more)
            .filter(|address| *address != Address::ZERO)
            .collect();
        let processors: Vec<Address> = processors.into_iter().collect();
        let hash = |address: &Address| keccak256(address);
        Self {
            address_hashes: addresses.iter().chain(&processors).map(hash).collect(),
            topic_hashes: WATCHED_EVENTS
                .iter()
                .map(|event| keccak256(event.topic))
                .collect(),
            filter: LogFilter::combined(&addresses, &processors),
            watched: Watched::new(addresses, processors),
        }
    }

    /// Whether a block with this bloom can hold a log of a watched address.
    pub(crate) fn may_be_in(&self, bloom: &Bloom) -> bool {
        self.address_hashes
            .iter()
            .any(|hash| bloom.contains_input(BloomInput::Hash(*hash)))
    }

    /// How likely it is that a block with this bloom and no log of a watched address looks as if it had a known event of
    /// one: 0 to 1. Blooms of busy chains are nearly full, and then say nothing.
    pub(crate) fn chance_of_likeness(&self, bloom: &Bloom) -> f64 {
        let ones: u32 = bloom.0.iter().map(|byte| byte.count_ones()).sum();
        let one_input = (f64::from(ones) / 2048.0).powi(3);
        let any = |count: usize| 1.0 - (1.0 - one_input).powf(count as f64);
        any(self.address_hashes.len()) * any(self.topic_hashes.len())
    }

    /// Whether a block with this bloom looks as if it held a known event of a watched address.
    pub(crate) fn looks_present(&self, bloom: &Bloom) -> bool {
        self.may_be_in(bloom)
            && self
                .topic_hashes
                .iter()
                .any(|hash| bloom.contains_input(BloomInput::Hash(*hash)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(1));

    #[test]
    fn a_bloom_says_less_the_fuller_it_is() {
        let record = ModuleRecord {
            start_block: 5,
            synced: crate::domain::Synced::To(None),
            initial_processor: Address::repeat_byte(0xa),
            processor_updates: Vec::new(),
        };
        let question = Question::about(&BTreeMap::from([(MODULE, record)]));
        let mut bloom = Bloom::ZERO;
        assert!(!question.may_be_in(&bloom));
        bloom.accrue_raw_log(MODULE.0, &[]);
        assert!(question.may_be_in(&bloom) && !question.looks_present(&bloom));
        bloom.accrue_raw_log(MODULE.0, &[WATCHED_EVENTS[0].topic]);
        assert!(question.looks_present(&bloom));
        assert!(question.chance_of_likeness(&bloom) < 1e-6);
        let full = Bloom::repeat_byte(0xff);
        assert!(question.looks_present(&full));
        assert!(question.chance_of_likeness(&full) > 0.99);
    }
}
