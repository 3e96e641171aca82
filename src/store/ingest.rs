//! The one transaction in which the chain's events, their folds, the cursor and the block hashes move together.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;

use redb::{ReadableTable as _, Table, WriteTransaction};
use rustc_hash::FxHashMap;

use super::Store;
use super::codec::{
    SubjectKey, decode, encode, event_key, pack, scoped_key, subject_key, subject_prefix, unpack,
};
use super::rollback;
use super::tables::{
    BATCHES, BLOCKED, EVENTS, HEADERS, META, META_CURSOR, MODULES, PLANS, PLANS_READ,
    SUBSCRIPTIONS, UNKNOWN_LOGS,
};
use super::touched::Touched;
use crate::domain::{
    Batch, ChainEvent, Checkpoint, EventKind, Mark, ModuleAddress, ModuleRecord, Plan, PlanId,
    Subject, Subscription, SubscriptionId, Wallet,
};
use crate::projection;

/// A batch that touches more subjects than this is not indexed row by row; rolling it back looks at all rows.
const MOST_INDEXED_ROWS: usize = 2_000;

/// Hashes of this many newest blocks are all kept; of older ones those at batch ends and every 256th.
const DENSE_HEADERS: u64 = 4_096;

impl Store {
    /// Stores what the follower read, in one durable transaction; either all of it is visible afterwards or nothing.
    ///
    /// # Errors
    /// When the file cannot be written or is damaged. Nothing has changed then.
    pub fn ingest(&self, batch: Batch) -> anyhow::Result<()> {
        let mut touched = Touched::default();
        let transaction = self.database.begin_write()?;
        let mut stale = match batch.rollback_to {
            Some(fork) => rollback::roll_back(&transaction, fork)?,
            None => rollback::Stale::new(),
        };
        store_modules(&transaction, &batch, &mut touched)?;
        store_plans_read(&transaction, &batch, &mut stale)?;
        let order = by_subject(&batch.events);
        append_events(&transaction, &order)?;
        fold_subjects(&transaction, stale, &order, &mut touched)?;
        store_headers(&transaction, &batch)?;
        store_unknown(&transaction, &batch)?;
        if batch.moves_cursor {
            transaction
                .open_table(META)?
                .insert(META_CURSOR, encode(&batch.to).as_slice())?;
        }
        transaction.commit()?;
        self.touched.put(touched);
        Ok(())
    }
}

fn store_modules(
    transaction: &WriteTransaction,
    batch: &Batch,
    touched: &mut Touched,
) -> anyhow::Result<()> {
    let cursor = transaction
        .open_table(META)?
        .get(META_CURSOR)?
        .map(|bytes| decode::<Checkpoint>(bytes.value()))
        .transpose()?
        .map(|cursor| cursor.number);
    let cursor_after = if batch.moves_cursor {
        Some(batch.to.number)
    } else {
        cursor
    };
    let mut table = transaction.open_table(MODULES)?;
    let mut records = BTreeMap::new();
    for module in &batch.modules {
        let record = table
            .get(&module.0.0.0)?
            .map(|bytes| decode::<ModuleRecord>(bytes.value()))
            .transpose()?;
        if let Some(mut record) = record {
            let complete =
                |synced_to: Option<u64>, cursor| synced_to.is_some() && synced_to >= cursor;
            let before = complete(record.synced_to, cursor);
            record.synced_to = Some(batch.to.number);
            touched.modules |= before != complete(record.synced_to, cursor_after);
            records.insert(*module, record);
        }
    }
    for event in &batch.events {
        if let EventKind::PaymentProcessorUpdated { current, .. } = event.kind
            && let Some(record) = records.get_mut(&event.module)
        {
            record.processor_updates.push((event.position, current));
        }
    }
    for (module, record) in records {
        table.insert(&module.0.0.0, encode(&record).as_slice())?;
    }
    Ok(())
}

fn store_plans_read(
    transaction: &WriteTransaction,
    batch: &Batch,
    stale: &mut rollback::Stale,
) -> anyhow::Result<()> {
    if batch.plans.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(PLANS_READ)?;
    for (module, id, plan) in &batch.plans {
        table.insert(&scoped_key(*module, id.0), encode(plan).as_slice())?;
        stale.insert((*module, Subject::Plan(*id)));
    }
    Ok(())
}

/// An event and the key of its subject.
type Keyed<'a> = (SubjectKey, &'a ChainEvent);

