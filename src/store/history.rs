//! What a module's subscriptions went through, for numbers over time.

use redb::ReadableDatabase as _;

use super::Store;
use super::codec::{module_bounds, split_event_key, unpack};
use super::tables::{EVENTS, HEADERS};
use crate::domain::{ChainEvent, ModuleAddress, Subject, SubscriptionId, Timestamp};

impl Store {
    /// Hands the events of each subscription of a module to `each`, in chain order.
    pub fn for_each_history(
        &self,
        module: ModuleAddress,
        mut each: impl FnMut(SubscriptionId, &[ChainEvent]),
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(EVENTS)?;
        let (first, end) = module_bounds(module);
        let mut current: Option<SubscriptionId> = None;
        let mut events = Vec::new();
        for row in table.range::<&[u8]>(first.as_slice()..end.as_slice())? {
            let (key, value) = row?;
            let (_, subject) = split_event_key(key.value())?;
            let Subject::Subscription(id) = subject else {
                continue;
            };
            if current != Some(id) {
                if let Some(current) = current {
                    each(current, in_order(&mut events));
                }
                current = Some(id);
                events.clear();
            }
            events.extend(unpack(module, &subject, value.value())?);
        }
        if let Some(current) = current {
            each(current, in_order(&mut events));
        }
        Ok(())
    }

    /// The numbers and times of the stored blocks from `since` on, and of the one before: dense near the tip, some in every
    /// thousand further back.
    pub fn block_times(&self, since: Timestamp) -> anyhow::Result<Vec<(u64, Timestamp)>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(HEADERS)?;
        let mut times = Vec::new();
        for row in table.range::<u64>(..)?.rev() {
            let (number, header) = row?;
            let time = Timestamp(header.value().1);
            times.push((number.value(), time));
            if time < since {
                break;
            }
        }
        times.reverse();
        Ok(times)
    }
}

/// What was found late stands in rows of its own.
fn in_order(events: &mut [ChainEvent]) -> &[ChainEvent] {
    events.sort_unstable_by_key(|event| event.position);
    events
}
