//! A first history while it is read: the events of subscriptions wait in sorted runs, one for each batch, and are merged into
//! `EVENTS` once. To add each batch there would rewrite most pages of the table every time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use redb::{ReadableTable, ReadableTableMetadata as _, Table, WriteTransaction};
use tracing::info;

use super::codec::{event_key, first_position, pack, scoped_key, split_scoped_key, unpack};
use super::ingest::BySubject;
use super::sorted::SortedRows;
use super::tables::{EVENTS, LONG_ROW, RUNS};
use crate::domain::{ChainEvent, Subject, SubscriptionId};

/// Bytes of a row, unless one entry alone has more: with the row's key they fit the 32 KiB that redb takes for it.
const ROW_BYTES: usize = 32_000;

/// About what a packed event takes.
const EVENT_BYTES: usize = 85;

/// How often progress is logged.
pub(super) const LOG_EVERY: Duration = Duration::from_secs(5);

type Runs<'transaction> = Table<'transaction, (u32, u32), &'static [u8]>;
/// `codec::scoped_key` of the subscription that an entry is about.
type ScopedKey = [u8; 52];

/// Appends a batch's events of subscriptions as one more run; returns the others.
pub(super) fn append<'a>(
    transaction: &WriteTransaction,
    events: &'a [ChainEvent],
) -> anyhow::Result<BySubject<'a>> {
    let mut others = Vec::new();
    // Packed in their order, and only then put in the keys' order: to move from event to event would cost more.
    let mut packed = Vec::with_capacity(events.len() * EVENT_BYTES);
    let mut entries: Vec<(ScopedKey, usize, usize)> = Vec::with_capacity(events.len());
    for event in events {
        let Subject::Subscription(id) = event.subject() else {
            others.push(event);
            continue;
        };
        let start = packed.len();
        packed = pack(event, packed);
        entries.push((scoped_key(event.module, id.0), start, packed.len()));
    }
    entries.sort_unstable();
    let mut table = transaction.open_table(RUNS)?;
    let run = table.last()?.map_or(0, |(key, _)| key.value().0 + 1);
    let (mut number, mut row, mut together) = (0, Vec::new(), Vec::new());
    for entry in entries.chunk_by(|a, b| a.0 == b.0) {
        together.clear();
        for (_, start, end) in entry {
            together.extend_from_slice(&packed[*start..*end]);
        }
        if !row.is_empty() && row.len() + size_of::<ScopedKey>() + together.len() > ROW_BYTES {
            table.insert((run, number), row.as_slice())?;
            number += 1;
            row.clear();
        }
        row = push_entry(row, &entry[0].0, &together);
    }
    if !row.is_empty() {
        table.insert((run, number), row.as_slice())?;
    }
    Ok(BySubject::of(others))
}

/// Appends what one subscription went through to a row of a run.
pub(super) fn push_entry(row: Vec<u8>, key: &ScopedKey, events: &[u8]) -> Vec<u8> {
    postcard::to_extend(&(key.as_slice(), events), row)
        .expect("postcard fails only on types that this store does not hold")
}

/// The first entry of a row, and what follows it.
fn split_entry(row: &[u8]) -> anyhow::Result<(ScopedKey, &[u8], &[u8])> {
    let ((key, events), rest): ((&[u8], &[u8]), _) =
        postcard::take_from_bytes(row).context("a stored run is damaged")?;
    let key = key.try_into().context("a stored run is damaged")?;
    Ok((key, events, rest))
}

/// Reads a row through, as [`merge_some`] will.
pub(super) fn check(mut row: &[u8]) -> anyhow::Result<()> {
    while !row.is_empty() {
        let (key, events, rest) = split_entry(row)?;
        let (module, id) = split_scoped_key(&key);
        unpack(module, &Subject::Subscription(SubscriptionId(id)), events)?;
        row = rest;
    }
    Ok(())
}

/// Whether nothing waits to be merged.
pub(super) fn are_empty(transaction: &WriteTransaction) -> anyhow::Result<bool> {
    Ok(transaction.open_table(RUNS)?.is_empty()?)
}

/// Moves everything from the runs into `EVENTS`. Whatever needs the events of a subscription in a write transaction calls it
/// first.
///
/// # Errors
/// When the file cannot be written or is damaged.
pub(super) fn merge(transaction: &WriteTransaction) -> anyhow::Result<()> {
    merge_some(transaction, usize::MAX, |_, _| Ok(())).map(drop)
}

