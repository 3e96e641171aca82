//! What is confirmed and not stored yet: blocks without events, which are worth a commit only now and then.

use std::time::{Duration, Instant};

use crate::domain::{Batch, Checkpoint, Coverage, ModuleAddress};

/// Blocks without events are saved at the latest after this.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// What is confirmed and not stored yet.
#[derive(Debug)]
pub(super) struct Unsaved {
    /// Confirmed blocks without events since the last commit, oldest first.
    pub(super) headers: Vec<Checkpoint>,
    since: Instant,
    /// Whether the store has a cursor.
    pub(super) has_cursor: bool,
    pub(super) next: NextCommit,
}

/// What the next commit says once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NextCommit {
    pub(super) rollback_to: Option<u64>,
    pub(super) joined: Vec<ModuleAddress>,
    pub(super) left: Vec<ModuleAddress>,
}

impl NextCommit {
    /// A batch that says so and moves the cursor to `to`; nothing else is in it yet.
    pub(super) fn batch(self, to: Checkpoint) -> Batch {
        let coverage = Coverage::Cursor {
            joined: self.joined,
            left: self.left,
        };
        Batch {
            rollback_to: self.rollback_to,
            ..Batch::new(to, coverage)
        }
    }
}

impl Unsaved {
    pub(super) fn new(has_cursor: bool) -> Self {
        Self {
            headers: Vec::new(),
            since: Instant::now(),
            has_cursor,
            next: NextCommit::default(),
        }
    }

    /// Everything up to the new cursor is stored.
    pub(super) fn clear(&mut self) {
        *self = Self::new(true);
    }

    /// Whether there is something that must be told with the very next commit.
    pub(super) fn has_news(&self) -> bool {
        self.next != NextCommit::default()
    }

    /// Keeps confirmed blocks without events.
    pub(super) fn keep(&mut self, headers: impl IntoIterator<Item = Checkpoint>) {
        if self.headers.is_empty() {
            self.since = Instant::now();
        }
        self.headers.extend(headers);
    }

    /// When the eventless blocks are to be stored.
    pub(super) fn due(&self) -> Option<Instant> {
        let is_due = !self.headers.is_empty() || self.has_news();
        is_due.then(|| self.since + SAVE_EVERY)
    }

    /// Everything above `fork` is undone by the next commit.
    pub(super) fn roll_back_to(&mut self, fork: u64) {
        let earlier = self.next.rollback_to.unwrap_or(fork);
        self.next.rollback_to = Some(earlier.min(fork));
        self.headers.retain(|header| header.number <= fork);
    }
}
