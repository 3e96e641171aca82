//! Which logs to ask for: the parameters of `eth_getLogs`, and whether a block's bloom rules them out. Pure.

use std::sync::Arc;

use alloy::primitives::{Address, B256, Bloom, BloomInput, keccak256};
use serde_json::{Value, json};

use super::decode::Watched;
use crate::abi::Layouts;
use crate::domain::ModuleAddress;

/// Most addresses (or topics at one position) in one call; geth's default limit is 1,000.
const ADDRESSES_PER_CALL: usize = 500;
/// With more modules than this, logs are asked for by topic alone and picked out here: one call per block. Logs with unknown
/// topics are not seen then.
const MOST_MODULES_BY_ADDRESS: usize = 200;

/// The blocks of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// From the first to the last number, both included.
    Range(u64, u64),
    /// The block with this hash, whatever its number.
    Hash(B256),
}

impl Blocks {
    /// How many there are.
    pub(super) fn count(self) -> u64 {
        match self {
            Self::Range(from, to) => to - from + 1,
            Self::Hash(_) => 1,
        }
    }
}

/// One call for logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// Where to look.
    pub blocks: Blocks,
    /// What to look for.
    pub part: Arc<FilterPart>,
}

/// The addresses and topics of one call; a filter has one or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterPart {
    /// Any of these emitters; empty: any.
    pub addresses: Vec<Address>,
    /// Any of these first topics; empty: any.
    pub topic0: Vec<B256>,
    /// Any of these second topics; empty: any.
    pub topic1: Vec<B256>,
}

impl LogQuery {
    /// The parameters of `eth_getLogs`.
    pub fn params(&self) -> Value {
        let mut filter = serde_json::Map::new();
        match self.blocks {
            Blocks::Range(from, to) => {
                filter.insert("fromBlock".into(), format!("{from:#x}").into());
                filter.insert("toBlock".into(), format!("{to:#x}").into());
            }
            Blocks::Hash(hash) => {
                filter.insert("blockHash".into(), json!(hash));
            }
        }
        if !self.part.addresses.is_empty() {
            filter.insert("address".into(), json!(self.part.addresses));
        }
        let topics = [&self.part.topic0, &self.part.topic1];
        let position = |topics: &&Vec<B256>| match topics.is_empty() {
            true => Value::Null,
            false => json!(topics),
        };
        if let Some(last) = topics.iter().rposition(|topics| !topics.is_empty()) {
            let topics = topics[..=last].iter().map(position).collect();
            filter.insert("topics".into(), topics);
        }
        json!([filter])
    }
}

/// Everything that is asked for about some blocks, and the contracts whose logs are picked from the answers.
#[derive(Clone, Debug)]
pub struct LogFilter {
    watched: Arc<Watched>,
    modules: Vec<Address>,
    parts: Vec<Arc<FilterPart>>,
    /// Hashes of what a block's bloom must hold one of.
    bloom: Vec<B256>,
}

impl LogFilter {
    /// All logs of the modules and processors, unknown topics included; with very many modules, all logs with known topics.
    pub fn combined(
        layouts: Arc<Layouts>,
        modules: Vec<Address>,
        processors: Vec<Address>,
    ) -> Self {
        let parts = match modules.len() > MOST_MODULES_BY_ADDRESS {
            true => vec![FilterPart {
                topic0: layouts.topics().to_vec(),
                ..FilterPart::default()
            }],
            false => by_address(&[modules.as_slice(), &processors].concat()),
        };
        let addresses = modules.iter().chain(&processors);
        Self {
            bloom: addresses.map(keccak256).collect(),
            watched: Arc::new(Watched::new(layouts, modules.iter().copied(), processors)),
            modules,
            parts: parts.into_iter().map(Arc::new).collect(),
        }
    }

    /// The same, but processors' logs only about these modules: for a processor that serves many other merchants.
    pub fn separate(&self) -> Self {
        if self.modules.len() > MOST_MODULES_BY_ADDRESS {
            return self.clone();
        }
        let mut parts = by_address(&self.modules);
        for chunk in self.modules.chunks(ADDRESSES_PER_CALL) {
            parts.push(FilterPart {
                addresses: self.watched.processors().to_vec(),
                topic1: chunk.iter().map(|module| module.into_word()).collect(),
                ..FilterPart::default()
            });
        }
        Self {
            parts: parts.into_iter().map(Arc::new).collect(),
            ..self.clone()
        }
    }

