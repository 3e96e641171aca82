//! Folds everything from the stored events: at the end of a first history, when the rules of the fold changed, and after a
//! rollback too large to be followed subject by subject.

use std::sync::mpsc;
use std::time::Instant;

use anyhow::Context as _;
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    WriteTransaction,
};
use tracing::info;

use super::codec::{encode, split_event_key, split_scoped_key, unpack};
use super::ingest::Folds;
use super::sorted::SortedRows;
use super::tables::{BLOCKED, EVENTS, META, META_FOLD, ORPHANS, PLANS, PLANS_READ, SUBSCRIPTIONS};
use super::touched::Touched;
use super::{Store, runs};
use crate::domain::{ChainEvent, ModuleAddress, PlanId, Rules, Subject};

/// To be raised with each change of what `projection` makes of the same events, or of what its results look like.
const FOLD_VERSION: u32 = 1;

/// How many times one thread may hand rows to the other before that has dealt with them.
const CHUNKS_AHEAD: usize = 4;

/// Bytes of events from runs that one transaction sorts in and folds.
const MOST_PER_PART: usize = 64 << 20;

impl Store {
    /// From now on the events of subscriptions are neither sorted into those that are stored nor folded with each batch, but
    /// all together by [`Store::fold_postponed`], or when the store is opened again: a first history, of which nobody reads
    /// a state before its end, is stored in a fraction of the time.
    ///
    /// # Errors
    /// When the file cannot be written. Nothing has changed then.
    pub fn postpone_folds(&self) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(META)?.remove(META_FOLD)?;
        transaction.commit()?;
        Ok(())
    }

    /// Folds what was postponed; does nothing where nothing was.
    ///
    /// # Errors
    /// When the file cannot be written or is damaged. Nothing has changed then.
    pub fn fold_postponed(&self) -> anyhow::Result<()> {
        if bring_up_to_date(&self.database, &self.rules)? {
            self.touched.put(Touched {
                everything: true,
                ..Touched::default()
            });
        }
        Ok(())
    }
}

/// Folds everything again, unless the stored folds were made by this version of the fold and with these rules. Says whether
/// it did.
pub(super) fn bring_up_to_date(database: &Database, rules: &Rules) -> anyhow::Result<bool> {
    {
        let transaction = database.begin_read()?;
        let stored = transaction.open_table(META)?.get(META_FOLD)?;
        if stored.is_some_and(|stored| stored.value() == marker(rules)) {
            return Ok(false);
        }
    }
    fold_in_parts(database, rules, MOST_PER_PART)?;
    Ok(true)
}

/// What [`bring_up_to_date`] does, with about so many bytes from runs in each transaction: the room that they took is used
/// again by the next. A crash in between is as one before all of it.
pub(super) fn fold_in_parts(database: &Database, rules: &Rules, most: usize) -> anyhow::Result<()> {
    let mut part = Part::First;
    loop {
        let mut transaction = database.begin_write()?;
        transaction.set_quick_repair(true);
        let is_done = if part == Part::First && has_both(&transaction)? {
            runs::merge_some(&transaction, most, |_, _| Ok(()))?;
            false
        } else {
            let is_done = fold_part(&transaction, rules, part, most)?;
            part = Part::Later;
            is_done
        };
        transaction.commit()?;
        if is_done {
            return Ok(());
        }
    }
}

