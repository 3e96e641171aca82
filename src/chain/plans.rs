//! The plans that subscriptions refer to and that were created before the first block read: asked for by `getPlan`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tracing::warn;

use super::error::{SessionError, blocking};
use super::node::Node;
use super::node::RpcError;
use super::node::read;
use super::node::reconnect::Reconnect;
use super::writer::Writer;
use crate::abi::Layouts;
use crate::domain::{Batch, EventKind, ModuleAddress, Plan, PlanId};
use crate::store::Store;

/// Failures in a row of a plan's reading, each of which ends the session with its node, before it is read later.
const MOST_FAILURES: u32 = 3;
/// How often it is looked whether there are plans that could not be read.
const IDLE: Duration = Duration::from_secs(1);

/// A plan of a module.
type Key = (ModuleAddress, PlanId);

/// What is known of the plans; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Plans {
    store: Store,
    layouts: Arc<Layouts>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Plans that need not be looked for.
    known: BTreeSet<Key>,
    /// How often in a row the reading of a plan has failed.
    failures: BTreeMap<Key, u32>,
    /// Plans that subscriptions refer to and that nobody could read so far.
    late: BTreeSet<Key>,
}

impl Plans {
    /// Begins with what the store knows.
    pub(super) async fn of(store: Store, layouts: Arc<Layouts>) -> Result<Self, SessionError> {
        let read = store.clone();
        let late = blocking(move || read.plans_without_terms()).await?;
        let state = State {
            late,
            ..State::default()
        };
        Ok(Self {
            store,
            layouts,
            state: Arc::new(Mutex::new(state)),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        state.expect("never poisoned: no panic while held")
    }

    /// Stores a batch, after reading the plans that it refers to and that were created before the first block read.
    pub(super) async fn ingest(
        &self,
        node: &Node,
        writer: &Writer,
        mut batch: Batch,
    ) -> Result<(), SessionError> {
        let new = self.new_in(&batch);
        let unread = self.unread(&batch, &new).await?;
        batch.plans.extend(self.read(node, unread).await?);
        writer.ingest(batch).await?;
        // Not before: what fails is tried again, and must ask again.
        self.learned(new);
        Ok(())
    }

    /// Reads the plans that could not be read when they were met, now and then; returns only when the store fails.
    pub(super) async fn read_late(&self, node: &Node, writer: &Writer) -> SessionError {
        let mut schedule = Reconnect::slow();
        loop {
            let wait = match self.state().late.is_empty() {
                false => schedule.failed(None),
                true => {
                    schedule.healthy();
                    IDLE
                }
            };
            tokio::time::sleep(wait).await;
            let read = self.read_again(node).await;
            if read.is_empty() {
                continue;
            }
            let late = read.clone();
            match writer.submit(move |store| store.learn_plans(&late)).await {
                Ok(()) => self.found(&read),
                Err(error) => return error,
            }
        }
    }

    /// Plans that the batch's new subscriptions refer to and that were not met before.
    fn new_in(&self, batch: &Batch) -> BTreeSet<Key> {
        let mut state = self.state();
        if batch.rollback_to.is_some() {
            // What created a plan may be rolled back.
            state.known.clear();
        }
        let referred = batch.events.iter().filter_map(|event| match event.kind {
            EventKind::SubscriptionCreated { plan, .. } => Some((event.module, plan)),
            _ => None,
        });
        referred
            .filter(|plan| !state.known.contains(plan))
            .collect()
    }

    /// Those of the `new` plans that neither the store nor the batch holds.
    async fn unread(
        &self,
        batch: &Batch,
        new: &BTreeSet<Key>,
    ) -> Result<BTreeSet<Key>, SessionError> {
        let mut new = new.clone();
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

    /// Reads plans from their modules: all of them, before the first failure is told. A contract whose view fails again
    /// and again is read later instead, or it would hold up all others.
    async fn read(
        &self,
        node: &Node,
        plans: BTreeSet<Key>,
    ) -> Result<Vec<(ModuleAddress, PlanId, Plan)>, SessionError> {
        let mut read = Vec::new();
        let mut failed = None;
        for (module, plan) in plans {
            // A plan's terms never change, and most nodes keep no old state.
            let trouble = match read::plan(node, &self.layouts, module, plan, None).await {
                Ok(Ok(terms)) => {
                    read.push((module, plan, terms));
                    continue;
                }
                Ok(Err(trouble)) => trouble.to_string(),
                Err(error) if self.is_worth_another_try((module, plan), &error) => {
                    failed = failed.or(Some(error));
                    continue;
                }
                Err(error) => error.to_string(),
            };
            warn!(%module, %plan, trouble, "a subscription's plan cannot be read from the module; trying again later");
            self.state().late.insert((module, plan));
        }
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(read),
        }
    }

    /// Whether a failure is to end the session, so that the plan is asked for again before anything is stored.
    fn is_worth_another_try(&self, plan: Key, error: &RpcError) -> bool {
        match error {
            // These are about the node.
            RpcError::RateLimited { .. } | RpcError::WrongChain { .. } => true,
            // One that keeps a node busy for so long would do so again.
            RpcError::Timeout { .. } => false,
            _ => {
                let mut state = self.state();
                let times = state.failures.entry(plan).or_default();
                *times += 1;
                *times < MOST_FAILURES
            }
        }
    }

    /// Tries the plans once more that could not be read.
    pub(super) async fn read_again(&self, node: &Node) -> Vec<(ModuleAddress, PlanId, Plan)> {
        let late = self.state().late.clone();
        let mut read = Vec::new();
        for (module, plan) in late {
            match read::plan(node, &self.layouts, module, plan, None).await {
                Ok(Ok(terms)) => read.push((module, plan, terms)),
                // The node has other things to do now.
                Err(RpcError::RateLimited { .. }) => break,
                _ => {}
            }
        }
        read
    }

    /// These are stored, with their plans.
    fn learned(&self, plans: BTreeSet<Key>) {
        let mut state = self.state();
        for plan in &plans {
            state.failures.remove(plan);
        }
        state.known.extend(plans);
    }

    /// These were late and are stored now.
    fn found(&self, plans: &[(ModuleAddress, PlanId, Plan)]) {
        let mut state = self.state();
        for (module, plan, _) in plans {
            state.late.remove(&(*module, *plan));
        }
    }

    /// Everything about a module is read again.
    pub(super) fn forget(&self, module: ModuleAddress) {
        let mut state = self.state();
        state.known.retain(|(of, _)| *of != module);
        state.failures.retain(|(of, _), _| *of != module);
        state.late.retain(|(of, _)| *of != module);
    }
}
