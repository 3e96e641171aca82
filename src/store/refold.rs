//! Folds everything again from the stored events: when the rules of the fold changed, and after a rollback too large to be
//! followed subject by subject.

use std::time::{Duration, Instant};

use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
    WriteTransaction,
};
use tracing::info;

use super::codec::{encode, split_event_key, unpack};
use super::ingest::Folds;
use super::tables::{BLOCKED, EVENTS, META, META_FOLD, ORPHANS, PLANS, PLANS_READ, SUBSCRIPTIONS};
use super::touched::Touched;
use crate::domain::{ChainEvent, ModuleAddress, PlanId, Rules, Subject};

/// To be raised with each change of what `projection` makes of the same events, or of what its results look like.
const FOLD_VERSION: u32 = 1;

/// How often progress is logged.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// Folds everything again, unless the stored folds were made by this version of the fold and with these rules.
pub(super) fn bring_up_to_date(database: &Database, rules: &Rules) -> anyhow::Result<()> {
    let current = encode(&(FOLD_VERSION, rules));
    {
        let transaction = database.begin_read()?;
        let stored = transaction.open_table(META)?.get(META_FOLD)?;
        if stored.is_some_and(|stored| stored.value() == current) {
            return Ok(());
        }
    }
    let transaction = database.begin_write()?;
    fold_everything(&transaction, rules)?;
    transaction
        .open_table(META)?
        .insert(META_FOLD, current.as_slice())?;
    transaction.commit()?;
    Ok(())
}

/// Clears all cached states and folds them again, row by row: only one subject's events are in memory at a time. The order
/// of the keys puts each module's plans before its subscriptions.
pub(super) fn fold_everything(transaction: &WriteTransaction, rules: &Rules) -> anyhow::Result<()> {
    transaction.delete_table(SUBSCRIPTIONS)?;
    transaction.delete_table(PLANS)?;
    transaction.delete_table(BLOCKED)?;
    transaction.delete_table(ORPHANS)?;
    // Readers find it where there are no orphans too.
    transaction.open_table(ORPHANS)?;
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
    let events = transaction.open_table(EVENTS)?;
    let rows = events.len()?;
    let mut told = Instant::now();
    let mut gathered: Option<(ModuleAddress, Subject)> = None;
    let mut of_subject = Vec::new();
    for (done, row) in events.iter()?.enumerate() {
        let (key, value) = row?;
        let next = split_event_key(key.value())?;
        if gathered != Some(next) {
            fold(&mut folds, gathered, &mut of_subject)?;
            gathered = Some(next);
        }
        of_subject.append(&mut unpack(next.0, &next.1, value.value())?);
        if told.elapsed() >= LOG_EVERY {
            told = Instant::now();
            info!(done, rows, "folding the stored events again");
        }
    }
    fold(&mut folds, gathered, &mut of_subject)?;
    folds.finish(transaction)
}

fn fold(
    folds: &mut Folds<'_, '_>,
    subject: Option<(ModuleAddress, Subject)>,
    events: &mut Vec<ChainEvent>,
) -> anyhow::Result<()> {
    if let Some((module, subject)) = subject {
        events.sort_by_key(|event| event.position);
        folds.apply(module, &subject, true, events.iter())?;
    }
    events.clear();
    Ok(())
}