/// Whether some events of subscriptions are stored and others wait in runs, perhaps of the same ones.
fn has_both(transaction: &WriteTransaction) -> anyhow::Result<bool> {
    if runs::are_empty(transaction)? {
        return Ok(false);
    }
    for row in transaction.open_table(EVENTS)?.iter()? {
        let (_, subject) = split_event_key(row?.0.value())?;
        if let Subject::Subscription(_) = subject {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What `META_FOLD` holds when the folds were made by this version and with these rules.
fn marker(rules: &Rules) -> Vec<u8> {
    encode(&(FOLD_VERSION, rules))
}

/// Clears all cached states and folds them again.
pub(super) fn fold_everything(transaction: &WriteTransaction, rules: &Rules) -> anyhow::Result<()> {
    // After a rollback, some events of a subscription are stored and the new ones wait in a run.
    runs::merge(transaction)?;
    fold_part(transaction, rules, Part::First, usize::MAX).map(drop)
}

/// Transactions that together fold everything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Clears all cached states, folds what is stored, and begins with what waits in runs.
    First,
    /// Goes on with what waits in runs.
    Later,
}

/// Folds subject by subject; says whether nothing waits any more. The order of the keys puts each module's plans before its
/// subscriptions. One thread reads, and merges what waits in runs, and the other folds: redb lets two threads work on
/// different tables.
fn fold_part(
    transaction: &WriteTransaction,
    rules: &Rules,
    part: Part,
    most: usize,
) -> anyhow::Result<bool> {
    let noted = marker(rules);
    transaction
        .open_table(META)?
        .insert(META_FOLD, noted.as_slice())?;
    let mut plans = Vec::new();
    if part == Part::First {
        clear_states(transaction)?;
        plans = plans_read(transaction)?;
    }
    let mut untold = Touched {
        everything: true,
        ..Touched::default()
    };
    let mut folds = Folds::open(transaction, rules, &mut untold)?;
    for (module, id) in plans {
        folds.apply(module, &Subject::Plan(id), true, [].iter())?;
    }
    let (sender, arriving) = mpsc::sync_channel(CHUNKS_AHEAD);
    let is_done = std::thread::scope(|scope| {
        let rows = SortedRows::default();
        let chunks = Chunks { rows, sender };
        let reading = scope.spawn(|| hand_out(transaction, part, most, chunks));
        fold_rows(&mut folds, arriving)?;
        reading
            .join()
            .map_err(|_| anyhow::anyhow!("reading the events panicked"))?
    })?;
    folds.finish(transaction)?;
    if !is_done {
        transaction.open_table(META)?.remove(META_FOLD)?;
    }
    Ok(is_done)
}

/// Folds the rows that arrive; those of one subject come one after another.
fn fold_rows(
    folds: &mut Folds<'_, '_>,
    arriving: mpsc::Receiver<SortedRows>,
) -> anyhow::Result<()> {
    let mut fold = |module, subject, mut events: Vec<ChainEvent>| {
        events.sort_by_key(|event| event.position);
        match subject {
            Subject::Subscription(id) => folds.add_subscription(module, id, &events),
            _ => folds.apply(module, &subject, true, events.iter()),
        }
    };
    let mut last: Option<(ModuleAddress, Subject, Vec<ChainEvent>)> = None;
    for rows in arriving {
        for (key, row) in rows.iter() {
            let (module, subject) = split_event_key(key)?;
            let mut events = unpack(module, &subject, row)?;
            match &mut last {
                Some(last) if (last.0, last.1) == (module, subject) => last.2.append(&mut events),
                _ => {
                    if let Some((module, subject, events)) = last.replace((module, subject, events))
                    {
                        fold(module, subject, events)?;
                    }
                }
            }
        }
    }
    match last {
        Some((module, subject, events)) => fold(module, subject, events),
        None => Ok(()),
    }
}

/// Hands out all rows of `EVENTS` in the order of their keys, those from runs after the stored ones.
fn hand_out(
    transaction: &WriteTransaction,
    part: Part,
    most: usize,
    mut chunks: Chunks,
) -> anyhow::Result<bool> {
    if part == Part::First {
        read_rows(transaction, &mut chunks)?;
    }
    let is_done = runs::merge_some(transaction, most, |key, row| chunks.push(key, row))?;
    chunks.send()?;
    Ok(is_done)
}

fn clear_states(transaction: &WriteTransaction) -> anyhow::Result<()> {
    transaction.delete_table(SUBSCRIPTIONS)?;
    transaction.delete_table(PLANS)?;
    transaction.delete_table(BLOCKED)?;
    transaction.delete_table(ORPHANS)?;
    // Readers find it where there are no orphans too.
    transaction.open_table(ORPHANS)?;
    Ok(())
}

fn plans_read(transaction: &WriteTransaction) -> anyhow::Result<Vec<(ModuleAddress, PlanId)>> {
    let mut plans = Vec::new();
    for row in transaction.open_table(PLANS_READ)?.iter()? {
        let (module, id) = split_scoped_key(row?.0.value());
        plans.push((module, PlanId(id)));
    }
    Ok(plans)
}

fn read_rows(transaction: &WriteTransaction, chunks: &mut Chunks) -> anyhow::Result<()> {
    let events = transaction.open_table(EVENTS)?;
    let rows = events.len()?;
    let mut told = Instant::now();
    for (done, row) in events.iter()?.enumerate() {
        let (key, value) = row?;
        chunks.push(key.value(), value.value())?;
        if told.elapsed() >= runs::LOG_EVERY {
            told = Instant::now();
            info!(done, rows, "folding the stored events");
        }
    }
    Ok(())
}

/// What one thread hands to the other: rows as they are, for that has the less to do.
struct Chunks {
    rows: SortedRows,
    sender: mpsc::SyncSender<SortedRows>,
}

impl Chunks {
    fn push(&mut self, key: &[u8], row: &[u8]) -> anyhow::Result<()> {
        self.rows.push(key, row);
        match self.rows.are_many() {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn send(&mut self) -> anyhow::Result<()> {
        let sent = self.sender.send(std::mem::take(&mut self.rows));
        // Then the other thread says why.
        sent.ok().context("folding has failed")
    }
}