    /// What is asked for instead of a part that cannot be halved and is too much all the same: of everybody's logs, those of the
    /// modules and processors; of a processor's, those about these modules, as in [`Self::separate`]; of a module's, those with
    /// known topics. Empty where that asks for no less.
    pub fn narrowed(&self, part: &FilterPart) -> Vec<FilterPart> {
        let modules = &self.modules;
        let is_processor = |address: &Address| {
            // A module may name a module, whose own logs have no module as their first field.
            self.asks_for_processor(address) && !self.watched.is_module(address)
        };
        match part.addresses.as_slice() {
            [] => {
                let watched = [modules.as_slice(), self.watched.processors()].concat();
                let mut parts = by_address(&watched);
                for one in &mut parts {
                    one.topic0.clone_from(&part.topic0);
                }
                parts
            }
            addresses if part.topic1.is_empty() && addresses.iter().all(is_processor) => {
                vec![FilterPart {
                    topic1: modules.iter().map(|module| module.into_word()).collect(),
                    ..part.clone()
                }]
            }
            [_module] if part.topic0.is_empty() && part.topic1.is_empty() => vec![FilterPart {
                topic0: self.watched.layouts().topics().to_vec(),
                ..part.clone()
            }],
            _ => Vec::new(),
        }
    }

    /// The module whose own logs a part asks for, where it asks for no other's. What a processor says of a module is not the
    /// module's doing: any contract may be named as one, and say anything of anybody.
    pub fn only_module(&self, part: &FilterPart) -> Option<ModuleAddress> {
        match part.addresses.as_slice() {
            [address] if self.watched.is_module(address) => Some(ModuleAddress(*address)),
            _ => None,
        }
    }

    /// The contracts whose logs are picked from the answers.
    pub fn watched(&self) -> &Arc<Watched> {
        &self.watched
    }

    /// Whether this processor's logs are asked for.
    pub fn asks_for_processor(&self, address: &Address) -> bool {
        self.watched.processors().contains(address)
    }

    /// The calls that together read the blocks.
    pub fn queries(&self, blocks: Blocks) -> impl Iterator<Item = LogQuery> + use<> {
        self.parts
            .clone()
            .into_iter()
            .map(move |part| LogQuery { blocks, part })
    }

    /// Whether a block with this bloom can hold a log of a watched address. Near-full blooms (Base) exclude nothing.
    pub fn may_be_in(&self, bloom: &Bloom) -> bool {
        self.bloom
            .iter()
            .any(|hash| bloom.contains_input(BloomInput::Hash(*hash)))
    }
}

fn by_address(addresses: &[Address]) -> Vec<FilterPart> {
    addresses
        .chunks(ADDRESSES_PER_CALL)
        .map(|chunk| FilterPart {
            addresses: chunk.to_vec(),
            ..FilterPart::default()
        })
        .collect()
}

