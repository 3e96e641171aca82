//! Undoing blocks: deletes the events above a fork block and says which subjects must be folded anew.

use std::collections::BTreeSet;

use redb::{ReadableTable as _, ReadableTableMetadata as _, Table, WriteTransaction};

use super::codec::{decode, encode, pack, read, split_event_key, unpack};
use super::runs;
use super::tables::{
    BATCHES, EVENTS, HEADERS, META, META_CURSOR, META_FINALIZED, META_LAST_FORK, MODULES,
};
use crate::domain::{Checkpoint, ModuleAddress, ModuleRecord, Subject, Synced};

/// Beyond so many it is quicker, and needs less memory, to fold everything again.
const MOST_STALE: usize = 200_000;

/// Batches are listed for this many blocks below the cursor.
const LISTED_BLOCKS: u64 = 100_000;

/// Lists that one commit drops; fewer are left for a later one.
const PRUNED_AT_ONCE: usize = 64;

/// Rows that are read before the changes to them are written.
const ROWS_AT_ONCE: usize = 4_096;

/// Subjects whose cached states do not fit their rows any more and must be folded again.
pub(super) enum Stale {
    /// These.
    These(BTreeSet<(ModuleAddress, Subject)>),
    /// All that there are.
    All,
}

impl Default for Stale {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Stale {
    pub(super) fn insert(&mut self, module: ModuleAddress, subject: Subject) {
        if let Self::These(these) = self {
            these.insert((module, subject));
            if these.len() > MOST_STALE {
                *self = Self::All;
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::These(these) if these.is_empty())
    }
}

type Batches<'transaction> = Table<'transaction, (u64, u32), &'static [u8]>;
type Rows<'transaction> = Table<'transaction, &'static [u8], &'static [u8]>;

/// Deletes all events, hashes and processor updates above block `fork`, and moves the cursors back to it.
pub(super) fn roll_back(transaction: &WriteTransaction, fork: u64) -> anyhow::Result<Stale> {
    runs::merge(transaction)?;
    let mut batches = transaction.open_table(BATCHES)?;
    let mut events = transaction.open_table(EVENTS)?;
    let above = fork.saturating_add(1);
    let (stale, kept) = match is_listed(&batches, above)? {
        true => cut_listed(&batches, &mut events, fork)?,
        false => (Stale::All, cut_all(&mut events, fork)?.then(Vec::new)),
    };
    batches.retain_in((above, 0).., |_, _| false)?;
    if let Some(kept) = kept {
        // What remains of the undone batches must be found again by a later, deeper rollback.
        note_batch(&mut batches, fork, &kept)?;
    }
    transaction
        .open_table(HEADERS)?
        .retain_in(above.., |_, _| false)?;
    roll_back_modules(transaction, fork)?;
    roll_back_cursor(transaction, fork)?;
    Ok(stale)
}

/// Whether every batch from block `from` on lists its rows.
fn is_listed(batches: &Batches<'_>, from: u64) -> anyhow::Result<bool> {
    for batch in batches.range((from, 0)..)? {
        if batch?.1.value().is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Cuts the rows that the batches above `fork` list. Returns what is stale, and the list of rows of which something is kept.
fn cut_listed(
    batches: &Batches<'_>,
    events: &mut Rows<'_>,
    fork: u64,
) -> anyhow::Result<(Stale, Option<Vec<u8>>)> {
    let mut stale = Stale::default();
    let mut kept = Vec::new();
    for batch in batches.range((fork.saturating_add(1), 0)..)? {
        let (_, listed) = batch?;
        for key in keys_of(listed.value()) {
            let key = key?;
            let (module, subject) = split_event_key(key)?;
            let cut = match events.get(key)? {
                Some(row) => cut(module, &subject, row.value(), fork)?,
                // The module was read again since, from another block.
                None => continue,
            };
            match cut {
                Cut::Keep => push_key(&mut kept, key),
                Cut::Remove => {
                    stale.insert(module, subject);
                    events.remove(key)?;
                }
                Cut::Shorten(row) => {
                    stale.insert(module, subject);
                    push_key(&mut kept, key);
                    events.insert(key, row.as_slice())?;
                }
            }
        }
    }
    Ok((stale, (!kept.is_empty()).then_some(kept)))
}

/// Cuts every row there is, some at a time. Whether any is left.
fn cut_all(events: &mut Rows<'_>, fork: u64) -> anyhow::Result<bool> {
    let mut from = Vec::new();
    loop {
        let mut cuts = Vec::new();
        let mut read = 0;
        for row in events.range(from.as_slice()..)?.take(ROWS_AT_ONCE) {
            let (key, value) = row?;
            let (module, subject) = split_event_key(key.value())?;
            match cut(module, &subject, value.value(), fork)? {
                Cut::Keep => {}
                Cut::Remove => cuts.push((key.value().to_vec(), None)),
                Cut::Shorten(row) => cuts.push((key.value().to_vec(), Some(row))),
            }
            from.clear();
            from.extend_from_slice(key.value());
            read += 1;
        }
        for (key, row) in cuts {
            match row {
                None => events.remove(key.as_slice())?,
                Some(row) => events.insert(key.as_slice(), row.as_slice())?,
            };
        }
        if read < ROWS_AT_ONCE {
            return Ok(!events.is_empty()?);
        }
        // The next key after the last one read.
        from.push(0);
    }
}

/// What a rollback does to a row.
enum Cut {
    Keep,
    Remove,
    Shorten(Vec<u8>),
}

fn cut(module: ModuleAddress, subject: &Subject, row: &[u8], fork: u64) -> anyhow::Result<Cut> {
    let before = unpack(module, subject, row)?;
    let left = || before.iter().filter(|event| event.position.block <= fork);
    Ok(match left().count() {
        0 => Cut::Remove,
        all if all == before.len() => Cut::Keep,
        _ => Cut::Shorten(left().fold(Vec::new(), |row, event| pack(event, row))),
    })
}

/// The keys in a batch's list.
pub(super) fn keys_of(mut list: &[u8]) -> impl Iterator<Item = anyhow::Result<&[u8]>> {
    std::iter::from_fn(move || {
        let (length, rest) = list.split_first()?;
        match rest.split_at_checked(usize::from(*length)) {
            Some((key, rest)) => {
                list = rest;
                Some(Ok(key))
            }
            None => {
                list = &[];
                Some(Err(anyhow::anyhow!("a stored batch is damaged")))
            }
        }
    })
}

/// Drops the lists of batches far below the cursor, some at a time. The newest of them stays and lists nothing any more: it
/// stands for all that are gone, so that a rollback below it looks at all rows.
pub(super) fn prune(transaction: &WriteTransaction, cursor: u64) -> anyhow::Result<()> {
    let end = cursor.saturating_sub(LISTED_BLOCKS);
    let mut batches = transaction.open_table(BATCHES)?;
    let mut old = Vec::new();
    for row in batches.range(..(end, 0))?.take(PRUNED_AT_ONCE) {
        old.push(row?.0.value());
    }
    if old.len() < PRUNED_AT_ONCE {
        return Ok(());
    }
    let newest = old.pop();
    for key in old {
        batches.remove(key)?;
    }
    if let Some(newest) = newest {
        batches.insert(newest, [].as_slice())?;
    }
    Ok(())
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
        let before = decode::<ModuleRecord>(value.value())?;
        let mut record = before.clone();
        record
            .processor_updates
            .retain(|(position, _)| position.block <= fork);
        if let Synced::To(Some(to)) = record.synced {
            let to = to.min(fork);
            record.synced = Synced::To((to >= record.start_block).then_some(to));
        }
        if record == before {
            continue;
        }
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
    let finalized: Option<Checkpoint> = read(meta.get(META_FINALIZED)?)?;
    if finalized.is_some_and(|finalized| finalized.number > fork) {
        meta.remove(META_FINALIZED)?;
    }
    let cursor: Option<Checkpoint> = read(meta.get(META_CURSOR)?)?;
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
