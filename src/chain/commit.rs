//! What was read becomes durable: few commits, the cursor with its events, and the plans they refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use alloy::primitives::Address;
use tracing::warn;

use super::follow::{Setback, blocking};
use super::read::{self, Viewed};
use super::rpc::RpcError;
use super::rpc::endpoint::Endpoint;
use super::watch::Watch;
use super::writer::Writer;
use crate::domain::{
    Batch, ChainEvent, Checkpoint, EventKind, ModuleAddress, Plan, PlanId, UnknownLogs,
};
use crate::store::Store;

/// Blocks without events are saved at the latest after this.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// Failures in a row of a plan's reading, each of which ends the session with its node, before it is left unread.
const MOST_FAILURES: u32 = 8;

/// The way into the store for everything that reads the chain; clones share it.
#[derive(Clone)]
pub(super) struct Ledger {
    pub(super) store: Store,
    // Held for the whole of a commit, on the thread that makes it: a reader that is aborted cannot commit afterwards.
    turn: Arc<tokio::sync::Mutex<()>>,
    known_plans: Arc<Mutex<BTreeSet<(ModuleAddress, PlanId)>>>,
    /// How often in a row the reading of a plan has failed.
    failing_plans: Arc<Mutex<BTreeMap<(ModuleAddress, PlanId), u32>>>,
    writer: Writer,
    commits: Arc<AtomicU64>,
}

impl Ledger {
    fn new(store: Store) -> anyhow::Result<Self> {
        Ok(Self {
            store,
            turn: Arc::default(),
            known_plans: Arc::default(),
            failing_plans: Arc::default(),
            writer: Writer::start()?,
            commits: Arc::default(),
        })
    }

    /// Stores a batch, after reading the plans that it refers to and that were created before the first block read.
    pub(super) async fn ingest(
        &self,
        endpoint: &Endpoint,
        mut batch: Batch,
    ) -> Result<(), Setback> {
        let mut new = self.new_plans(&batch);
        for (module, plan) in self.unread_plans(&batch, new.clone()).await? {
            match self
                .read_plan(endpoint, module, plan, batch.to.number)
                .await?
            {
                Viewed::Value(terms) => batch.plans.push((module, plan, terms)),
                Viewed::Refused => {
                    warn!(%module, %plan, "the module does not know a subscription's plan");
                }
                Viewed::Nothing => {
                    warn!(%module, %plan, "a subscription's plan cannot be read from the module");
                    // Asked for again with the next subscription to it.
                    new.remove(&(module, plan));
                }
            }
        }
        self.write(batch).await?;
        // Not before: what fails is tried again, and must ask again.
        self.known_plans().extend(new);
        Ok(())
    }

    /// A plan's terms at this block, or at the newest: most nodes keep no old state, and a plan's terms never change. A
    /// contract whose view fails again and again is not waited for, or it would hold up all others.
    async fn read_plan(
        &self,
        endpoint: &Endpoint,
        module: ModuleAddress,
        plan: PlanId,
        block: u64,
    ) -> Result<Viewed<Plan>, Setback> {
        if let Ok(Viewed::Value(terms)) = read::plan(endpoint, module, plan, Some(block)).await {
            return Ok(Viewed::Value(terms));
        }
        match read::plan(endpoint, module, plan, None).await {
            Ok(viewed) => {
                self.failing_plans().remove(&(module, plan));
                Ok(viewed)
            }
            Err(error @ (RpcError::Other { .. } | RpcError::Timeout { .. })) => {
                let mut failing = self.failing_plans();
                let times = failing.entry((module, plan)).or_default();
                *times += 1;
                if *times <= MOST_FAILURES {
                    return Err(error.into());
                }
                failing.remove(&(module, plan));
                Ok(Viewed::Nothing)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn failing_plans(&self) -> MutexGuard<'_, BTreeMap<(ModuleAddress, PlanId), u32>> {
        self.failing_plans
            .lock()
            .expect("never poisoned: no panic while held")
    }

    fn known_plans(&self) -> MutexGuard<'_, BTreeSet<(ModuleAddress, PlanId)>> {
        self.known_plans
            .lock()
            .expect("never poisoned: no panic while held")
    }

    async fn write(&self, batch: Batch) -> Result<(), Setback> {
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
        self.known_plans().retain(|(of, _)| *of != module);
        watch.remove(&module);
        Ok(())
    }

    /// Returns when no commit of an aborted reader is under way.
    pub(super) async fn settle(&self) {
        let _turn = self.turn.lock().await;
    }

    /// Plans that the batch's new subscriptions refer to and that were not met before.
    fn new_plans(&self, batch: &Batch) -> BTreeSet<(ModuleAddress, PlanId)> {
        let mut known = self.known_plans();
        if batch.rollback_to.is_some() {
            // What created a plan may be rolled back.
            known.clear();
        }
        let referred = batch.events.iter().filter_map(|event| match event.kind {
            EventKind::SubscriptionCreated { plan, .. } => Some((event.module, plan)),
            _ => None,
        });
        referred.filter(|plan| !known.contains(plan)).collect()
    }

    /// Those of the `new` plans that neither the store nor the batch holds.
    async fn unread_plans(
        &self,
        batch: &Batch,
        mut new: BTreeSet<(ModuleAddress, PlanId)>,
    ) -> Result<BTreeSet<(ModuleAddress, PlanId)>, Setback> {
        for event in &batch.events {
            if let EventKind::PlanCreated { plan, .. } = event.kind {
                new.remove(&(event.module, plan));
            }
        }
        if new.is_empty() || batch.rollback_to.is_some() {
            return Ok(new);
        }
        let store = self.store.clone();
        blocking(move || {
            let mut unread = BTreeSet::new();
            for (module, plan) in new {
                if store.plan(module, plan)?.is_none() {
                    unread.insert((module, plan));
                }
            }
            Ok(unread)
        })
        .await
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
    pub(super) fn new(store: Store) -> anyhow::Result<Self> {
        Ok(Self {
            ledger: Ledger::new(store)?,
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
        endpoint: &Endpoint,
        stretch: Stretch,
        headers: &[Checkpoint],
    ) -> Result<(), Setback> {
        let events = stretch.events.len();
        let batch = self.batch(stretch, headers);
        self.ledger.ingest(endpoint, batch).await?;
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
