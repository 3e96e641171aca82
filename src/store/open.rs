//! Opening the file: never a panic on a damaged one, never a silent new one, never two processes on the same.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redb::{Database, DatabaseError, TableDefinition, WriteTransaction, backends::InMemoryBackend};
use tracing::warn;

use super::disk::{FoundFull, NamedFile};
use super::tables::{
    BACKUP, EachTable, META, META_SCHEMA, SCHEMA_VERSION, each_kept, each_short_lived,
};
use super::{StoreError, migrate, refold};
use crate::domain::Rules;

/// redb's page cache. Its default of 1 GiB would be most of the memory of a small server.
const CACHE_BYTES: usize = 16 << 20;

/// How often the progress of a repair is logged.
const LOG_EVERY: Duration = Duration::from_secs(3);

/// The first bytes of every redb file (redb, docs/design.md, "Super-header").
pub(super) const REDB_MAGIC: &[u8; 9] = b"redb\x1A\x0A\xA9\x0D\x0A";

pub(super) fn in_memory(rules: &Rules) -> anyhow::Result<Database> {
    let database = builder().create_with_backend(InMemoryBackend::new())?;
    lay_out(&database, SCHEMA_VERSION)?;
    refold::bring_up_to_date(&database, rules)?;
    Ok(database)
}

/// Opens or creates the file, with its cached states folded by these rules.
pub(super) fn open(path: &Path, rules: &Rules) -> Result<(Database, FoundFull), StoreError> {
    let name = path.display().to_string();
    let (database, found_full) = open_or_create(path, &name)?;
    quietly(move || refold::bring_up_to_date(&database, rules).map(|_| database))
        .ok_or_else(|| StoreError::Damaged(name.clone(), "its events cannot be folded".to_owned()))?
        .map(|database| (database, found_full))
        .map_err(|error| unusable(error, &name))
}

fn open_or_create(path: &Path, name: &str) -> Result<(Database, FoundFull), StoreError> {
    match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => create(path, name),
        Err(error) => Err(StoreError::Io(name.to_owned(), error)),
        Ok(mut file) => {
            let mut start = [0; REDB_MAGIC.len()];
            match file.read_exact(&mut start) {
                Ok(()) if start == *REDB_MAGIC => open_existing(path, name),
                Err(error) if error.kind() != ErrorKind::UnexpectedEof => {
                    Err(StoreError::Io(name.to_owned(), error))
                }
                _ => Err(StoreError::Foreign(name.to_owned())),
            }
        }
    }
}

/// Makes a store beside its final place and renames it there when it is complete, so that a crash in between leaves no
/// half-made file under the name. Only its owner may read it: it says which member holds which wallet.
fn create(path: &Path, name: &str) -> Result<(Database, FoundFull), StoreError> {
    let io = |error| StoreError::Io(name.to_owned(), error);
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder).map_err(io)?;
    }
    let mut fresh = PathBuf::from(path).into_os_string();
    fresh.push(format!(".new-{}", std::process::id()));
    let fresh = PathBuf::from(fresh);
    match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(io)?;
    let made = open_file(file, name)
        .map_err(|error| translate(error, name))
        .and_then(|made| match lay_out(&made.0, SCHEMA_VERSION) {
            Ok(()) => Ok(made),
            Err(error) => Err(unusable(error, name)),
        });
    // A full disk must not fill up with what each try leaves behind.
    let made = made.inspect_err(|_| drop(std::fs::remove_file(&fresh)))?;
    match put_in_place(&fresh, path, |from, to| std::fs::hard_link(from, to)) {
        Ok(()) => Ok(made),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(StoreError::InUse(name.to_owned()))
        }
        Err(error) => Err(io(error)),
    }
}

/// Gives the finished file its name, unless there is a file of that name: a second process that creates at the same time
/// loses here instead of replacing a store that is in use. `link` makes a hard link.
pub(super) fn put_in_place(
    fresh: &Path,
    path: &Path,
    link: impl FnOnce(&Path, &Path) -> std::io::Result<()>,
) -> std::io::Result<()> {
    match link(fresh, path) {
        // The file system has no hard links. An empty file of this name can be made by one process only.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::Unsupported | ErrorKind::PermissionDenied
            ) =>
        {
            File::create_new(path)?;
            std::fs::rename(fresh, path).inspect_err(|_| drop(std::fs::remove_file(path)))
        }
        linked => {
            std::fs::remove_file(fresh)?;
            linked
        }
    }
}

/// A builder with our cache.
pub(super) fn silent_builder() -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// The same, and it tells in the log how far the repair of a file is that was not closed.
pub(super) fn builder() -> redb::Builder {
    let told = Mutex::new(None::<Instant>);
    let mut builder = silent_builder();
    builder.set_repair_callback(move |repair| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
            *told = Some(Instant::now());
            let percent = (repair.progress() * 100.0).round();
            warn!(
                percent,
                "the store was not closed properly; it is checked before use"
            );
        }
    });
    builder
}

