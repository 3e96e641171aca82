//! The one transaction in which the chain's events, their folds, the cursor and the block hashes move together.

mod by_subject;
mod folds;
mod place;
mod unknown;

use std::collections::BTreeSet;

use redb::{ReadableTable as _, WriteTransaction};

use super::Store;
use super::codec::{
    POSITION_BYTES, decode, encode, event_key, pack, scoped_bounds, scoped_key, split_scoped_key,
};
use super::rollback::{self, Stale};
use super::tables::{BATCHES, EVENTS, LONG_ROW, PLANS_READ, SUBSCRIPTIONS};
use super::touched::Touched;
use super::{refold, runs};
use crate::domain::{
    Batch, Coverage, EventKind, ModuleAddress, Plan, PlanId, Rules, Subject, Subscription,
    SubscriptionId,
};
pub(super) use by_subject::BySubject;
use folds::fold_subjects;
pub(super) use folds::{Folds, events_of};
pub(super) use place::{complete_modules, thin};

/// A batch that touches more subjects than this is not indexed row by row; rolling it back looks at all rows.
const MOST_INDEXED_ROWS: usize = 2_000;

/// From so many events on, a second thread is worth its start.
const WORTH_TWO_THREADS: usize = 10_000;

impl Store {
    /// Stores what the follower read, in one durable transaction; either all of it is visible afterwards or nothing. A first
    /// history too, although it could be read again: redb 4.6 panics when it opens a copy of the file that was made after
    /// commits with `Durability::None`, as a crash would leave it.
    ///
    /// # Errors
    /// When the file cannot be written or is damaged. Nothing has changed then.
    pub fn ingest(&self, batch: Batch) -> anyhow::Result<()> {
        let mut touched = Touched::default();
        let mut transaction = self.database.begin_write()?;
        transaction.set_quick_repair(is_unhurried(&batch));
        let mut stale = match batch.rollback_to {
            Some(fork) => rollback::roll_back(&transaction, fork)?,
            None => Stale::default(),
        };
        let before = place::store(&transaction, &batch, &mut touched)?;
        put_plans(&transaction, &batch.plans, &mut stale)?;
        let groups = match folds::is_postponed(&transaction)? {
            true => runs::append(&transaction, &batch.events)?,
            false => BySubject::of(&batch.events),
        };
        if groups.events() < batch.events.len() {
            // Of what waits in runs neither the states are told nor the rows listed.
            touched.everything = true;
            let newest = batch.events.iter().map(|event| event.position.block);
            let mut batches = transaction.open_table(BATCHES)?;
            rollback::note_batch(&mut batches, newest.max().unwrap_or_default(), &[])?;
        }
        // Folding anew reads the rows.
        let apart = stale.is_empty() && groups.events() >= WORTH_TWO_THREADS;
        let append = || append_events(&transaction, &groups, Rows::Grow);
        let fold = |touched| fold_changes(&transaction, &self.rules, stale, &groups, touched);
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
        place::store_headers(&transaction, &batch, before)?;
        unknown::store(&transaction, &batch.unknown)?;
        if let Coverage::Cursor { .. } = batch.coverage {
            rollback::prune(&transaction, batch.to.number)?;
        }
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
        let mut stale = Stale::default();
        put_plans(&transaction, plans, &mut stale)?;
        let changed = plans.iter().map(|(module, id, _)| (*module, *id));
        add_subscriptions_to(&transaction, &changed.collect(), &mut stale)?;
        fold_changes(
            &transaction,
            &self.rules,
            stale,
            &BySubject::of(&[]),
            &mut touched,
        )?;
        transaction.commit()?;
        self.touched.put(touched);
        Ok(())
    }
}

