//! What the store says when its disk is full. redb reports the first write that fails in the system's words, without the file's
//! name, and refuses every later one with words of its own; what is said here names the file and what to do.

use std::error::Error;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use redb::backends::FileBackend;
use redb::{
    BackendError, CommitError, CursorError, DatabaseError, StorageBackend, StorageError,
    TableError, TransactionError,
};

use super::StoreError;

/// A file could not be written, because there was no room for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot write {file}: {reason}; make room, then run amser-roles again; nothing that was stored is lost"
)]
pub struct DiskFull {
    file: String,
    reason: &'static str,
}

impl DiskFull {
    fn writing(file: &str, kind: ErrorKind) -> Option<Self> {
        let reason = match kind {
            ErrorKind::StorageFull => "its disk is full",
            ErrorKind::QuotaExceeded => "the disk quota of this user is used up",
            ErrorKind::FileTooLarge => "it has reached the limit for the size of a file",
            _ => return None,
        };
        Some(Self {
            file: file.to_owned(),
            reason,
        })
    }

    /// What is said in it about a full disk, if it comes from one.
    pub fn in_error(error: &anyhow::Error) -> Option<&Self> {
        error.chain().find_map(|cause| {
            cause
                .downcast_ref::<Self>()
                .or_else(|| io_error(cause)?.get_ref()?.downcast_ref::<Self>())
        })
    }

    /// The error that writing this file ended with; a full disk is said with the file's name.
    pub(super) fn name(error: anyhow::Error, file: &Path) -> anyhow::Error {
        if Self::in_error(&error).is_some() {
            return error;
        }
        let kind = error
            .chain()
            .find_map(|cause| io_error(cause))
            .map(io::Error::kind);
        let full = kind.and_then(|kind| Self::writing(&file.display().to_string(), kind));
        full.map_or(error, Into::into)
    }
}

/// The I/O error that this is or holds; errors of the store do not name their sources.
fn io_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let redbs = cause
        .downcast_ref::<StorageError>()
        .or_else(|| match cause.downcast_ref()? {
            TransactionError::Storage(error) => Some(error),
            _ => None,
        })
        .or_else(|| match cause.downcast_ref()? {
            TableError::Storage(error) => Some(error),
            _ => None,
        })
        .or_else(|| match cause.downcast_ref()? {
            CommitError::Storage(error) => Some(error),
            _ => None,
        })
        .or_else(|| match cause.downcast_ref()? {
            DatabaseError::Storage(error) => Some(error),
            _ => None,
        })
        .or_else(|| match cause.downcast_ref()? {
            CursorError::Storage(error) => Some(error),
            _ => None,
        });
    match (redbs, cause.downcast_ref()) {
        (Some(StorageError::Io(error)), _) | (None, Some(StoreError::Io(_, error))) => Some(error),
        (None, _) => cause.downcast_ref(),
        (Some(_), _) => None,
    }
}

/// Where it is kept that a file's disk was full; clones share it.
pub(super) type FoundFull = Arc<OnceLock<DiskFull>>;

/// redb's file, whose errors name it when the disk is full, and which keeps the first one: redb forgets it.
#[derive(Debug)]
pub(super) struct NamedFile {
    file: FileBackend,
    name: String,
    found_full: FoundFull,
}

impl NamedFile {
    /// `name` is what people call the file.
    ///
    /// # Errors
    /// As [`FileBackend::new`].
    pub(super) fn new(file: File, name: &str) -> Result<Self, DatabaseError> {
        Ok(Self {
            file: FileBackend::new(file)?,
            name: name.to_owned(),
            found_full: FoundFull::default(),
        })
    }

    /// Is filled when a write finds the disk full.
    pub(super) fn found_full(&self) -> FoundFull {
        Arc::clone(&self.found_full)
    }

    fn say(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        match DiskFull::writing(&self.name, kind) {
            Some(full) => io::Error::new(kind, self.found_full.get_or_init(|| full).clone()),
            None => error,
        }
    }
}

impl StorageBackend for NamedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len).map_err(|error| self.say(error))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data().map_err(|error| self.say(error))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let written = self.file.write(offset, data);
        written.map_err(|error| self.say(error))
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_one_sentence_with_the_file_and_what_to_do() {
        let storage = || StorageError::Io(ErrorKind::StorageFull.into());
        let opening = StoreError::Io("/data/a.redb".to_owned(), ErrorKind::StorageFull.into());
        for error in [
            opening.into(),
            anyhow::Error::from(io::Error::from(ErrorKind::StorageFull)).context("cannot copy it"),
            CommitError::Storage(storage()).into(),
            CursorError::Storage(storage()).into(),
        ] {
            let named = DiskFull::name(error, Path::new("/data/a.redb"));
            let again = DiskFull::name(named, Path::new("/data/other"));
            assert_eq!(
                DiskFull::in_error(&again).unwrap().to_string(),
                "cannot write /data/a.redb: its disk is full; make room, then run amser-roles again; nothing that was stored is lost"
            );
        }
        let other = DiskFull::name(anyhow::anyhow!("it is no backup"), Path::new("/data/a"));
        assert!(DiskFull::in_error(&other).is_none());
    }

    #[test]
    fn what_redb_says_of_a_full_disk_holds_the_files_name() {
        let file = NamedFile::new(tempfile::tempfile().unwrap(), "/data/a.redb").unwrap();
        let error = file.say(ErrorKind::QuotaExceeded.into());
        let full = file.found_full().get().cloned().unwrap();
        assert!(
            full.to_string().contains("/data/a.redb: the disk quota"),
            "{full}"
        );
        let error = TransactionError::Storage(StorageError::Io(error)).into();
        assert_eq!(DiskFull::in_error(&error), Some(&full));
    }
}
