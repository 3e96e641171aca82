//! What was read becomes durable: few commits, the cursor with its events, and the plans they refer to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alloy::primitives::Address;
use tracing::warn;

use super::follow::{Setback, blocking};
use super::node::Node;
use super::node::reconnect::Reconnect;
use super::plans::Plans;
use super::unknown::UnknownWarnings;
use super::watch::Watch;
use super::writer::Writer;
use crate::abi::Layouts;
use crate::domain::{Batch, ChainEvent, Checkpoint, ModuleAddress, UnknownLogs};
use crate::store::Store;

/// Blocks without events are saved at the latest after this.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether there are plans that could not be read.
const IDLE: Duration = Duration::from_secs(1);

/// The way into the store for everything that reads the chain; clones share it.
#[derive(Clone)]
pub(super) struct Ledger {
    pub(super) store: Store,
    // Held for the whole of a commit, on the thread that makes it: a reader that is aborted cannot commit afterwards.
    turn: Arc<tokio::sync::Mutex<()>>,
    pub(super) plans: Plans,
    layouts: Arc<Layouts>,
    warnings: Arc<Mutex<UnknownWarnings>>,
    writer: Writer,
    commits: Arc<AtomicU64>,
}

impl Ledger {
    fn new(store: Store, layouts: Arc<Layouts>) -> anyhow::Result<Self> {
        Ok(Self {
            store,
            warnings: Arc::new(Mutex::new(UnknownWarnings::new(Arc::clone(&layouts)))),
            layouts,
            turn: Arc::default(),
            plans: Plans::default(),
            writer: Writer::start()?,
            commits: Arc::default(),
        })
    }

    /// Stores a batch, after reading the plans that it refers to and that were created before the first block read.
    pub(super) async fn ingest(&self, node: &Node, mut batch: Batch) -> Result<(), Setback> {
        let new = self.plans.new_in(&batch);
        let asked = self.plans.unread(&self.store, &batch, &new).await?;
        let read = self.plans.read(node, &self.layouts, asked).await?;
        batch.plans.extend(read);
        self.write(batch).await?;
        // Not before: what fails is tried again, and must ask again.
        self.plans.learned(new);
        Ok(())
    }

    /// Reads the plans that could not be read when they were met, now and then; returns only when the store fails.
    pub(super) async fn read_late_plans(&self, node: &Node) -> Setback {
        let mut schedule = Reconnect::slow();
        loop {
            let wait = match self.plans.are_late() {
                true => schedule.failed(None),
                false => {
                    schedule.healthy();
                    IDLE
                }
            };
            tokio::time::sleep(wait).await;
            let read = self.plans.read_again(node, &self.layouts).await;
            if read.is_empty() {
                continue;
            }
            let (store, late) = (self.store.clone(), read.clone());
            let turn = Arc::clone(&self.turn).lock_owned().await;
            let stored = blocking(move || {
                let _turn = turn;
                store.learn_plans(&late)
            });
            match stored.await {
                Ok(()) => self.plans.found(&read),
                Err(setback) => return setback,
            }
        }
    }

    async fn write(&self, batch: Batch) -> Result<(), Setback> {
        self.warnings
            .lock()
            .expect("never poisoned: no panic while held")
            .warn(&batch.unknown);
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let stored = self.writer.ingest(self.store.clone(), batch, turn).await;
        stored.map_err(Setback::Store)?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Batches stored since the start: a sign of progress.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// A module had another processor than was thought when it was first read: everything about it is read again.
    pub(super) async fn reset_module(
        &self,
        watch: &mut Watch,
        module: ModuleAddress,
        actual: Address,
    ) -> Result<(), Setback> {
        warn!(%module, processor = %actual, "the module had another payment processor before; reading it again");
        let store = self.store.clone();
        blocking(move || {
            let record = store.modules()?.remove(&module);
            let start = record.map_or(0, |record| record.start_block);
            store.reset_module(module, start, actual)
        })
        .await?;
        self.plans.forget(module);
        watch.remove(&module);
        Ok(())
    }

    /// Returns when no commit of an aborted reader is under way.
    pub(super) async fn settle(&self) {
        let _turn = self.turn.lock().await;
    }
}

/// What the follower knows and has not stored yet.
pub(super) struct Committer {
    pub(super) ledger: Ledger,
    /// Confirmed blocks without events since the last commit.
    unsaved: Vec<Checkpoint>,
    saved_at: Instant,
    /// Whether the store has a cursor.
    anchored: bool,
    /// Set after a reorganisation until the new chain is stored.
    rollback: Option<u64>,
    events: u64,
}

/// A stretch of the chain to store, up to the new cursor.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) modules: Vec<ModuleAddress>,
    pub(super) to: Checkpoint,
    pub(super) events: Vec<ChainEvent>,
    pub(super) unknown: Vec<UnknownLogs>,
    /// Blocks up to `to` that are to be looked at once more.
    pub(super) unsure: Vec<Checkpoint>,
}

