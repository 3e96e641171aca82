//! What is confirmed and not stored yet: blocks without events, which are worth a commit only now and then, and what the
//! next commit has to say once.

use std::time::{Duration, Instant};

use super::history::FirstCommit;
use crate::domain::Checkpoint;

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
    /// What the next commit says once.
    pub(super) next: FirstCommit,
}

impl Unsaved {
    pub(super) fn new(has_cursor: bool) -> Self {
        Self {
            headers: Vec::new(),
            since: Instant::now(),
            has_cursor,
            next: FirstCommit::default(),
        }
    }

    /// Everything up to the new cursor is stored.
    pub(super) fn clear(&mut self) {
        *self = Self::new(true);
    }

    /// Blocks that were confirmed and are not stored yet, newest first.
    pub(super) fn headers(&self) -> Vec<Checkpoint> {
        self.headers.iter().rev().copied().collect()
    }

    /// Whether there is something that must be told with the very next commit.
    pub(super) fn has_news(&self) -> bool {
        let FirstCommit {
            rollback_to,
            joined,
            left,
        } = &self.next;
        rollback_to.is_some() || !joined.is_empty() || !left.is_empty()
    }

    /// Confirmed blocks without events: worth a commit only now and then.
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
