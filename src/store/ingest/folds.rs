//! Brings the cached states up to date with the events.

use std::collections::BTreeSet;
use std::collections::hash_map::Entry;

use redb::{ReadableTable as _, Table, WriteTransaction};
use rustc_hash::FxHashMap;

use super::by_subject::BySubject;
use crate::domain::{
    ChainEvent, EventKind, ModuleAddress, PlanId, Rules, Subject, Subscription, SubscriptionId,
    Wallet,
};
use crate::projection;
use crate::store::codec::{KnownPlan, encode, read, scoped_key, subject_prefix, unpack};
use crate::store::sorted::SortedRows;
use crate::store::tables::{
    BLOCKED, EVENTS, META, META_FOLD, ORPHANS, PLANS, PLANS_READ, SUBSCRIPTIONS,
};
use crate::store::touched::{MOST_ENTRIES, Touched};

/// Brings the cached states up to date: subjects in `stale` are folded again from their rows, the others go on from
/// their cached state. Plans come before subscriptions, because failed payments ask for the plan's interval.
pub(in crate::store) fn fold_subjects(
    transaction: &WriteTransaction,
    rules: &Rules,
    stale: &BTreeSet<(ModuleAddress, Subject)>,
    groups: &BySubject<'_>,
    touched: &mut Touched,
) -> anyhow::Result<()> {
    if groups.subjects() > MOST_ENTRIES {
        // Nobody would go through such a list, so it is not made.
        touched.everything = true;
    }
    let mut folds = Folds::open(transaction, rules, touched)?;
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
    folds.finish(transaction)?;
    Ok(())
}

/// Every stored event of a subject in chain order. Rows interleave where some were stored late.
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
    all.sort_by_key(|event| event.position);
    Ok(all)
}

/// Whether subscriptions are folded later, and their events sorted in then: no fold is noted.
pub(super) fn is_postponed(transaction: &WriteTransaction) -> anyhow::Result<bool> {
    Ok(transaction.open_table(META)?.get(META_FOLD)?.is_none())
}

/// The tables of cached states, with what one transaction changes about them.
pub(in crate::store) struct Folds<'transaction, 'a> {
    plans: Table<'transaction, &'static [u8; 52], &'static [u8]>,
    plans_read: Table<'transaction, &'static [u8; 52], &'static [u8]>,
    blocked: Table<'transaction, (&'static [u8; 20], &'static [u8; 20]), &'static [u8]>,
    subscriptions: Table<'transaction, &'static [u8; 52], &'static [u8]>,
    /// Those that are not in the table yet.
    added: SortedRows,
    intervals: FxHashMap<(ModuleAddress, PlanId), Option<u64>>,
    /// By how much each module's count of orphans changes.
    orphans: FxHashMap<ModuleAddress, i64>,
    rules: &'a Rules,
    /// Whether subscriptions are folded later, all of them.
    postponed: bool,
    /// How many states are others than before.
    changed: u64,
    touched: &'a mut Touched,
}