/// The events by subject, each subject's in chain order. Sorting the keys' bytes costs a tenth of comparing subjects,
/// and the events themselves, which are large, stay where they are.
fn by_subject(events: &[ChainEvent]) -> Vec<Keyed<'_>> {
    let mut order: Vec<Keyed<'_>> = events
        .iter()
        .map(|event| (subject_key(event.module, &event.subject()), event))
        .collect();
    order.sort_unstable_by(|(a, first), (b, second)| {
        a.cmp(b).then_with(|| first.position.cmp(&second.position))
    });
    order
}

/// Appends the events, sorted by subject, one row per subject, and notes which rows the batch brought.
fn append_events(transaction: &WriteTransaction, order: &[Keyed<'_>]) -> anyhow::Result<()> {
    let Some(newest) = order.iter().map(|(_, event)| event.position.block).max() else {
        return Ok(());
    };
    let mut table = transaction.open_table(EVENTS)?;
    let mut keys = Some(Vec::new());
    let mut rows = 0;
    let mut row = Vec::new();
    for group in groups(order) {
        let first = group[0].1;
        let key = event_key(first.module, &first.subject(), first.position);
        row.clear();
        for (_, event) in group {
            row = pack(event, row);
        }
        table.insert(key.as_slice(), row.as_slice())?;
        rows += 1;
        if rows > MOST_INDEXED_ROWS {
            keys = None;
        }
        if let Some(keys) = &mut keys {
            rollback::push_key(keys, &key);
        }
    }
    let mut batches = transaction.open_table(BATCHES)?;
    rollback::note_batch(&mut batches, newest, &keys.unwrap_or_default())
}

/// Neighbouring events of one subject.
fn groups<'a, 'e>(order: &'a [Keyed<'e>]) -> impl Iterator<Item = &'a [Keyed<'e>]> {
    order.chunk_by(|a, b| a.0 == b.0)
}

/// Brings the cached states up to date: subjects in `stale` are folded anew from their rows, the others go on from
/// their cached state. Plans come before subscriptions, because failed payments ask for the plan's interval.
fn fold_subjects(
    transaction: &WriteTransaction,
    stale: rollback::Stale,
    order: &[Keyed<'_>],
    touched: &mut Touched,
) -> anyhow::Result<()> {
    let rows = transaction.open_table(EVENTS)?;
    let mut folds = Folds {
        plans: transaction.open_table(PLANS)?,
        plans_read: transaction.open_table(PLANS_READ)?,
        blocked: transaction.open_table(BLOCKED)?,
        subscriptions: transaction.open_table(SUBSCRIPTIONS)?,
        intervals: FxHashMap::default(),
        touched,
    };
    // Stale plans go before fresh subscriptions as well: both lists are in subject order, and no plan's terms depend
    // on a subscription.
    for (module, subject) in &stale {
        let all = events_of(&rows, *module, subject)?;
        folds.apply(*module, subject, true, all.iter())?;
    }
    for group in groups(order) {
        let (module, subject) = (group[0].1.module, group[0].1.subject());
        if !stale.contains(&(module, subject)) {
            folds.apply(
                module,
                &subject,
                false,
                group.iter().map(|(_, event)| *event),
            )?;
        }
    }
    Ok(())
}

/// Every stored event of a subject in chain order. Rows of different batches never interleave.
pub(super) fn events_of(
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
        self.touched.plans.insert((module, id), state);
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
        self.touched.blocked.insert((module, wallet), state);
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
        self.touched.subscriptions.insert((module, id), kept);
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

fn store_headers(transaction: &WriteTransaction, batch: &Batch) -> anyhow::Result<()> {
    let mut table = transaction.open_table(HEADERS)?;
    for Checkpoint {
        number,
        hash,
        timestamp,
    } in batch.headers.iter().chain([&batch.to])
    {
        table.insert(*number, (&hash.0, timestamp.0))?;
    }
    // Thin out what has just left the dense window; the ends of backfill batches are sparse already and stay.
    if batch.moves_cursor && batch.headers.len() <= DENSE_HEADERS as usize {
        let end = batch.to.number.saturating_sub(DENSE_HEADERS);
        let start = end.saturating_sub(1 + batch.headers.len() as u64);
        table.retain_in(start..end, |number, _| number % 256 == 0)?;
    }
    Ok(())
}

fn store_unknown(transaction: &WriteTransaction, batch: &Batch) -> anyhow::Result<()> {
    if batch.unknown.is_empty() {
        return Ok(());
    }
    let mut table = transaction.open_table(UNKNOWN_LOGS)?;
    for unknown in &batch.unknown {
        let key = (&unknown.address.0.0, &unknown.topic.0);
        let before = table.get(key)?.map_or(0, |count| count.value());
        table.insert(key, before.saturating_add(unknown.count))?;
    }
    Ok(())
}