fn open_file(file: File, name: &str) -> Result<(Database, FoundFull), DatabaseError> {
    let file = NamedFile::new(file, name)?;
    let found_full = file.found_full();
    Ok((builder().create_with_backend(file)?, found_full))
}

fn open_existing(path: &Path, name: &str) -> Result<(Database, FoundFull), StoreError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(|error| StoreError::Io(name.to_owned(), error))?;
    let damaged = |why: &str| StoreError::Damaged(name.to_owned(), why.to_owned());
    // redb's debug builds panic on damage that its release builds report; either way it is one sentence for the user.
    let (opened, found_full) = quietly(|| open_file(file, name))
        .ok_or_else(|| damaged("its pages do not fit together"))?
        .map_err(|error| translate(error, name))?;
    let (opened, version) = quietly(move || {
        let version = schema_version(&opened);
        (opened, version)
    })
    .ok_or_else(|| damaged("its tables cannot be read"))?;
    match version.map_err(|error| unusable(error, name))? {
        None => Err(StoreError::Foreign(name.to_owned())),
        Some(known @ 1..=SCHEMA_VERSION) => {
            quietly(move || lay_out(&opened, known).map(|()| (opened, found_full)))
                .ok_or_else(|| damaged("its tables cannot be written"))?
                .map_err(|error| unusable(error, name))
        }
        Some(newer) if newer > SCHEMA_VERSION => {
            Err(StoreError::Newer(name.to_owned(), newer, SCHEMA_VERSION))
        }
        Some(older) => Err(damaged(&format!(
            "its schema version {older} never existed"
        ))),
    }
}

/// Runs `work` with panics turned into `None` and kept off the terminal.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(work)).ok();
    std::panic::set_hook(hook);
    result
}

fn translate(error: DatabaseError, name: &str) -> StoreError {
    let name = name.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::InUse(name)
        }
        DatabaseError::Storage(redb::StorageError::Io(error)) if !tells_of_damage(&error) => {
            StoreError::Io(name, error)
        }
        other => StoreError::Damaged(name, other.to_string()),
    }
}

/// Whether the file was read, and is not what it should be.
fn tells_of_damage(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof
    )
}

/// Why the tables cannot be read or written: a full or failing disk is no damage, and what it keeps from being used is
/// whole.
fn unusable(error: anyhow::Error, name: &str) -> StoreError {
    let name = name.to_owned();
    let known = error
        .downcast::<redb::StorageError>()
        .map(redb::Error::from)
        .or_else(|error| error.downcast::<redb::TransactionError>().map(Into::into))
        .or_else(|error| error.downcast::<redb::TableError>().map(Into::into))
        .or_else(|error| error.downcast::<redb::CommitError>().map(Into::into));
    match known {
        Ok(redb::Error::Io(error)) if !tells_of_damage(&error) => StoreError::Io(name, error),
        // The first error said what it was; nothing says it again.
        Ok(error @ redb::Error::PreviousIo) => {
            StoreError::Io(name, std::io::Error::other(error.to_string()))
        }
        Ok(other) => StoreError::Damaged(name, other.to_string()),
        Err(other) => StoreError::Damaged(name, other.to_string()),
    }
}

pub(super) fn schema_version(
    database: &impl redb::ReadableDatabase,
) -> anyhow::Result<Option<u32>> {
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        other => other?,
    };
    let version = meta.get(META_SCHEMA)?;
    Ok(version.and_then(|bytes| Some(u32::from_le_bytes(bytes.value().try_into().ok()?))))
}

/// Creates each table that is missing.
struct Made<'a>(&'a WriteTransaction);

impl EachTable for Made<'_> {
    fn table<K: redb::Key + 'static, V: redb::Value + 'static>(
        &mut self,
        table: TableDefinition<'static, K, V>,
    ) -> anyhow::Result<()> {
        self.0.open_table(table)?;
        Ok(())
    }
}

/// Brings a file of this version up to the newest, and creates every table that is missing, so that readers never meet a
/// missing one.
fn lay_out(database: &Database, version: u32) -> anyhow::Result<()> {
    let transaction = database.begin_write()?;
    if version < 2 {
        migrate::from_version_1(&transaction)?;
    }
    if version < 3 {
        migrate::from_version_2(&transaction)?;
    }
    if version < 4 {
        migrate::from_version_3(&transaction)?;
    }
    {
        transaction
            .open_table(META)?
            .insert(META_SCHEMA, SCHEMA_VERSION.to_le_bytes().as_slice())?;
    }
    each_kept(&mut Made(&transaction))?;
    each_short_lived(&mut Made(&transaction))?;
    // Whatever it was before: from now on it is a store, and what is written to it is in no manifest.
    transaction.delete_table(BACKUP)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests;
