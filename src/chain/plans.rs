//! The plans that subscriptions refer to and that were created before the first block read: asked for by `getPlan`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tracing::warn;

use super::error::SessionError;
use super::node::reconnect::Reconnect;
use super::node::{Node, RpcError, read};
use super::reads::StoreReader;
use super::writer::Writer;
use crate::abi::Layouts;
use crate::domain::{Batch, ChainEvent, EventKind, ModuleAddress, Plan, PlanId};

/// Failures in a row of reading a plan, each of which ends the session, before it is read later.
const MOST_FAILURES: u32 = 3;
/// How often it is looked whether there are plans that could not be read.
const IDLE: Duration = Duration::from_secs(1);
/// Plans of one module that are asked for at a time: a hostile one can name any number.
const MOST_OF_A_MODULE: usize = 32;
/// Calls under way.
const CALLS_AT_ONCE: usize = 8;

/// A plan of a module.
type Key = (ModuleAddress, PlanId);

/// What is known of the plans; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Plans {
    reads: StoreReader,
    layouts: Arc<Layouts>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// How often in a row the reading of a plan has failed.
    failures: BTreeMap<Key, u32>,
    /// Plans that subscriptions refer to and that could not be read so far.
    late: BTreeSet<Key>,
}

impl Plans {
    /// `late` are those that the store lacks.
    pub(super) fn new(reads: StoreReader, layouts: Arc<Layouts>, late: BTreeSet<Key>) -> Self {
        let failures = BTreeMap::new();
        Self {
            reads,
            layouts,
            state: Arc::new(Mutex::new(State { failures, late })),
        }
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
        // What created a stored plan may be rolled back.
        let unknown = self
            .unknown(&batch.events, batch.rollback_to.is_none())
            .await?;
        batch.plans.extend(self.read(node, &unknown).await?);
        writer.ingest(batch).await?;
        // Not before: what fails is tried again, and must ask again.
        for plan in &unknown {
            self.state().failures.remove(plan);
        }
        Ok(())
    }

    /// These events had been missed and are about to be stored: the plans that they refer to are read later.
    pub(super) async fn missed(&self, events: &[ChainEvent]) -> Result<(), SessionError> {
        let unknown = self.unknown(events, true).await?;
        self.state().late.extend(unknown);
        Ok(())
    }

    /// The plans that new subscriptions among these events refer to and that neither these nor, if it counts, the store holds.
    async fn unknown(
        &self,
        events: &[ChainEvent],
        is_stored_known: bool,
    ) -> Result<BTreeSet<Key>, SessionError> {
        let referred = events.iter().filter_map(|event| match event.kind {
            EventKind::SubscriptionCreated { plan, .. } => Some((event.module, plan)),
            _ => None,
        });
        let mut plans: BTreeSet<Key> = referred.collect();
        for event in events {
            if let EventKind::PlanCreated { plan, .. } = event.kind {
                plans.remove(&(event.module, plan));
            }
        }
        plans.retain(|plan| !self.state().late.contains(plan));
        if plans.is_empty() || !is_stored_known {
            return Ok(plans);
        }
        self.reads
            .read(move |store| {
                let mut unknown = BTreeSet::new();
                for (module, plan) in plans {
                    if store.plan(module, plan)?.is_none() {
                        unknown.insert((module, plan));
                    }
                }
                Ok(unknown)
            })
            .await
    }

