//! Logs of followed contracts that cannot be read: warned of once per address and topic, with what to do.

use std::collections::BTreeSet;
use std::sync::Arc;

use alloy::primitives::{Address, B256};
use tracing::warn;

use crate::abi::Layouts;
use crate::domain::UnknownLogs;

/// A contract can make up any number of topics; after so many warnings the counters alone tell the rest.
const MOST_WARNINGS: usize = 200;

/// What has been warned of since the start.
#[derive(Debug)]
pub(crate) struct UnknownWarnings {
    layouts: Arc<Layouts>,
    warned: BTreeSet<(Address, B256)>,
}

impl UnknownWarnings {
    /// Nothing so far.
    pub(crate) fn new(layouts: Arc<Layouts>) -> Self {
        Self {
            layouts,
            warned: BTreeSet::new(),
        }
    }

    /// Warns of those that are new.
    pub(crate) fn warn(&mut self, unknown: &[UnknownLogs]) {
        for logs in self.new_among(unknown) {
            let explanation = self.layouts.explain(&logs.topic);
            warn!(address = %logs.address, topic = %logs.topic, "a followed contract's logs cannot be read: {explanation}");
        }
    }

    fn new_among(&mut self, unknown: &[UnknownLogs]) -> Vec<UnknownLogs> {
        let is_new = |logs: &&UnknownLogs| {
            self.warned.len() < MOST_WARNINGS && self.warned.insert((logs.address, logs.topic))
        };
        unknown.iter().filter(is_new).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_and_topic_is_warned_of_once_and_a_flood_ends() {
        let logs = |address: u8, topic: u8| UnknownLogs {
            address: Address::repeat_byte(address),
            topic: B256::repeat_byte(topic),
            count: 1,
        };
        let mut warnings = UnknownWarnings::new(Layouts::built_in());
        let first = [logs(1, 1), logs(1, 2), logs(1, 1)];
        assert_eq!(warnings.new_among(&first), first[..2]);
        assert_eq!(warnings.new_among(&[logs(1, 2), logs(2, 2)]), [logs(2, 2)]);
        let flood: Vec<_> = (0..=255).map(|topic| logs(3, topic)).collect();
        assert_eq!(warnings.new_among(&flood).len(), MOST_WARNINGS - 3);
    }
}