/// Moves all events of some subscriptions from the runs into `EVENTS`: those with the lowest keys, until they have `most`
/// bytes, and of one at least, so that who calls it again and again comes to the end. `each` hears of each row's key and events, in the order of the keys. Says whether nothing waits any more.
///
/// # Errors
/// When the file cannot be written or is damaged, and what `each` returns.
pub(super) fn merge_some(
    transaction: &WriteTransaction,
    most: usize,
    each: impl FnMut(&[u8], &[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let mut runs = transaction.open_table(RUNS)?;
    let Some(last) = runs.last()?.map(|(key, _)| key.value().0) else {
        return Ok(true);
    };
    let rows = runs.len()?;
    let mut readers = Vec::new();
    let mut next = BinaryHeap::new();
    for run in 0..=last {
        let mut reader = Reader::new(&runs, run)?;
        next.extend(reader.next_key(&runs)?.map(|key| Reverse((key, run))));
        readers.push(reader);
    }
    let mut merged = Merged {
        events: transaction.open_table(EVENTS)?,
        subscription: [0; 52],
        key: Vec::new(),
        row: Vec::new(),
        rows: SortedRows::default(),
        bytes: 0,
        each,
    };
    let mut told = Instant::now();
    // Of one subscription, the runs come in the order in which they were written: the chain's.
    while let Some(Reverse((key, run))) = next.pop() {
        if merged.bytes >= most.max(1) && key != merged.subscription {
            merged.finish()?;
            for reader in readers {
                reader.remove_what_was_read(&mut runs)?;
            }
            return Ok(false);
        }
        let reader = &mut readers[run as usize];
        merged.push(&key, reader.take()?)?;
        next.extend(reader.next_key(&runs)?.map(|key| Reverse((key, run))));
        if told.elapsed() >= LOG_EVERY {
            told = Instant::now();
            let done: u64 = readers.iter().map(Reader::rows).sum();
            info!(done, rows, "sorting the events of the first history");
        }
    }
    merged.finish()?;
    drop(runs);
    clear(transaction)?;
    Ok(true)
}

/// Empties the runs.
fn clear(transaction: &WriteTransaction) -> anyhow::Result<()> {
    transaction.delete_table(RUNS)?;
    // The next history finds it, and so do backups.
    transaction.open_table(RUNS)?;
    Ok(())
}

/// Reads one run from its beginning to its end.
struct Reader {
    run: u32,
    /// The first row.
    first: u32,
    /// The next row.
    row: u32,
    bytes: Vec<u8>,
    /// Where the next entry begins.
    at: usize,
}

impl Reader {
    fn new(runs: &Runs<'_>, run: u32) -> anyhow::Result<Self> {
        let first = runs.range((run, 0)..=(run, u32::MAX))?.next().transpose()?;
        let first = first.map_or(0, |(key, _)| key.value().1);
        Ok(Self {
            run,
            first,
            row: first,
            bytes: Vec::new(),
            at: 0,
        })
    }

    /// How many rows were begun.
    fn rows(&self) -> u64 {
        u64::from(self.row - self.first)
    }

    /// The key of the next entry; `None` at the end of the run.
    fn next_key(&mut self, runs: &Runs<'_>) -> anyhow::Result<Option<ScopedKey>> {
        if self.at == self.bytes.len() {
            let Some(row) = runs.get((self.run, self.row))? else {
                return Ok(None);
            };
            self.bytes.clear();
            self.bytes.extend_from_slice(row.value());
            (self.row, self.at) = (self.row + 1, 0);
        }
        Ok(Some(split_entry(&self.bytes[self.at..])?.0))
    }

    /// The events of the next entry.
    fn take(&mut self) -> anyhow::Result<&[u8]> {
        let (_, events, rest) = split_entry(&self.bytes[self.at..])?;
        self.at = self.bytes.len() - rest.len();
        Ok(events)
    }

    /// Leaves in the run what was not read yet.
    fn remove_what_was_read(self, runs: &mut Runs<'_>) -> anyhow::Result<()> {
        for row in self.first..self.row {
            runs.remove((self.run, row))?;
        }
        if self.at < self.bytes.len() {
            runs.insert((self.run, self.row - 1), &self.bytes[self.at..])?;
        }
        Ok(())
    }
}

/// The rows of `EVENTS` as they are put together.
struct Merged<'transaction, F> {
    events: Table<'transaction, &'static [u8], &'static [u8]>,
    subscription: ScopedKey,
    key: Vec<u8>,
    row: Vec<u8>,
    /// Those that are complete and not in `events` yet.
    rows: SortedRows,
    /// How much was merged.
    bytes: usize,
    each: F,
}

impl<F: FnMut(&[u8], &[u8]) -> anyhow::Result<()>> Merged<'_, F> {
    fn push(&mut self, subscription: &ScopedKey, events: &[u8]) -> anyhow::Result<()> {
        if *subscription != self.subscription || self.row.len() >= LONG_ROW {
            self.finish_row()?;
            let (module, id) = split_scoped_key(subscription);
            let subject = Subject::Subscription(SubscriptionId(id));
            self.key = event_key(module, &subject, first_position(events)?);
            self.subscription = *subscription;
        }
        self.row.extend_from_slice(events);
        self.bytes += events.len();
        Ok(())
    }

    fn finish_row(&mut self) -> anyhow::Result<()> {
        if !self.row.is_empty() {
            self.rows.push(&self.key, &self.row);
            (self.each)(&self.key, &self.row)?;
            self.row.clear();
            if self.rows.are_many() {
                self.rows.put_into(&mut self.events)?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.finish_row()?;
        self.rows.put_into(&mut self.events)
    }
}
