//! How far the chain is stored: the cursor, each module's place relative to it, and the hashes of followed blocks.

use std::collections::BTreeSet;

use alloy::primitives::Address;
use redb::{ReadableTable, Table, WriteTransaction};

use crate::domain::{Batch, Checkpoint, Coverage, EventKind, ModuleAddress, ModuleRecord, Synced};
use crate::store::codec::{decode, encode, read};
use crate::store::tables::{HEADERS, META, META_CURSOR, META_FINALIZED, MODULES};
use crate::store::touched::Touched;

/// The headers of this many newest blocks are all kept; older ones are thinned to [`SPARSE`].
const DENSE_HEADERS: u64 = 4_096;

/// Of old blocks, a header is kept when it is at least this many blocks above the one kept below it.
const SPARSE: u64 = 256;

type Modules<'transaction> = Table<'transaction, &'static [u8; 20], &'static [u8]>;

/// Moves the cursor, the modules and the finalized block as the batch says; returns the cursor before.
///
/// Only the records of modules that the batch names are written: modules at the cursor move with it.
pub(super) fn store(
    transaction: &WriteTransaction,
    batch: &Batch,
    touched: &mut Touched,
) -> anyhow::Result<Option<u64>> {
    let mut meta = transaction.open_table(META)?;
    let mut modules = transaction.open_table(MODULES)?;
    let before = checkpoint(&meta, META_CURSOR)?.map(|cursor| cursor.number);
    let before = match batch.rollback_to {
        Some(fork) => before.map(|cursor| cursor.min(fork)),
        None => before,
    };
    let changed = match &batch.coverage {
        Coverage::Cursor { joined, left } => {
            meta.insert(META_CURSOR, encode(&batch.to).as_slice())?;
            let joined = set_synced(&mut modules, joined, |_| Synced::ToCursor)?;
            let left = set_synced(&mut modules, left, |record| {
                Synced::To(before.filter(|cursor| *cursor >= record.start_block))
            })?;
            joined || left
        }
        Coverage::Behind(behind) => {
            if batch.rollback_to.is_some() && before.is_some() {
                anyhow::ensure!(
                    meta.get(META_CURSOR)?.is_some(),
                    "a batch behind the cursor goes back to a block whose header is not stored"
                );
            }
            set_synced(&mut modules, behind, |record| match record.synced {
                Synced::ToCursor => Synced::ToCursor,
                Synced::To(_) => Synced::To(Some(batch.to.number)),
            })?
        }
    };
    store_processors(&mut modules, batch)?;
    if let Some(newest) = batch.finalized {
        let known = checkpoint(&meta, META_FINALIZED)?;
        if known.is_none_or(|known| known.number < newest.number) {
            meta.insert(META_FINALIZED, encode(&newest).as_slice())?;
        }
    }
    if changed {
        touched.complete = Some(complete_modules(&modules)?);
    }
    Ok(before)
}

/// Sets how far the events of these modules are stored. Whether one came to the cursor or was left behind by it.
fn set_synced(
    table: &mut Modules<'_>,
    modules: &[ModuleAddress],
    synced: impl Fn(&ModuleRecord) -> Synced,
) -> anyhow::Result<bool> {
    let mut changed = false;
    for module in modules {
        let Some(mut record) = record(table, *module)? else {
            continue;
        };
        let after = synced(&record);
        if after == record.synced {
            continue;
        }
        changed |= (after == Synced::ToCursor) != (record.synced == Synced::ToCursor);
        record.synced = after;
        table.insert(&module.0.0.0, encode(&record).as_slice())?;
    }
    Ok(changed)
}

fn store_processors(table: &mut Modules<'_>, batch: &Batch) -> anyhow::Result<()> {
    for event in &batch.events {
        if let EventKind::PaymentProcessorUpdated { current, .. } = event.kind
            && let Some(mut record) = record(table, event.module)?
        {
            record.processor_updates.push((event.position, current));
            table.insert(&event.module.0.0.0, encode(&record).as_slice())?;
        }
    }
    Ok(())
}

fn record(
    table: &impl ReadableTable<&'static [u8; 20], &'static [u8]>,
    module: ModuleAddress,
) -> anyhow::Result<Option<ModuleRecord>> {
    read(table.get(&module.0.0.0)?)
}

fn checkpoint(
    meta: &impl ReadableTable<&'static str, &'static [u8]>,
    name: &str,
) -> anyhow::Result<Option<Checkpoint>> {
    read(meta.get(name)?)
}

/// The modules of which every event up to the cursor is stored. Reads all records.
pub(in crate::store) fn complete_modules(
    table: &impl ReadableTable<&'static [u8; 20], &'static [u8]>,
) -> anyhow::Result<BTreeSet<ModuleAddress>> {
    let mut complete = BTreeSet::new();
    for row in table.iter()? {
        let (key, record) = row?;
        if decode::<ModuleRecord>(record.value())?.synced == Synced::ToCursor {
            complete.insert(ModuleAddress(Address::from(*key.value())));
        }
    }
    Ok(complete)
}

/// Stores the headers, and thins those that left the dense window as the cursor moved on from `before`.
pub(super) fn store_headers(
    transaction: &WriteTransaction,
    batch: &Batch,
    before: Option<u64>,
) -> anyhow::Result<()> {
    let mut table = transaction.open_table(HEADERS)?;
    for header in batch.headers.iter().chain([&batch.to]) {
        table.insert(header.number, (&header.hash.0, header.timestamp.0))?;
    }
    if let Coverage::Cursor { .. } = batch.coverage {
        let from = before.unwrap_or(0).saturating_sub(DENSE_HEADERS);
        thin(&mut table, from, batch.to.number)?;
    }
    Ok(())
}

/// Thins the headers from block `from` up to the dense window below `cursor`.
pub(in crate::store) fn thin(
    table: &mut Table<'_, u64, (&'static [u8; 32], u64)>,
    from: u64,
    cursor: u64,
) -> anyhow::Result<()> {
    let end = cursor.saturating_sub(DENSE_HEADERS);
    if from >= end {
        return Ok(());
    }
    let below = table.range(..from)?.next_back().transpose()?;
    let mut kept = below.map(|(number, _)| number.value());
    table.retain_in(from..end, |number, _| {
        let keep = kept.is_none_or(|kept| number - kept >= SPARSE);
        if keep {
            kept = Some(number);
        }
        keep
    })?;
    Ok(())
}
