//! Makes everything that is derived from the stored events again, some subjects at a time, so that the service goes on
//! beside it: each step leaves right states behind, whatever came before it.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::Address;
use redb::{ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _};

use super::Store;
use super::codec::{KnownPlan, decode, split_event_key, split_scoped_key, unpack};
use super::ingest::{Folds, events_of};
use super::tables::{BLOCKED, EVENTS, ORPHANS, PLANS, PLANS_READ, SUBSCRIPTIONS};
use super::touched::Touched;
use crate::domain::{
    ChainEvent, ModuleAddress, PlanId, Subject, Subscription, SubscriptionId, Wallet,
};

/// Subjects that are folded in one transaction: a few milliseconds for which other writers wait.
const SUBJECTS_AT_ONCE: usize = 500;

/// What [`Store::rebuild`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Plans, subscriptions and blocked subscribers that were folded again.
    pub subjects: u64,
    /// How many of them were not what the events say. 0 in a store that is whole.
    pub changed: u64,
}

/// Subjects with all their events.
type Subjects = Vec<(ModuleAddress, Subject, Vec<ChainEvent>)>;

impl Store {
    /// Folds every subject from its stored events again, and removes states that have none. `progress` hears of the rows of
    /// events that are done and of all that there are.
    ///
    /// # Errors
    /// When the file cannot be read or written, or an event is damaged.
    pub fn rebuild(&self, mut progress: impl FnMut(u64, u64)) -> anyhow::Result<Rebuilt> {
        let rows = self.event_rows()?;
        let mut rebuilt = Rebuilt::default();
        let (mut from, mut done) = (Some(Vec::new()), 0);
        while let Some(key) = from {
            let (next, read, step) = self.rebuild_from(&key)?;
            rebuilt.subjects += step.subjects;
            rebuilt.changed += step.changed;
            done += read;
            progress(done.min(rows), rows);
            from = next;
        }
        let without_events = self.without_events()?;
        for subjects in without_events.chunks(SUBJECTS_AT_ONCE) {
            rebuilt.changed += self.fold_again(subjects)?;
        }
        rebuilt.changed += self.count_orphans_again()?;
        Ok(rebuilt)
    }

    fn event_rows(&self) -> anyhow::Result<u64> {
        let transaction = self.database.begin_read()?;
        Ok(transaction.open_table(EVENTS)?.len()?)
    }

    /// Folds the next subjects, from this key of `EVENTS` on. The key to go on with, and how many rows were read.
    fn rebuild_from(&self, from: &[u8]) -> anyhow::Result<(Option<Vec<u8>>, u64, Rebuilt)> {
        let transaction = self.database.begin_write()?;
        let (mut subjects, mut next, mut rows) = (Subjects::new(), None, 0);
        {
            let events = transaction.open_table(EVENTS)?;
            for row in events.range(from..)? {
                let (key, value) = row?;
                let (module, subject) = split_event_key(key.value())?;
                let mut of_row = unpack(module, &subject, value.value())?;
                let is_full = subjects.len() == SUBJECTS_AT_ONCE;
                match subjects.last_mut() {
                    Some(last) if (last.0, last.1) == (module, subject) => {
                        last.2.append(&mut of_row);
                    }
                    _ if is_full => {
                        next = Some(key.value().to_vec());
                        break;
                    }
                    _ => subjects.push((module, subject, of_row)),
                }
                rows += 1;
            }
        }
        let mut touched = Touched::default();
        let mut folds = Folds::open(&transaction, &self.rules, &mut touched)?;
        for (module, subject, events) in &mut subjects {
            events.sort_by_key(|event| event.position);
            folds.apply(*module, subject, true, events.iter())?;
        }
        let changed = folds.finish(&transaction)?;
        if changed > 0 {
            transaction.commit()?;
            self.touched.put(touched);
        }
        let step = Rebuilt {
            subjects: subjects.len() as u64,
            changed,
        };
        Ok((next, rows, step))
    }

