//! The events of one transaction, found by the block that it is said to be in.

use std::collections::BTreeSet;

use alloy::primitives::B256;
use redb::ReadableDatabase as _;

use super::Store;
use super::codec::{split_event_key, unpack};
use super::rollback::keys_of;
use super::tables::{BATCHES, EVENTS};
use crate::domain::{ChainEvent, ModuleAddress};

/// Batches that are looked at from the block on: a payment that a member waits for is in one of the newest.
const MOST_BATCHES: usize = 512;

impl Store {
    /// The stored events of these modules that this transaction emitted, in chain order, where it lies in `block`. `None` when
    /// that cannot be told cheaply: the block was stored together with too many others, or long ago.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn events_of_transaction(
        &self,
        transaction_hash: B256,
        block: u64,
        modules: &BTreeSet<ModuleAddress>,
    ) -> anyhow::Result<Option<Vec<ChainEvent>>> {
        let transaction = self.database.begin_read()?;
        let batches = transaction.open_table(BATCHES)?;
        let events = transaction.open_table(EVENTS)?;
        let mut looked_at = 0;
        for batch in batches.range((block, 0)..)? {
            let list = batch?.1;
            looked_at += 1;
            if list.value().is_empty() || looked_at > MOST_BATCHES {
                return Ok(None);
            }
            let mut found = Vec::new();
            for key in keys_of(list.value()) {
                let key = key?;
                let (module, subject) = split_event_key(key)?;
                if !modules.contains(&module) {
                    continue;
                }
                let Some(row) = events.get(key)? else {
                    continue;
                };
                let row = unpack(module, &subject, row.value())?;
                found.extend(
                    row.into_iter()
                        .filter(|event| event.transaction == transaction_hash),
                );
            }
            if !found.is_empty() {
                found.sort_by_key(|event| event.position);
                return Ok(Some(found));
            }
        }
        Ok(Some(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        Batch, Checkpoint, Coverage, EventKind, PlanId, Position, SubscriptionId, Timestamp, Wallet,
    };

    const OURS: ModuleAddress = ModuleAddress(alloy::primitives::Address::repeat_byte(1));
    const OTHER: ModuleAddress = ModuleAddress(alloy::primitives::Address::repeat_byte(2));

    fn created(module: ModuleAddress, block: u64, log_index: u32, transaction: u8) -> ChainEvent {
        ChainEvent {
            module,
            position: Position { block, log_index },
            transaction: B256::repeat_byte(transaction),
            timestamp: None,
            kind: EventKind::SubscriptionCreated {
                subscription: SubscriptionId::from(block * 10 + u64::from(log_index)),
                subscriber: Wallet([9; 20].into()),
                plan: PlanId::from(1),
                execution_budget: Default::default(),
                allowance_expiry: Default::default(),
            },
        }
    }

    fn store(batches: Vec<Vec<ChainEvent>>) -> Store {
        let store = Store::in_memory().unwrap();
        for (number, events) in (10..).zip(batches) {
            let to = Checkpoint {
                number,
                hash: B256::ZERO,
                timestamp: Timestamp(number),
            };
            let coverage = Coverage::Cursor {
                joined: Vec::new(),
                left: Vec::new(),
            };
            let batch = Batch {
                events,
                headers: vec![to],
                ..Batch::new(to, coverage)
            };
            store.ingest(batch).unwrap();
        }
        store
    }

    #[test]
    fn the_events_of_a_transaction_are_found_by_its_block_and_no_one_elses() {
        let (mine, next) = (created(OURS, 10, 0, 7), created(OURS, 11, 0, 8));
        let (same, foreign) = (created(OURS, 10, 1, 6), created(OTHER, 10, 2, 7));
        let store = store(vec![vec![mine.clone(), same, foreign], vec![next]]);
        let found = |transaction, block| {
            let hash = B256::repeat_byte(transaction);
            store
                .events_of_transaction(hash, block, &[OURS].into())
                .unwrap()
        };
        assert_eq!(found(7, 10), Some(vec![mine]));
        assert_eq!(found(5, 10), Some(Vec::new()));
        assert_eq!(
            found(7, 11),
            Some(Vec::new()),
            "it is looked for above its block alone"
        );
    }
}