    /// Reads plans from their modules. A plan that fails again and again is read later, or it would hold up all others; so are
    /// more plans of a module than are asked for at a time.
    async fn read(
        &self,
        node: &Node,
        plans: &BTreeSet<Key>,
    ) -> Result<Vec<(ModuleAddress, PlanId, Plan)>, SessionError> {
        let mut read = Vec::new();
        let mut failed = None;
        let now = few_of_each(plans, &mut BTreeMap::new());
        let later = plans.iter().filter(|plan| !now.contains(plan)).copied();
        self.state().late.extend(later);
        for ((module, plan), answer) in self.ask(node, now).await {
            let trouble = match answer {
                Ok(Ok(terms)) => {
                    read.push((module, plan, terms));
                    continue;
                }
                Ok(Err(trouble)) => trouble,
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

    /// Asks the modules for plans.
    async fn ask(
        &self,
        node: &Node,
        plans: BTreeSet<Key>,
    ) -> Vec<(Key, Result<Result<Plan, String>, RpcError>)> {
        let one = |(module, plan): Key| async move {
            // A plan's terms never change, and most nodes keep no old state.
            let answer = read::plan(node, &self.layouts, module, plan, None).await;
            ((module, plan), answer)
        };
        let asking = stream::iter(plans).map(one).buffered(CALLS_AT_ONCE);
        asking.collect().await
    }

    /// Whether a failure is to end the session, so that the plan is asked for again before anything is stored.
    fn is_worth_another_try(&self, plan: Key, error: &RpcError) -> bool {
        match error {
            error if error.is_about_node() => true,
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

    /// Reads the plans that could not be read when they were met, now and then; returns only when the store fails.
    pub(super) async fn read_late(&self, node: &Node, writer: &Writer) -> SessionError {
        let mut schedule = Reconnect::slow();
        let mut asked = BTreeMap::new();
        loop {
            let late = self.state().late.clone();
            let wait = match late.is_empty() {
                false => schedule.failed(None),
                true => {
                    schedule.healthy();
                    IDLE
                }
            };
            tokio::time::sleep(wait).await;
            let mut found = Vec::new();
            for ((module, plan), answer) in self.ask(node, few_of_each(&late, &mut asked)).await {
                if let Ok(Ok(terms)) = answer {
                    found.push((module, plan, terms));
                }
            }
            if found.is_empty() {
                continue;
            }
            schedule.healthy();
            let keys: Vec<Key> = found.iter().map(|(of, plan, _)| (*of, *plan)).collect();
            if let Err(error) = writer.submit(move |store| store.learn_plans(&found)).await {
                return error.into();
            }
            self.state().late.retain(|plan| !keys.contains(plan));
        }
    }

    /// Everything about a module is read again.
    pub(super) fn forget(&self, module: ModuleAddress) {
        let mut state = self.state();
        state.failures.retain(|(of, _), _| *of != module);
        state.late.retain(|(of, _)| *of != module);
    }
}

/// At most a few plans of each module, from the one after the last that was `asked` for on, round and round.
fn few_of_each(
    plans: &BTreeSet<Key>,
    asked: &mut BTreeMap<ModuleAddress, PlanId>,
) -> BTreeSet<Key> {
    let mut of_modules = BTreeMap::<_, Vec<PlanId>>::new();
    for (module, plan) in plans {
        of_modules.entry(*module).or_default().push(*plan);
    }
    let mut few = BTreeSet::new();
    for (module, mut plans) in of_modules {
        let last = asked.get(&module);
        let next = plans.partition_point(|plan| Some(plan) <= last);
        plans.rotate_left(next);
        plans.truncate(MOST_OF_A_MODULE);
        asked.extend(plans.last().map(|last| (module, *last)));
        few.extend(plans.into_iter().map(|plan| (module, plan)));
    }
    few
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;

    #[test]
    fn each_module_has_its_turn_and_each_of_its_plans() {
        let module = |byte| ModuleAddress(Address::repeat_byte(byte));
        let mut plans: BTreeSet<Key> = (0..100).map(|id| (module(1), PlanId::from(id))).collect();
        plans.insert((module(2), PlanId::from(7)));
        let mut asked = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for _ in 0..4 {
            let few = few_of_each(&plans, &mut asked);
            assert_eq!(few.len(), MOST_OF_A_MODULE + 1);
            assert!(few.contains(&(module(2), PlanId::from(7))));
            seen.extend(few);
        }
        assert_eq!(seen, plans);
    }
}
