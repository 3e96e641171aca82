//! The one transaction in which the chain's events, their folds, the cursor and the block hashes move together.

mod by_subject;
mod folds;

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::Address;
use redb::{ReadableTable, WriteTransaction};

use super::Store;
use super::codec::{decode, encode, event_key, pack, scoped_key, split_scoped_key};
use super::rollback;
use super::tables::{
    BATCHES, EVENTS, HEADERS, META, META_CURSOR, META_UNSURE, MODULES, PLANS_READ, SUBSCRIPTIONS,
    UNKNOWN_LOGS,
};
use super::touched::Touched;
use crate::domain::{
    Batch, Checkpoint, EventKind, ModuleAddress, ModuleRecord, Plan, PlanId, Subject, Subscription,
    SubscriptionId,
};
use by_subject::BySubject;
pub(super) use folds::events_of;
use folds::fold_subjects;

/// A batch that touches more subjects than this is not indexed row by row; rolling it back looks at all rows.
const MOST_INDEXED_ROWS: usize = 2_000;

/// From so many events on, a second thread is worth its start.
const WORTH_TWO_THREADS: usize = 10_000;

/// Hashes of this many newest blocks are all kept; of older ones those at batch ends and every 256th.
const DENSE_HEADERS: u64 = 4_096;

impl Store {
    /// Stores what the follower read, in one durable transaction; either all of it is visible afterwards or nothing.
    ///
    /// # Errors
    /// When the file cannot be written or is damaged. Nothing has changed then.
    pub fn ingest(&self, batch: Batch) -> anyhow::Result<()> {
        let mut touched = Touched::default();
        let transaction = self.database.begin_write()?;
        let mut stale = match batch.rollback_to {
            Some(fork) => rollback::roll_back(&transaction, fork)?,
            None => rollback::Stale::new(),
        };
        store_modules(&transaction, &batch, &mut touched)?;
        store_plans_read(&transaction, &batch, &mut stale)?;
        let groups = BySubject::of(&batch.events);
        // Folding anew reads the rows.
        let apart = stale.is_empty() && batch.events.len() >= WORTH_TWO_THREADS;
        let append = || append_events(&transaction, &groups);
        let fold = |touched| fold_subjects(&transaction, stale, &groups, touched);
        if apart {
            // Rows and states are different tables, which redb lets two threads write.
            std::thread::scope(|scope| {
                let appended = scope.spawn(append);
                fold(&mut touched)?;
                appended
                    .join()
                    .map_err(|_| anyhow::anyhow!("appending events panicked"))?
            })?;
        } else {
            append()?;
            fold(&mut touched)?;
        }
        store_headers(&transaction, &batch)?;
        store_unknown(&transaction, &batch)?;
        store_place(&transaction, &batch)?;
        transaction.commit()?;
        self.touched.put(touched);
        Ok(())
    }
}

impl Store {
    /// Stores plans that could not be read when subscriptions first referred to them, and folds those anew: what a failed
    /// payment means depends on the terms.
    ///
    /// # Errors
    /// When the file cannot be written or is damaged. Nothing has changed then.
    pub fn learn_plans(&self, plans: &[(ModuleAddress, PlanId, Plan)]) -> anyhow::Result<()> {
        let mut touched = Touched::default();
        let transaction = self.database.begin_write()?;
        let mut stale = rollback::Stale::new();
        put_plans(&transaction, plans, &mut stale)?;
        for row in transaction.open_table(SUBSCRIPTIONS)?.iter()? {
            let (key, value) = row?;
            let (module, id) = split_scoped_key(key.value());
            let subscription: Subscription = decode(value.value())?;
            if let Some((_, plan)) = subscription.subscriber
                && stale.contains(&(module, Subject::Plan(plan)))
            {
                stale.insert((module, Subject::Subscription(SubscriptionId(id))));
            }
        }
        fold_subjects(&transaction, stale, &BySubject::of(&[]), &mut touched)?;
        transaction.commit()?;
        self.touched.put(touched);
        Ok(())
    }
}

fn store_modules(
    transaction: &WriteTransaction,
    batch: &Batch,
    touched: &mut Touched,
) -> anyhow::Result<()> {
    let cursor = transaction
        .open_table(META)?
        .get(META_CURSOR)?
        .map(|bytes| decode::<Checkpoint>(bytes.value()))
        .transpose()?
        .map(|cursor| cursor.number);
    let cursor_after = if batch.moves_cursor {
        Some(batch.to.number)
    } else {
        cursor
    };
    let mut table = transaction.open_table(MODULES)?;
    let mut records = BTreeMap::new();
    let mut changed = false;
    for module in &batch.modules {
        let record = table
            .get(&module.0.0.0)?
            .map(|bytes| decode::<ModuleRecord>(bytes.value()))
            .transpose()?;
        if let Some(mut record) = record {
            let before = record.is_complete(cursor);
            record.synced_to = Some(batch.to.number);
            changed |= before != record.is_complete(cursor_after);
            records.insert(*module, record);
        }
    }
    // A module that is not followed any more stays behind when the cursor moves on without it.
    if !changed && cursor_after != cursor {
        let before = complete_modules(&table, cursor)?;
        let after = complete_modules(&table, cursor_after)?;
        let mut left = before.difference(&after);
        changed = left.any(|module| !records.contains_key(module));
    }
    for event in &batch.events {
        if let EventKind::PaymentProcessorUpdated { current, .. } = event.kind
            && let Some(record) = records.get_mut(&event.module)
        {
            record.processor_updates.push((event.position, current));
        }
    }
    for (module, record) in records {
        table.insert(&module.0.0.0, encode(&record).as_slice())?;
    }
    if changed {
        touched.complete = Some(complete_modules(&table, cursor_after)?);
    }
    Ok(())
}