/// Brings the cached states up to date with the rows: all of them, or the stale ones and those of the new events.
pub(super) fn fold_changes(
    transaction: &WriteTransaction,
    rules: &Rules,
    stale: Stale,
    groups: &BySubject<'_>,
    touched: &mut Touched,
) -> anyhow::Result<()> {
    match stale {
        Stale::These(stale) => fold_subjects(transaction, rules, &stale, groups, touched),
        Stale::All => {
            touched.everything = true;
            refold::fold_everything(transaction, rules)
        }
    }
}

/// Whether the commit may take twice as long, for a file that is ready at once after a crash that follows it. Someone waits
/// for a commit with a few events at the tip (measured: one more fsync); nobody for one without events, which the follower
/// makes every few seconds, and a large one takes long anyway.
fn is_unhurried(batch: &Batch) -> bool {
    batch.events.is_empty() || batch.events.len() >= WORTH_TWO_THREADS
}

/// Adds the subscriptions to these plans, whose failed payments depend on the terms.
pub(super) fn add_subscriptions_to(
    transaction: &WriteTransaction,
    plans: &BTreeSet<(ModuleAddress, PlanId)>,
    stale: &mut Stale,
) -> anyhow::Result<()> {
    let modules: BTreeSet<_> = plans.iter().map(|(module, _)| *module).collect();
    let table = transaction.open_table(SUBSCRIPTIONS)?;
    for module in modules {
        let (first, last) = scoped_bounds(module);
        for row in table.range::<&[u8; 52]>(&first..=&last)? {
            let (key, value) = row?;
            let (_, id) = split_scoped_key(key.value());
            let subscription: Subscription = decode(value.value())?;
            if let Some((_, plan)) = subscription.subscriber
                && plans.contains(&(module, plan))
            {
                stale.insert(module, Subject::Subscription(SubscriptionId(id)));
            }
        }
    }
    Ok(())
}

fn put_plans(
    transaction: &WriteTransaction,
    plans: &[(ModuleAddress, PlanId, Plan)],
    stale: &mut Stale,
) -> anyhow::Result<()> {
    if plans.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(PLANS_READ)?;
    for (module, id, plan) in plans {
        table.insert(&scoped_key(*module, id.0), encode(plan).as_slice())?;
        stale.insert(*module, Subject::Plan(*id));
    }
    Ok(())
}

/// Where events are put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// At the end of their subject's last row while that is short: they come after all that is stored of the subject.
    Grow,
    /// In rows of their own.
    Own,
}

/// Appends the events, and notes which rows the batch changed.
pub(super) fn append_events(
    transaction: &WriteTransaction,
    groups: &BySubject<'_>,
    rows: Rows,
) -> anyhow::Result<()> {
    let Some(newest) = groups.newest_block() else {
        return Ok(());
    };
    let mut table = transaction.open_table(EVENTS)?;
    let mut keys = Some(Vec::new());
    let mut changed = 0;
    let mut row = Vec::new();
    for group in groups.groups() {
        let first = group[0];
        row.clear();
        let mut key = event_key(first.module, &first.subject(), first.position);
        if rows == Rows::Grow && !is_creation(&first.kind) {
            let start = &key[..key.len() - POSITION_BYTES];
            let end = [start, &[0xff; POSITION_BYTES]].concat();
            let last = table.range(start..=end.as_slice())?.next_back();
            if let Some((last, events)) = last.transpose()?
                && events.value().len() < LONG_ROW
            {
                row.extend_from_slice(events.value());
                key = last.value().to_vec();
            }
        }
        for event in group {
            row = pack(event, row);
        }
        table.insert(key.as_slice(), row.as_slice())?;
        changed += 1;
        if changed > MOST_INDEXED_ROWS {
            keys = None;
        }
        if let Some(keys) = &mut keys {
            rollback::push_key(keys, &key);
        }
    }
    let mut batches = transaction.open_table(BATCHES)?;
    rollback::note_batch(&mut batches, newest, &keys.unwrap_or_default())
}

/// Whether nothing of the subject can be stored yet.
fn is_creation(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::PlanCreated { .. } | EventKind::SubscriptionCreated { .. }
    )
}