impl<'transaction, 'a> Folds<'transaction, 'a> {
    pub(in crate::store) fn open(
        transaction: &'transaction WriteTransaction,
        rules: &'a Rules,
        touched: &'a mut Touched,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            plans: transaction.open_table(PLANS)?,
            plans_read: transaction.open_table(PLANS_READ)?,
            blocked: transaction.open_table(BLOCKED)?,
            subscriptions: transaction.open_table(SUBSCRIPTIONS)?,
            added: SortedRows::default(),
            intervals: FxHashMap::default(),
            orphans: FxHashMap::default(),
            rules,
            postponed: is_postponed(transaction)?,
            changed: 0,
            touched,
        })
    }

    /// Stores what was added and the changed counts of orphans; how many states are others than before.
    pub(in crate::store) fn finish(
        mut self,
        transaction: &WriteTransaction,
    ) -> anyhow::Result<u64> {
        self.added.put_into(&mut self.subscriptions)?;
        if self.orphans.values().all(|change| *change == 0) {
            return Ok(self.changed);
        }
        let mut table = transaction.open_table(ORPHANS)?;
        for (module, change) in self.orphans {
            let before = table.get(&module.0.0.0)?.map_or(0, |count| count.value());
            match before.saturating_add_signed(change) {
                0 => table.remove(&module.0.0.0)?,
                count => table.insert(&module.0.0.0, count)?,
            };
        }
        Ok(self.changed)
    }

    fn count_orphan(&mut self, module: ModuleAddress, before: bool, after: bool) {
        if before != after {
            *self.orphans.entry(module).or_default() += i64::from(after) - i64::from(before);
        }
    }

    /// Applies events to a subject's cached state; `anew`: to the state that it begins with.
    pub(in crate::store) fn apply<'e>(
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
            Subject::Subscription(_) if self.postponed => {
                self.touched.everything = true;
                Ok(())
            }
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
        let before: Option<KnownPlan> = read(self.plans.get(&key)?)?;
        let (mut state, mut created) = match before {
            Some(known) if !anew => (Some(known.plan), known.created),
            _ => (read(self.plans_read.get(&key)?)?, false),
        };
        for event in events {
            created |= matches!(event.kind, EventKind::PlanCreated { .. });
            projection::fold_plan(&mut state, event);
        }
        let after = state.map(|plan| KnownPlan { plan, created });
        match &after {
            Some(known) => self.plans.insert(&key, encode(known).as_slice())?,
            None => self.plans.remove(&key)?,
        };
        self.changed += u64::from(before != after);
        let is_orphan = |known: Option<KnownPlan>| known.is_some_and(|known| !known.created);
        self.count_orphan(module, is_orphan(before), is_orphan(after));
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
        let before = read(self.blocked.get(key)?)?;
        let mut state = before.filter(|_| !anew);
        for event in events {
            projection::fold_blocked(&mut state, event);
        }
        match &state {
            Some(mark) => self.blocked.insert(key, encode(mark).as_slice())?,
            None => self.blocked.remove(key)?,
        };
        self.changed += u64::from(before != state);
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
        let before: Option<Subscription> = read(self.subscriptions.get(&key)?)?;
        let state = before.filter(|_| !anew).unwrap_or_default();
        let state = self.folded(module, state, events)?;
        let kept = (!anew || had_events).then_some(state);
        match &kept {
            Some(state) => self.subscriptions.insert(&key, encode(state).as_slice())?,
            None => self.subscriptions.remove(&key)?,
        };
        self.changed += u64::from(before != kept);
        let is_orphan = |state: Option<Subscription>| state.as_ref().is_some_and(is_orphan);
        self.count_orphan(module, is_orphan(before), is_orphan(kept));
        if !self.touched.everything {
            self.touched.subscriptions.insert((module, id), kept);
        }
        Ok(())
    }

    /// Folds all events of a subscription that has no cached state, and comes after those that were added before.
    pub(in crate::store) fn add_subscription(
        &mut self,
        module: ModuleAddress,
        id: SubscriptionId,
        events: &[ChainEvent],
    ) -> anyhow::Result<()> {
        let state = self.folded(module, Subscription::default(), events)?;
        self.count_orphan(module, false, is_orphan(&state));
        self.added.push(&scoped_key(module, id.0), &encode(&state));
        if self.added.are_many() {
            self.added.put_into(&mut self.subscriptions)?;
        }
        Ok(())
    }

    /// The state of a subscription after these events.
    fn folded<'e>(
        &mut self,
        module: ModuleAddress,
        mut state: Subscription,
        events: impl IntoIterator<Item = &'e ChainEvent>,
    ) -> anyhow::Result<Subscription> {
        for event in events {
            let plan = match event.kind {
                EventKind::SubscriptionCreated { plan, .. } => Some(plan),
                _ => state.subscriber.map(|(_, plan)| plan),
            };
            let interval = match plan {
                Some(plan) => self.interval(module, plan)?,
                None => None,
            };
            projection::fold(&mut state, event, interval, self.rules);
        }
        Ok(state)
    }

    fn interval(&mut self, module: ModuleAddress, plan: PlanId) -> anyhow::Result<Option<u64>> {
        Ok(match self.intervals.entry((module, plan)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                let known: Option<KnownPlan> = read(self.plans.get(&scoped_key(module, plan.0))?)?;
                *unknown.insert(known.map(|known| known.plan.interval))
            }
        })
    }
}

/// Whether the creation of a subscription that has events was not seen.
fn is_orphan(state: &Subscription) -> bool {
    state.subscriber.is_none()
}
