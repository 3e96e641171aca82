//! Undoing blocks: deletes the events above a fork block and says which subjects must be folded anew.

use std::collections::BTreeSet;

use redb::{ReadableTable as _, Table, WriteTransaction};

use super::codec::{decode, encode, pack, split_event_key, unpack};
use super::tables::{BATCHES, EVENTS, HEADERS, META, META_CURSOR, META_LAST_FORK, MODULES};
use crate::domain::{Checkpoint, ModuleAddress, ModuleRecord, Subject};

/// Subjects that lost events and must be folded from their remaining ones.
pub(super) type Stale = BTreeSet<(ModuleAddress, Subject)>;

type Batches<'transaction> = Table<'transaction, (u64, u32), &'static [u8]>;

/// Deletes all events, hashes and processor updates above block `fork`, and moves the cursors back to it.
pub(super) fn roll_back(transaction: &WriteTransaction, fork: u64) -> anyhow::Result<Stale> {
    let mut batches = transaction.open_table(BATCHES)?;
    let mut events = transaction.open_table(EVENTS)?;
    let mut stale = Stale::new();
    let mut kept = Vec::new();
    let (rows, listed) = affected_rows(&batches, &events, fork)?;
    for key in rows {
        let (module, subject) = split_event_key(&key)?;
        let row = events.get(key.as_slice())?.map(|row| row.value().to_vec());
        let Some(row) = row else { continue };
        let before = unpack(module, &subject, &row)?;
        let after: Vec<_> = before
            .iter()
            .filter(|event| event.position.block <= fork)
            .collect();
        if !after.is_empty() {
            push_key(&mut kept, &key);
        }
        if after.len() == before.len() {
            continue;
        }
        stale.insert((module, subject));
        if after.is_empty() {
            events.remove(key.as_slice())?;
        } else {
            let row = after
                .into_iter()
                .fold(Vec::new(), |row, event| pack(event, row));
            events.insert(key.as_slice(), row.as_slice())?;
        }
    }
    batches.retain_in((fork.saturating_add(1), 0).., |_, _| false)?;
    if !kept.is_empty() {
        // What remains of the undone batches must be found again by a later, deeper rollback.
        let keys: &[u8] = if listed { &kept } else { &[] };
        note_batch(&mut batches, fork, keys)?;
    }
    transaction
        .open_table(HEADERS)?
        .retain_in(fork.saturating_add(1).., |_, _| false)?;
    roll_back_modules(transaction, fork)?;
    roll_back_cursor(transaction, fork)?;
    Ok(stale)
}

/// Keys of all rows that may hold an event above `fork`, and whether they come from the batches' lists (else: all rows).
fn affected_rows(
    batches: &Batches<'_>,
    events: &Table<'_, &'static [u8], &'static [u8]>,
    fork: u64,
) -> anyhow::Result<(BTreeSet<Vec<u8>>, bool)> {
    let mut keys = BTreeSet::new();
    for batch in batches.range((fork.saturating_add(1), 0)..)? {
        let (_, listed) = batch?;
        let mut rest = listed.value();
        if rest.is_empty() {
            // A batch too large to be listed: look at every row.
            for row in events.iter()? {
                keys.insert(row?.0.value().to_vec());
            }
            return Ok((keys, false));
        }
        while let Some((length, tail)) = rest.split_first() {
            let (key, tail) = tail
                .split_at_checked(usize::from(*length))
                .ok_or_else(|| anyhow::anyhow!("a stored batch is damaged"))?;
            keys.insert(key.to_vec());
            rest = tail;
        }
    }
    Ok((keys, true))
}

/// Appends a row's key to a batch's list.
pub(super) fn push_key(list: &mut Vec<u8>, key: &[u8]) {
    list.push(u8::try_from(key.len()).expect("event keys have at most 65 bytes"));
    list.extend_from_slice(key);
}

/// Records which rows a batch brought, under the block of its newest event.
pub(super) fn note_batch(
    batches: &mut Batches<'_>,
    newest: u64,
    keys: &[u8],
) -> anyhow::Result<()> {
    let last = batches
        .range((newest, 0)..=(newest, u32::MAX))?
        .next_back()
        .transpose()?
        .map(|(key, _)| key.value().1);
    let sequence = last.map_or(0, |last| last + 1);
    batches.insert((newest, sequence), keys)?;
    Ok(())
}

fn roll_back_modules(transaction: &WriteTransaction, fork: u64) -> anyhow::Result<()> {
    let mut modules = transaction.open_table(MODULES)?;
    let mut changed = Vec::new();
    for row in modules.iter()? {
        let (key, value) = row?;
        let mut record = decode::<ModuleRecord>(value.value())?;
        record
            .processor_updates
            .retain(|(position, _)| position.block <= fork);
        record.synced_to = record
            .synced_to
            .map(|synced_to| synced_to.min(fork))
            .filter(|synced_to| *synced_to >= record.start_block);
        changed.push((*key.value(), encode(&record)));
    }
    for (key, record) in changed {
        modules.insert(&key, record.as_slice())?;
    }
    Ok(())
}

fn roll_back_cursor(transaction: &WriteTransaction, fork: u64) -> anyhow::Result<()> {
    let mut meta = transaction.open_table(META)?;
    meta.insert(META_LAST_FORK, fork.to_le_bytes().as_slice())?;
    let cursor = meta
        .get(META_CURSOR)?
        .map(|bytes| decode::<Checkpoint>(bytes.value()))
        .transpose()?;
    if cursor.is_some_and(|cursor| cursor.number > fork) {
        let headers = transaction.open_table(HEADERS)?;
        let fork_header = headers.get(fork)?.map(|row| {
            let (hash, timestamp) = row.value();
            Checkpoint {
                number: fork,
                hash: hash.into(),
                timestamp: crate::domain::Timestamp(timestamp),
            }
        });
        match fork_header {
            Some(header) => meta.insert(META_CURSOR, encode(&header).as_slice())?,
            None => meta.remove(META_CURSOR)?,
        };
    }
    Ok(())
}
