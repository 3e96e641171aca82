//! Events that were found late: a node had not served them when their blocks were read.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use redb::{ReadableDatabase as _, ReadableTable};

use super::codec::{module_bounds, read, split_event_key, unpack};
use super::ingest::{
    BySubject, Rows, add_subscriptions_to, append_events, events_of, fold_changes,
};
use super::rollback::{Stale, keys_of};
use super::tables::{BATCHES, EVENTS, META, META_CURSOR, MODULES};
use super::touched::Touched;
use super::{Store, runs};
use crate::domain::{ChainEvent, Checkpoint, EventKind, ModuleAddress, ModuleRecord, Subject};

impl Store {
    /// Those of the events that are not stored, compared by module, subject and position; each once.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn missing(&self, events: &[ChainEvent]) -> anyhow::Result<Vec<ChainEvent>> {
        let transaction = self.database.begin_read()?;
        missing_in(&transaction.open_table(EVENTS)?, events)
    }

    /// Stores those of the events that are missing, and folds what they are about again from all of its events. Returns how
    /// many were added.
    ///
    /// # Errors
    /// When an event lies above what is stored of its module, or changes the module's processor, after which other logs
    /// count: the follower has to go back and read again. When the file cannot be written or is damaged. Nothing has
    /// changed then.
    pub fn mend(&self, events: &[ChainEvent]) -> anyhow::Result<usize> {
        let mut touched = Touched::default();
        let transaction = self.database.begin_write()?;
        runs::merge(&transaction)?;
        let late = missing_in(&transaction.open_table(EVENTS)?, events)?;
        if late.is_empty() {
            return Ok(0);
        }
        check(
            &late,
            read(transaction.open_table(META)?.get(META_CURSOR)?)?,
            &transaction.open_table(MODULES)?,
        )?;
        append_events(&transaction, &BySubject::of(&late), Rows::Own)?;
        let mut stale = Stale::default();
        let mut plans = BTreeSet::new();
        for event in &late {
            stale.insert(event.module, event.subject());
            if let Subject::Plan(plan) = event.subject() {
                plans.insert((event.module, plan));
            }
        }
        add_subscriptions_to(&transaction, &plans, &mut stale)?;
        let none = BySubject::of(&[]);
        fold_changes(&transaction, &self.rules, stale, &none, &mut touched)?;
        transaction.commit()?;
        self.touched.put(touched);
        Ok(late.len())
    }

    /// The stored events above `block`, in chain order. Reads the rows that the batches since then brought; all rows where a
    /// batch was too large to be listed, or where `block` is so old that the lists are gone.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn events_after(&self, block: u64) -> anyhow::Result<Vec<ChainEvent>> {
        let transaction = self.database.begin_read()?;
        let rows = transaction.open_table(EVENTS)?;
        let mut after = Vec::new();
        let mut take = |key: &[u8], row: &[u8]| {
            let (module, subject) = split_event_key(key)?;
            let events = unpack(module, &subject, row)?.into_iter();
            after.extend(events.filter(|event| event.position.block > block));
            anyhow::Ok(())
        };
        let mut keys = BTreeSet::new();
        let mut listed = true;
        for batch in transaction
            .open_table(BATCHES)?
            .range((block.saturating_add(1), 0)..)?
        {
            let (_, list) = batch?;
            listed &= !list.value().is_empty();
            for key in keys_of(list.value()) {
                keys.insert(key?.to_vec());
            }
        }
        if listed {
            for key in keys {
                if let Some(row) = rows.get(key.as_slice())? {
                    take(&key, row.value())?;
                }
            }
        } else {
            for row in rows.iter()? {
                let (key, row) = row?;
                take(key.value(), row.value())?;
            }
        }
        after.sort_by_key(|event| (event.position, event.module));
        Ok(after)
    }

    /// Whether any event of the module is stored.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn has_events(&self, module: ModuleAddress) -> anyhow::Result<bool> {
        let transaction = self.database.begin_read()?;
        let (first, end) = module_bounds(module);
        let rows = transaction.open_table(EVENTS)?;
        let has = rows
            .range(first.as_slice()..end.as_slice())?
            .next()
            .is_some();
        Ok(has)
    }
}

fn missing_in(
    rows: &impl ReadableTable<&'static [u8], &'static [u8]>,
    events: &[ChainEvent],
) -> anyhow::Result<Vec<ChainEvent>> {
    let mut by_subject = BTreeMap::<_, BTreeMap<_, _>>::new();
    for event in events {
        by_subject
            .entry((event.module, event.subject()))
            .or_default()
            .insert(event.position, event);
    }
    let mut missing = Vec::new();
    for ((module, subject), mut events) in by_subject {
        for stored in events_of(rows, module, &subject)? {
            events.remove(&stored.position);
        }
        missing.extend(events.into_values().cloned());
    }
    missing.sort_by_key(|event| event.position);
    Ok(missing)
}

/// Whether the events may be stored without reading anything again.
fn check(
    late: &[ChainEvent],
    cursor: Option<Checkpoint>,
    modules: &impl ReadableTable<&'static [u8; 20], &'static [u8]>,
) -> anyhow::Result<()> {
    let cursor = cursor.map(|cursor| cursor.number);
    for event in late {
        ensure!(
            !matches!(event.kind, EventKind::PaymentProcessorUpdated { .. }),
            "a late event of block {} changes the payment processor of {}",
            event.position.block,
            event.module
        );
        let record: Option<ModuleRecord> = read(modules.get(&event.module.0.0.0)?)?;
        let synced_to = record.and_then(|record| record.synced_to(cursor));
        ensure!(
            synced_to.is_some_and(|to| event.position.block <= to),
            "a late event of block {} lies above what is stored of {}",
            event.position.block,
            event.module
        );
    }
    Ok(())
}