impl FilterPart {
    /// Two parts that together ask for the same: by address, else by first, else by second topic. `None`: nothing to split.
    pub fn halves(&self) -> Option<(Self, Self)> {
        fn half<T>(list: &mut Vec<T>) -> Option<Vec<T>> {
            (list.len() > 1).then(|| list.split_off(list.len() / 2))
        }
        let (mut left, mut right) = (self.clone(), self.clone());
        if let Some(half) = half(&mut left.addresses) {
            right.addresses = half;
        } else if let Some(half) = half(&mut left.topic0) {
            right.topic0 = half;
        } else {
            right.topic1 = half(&mut left.topic1)?;
        }
        Some((left, right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(count: usize) -> Vec<Address> {
        (1..=count)
            .map(|n| Address::left_padding_from(&n.to_be_bytes()))
            .collect()
    }

    fn calls(modules: usize) -> Vec<LogQuery> {
        let processor = vec![Address::repeat_byte(0xaa)];
        let filter = LogFilter::combined(Layouts::built_in(), addresses(modules), processor);
        filter.queries(Blocks::Range(1, 2)).collect()
    }

    #[test]
    fn many_modules_are_asked_for_by_topic_in_one_call() {
        let few = calls(MOST_MODULES_BY_ADDRESS);
        assert_eq!(few.len(), 1);
        assert_eq!(few[0].part.addresses.len(), MOST_MODULES_BY_ADDRESS + 1);
        let many = calls(10_000);
        assert_eq!(many.len(), 1);
        assert!(many[0].part.addresses.is_empty() && !many[0].part.topic0.is_empty());
        assert_eq!(many[0].params()[0].get("address"), None);
    }

    #[test]
    fn a_bloom_excludes_blocks_without_our_addresses() {
        let modules = addresses(3);
        let filter = LogFilter::combined(Layouts::built_in(), modules.clone(), Vec::new());
        let mut bloom = Bloom::ZERO;
        bloom.accrue_raw_log(Address::repeat_byte(0xbb), &[]);
        assert!(!filter.may_be_in(&bloom));
        bloom.accrue_raw_log(modules[1], &[]);
        assert!(filter.may_be_in(&bloom));
        assert!(filter.may_be_in(&Bloom::repeat_byte(0xff)));
    }

    #[test]
    fn a_processor_that_alone_is_too_much_is_asked_about_the_modules_and_those_can_be_halved() {
        let (modules, processor) = (addresses(3), Address::repeat_byte(9));
        let filter = LogFilter::combined(Layouts::built_in(), modules.clone(), vec![processor]);
        let part = |addresses: Vec<Address>| FilterPart {
            addresses,
            ..FilterPart::default()
        };
        assert_eq!(part(vec![processor]).halves(), None);
        let narrowed = filter.narrowed(&part(vec![processor]));
        assert_eq!(narrowed[0].topic1.len(), 3);
        assert!(narrowed[0].halves().is_some());
        assert_eq!(filter.narrowed(&narrowed[0]), []);
        assert_eq!(filter.narrowed(&part(modules)), []);
    }

    #[test]
    fn a_module_that_alone_is_too_much_is_asked_for_what_is_known_and_a_topic_for_what_is_watched()
    {
        let layouts = Layouts::built_in();
        let (modules, processor) = (addresses(3), Address::repeat_byte(9));
        let filter = LogFilter::combined(layouts.clone(), modules.clone(), vec![processor]);
        let module = FilterPart {
            addresses: vec![modules[0]],
            ..FilterPart::default()
        };
        let narrowed = filter.narrowed(&module);
        assert_eq!(narrowed[0].topic0, layouts.topics());
        assert!(narrowed[0].halves().is_some());
        assert_eq!(filter.narrowed(&narrowed[0]), []);
        let topic = FilterPart {
            topic0: vec![layouts.topics()[0]],
            ..FilterPart::default()
        };
        let narrowed = filter.narrowed(&topic);
        assert_eq!(narrowed[0].addresses.len(), 4);
        assert_eq!(narrowed[0].topic0, topic.topic0);
    }

    #[test]
    fn a_module_answers_for_its_own_logs_alone() {
        let (modules, processor) = (addresses(2), Address::repeat_byte(9));
        let filter = LogFilter::combined(Layouts::built_in(), modules.clone(), vec![processor]);
        let own = FilterPart {
            addresses: vec![modules[0]],
            topic0: vec![B256::repeat_byte(1)],
            ..FilterPart::default()
        };
        assert_eq!(filter.only_module(&own), Some(ModuleAddress(modules[0])));
        let said_of_it = FilterPart {
            addresses: vec![processor],
            topic1: vec![modules[0].into_word()],
            ..FilterPart::default()
        };
        let everybodys = FilterPart {
            topic0: own.topic0.clone(),
            ..FilterPart::default()
        };
        for part in [said_of_it, everybodys] {
            assert_eq!(filter.only_module(&part), None);
        }
    }

    #[test]
    fn halves_together_ask_for_the_same() {
        let part = FilterPart {
            addresses: addresses(3),
            topic0: vec![B256::repeat_byte(1)],
            topic1: vec![B256::repeat_byte(2), B256::repeat_byte(3)],
        };
        let (left, right) = part.halves().unwrap();
        assert_eq!(
            [left.addresses.clone(), right.addresses].concat(),
            part.addresses
        );
        assert_eq!((&left.topic0, &left.topic1), (&part.topic0, &part.topic1));
        let (left, right) = left.halves().unwrap();
        assert_eq!(left.topic1.len() + right.topic1.len(), 2);
        assert_eq!(left.halves(), None);
    }
}