/// The modules of which every event up to `cursor` is stored.
pub(super) fn complete_modules(
    table: &impl ReadableTable<&'static [u8; 20], &'static [u8]>,
    cursor: Option<u64>,
) -> anyhow::Result<BTreeSet<ModuleAddress>> {
    let mut complete = BTreeSet::new();
    for row in table.iter()? {
        let (key, record) = row?;
        if decode::<ModuleRecord>(record.value())?.is_complete(cursor) {
            complete.insert(ModuleAddress(Address::from(*key.value())));
        }
    }
    Ok(complete)
}

fn store_plans_read(
    transaction: &WriteTransaction,
    batch: &Batch,
    stale: &mut rollback::Stale,
) -> anyhow::Result<()> {
    match batch.plans.is_empty() {
        true => Ok(()),
        false => put_plans(transaction, &batch.plans, stale),
    }
}

fn put_plans(
    transaction: &WriteTransaction,
    plans: &[(ModuleAddress, PlanId, Plan)],
    stale: &mut rollback::Stale,
) -> anyhow::Result<()> {
    let mut table = transaction.open_table(PLANS_READ)?;
    for (module, id, plan) in plans {
        table.insert(&scoped_key(*module, id.0), encode(plan).as_slice())?;
        stale.insert((*module, Subject::Plan(*id)));
    }
    Ok(())
}

/// Appends the events, one row per subject, and notes which rows the batch brought.
fn append_events(transaction: &WriteTransaction, groups: &BySubject<'_>) -> anyhow::Result<()> {
    let Some(newest) = groups.newest_block() else {
        return Ok(());
    };
    let mut table = transaction.open_table(EVENTS)?;
    let mut keys = Some(Vec::new());
    let mut rows = 0;
    let mut row = Vec::new();
    for group in groups.groups() {
        let first = group[0];
        let key = event_key(first.module, &first.subject(), first.position);
        row.clear();
        for event in group {
            row = pack(event, row);
        }
        table.insert(key.as_slice(), row.as_slice())?;
        rows += 1;
        if rows > MOST_INDEXED_ROWS {
            keys = None;
        }
        if let Some(keys) = &mut keys {
            rollback::push_key(keys, &key);
        }
    }
    let mut batches = transaction.open_table(BATCHES)?;
    rollback::note_batch(&mut batches, newest, &keys.unwrap_or_default())
}

fn store_headers(transaction: &WriteTransaction, batch: &Batch) -> anyhow::Result<()> {
    let mut table = transaction.open_table(HEADERS)?;
    for Checkpoint {
        number,
        hash,
        timestamp,
    } in batch.headers.iter().chain([&batch.to])
    {
        table.insert(*number, (&hash.0, timestamp.0))?;
    }
    // Thin out what has just left the dense window; the ends of backfill batches are sparse already and stay.
    if batch.moves_cursor && batch.headers.len() <= DENSE_HEADERS as usize {
        let end = batch.to.number.saturating_sub(DENSE_HEADERS);
        let start = end.saturating_sub(1 + batch.headers.len() as u64);
        table.retain_in(start..end, |number, _| number % 256 == 0)?;
    }
    Ok(())
}

fn store_place(transaction: &WriteTransaction, batch: &Batch) -> anyhow::Result<()> {
    let mut meta = transaction.open_table(META)?;
    if batch.moves_cursor {
        meta.insert(META_CURSOR, encode(&batch.to).as_slice())?;
    }
    if let Some(unsure) = &batch.unsure {
        meta.insert(META_UNSURE, encode(unsure).as_slice())?;
    }
    Ok(())
}

fn store_unknown(transaction: &WriteTransaction, batch: &Batch) -> anyhow::Result<()> {
    if batch.unknown.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(UNKNOWN_LOGS)?;
    for unknown in &batch.unknown {
        let key = (&unknown.address.0.0, &unknown.topic.0);
        let before = table.get(key)?.map_or(0, |count| count.value());
        table.insert(key, before.saturating_add(unknown.count))?;
    }
    Ok(())
}
