//! Puts a backup in the store's place: copied beside it, checked whole, and renamed. The store before is never gone in
//! between, and stays beside under a dated name.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use redb::backends::FileBackend;
use redb::{
    Database, ReadTransaction, ReadableDatabase as _, ReadableTableMetadata as _, TableDefinition,
    TableError,
};
use time::OffsetDateTime;

use super::StoreError;
use super::backup::{BackupManifest, manifest_in};
use super::beside::{Beside, exists};
use super::disk::DiskFull;
use super::open::{REDB_MAGIC, quietly, schema_version, silent_builder};
use super::records;
use super::tables::{BACKUP, META, META_LAST_BACKUP, SCHEMA_VERSION};
use crate::domain::Timestamp;

/// What came of [`restore`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: BackupManifest,
    /// Where the store before is now.
    pub kept: Option<PathBuf>,
}

/// Puts the backup `file` in the place of `store`, which no process may have open. An existing store is only replaced if
/// `replace`, and kept beside.
///
/// # Errors
/// [`StoreError`] (as `anyhow`) for a store that is in use, a newer program's backup and one of another chain; one sentence
/// for anything else, as a file that is damaged or no backup. The store is as it was then.
pub fn restore(
    file: &Path,
    store: &Path,
    chain_id: u64,
    replace: bool,
    now: Timestamp,
) -> anyhow::Result<Restored> {
    let name = file.display();
    // Held until the end, so that no service starts on the file that is about to be moved away.
    let _lock = lock(store)?;
    let is_there = exists(store)?;
    ensure!(
        replace || !is_there,
        "there is a store at {} already; with --replace the backup takes its place, and that store is kept beside it",
        store.display()
    );
    let mut source = File::open(file).with_context(|| format!("cannot read {name}"))?;
    let mut start = [0; REDB_MAGIC.len()];
    let is_redb = source.read_exact(&mut start).is_ok() && start == *REDB_MAGIC;
    ensure!(is_redb, "{name} is no backup of amser-roles");
    source.rewind()?;
    let mut put = || {
        let (beside, mut part) = Beside::new(store)?;
        std::io::copy(&mut source, &mut part).with_context(|| format!("cannot copy {name}"))?;
        Ok((beside, check(part, &name.to_string(), chain_id)?))
    };
    let (beside, manifest) = put().map_err(|error| DiskFull::name(error, store))?;
    let kept = match is_there {
        true => Some(keep(store, now)?),
        false => None,
    };
    match &kept {
        Some(_) => beside.replace()?,
        None => beside.appear()?,
    }
    Ok(Restored { manifest, kept })
}

/// Locks the store as a service does that has it open.
fn lock(store: &Path) -> anyhow::Result<Option<File>> {
    let name = || store.display().to_string();
    let file = match File::open(store) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| StoreError::Io(name(), error))?,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(name()).into()),
        Err(TryLockError::Error(error)) => Err(StoreError::Io(name(), error).into()),
    }
}

/// Checks the copy of a backup: every page by redb's own checksums, every row by the manifest. Makes a store of it.
fn check(part: File, name: &str, chain_id: u64) -> anyhow::Result<BackupManifest> {
    let opened = quietly(|| {
        // What is asked for here reads all pages, which is no repair.
        let mut checking = silent_builder();
        checking.set_check_integrity_on_open(true);
        checking.create_with_backend(FileBackend::new(part)?)
    });
    let damaged = || format!("{name} is damaged; take an older backup");
    let database = opened.with_context(damaged)?.with_context(damaged)?;
    let version = quietly(|| schema_version(&database)).with_context(damaged)??;
    match version {
        Some(newer) if newer > SCHEMA_VERSION => {
            return Err(StoreError::Newer(name.to_owned(), newer, SCHEMA_VERSION).into());
        }
        Some(_) => {}
        None => bail!("{name} is no backup of amser-roles"),
    }
    let transaction = database.begin_read()?;
    let manifest = manifest_in(&transaction).with_context(|| {
        format!("{name} is no backup of amser-roles; a store itself is moved to store.path by hand")
    })?;
    if let Some(backed_up) = manifest.chain_id.filter(|id| *id != chain_id) {
        bail!(
            "{name} is of chain {backed_up}, but chain.chain_id is {chain_id}; restore it with the configuration it belongs to"
        );
    }
    let is_whole = quietly(|| is_as_it_was(&transaction, &manifest)).with_context(damaged)?;
    ensure!(is_whole?, damaged());
    drop(transaction);
    make_a_store(&database, &manifest)?;
    Ok(manifest)
}

/// Whether each table holds what the manifest says. The rows of a table that only an older program knew are counted alone.
fn is_as_it_was(transaction: &ReadTransaction, manifest: &BackupManifest) -> anyhow::Result<bool> {
    let known = records::write(transaction, &mut std::io::sink())?;
    for (name, sum) in &manifest.tables {
        let is_same = match known.get(name) {
            Some(known) => known == sum,
            None => {
                let handle: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(name);
                match transaction.open_untyped_table(handle) {
                    Err(TableError::TableDoesNotExist(_)) => false,
                    opened => opened?.len()? == sum.rows,
                }
            }
        };
        if !is_same {
            return Ok(false);
        }
    }
    Ok(known.keys().all(|name| manifest.tables.contains_key(name)))
}

fn make_a_store(database: &Database, manifest: &BackupManifest) -> anyhow::Result<()> {
    let transaction = database.begin_write()?;
    transaction.delete_table(BACKUP)?;
    let made_at = manifest.made_at.0.to_le_bytes();
    transaction
        .open_table(META)?
        .insert(META_LAST_BACKUP, made_at.as_slice())?;
    transaction.commit()?;
    Ok(())
}

/// Gives the store a second, dated name. Where the file system has no hard links it is renamed.
fn keep(store: &Path, now: Timestamp) -> anyhow::Result<PathBuf> {
    let at = i64::try_from(now.0).ok();
    let at = at.and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    let at = at.context("the machine's clock is wrong")?;
    let (date, time) = (at.date(), at.time());
    let (hour, minute, second) = time.as_hms();
    let dated = format!("{date}T{hour:02}-{minute:02}-{second:02}Z");
    for attempt in 0..100 {
        let mut name = store.as_os_str().to_owned();
        name.push(format!(".before-restore-{dated}"));
        if attempt > 0 {
            name.push(format!("-{attempt}"));
        }
        let kept = PathBuf::from(name);
        match std::fs::hard_link(store, &kept) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Unsupported | ErrorKind::PermissionDenied
                ) =>
            {
                std::fs::rename(store, &kept).context("cannot keep the store beside")?;
                return Ok(kept);
            }
            linked => {
                linked.context("cannot keep the store beside")?;
                return Ok(kept);
            }
        }
    }
    bail!("cannot keep the store beside: its names are all taken")
}

#[cfg(test)]
mod tests;