impl Committer {
    pub(super) fn new(store: Store, layouts: Arc<Layouts>) -> anyhow::Result<Self> {
        Ok(Self {
            ledger: Ledger::new(store, layouts)?,
            unsaved: Vec::new(),
            saved_at: Instant::now(),
            anchored: false,
            rollback: None,
            events: 0,
        })
    }

    /// The store has a cursor already.
    pub(super) fn anchored(&mut self) {
        self.anchored = true;
    }

    /// Whether the store has a cursor.
    pub(super) fn is_anchored(&self) -> bool {
        self.anchored
    }

    /// Events stored since the start.
    pub(super) fn events_stored(&self) -> u64 {
        self.events
    }

    /// A reorganisation whose new chain is not stored yet.
    pub(super) fn rollback(&self) -> Option<u64> {
        self.rollback
    }

    /// Blocks that were confirmed and are not stored yet, newest first.
    pub(super) fn unsaved(&self) -> impl Iterator<Item = Checkpoint> {
        self.unsaved.iter().rev().copied()
    }

    /// Everything above `fork` is gone: the next commit says so.
    pub(super) fn roll_back_to(&mut self, fork: u64) {
        self.rollback = Some(self.rollback.map_or(fork, |earlier| earlier.min(fork)));
        self.unsaved.retain(|header| header.number <= fork);
    }

    /// Stores a stretch together with the eventless blocks before it.
    pub(super) async fn commit(
        &mut self,
        node: &Node,
        stretch: Stretch,
        headers: &[Checkpoint],
    ) -> Result<(), Setback> {
        let events = stretch.events.len();
        let batch = self.batch(stretch, headers);
        self.ledger.ingest(node, batch).await?;
        self.saved(events);
        Ok(())
    }

    /// Confirmed blocks without events: worth a commit only now and then.
    pub(super) fn keep_for_later(&mut self, headers: impl IntoIterator<Item = Checkpoint>) {
        if self.unsaved.is_empty() {
            self.saved_at = Instant::now();
        }
        self.unsaved.extend(headers);
    }

    /// When the eventless blocks are to be stored.
    pub(super) fn save_due(&self) -> Instant {
        if self.unsaved.is_empty() && self.rollback.is_none() {
            // Nothing to save: looked at again after every step anyway.
            Instant::now() + Duration::from_secs(3600)
        } else {
            self.saved_at + SAVE_EVERY
        }
    }

    /// Stores the eventless blocks now.
    pub(super) async fn save(
        &mut self,
        modules: Vec<ModuleAddress>,
        to: Checkpoint,
        unsure: Vec<Checkpoint>,
    ) -> Result<(), Setback> {
        if self.anchored && self.unsaved.is_empty() && self.rollback.is_none() {
            return Ok(());
        }
        let stretch = Stretch {
            modules,
            to,
            events: Vec::new(),
            unknown: Vec::new(),
            unsure,
        };
        let batch = self.batch(stretch, &[]);
        self.ledger.write(batch).await?;
        self.saved(0);
        Ok(())
    }

    fn batch(&self, stretch: Stretch, headers: &[Checkpoint]) -> Batch {
        Batch {
            rollback_to: self.rollback,
            modules: stretch.modules,
            to: stretch.to,
            moves_cursor: true,
            events: stretch.events,
            plans: Vec::new(),
            headers: self.unsaved.iter().chain(headers).copied().collect(),
            unknown: stretch.unknown,
            unsure: Some(stretch.unsure),
        }
    }

    /// A batch that went past this committer, through its ledger, holds everything up to the new cursor.
    pub(super) fn stored(&mut self, events: usize) {
        self.saved(events);
    }

    fn saved(&mut self, events: usize) {
        self.unsaved.clear();
        self.anchored = true;
        self.rollback = None;
        self.saved_at = Instant::now();
        self.events += events as u64;
    }
}
