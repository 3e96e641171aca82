//! The journal of a server: role changes and the managers' own acts.

use super::{Manager, Merchants, Refusal, unbuilt};
use crate::domain::{ActEntry, JournalEntry, Timestamp};

/// A page of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalPage {
    /// Newest first, at most 100.
    pub rows: Vec<JournalRow>,
    /// What to pass as `after` for the next page; `None`: this is the last one.
    pub next: Option<u64>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalRow {
    /// Its place in the journal; grows with time.
    pub sequence: u64,
    /// When (machine clock).
    pub at: Timestamp,
    /// The name of the member whose role changed, or of the manager who acted; `None` where it is not known.
    pub name: Option<String>,
    /// What happened.
    pub happened: Happened,
}

/// What a row of the journal tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A role was given or taken, or Discord refused that.
    Role(JournalEntry),
    /// A manager, or the operator's configuration, changed something.
    Act(ActEntry),
}

impl Merchants {
    /// A page of the journal, newest first. `after`: what the page before gave as `next`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn journal(
        &self,
        manager: &Manager,
        after: Option<u64>,
    ) -> Result<JournalPage, Refusal> {
        let _ = (manager, after);
        Err(unbuilt())
    }
}
