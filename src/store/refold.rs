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

use super::codec::{encode, split_event_key, unpack};
use super::ingest::Folds;
use super::tables::{BLOCKED, EVENTS, META, META_FOLD, ORPHANS, PLANS, PLANS_READ, SUBSCRIPTIONS};
use super::touched::Touched;
use super::{Store, runs};
use crate::domain::{ChainEvent, ModuleAddress, PlanId, Rules, Subject};

/// To be raised with each change of what `projection` makes of the same events, or of what its results look like.
const FOLD_VERSION: u32 = 1;

/// Subjects that one thread hands to the other at a time, and how many times it may be ahead.
const CHUNK: usize = 1_000;
const CHUNKS_AHEAD: usize = 4;

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
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    fold_everything(&transaction, rules)?;
    transaction.commit()?;
    Ok(true)
}

/// What `META_FOLD` holds when the folds were made by this version and with these rules.
fn marker(rules: &Rules) -> Vec<u8> {
    encode(&(FOLD_VERSION, rules))
}

/// The events of one subject.
type OfSubject = (ModuleAddress, Subject, Vec<ChainEvent>);

/// Clears all cached states and folds them again, subject by subject. The order of the keys puts each module's plans before
/// its subscriptions. One thread reads, and merges what waits in runs, and the other folds: redb lets two threads work on
/// different tables.
pub(super) fn fold_everything(transaction: &WriteTransaction, rules: &Rules) -> anyhow::Result<()> {
    transaction.delete_table(SUBSCRIPTIONS)?;
    transaction.delete_table(PLANS)?;
    transaction.delete_table(BLOCKED)?;
    transaction.delete_table(ORPHANS)?;
    // Readers find it where there are no orphans too.
    transaction.open_table(ORPHANS)?;
    let mut meta = transaction.open_table(META)?;
    meta.insert(META_FOLD, marker(rules).as_slice())?;
    drop(meta);
    let mut untold = Touched {
        everything: true,
        ..Touched::default()
    };
    let read = {
        let mut keys = Vec::new();
        for row in transaction.open_table(PLANS_READ)?.iter()? {
            keys.push(*row?.0.value());
        }
        keys
    };
    let mut folds = Folds::open(transaction, rules, &mut untold)?;
    for key in read {
        let (module, id) = super::codec::split_scoped_key(&key);
        folds.apply(module, &Subject::Plan(PlanId(id)), true, [].iter())?;
    }
    let (subjects, arriving) = mpsc::sync_channel(CHUNKS_AHEAD);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| read_subjects(transaction, Chunks::new(subjects)));
        for chunk in arriving {
            for (module, subject, mut events) in chunk {
                events.sort_by_key(|event| event.position);
                folds.apply(module, &subject, true, events.iter())?;
            }
        }
        reading
            .join()
            .map_err(|_| anyhow::anyhow!("reading the events panicked"))?
    })?;
    folds.finish(transaction)?;
    runs::clear(transaction)
}

/// Hands out the events of all subjects in the order of the keys, those in runs after the stored ones.
fn read_subjects(transaction: &WriteTransaction, mut chunks: Chunks) -> anyhow::Result<()> {
    read_rows(transaction, &mut chunks)?;
    match chunks.has_subscriptions {
        // None of the subscriptions in runs has any other event.
        false => runs::copy(transaction, |key, row| chunks.push(key, row))?,
        true if runs::are_empty(transaction)? => {}
        true => {
            chunks.send()?;
            runs::copy(transaction, |_, _| Ok(()))?;
            read_rows(transaction, &mut chunks)?;
        }
    }
    chunks.send()
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

/// What one thread hands to the other.
struct Chunks {
    chunk: Vec<OfSubject>,
    subjects: mpsc::SyncSender<Vec<OfSubject>>,
    has_subscriptions: bool,
}

impl Chunks {
    fn new(subjects: mpsc::SyncSender<Vec<OfSubject>>) -> Self {
        Self {
            chunk: Vec::new(),
            subjects,
            has_subscriptions: false,
        }
    }

    /// Adds a row of `EVENTS`; those of one subject come one after another.
    fn push(&mut self, key: &[u8], row: &[u8]) -> anyhow::Result<()> {
        let (module, subject) = split_event_key(key)?;
        let mut of_row = unpack(module, &subject, row)?;
        self.has_subscriptions |= matches!(subject, Subject::Subscription(_));
        match self.chunk.last_mut() {
            Some(last) if (last.0, last.1) == (module, subject) => last.2.append(&mut of_row),
            _ => {
                if self.chunk.len() >= CHUNK {
                    self.send()?;
                }
                self.chunk.push((module, subject, of_row));
            }
        }
        Ok(())
    }

    fn send(&mut self) -> anyhow::Result<()> {
        let sent = self.subjects.send(std::mem::take(&mut self.chunk));
        // Then the other thread says why.
        sent.ok().context("folding has failed")
    }
}
