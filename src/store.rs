//! The store: one redb file behind named transactions. The only user of redb.
//!
//! Everything here is synchronous: async callers go through `spawn_blocking`. A transaction is never held across a call.

mod absent;
mod acts;
mod alerts;
mod backup;
mod beside;
mod checks;
mod codec;
mod direct_messages;
mod disk;
mod ended;
mod forgotten;
mod gates;
mod grants;
mod handover;
mod health;
mod history;
mod ingest;
mod journal;
mod last_event;
mod ledger;
mod links;
mod member;
mod mend;
mod merchants;
mod migrate;
mod notices;
mod open;
mod reads;
mod rebuild;
mod records;
mod refold;
mod renewals;
mod reset;
mod restore;
mod retention;
mod rollback;
mod runs;
mod servers;
mod sessions;
mod settings;
mod sorted;
mod tables;
mod told;
mod touched;
mod transaction;
mod transfer;
mod used;
mod verify;
mod warned;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::domain::Rules;

pub use backup::{BackupManifest, keep_backup, refuse_to_replace};
pub use beside::write_whole;
pub use disk::DiskFull;
pub use gates::GateRefusal;
pub use health::{Pages, RowsRead};
pub use links::LinkOutcome;
pub use merchants::MerchantWallet;
pub use notices::Notice;
pub use rebuild::Rebuilt;
pub use records::{Sums, TableSum};
pub use restore::{Restored, restore};
pub use servers::ServerRecord;
pub use sessions::Session;
pub use told::{Stream, Told};
pub use touched::Touched;
pub use transfer::Imported;
pub use verify::{Challenge, Completed, LinkRequest, RequestState, Usable};

/// Handle of the open store; clones share the one file.
#[derive(Clone)]
pub struct Store {
    database: Arc<redb::Database>,
    found_full: disk::FoundFull,
    rules: Arc<Rules>,
    touched: Arc<touched::Inbox>,
    notice_added: Arc<Notify>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// Why a store cannot be opened. Each message is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the file.
    #[error(
        "the store {0} is in use by another amser-roles process; stop it first, or ask it (`plan`)"
    )]
    InUse(String),
    /// The file is not a store of ours.
    #[error(
        "{0} is not an amser-roles store; point store.path to another file, it was left untouched"
    )]
    Foreign(String),
    /// The file was one, and is damaged.
    #[error(
        "the store {0} is damaged ({1}); move it away and restore a backup, or start afresh and let the chain be read again"
    )]
    Damaged(String, String),
    /// A newer program wrote it.
    #[error(
        "the store {0} has schema version {1} and this program knows {2}; run the newer program that wrote it"
    )]
    Newer(String, u32, u32),
    /// It follows another chain.
    #[error(
        "the store follows chain {0}, but chain.chain_id is {1}; give each chain its own store.path"
    )]
    OtherChain(u64, u64),
    /// The folder or file cannot be reached.
    #[error("cannot open the store {0}: {1}{way}", way = way_out(.1))]
    Io(String, std::io::Error),
}

/// What can be done about it, where that is known.
fn way_out(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::PermissionDenied => "; run this as the user whom the store belongs to",
        ErrorKind::NotADirectory => "; a file stands in the place of its folder",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; make room on its disk",
        ErrorKind::ReadOnlyFilesystem => "; point store.path to a disk that can be written",
        _ => "",
    }
}

impl Store {
    /// Opens the store with the default rules, making a new one only where no file is.
    ///
    /// # Errors
    /// [`StoreError`]; a corrupt or foreign file is left as it is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, Rules::default())
    }

    /// As [`Store::open`]. Where the stored states were folded with other rules, they are folded again first, which takes
    /// a few seconds per million events.
    ///
    /// # Errors
    /// [`StoreError`]; a corrupt or foreign file is left as it is.
    pub fn open_with(path: &Path, rules: Rules) -> Result<Self, StoreError> {
        let (database, found_full) = open::open(path, &rules)?;
        Ok(Self::around(database, found_full, rules))
    }

    /// A store that lives as long as the handle; for tests.
    ///
    /// # Errors
    /// None in practice: memory cannot fail to open.
    pub fn in_memory() -> anyhow::Result<Self> {
        let rules = Rules::default();
        let database = open::in_memory(&rules)?;
        Ok(Self::around(database, disk::FoundFull::default(), rules))
    }

    /// The rules that the stored states are folded with.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether its disk was found full, with what to do. Nothing can be written by this handle after that.
    pub fn disk_full(&self) -> Option<DiskFull> {
        self.found_full.get().cloned()
    }

    fn around(database: redb::Database, found_full: disk::FoundFull, rules: Rules) -> Self {
        Self {
            database: Arc::new(database),
            found_full,
            rules: Arc::new(rules),
            touched: Arc::default(),
            notice_added: Arc::default(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