    /// Subjects with a state and without an event, and the plans that were read with `getPlan`.
    fn without_events(&self) -> anyhow::Result<Vec<(ModuleAddress, Subject)>> {
        let transaction = self.database.begin_read()?;
        let events = transaction.open_table(EVENTS)?;
        let mut found = Vec::new();
        let mut look_at = |module, subject| -> anyhow::Result<()> {
            let prefix = super::codec::subject_prefix(module, &subject);
            let first = events.range(prefix.as_slice()..)?.next().transpose()?;
            if first.is_none_or(|(key, _)| !key.value().starts_with(&prefix)) {
                found.push((module, subject));
            }
            Ok(())
        };
        for table in [PLANS, PLANS_READ] {
            for row in transaction.open_table(table)?.iter()? {
                let (module, id) = split_scoped_key(row?.0.value());
                look_at(module, Subject::Plan(PlanId(id)))?;
            }
        }
        for row in transaction.open_table(SUBSCRIPTIONS)?.iter()? {
            let (module, id) = split_scoped_key(row?.0.value());
            look_at(module, Subject::Subscription(SubscriptionId(id)))?;
        }
        for row in transaction.open_table(BLOCKED)?.iter()? {
            let (key, _) = row?;
            let (module, wallet) = key.value();
            let wallet = Wallet(Address::from(*wallet));
            look_at(
                ModuleAddress(Address::from(*module)),
                Subject::Subscriber(wallet),
            )?;
        }
        Ok(found)
    }

    /// Folds these subjects from whatever events they have by now; how many were others.
    fn fold_again(&self, subjects: &[(ModuleAddress, Subject)]) -> anyhow::Result<u64> {
        let mut touched = Touched::default();
        let transaction = self.database.begin_write()?;
        let changed = {
            let events = transaction.open_table(EVENTS)?;
            let mut folds = Folds::open(&transaction, &self.rules, &mut touched)?;
            for (module, subject) in subjects {
                let all = events_of(&events, *module, subject)?;
                folds.apply(*module, subject, true, all.iter())?;
            }
            folds.finish(&transaction)?
        };
        if changed > 0 {
            transaction.commit()?;
            self.touched.put(touched);
        }
        Ok(changed)
    }

    /// Counts the orphans of each module again; of how many modules another number was stored.
    fn count_orphans_again(&self) -> anyhow::Result<u64> {
        let transaction = self.database.begin_write()?;
        let mut wrong = 0;
        {
            let mut counts = BTreeMap::<[u8; 20], u64>::new();
            let mut count = |module: ModuleAddress| *counts.entry(module.0.0.0).or_default() += 1;
            for row in transaction.open_table(SUBSCRIPTIONS)?.iter()? {
                let (key, value) = row?;
                let state: Subscription = decode(value.value())?;
                if state.subscriber.is_none() {
                    count(split_scoped_key(key.value()).0);
                }
            }
            for row in transaction.open_table(PLANS)?.iter()? {
                let (key, value) = row?;
                if !decode::<KnownPlan>(value.value())?.created {
                    count(split_scoped_key(key.value()).0);
                }
            }
            let mut stored = transaction.open_table(ORPHANS)?;
            let mut before = BTreeMap::new();
            for row in stored.iter()? {
                let (key, value) = row?;
                before.insert(*key.value(), value.value());
            }
            let modules: BTreeSet<_> = before.keys().chain(counts.keys()).copied().collect();
            for module in modules {
                let count = counts.get(&module).copied();
                if before.get(&module).copied() == count {
                    continue;
                }
                wrong += 1;
                match count {
                    None => stored.remove(&module)?,
                    Some(count) => stored.insert(&module, count)?,
                };
            }
        }
        if wrong > 0 {
            transaction.commit()?;
        }
        Ok(wrong)
    }

    /// Forgets what was read of every module, to read it again from its first block.
    ///
    /// # Errors
    /// When the file cannot be written or is damaged.
    pub fn reset_modules(&self) -> anyhow::Result<()> {
        for (module, record) in self.modules()? {
            self.reset_module(module, record.start_block, record.initial_processor)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
