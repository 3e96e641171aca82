//! Which logs to ask for, and the `eth_getLogs` calls that ask for them.

use std::sync::Arc;

use alloy::primitives::{Address, B256};
use serde_json::{Value, json};

/// Most addresses (or topics at one position) in one call; geth's default limit is 1,000.
const ADDRESSES_PER_CALL: usize = 500;

/// The blocks of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// From the first to the last number, both included.
    Range(u64, u64),
    /// The block with this hash, whatever its number.
    Hash(B256),
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterPart {
    /// Any of these emitters.
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
        filter.insert("address".into(), json!(self.part.addresses));
        let position = |topics: &Vec<B256>| match topics.is_empty() {
            true => Value::Null,
            false => json!(topics),
        };
        let topics = match (&self.part.topic0, &self.part.topic1) {
            (first, second) if !second.is_empty() => vec![position(first), position(second)],
            (first, _) if !first.is_empty() => vec![position(first)],
            _ => vec![],
        };
        if !topics.is_empty() {
            filter.insert("topics".into(), Value::Array(topics));
        }
        json!([filter])
    }

    /// The same question about other blocks.
    pub fn over(&self, from: u64, to: u64) -> Self {
        Self {
            blocks: Blocks::Range(from, to),
            ..self.clone()
        }
    }
}

/// Everything that is asked for about a range of blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    parts: Vec<Arc<FilterPart>>,
}

impl LogFilter {
    /// All logs of the modules and processors, whatever their topics, so that unknown topics are seen.
    pub fn combined(modules: &[Address], processors: &[Address]) -> Self {
        Self::of(addresses(&[modules, processors].concat()))
    }

    /// All logs of the modules, and of the processors those about the modules: for a processor that serves many other
    /// merchants, whose logs would outnumber ours.
    pub fn separate(modules: &[Address], processors: &[Address]) -> Self {
        let mut parts = addresses(modules);
        for chunk in modules.chunks(ADDRESSES_PER_CALL) {
            parts.push(FilterPart {
                addresses: processors.to_vec(),
                topic0: Vec::new(),
                topic1: chunk.iter().map(|module| module.into_word()).collect(),
            });
        }
        Self::of(parts)
    }

    fn of(parts: Vec<FilterPart>) -> Self {
        Self {
            parts: parts.into_iter().map(Arc::new).collect(),
        }
    }

    /// The calls that together read the blocks.
    pub fn queries(&self, blocks: Blocks) -> impl Iterator<Item = LogQuery> + use<> {
        self.parts
            .clone()
            .into_iter()
            .map(move |part| LogQuery { blocks, part })
    }
}

fn addresses(addresses: &[Address]) -> Vec<FilterPart> {
    addresses
        .chunks(ADDRESSES_PER_CALL)
        .map(|chunk| FilterPart {
            addresses: chunk.to_vec(),
            topic0: Vec::new(),
            topic1: Vec::new(),
        })
        .collect()
}

impl FilterPart {
    /// Two parts that together ask for the same, or `None` when nothing is left to split: by address, else by second
    /// topic.
    pub fn halves(&self) -> Option<(Self, Self)> {
        let halve = |list: &Vec<_>| {
            (list.len() > 1).then(|| {
                let (left, right) = list.split_at(list.len() / 2);
                (left.to_vec(), right.to_vec())
            })
        };
        if self.addresses.len() > 1 {
            let (left, right) = self.addresses.split_at(self.addresses.len() / 2);
            return Some((
                Self {
                    addresses: left.to_vec(),
                    ..self.clone()
                },
                Self {
                    addresses: right.to_vec(),
                    ..self.clone()
                },
            ));
        }
        if let Some((left, right)) = halve(&self.topic0) {
            return Some((
                Self {
                    topic0: left,
                    ..self.clone()
                },
                Self {
                    topic0: right,
                    ..self.clone()
                },
            ));
        }
        let (left, right) = halve(&self.topic1)?;
        Some((
            Self {
                topic1: left,
                ..self.clone()
            },
            Self {
                topic1: right,
                ..self.clone()
            },
        ))
    }
}
