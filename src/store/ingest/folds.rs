//! Brings the cached states up to date with the events.

use std::collections::hash_map::Entry;

use redb::{ReadableTable as _, Table, WriteTransaction};
use rustc_hash::FxHashMap;

use super::by_subject::BySubject;
use crate::domain::{
    ChainEvent, EventKind, Mark, ModuleAddress, Plan, PlanId, Subject, Subscription,
    SubscriptionId, Wallet,
};
use crate::projection;
use crate::store::codec::{decode, encode, scoped_key, subject_prefix, unpack};
use crate::store::rollback;
use crate::store::tables::{BLOCKED, EVENTS, PLANS, PLANS_READ, SUBSCRIPTIONS};
use crate::store::touched::{MOST_ENTRIES, Touched};

/// Brings the cached states up to date: subjects in `stale` are folded anew from their rows, the others go on from
/// their cached state. Plans come before subscriptions, because failed payments ask for the plan's interval.
pub(super) fn fold_subjects(
    transaction: &WriteTransaction,
    stale: rollback::Stale,
    groups: &BySubject<'_>,
    touched: &mut Touched,
) -> anyhow::Result<()> {
    if groups.subjects() > MOST_ENTRIES {
        // Nobody would go through such a list, so it is not made.
        touched.everything = true;
    }
    let mut folds = Folds {
        plans: transaction.open_table(PLANS)?,
        plans_read: transaction.open_table(PLANS_READ)?,
        blocked: transaction.open_table(BLOCKED)?,
        subscriptions: transaction.open_table(SUBSCRIPTIONS)?,
        intervals: FxHashMap::default(),
        touched,
    };
    let is_plan = |subject: &Subject| matches!(subject, Subject::Plan(_));
    let rows = match stale.is_empty() {
        true => None,
        false => Some(transaction.open_table(EVENTS)?),
    };
    // All plans first, stale and fresh ones: after a reorganisation a stale subscription may be to a plan that is new.
    for plans in [true, false] {
        for (module, subject) in stale.iter().filter(|(_, one)| is_plan(one) == plans) {
            if let Some(rows) = &rows {
                let all = events_of(rows, *module, subject)?;
                folds.apply(*module, subject, true, all.iter())?;
            }
        }
        for group in groups.groups() {
            let (module, subject) = (group[0].module, group[0].subject());
            if is_plan(&subject) == plans && !stale.contains(&(module, subject)) {
                folds.apply(module, &subject, false, group.iter().copied())?;
            }
        }
    }
    Ok(())
}

/// Every stored event of a subject in chain order. Rows of different batches never interleave.
pub(in crate::store) fn events_of(
    rows: &impl redb::ReadableTable<&'static [u8], &'static [u8]>,
    module: ModuleAddress,
    subject: &Subject,
) -> anyhow::Result<Vec<ChainEvent>> {
    let prefix = subject_prefix(module, subject);
    let mut all = Vec::new();
    for row in rows.range(prefix.as_slice()..)? {
        let (key, value) = row?;
        if !key.value().starts_with(&prefix) {
            break;
        }
        all.append(&mut unpack(module, subject, value.value())?);
    }
    Ok(all)
}

struct Folds<'transaction, 'touched> {
    plans: Table<'transaction, &'static [u8; 52], &'static [u8]>,
    plans_read: Table<'transaction, &'static [u8; 52], &'static [u8]>,
    blocked: Table<'transaction, (&'static [u8; 20], &'static [u8; 20]), &'static [u8]>,
    subscriptions: Table<'transaction, &'static [u8; 52], &'static [u8]>,
    intervals: FxHashMap<(ModuleAddress, PlanId), Option<u64>>,
    touched: &'touched mut Touched,
}

impl Folds<'_, '_> {
    fn apply<'e>(
        &mut self,
        module: ModuleAddress,
        subject: &Subject,
        anew: bool,
        events: impl ExactSizeIterator<Item = &'e ChainEvent>,
    ) -> anyhow::Result<()> {
        match *subject {
            Subject::Module => Ok(()),
            Subject::Plan(id) => self.plan(module, id, anew, events),
            Subject::Subscriber(wallet) => self.subscriber(module, wallet, anew, events),
            Subject::Subscription(id) => self.subscription(module, id, anew, events),
        }
    }

    fn plan<'e>(
        &mut self,
        module: ModuleAddress,
        id: PlanId,
        anew: bool,
        events: impl ExactSizeIterator<Item = &'e ChainEvent>,
    ) -> anyhow::Result<()> {
        let key = scoped_key(module, id.0);
        let base = if anew { &self.plans_read } else { &self.plans };
        let mut state = base
            .get(&key)?
            .map(|bytes| decode::<Plan>(bytes.value()))
            .transpose()?;
        for event in events {
            projection::fold_plan(&mut state, event);
        }
        match &state {
            Some(plan) => self.plans.insert(&key, encode(plan).as_slice())?,
            None => self.plans.remove(&key)?,
        };
        self.intervals
            .insert((module, id), state.map(|plan| plan.interval));
        if !self.touched.everything {
            self.touched.plans.insert((module, id), state);
        }
        Ok(())
    }

    fn subscriber<'e>(
        &mut self,
        module: ModuleAddress,
        wallet: Wallet,
        anew: bool,
        events: impl ExactSizeIterator<Item = &'e ChainEvent>,
    ) -> anyhow::Result<()> {
        let key = (&module.0.0.0, &wallet.0.0.0);
        let mut state = if anew {
            None
        } else {
            self.blocked
                .get(key)?
                .map(|bytes| decode::<Mark>(bytes.value()))
                .transpose()?
        };
        for event in events {
            projection::fold_blocked(&mut state, event);
        }
        match &state {
            Some(mark) => self.blocked.insert(key, encode(mark).as_slice())?,
            None => self.blocked.remove(key)?,
        };
        if !self.touched.everything {
            self.touched.blocked.insert((module, wallet), state);
        }
        Ok(())
    }

    fn subscription<'e>(
        &mut self,
        module: ModuleAddress,
        id: SubscriptionId,
        anew: bool,
        events: impl ExactSizeIterator<Item = &'e ChainEvent>,
    ) -> anyhow::Result<()> {
        let key = scoped_key(module, id.0);
        let had_events = events.len() > 0;
        let mut state = if anew {
            Subscription::default()
        } else {
            self.subscriptions
                .get(&key)?
                .map(|bytes| decode::<Subscription>(bytes.value()))
                .transpose()?
                .unwrap_or_default()
        };
        for event in events {
            let plan = match event.kind {
                EventKind::SubscriptionCreated { plan, .. } => Some(plan),
                _ => state.subscriber.map(|(_, plan)| plan),
            };
            let interval = match plan {
                Some(plan) => self.interval(module, plan)?,
                None => None,
            };
            projection::fold(&mut state, event, interval);
        }
        let kept = (!anew || had_events).then_some(state);
        match &kept {
            Some(state) => self.subscriptions.insert(&key, encode(state).as_slice())?,
            None => self.subscriptions.remove(&key)?,
        };
        if !self.touched.everything {
            self.touched.subscriptions.insert((module, id), kept);
        }
        Ok(())
    }

    fn interval(&mut self, module: ModuleAddress, plan: PlanId) -> anyhow::Result<Option<u64>> {
        Ok(match self.intervals.entry((module, plan)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                let plan = self
                    .plans
                    .get(&scoped_key(module, plan.0))?
                    .map(|bytes| decode::<Plan>(bytes.value()))
                    .transpose()?;
                *unknown.insert(plan.map(|plan| plan.interval))
            }
        })
    }
}
