//! Backups: every row that cannot be thrown away, as of one moment, in a file of its own.
//!
//! The side that has the store open writes the rows of one read transaction as a stream (`records`), which neither waits for
//! writers nor keeps them waiting; the other side, maybe another process, makes a file of it, reads that back, and only then
//! gives it its name. A half file is never under the name, and has no manifest.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use redb::backends::FileBackend;
use redb::{ReadTransaction, ReadableDatabase, ReadableTableMetadata as _, TableError};
use serde::{Deserialize, Serialize};

use super::Store;
use super::beside::{Beside, exists};
use super::disk::DiskFull;
use super::open::{REDB_MAGIC, builder, quietly};
use super::records::{self, Sums};
use super::tables::{
    BACKUP, LINKS, META, META_CHAIN, META_CURSOR, META_LAST_BACKUP, SCHEMA_VERSION,
};
use crate::domain::{Checkpoint, Timestamp};

/// The row of `BACKUP`.
pub(super) const MANIFEST: &str = "manifest";

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupManifest {
    /// The moment whose state it holds (machine clock).
    pub made_at: Timestamp,
    /// The version of the program that made it.
    pub program: String,
    /// The layout of its tables.
    pub schema: u32,
    /// The chain that the store follows; `None` where it was never opened by a service.
    pub chain_id: Option<u64>,
    /// The block up to which every event is in it.
    pub cursor: Option<u64>,
    /// How many wallets are linked.
    pub links: u64,
    /// What each table held.
    pub tables: Sums,
}

impl Store {
    /// Writes everything that a backup holds, as of this moment. Nobody waits for it.
    ///
    /// # Errors
    /// When the store cannot be read, or `out` not be written.
    pub fn write_backup(&self, now: Timestamp, out: &mut impl Write) -> anyhow::Result<()> {
        let transaction = self.database.begin_read()?;
        let tables = records::write(&transaction, out)?;
        let meta = transaction.open_table(META)?;
        let chain_id = meta.get(META_CHAIN)?;
        let cursor: Option<Checkpoint> = super::codec::read(meta.get(META_CURSOR)?)?;
        let manifest = BackupManifest {
            made_at: now,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            schema: SCHEMA_VERSION,
            chain_id: chain_id
                .and_then(|bytes| Some(u64::from_le_bytes(bytes.value().try_into().ok()?))),
            cursor: cursor.map(|cursor| cursor.number),
            links: transaction.open_table(LINKS)?.len()?,
            tables,
        };
        records::end(&serde_json::to_vec(&manifest)?, out)
    }

    /// Notes that a backup of this moment was read back and is in its place.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_backup(&self, made_at: Timestamp) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        transaction
            .open_table(META)?
            .insert(META_LAST_BACKUP, made_at.0.to_le_bytes().as_slice())?;
        transaction.commit()?;
        Ok(())
    }

    /// Of which moment (machine clock) the last complete backup is; `None` where none was ever made.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_backup(&self) -> anyhow::Result<Option<Timestamp>> {
        let transaction = self.database.begin_read()?;
        let made_at = transaction.open_table(META)?.get(META_LAST_BACKUP)?;
        let seconds = made_at.and_then(|bytes| bytes.value().try_into().ok());
        Ok(seconds.map(|bytes| Timestamp(u64::from_le_bytes(bytes))))
    }
}

/// Makes a backup file of what [`Store::write_backup`] writes, and reads it back, before it takes the place of an older backup
/// at `file`. Only the owner can read it.
///
/// # Errors
/// When the stream is cut off, the disk refuses, what was written reads otherwise, or something that is no backup is at
/// `file`. What was at `file` is still there then.
pub fn keep_backup(stream: impl Read, file: &Path) -> anyhow::Result<BackupManifest> {
    refuse_to_replace(file)?;
    write_and_read_back(stream, file).map_err(|error| DiskFull::name(error, file))
}

fn write_and_read_back(stream: impl Read, file: &Path) -> anyhow::Result<BackupManifest> {
    let (beside, part) = Beside::new(file)?;
    let written = write_file(stream, part)?;
    let name = file.display();
    let read = read_file(beside.path()).with_context(|| {
        format!("what was written to {name} cannot be read back, so it was removed; is there room on that disk?")
    })?;
    ensure!(
        read == written,
        "what was written to {name} reads otherwise: the disk is not to be trusted"
    );
    beside.replace()?;
    Ok(written)
}

/// A file that is no backup is not replaced by one: it may be the store itself, or a slip of the pen.
///
/// # Errors
/// When there is such a file.
pub fn refuse_to_replace(file: &Path) -> anyhow::Result<()> {
    if !exists(file)? {
        return Ok(());
    }
    // A pipe would be waited on for ever.
    let is_backup = file.is_file() && quietly(|| read_manifest(file).is_ok()).unwrap_or_default();
    ensure!(
        is_backup,
        "{} exists and is no backup of amser-roles; name another file",
        file.display()
    );
    Ok(())
}

fn write_file(stream: impl Read, part: File) -> anyhow::Result<BackupManifest> {
    let database = builder().create_with_backend(FileBackend::new(part)?)?;
    let transaction = database.begin_write()?;
    let bytes = records::read(&mut BufReader::new(stream), &transaction)?;
    let manifest: BackupManifest =
        serde_json::from_slice(&bytes).context("the backup's manifest is damaged")?;
    ensure!(
        manifest.schema == SCHEMA_VERSION,
        "the running service is of version {} with another store; restart it with this program first",
        manifest.program
    );
    transaction
        .open_table(BACKUP)?
        .insert(MANIFEST, bytes.as_slice())?;
    // One transaction: a file that was cut off holds nothing at all.
    transaction.commit()?;
    Ok(manifest)
}

/// The manifest, with the sums of what really is in the file.
fn read_file(file: &Path) -> anyhow::Result<BackupManifest> {
    let database = builder().open_read_only(file)?;
    let transaction = database.begin_read()?;
    Ok(BackupManifest {
        tables: records::write(&transaction, &mut std::io::sink())?,
        ..manifest_in(&transaction)?
    })
}

/// The manifest of a file, without a look at its rows.
///
/// # Errors
/// When it is no backup.
pub(super) fn read_manifest(file: &Path) -> anyhow::Result<BackupManifest> {
    let mut start = [0; REDB_MAGIC.len()];
    let is_redb = File::open(file)?.read_exact(&mut start).is_ok() && start == *REDB_MAGIC;
    ensure!(is_redb, "{} is no backup of amser-roles", file.display());
    manifest_in(&builder().open_read_only(file)?.begin_read()?)
}

/// The manifest in an open file.
pub(super) fn manifest_in(transaction: &ReadTransaction) -> anyhow::Result<BackupManifest> {
    let table = match transaction.open_table(BACKUP) {
        Err(TableError::TableDoesNotExist(_)) => bail!("it is no backup"),
        opened => opened?,
    };
    let manifest = table.get(MANIFEST)?.context("it has no manifest")?;
    serde_json::from_slice(manifest.value()).context("its manifest is damaged")
}

#[cfg(test)]
pub(super) mod tests;
