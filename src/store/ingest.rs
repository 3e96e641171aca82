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
use super::touched::{MOST_ENTRIES, Touched};
use crate::domain::{
    Batch, ChainEvent, Checkpoint, EventKind, Mark, ModuleAddress, ModuleRecord, Plan, PlanId,
    Subject, Subscription, SubscriptionId, Wallet,
};
use crate::projection;

/// A batch that touches more subjects than this is not indexed row by row; rolling it back looks at all rows.
const MOST_INDEXED_ROWS: usize = 2_000;

/// From so many events on, a second thread is worth its start.
const WORTH_TWO_THREADS: usize = 10_000;

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
        let groups = BySubject::of(&batch.events);
        // Folding anew reads the rows.
        let apart = stale.is_empty() && batch.events.len() >= WORTH_TWO_THREADS;
        let append = || append_events(&transaction, &groups);
        let fold = |touched| fold_subjects(&transaction, stale, &groups, touched);
        if apart {
            // Rows and states are different tables, which redb lets two threads write.
            std::thread::scope(|scope| {
                let appended = scope.spawn(append);
                fold(&mut touched)?;
                appended
                    .join()
                    .map_err(|_| anyhow::anyhow!("appending events panicked"))?
            })?;
        } else {
            append()?;
            fold(&mut touched)?;
        }
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

/// A batch's events by subject, each subject's in chain order.
struct BySubject<'a> {
    /// Each subject with the end of its events, in the order of the keys.
    ends: Vec<(SubjectKey, usize)>,
    events: Vec<&'a ChainEvent>,
}

impl<'a> BySubject<'a> {
    /// The events are put into the subjects' places: sorting the few subjects costs a fraction of sorting the many
    /// events, which stay where they are. Of each subject they mostly come in chain order; where not, they are sorted.
    fn of(events: &'a [ChainEvent]) -> Self {
        let mut numbers = FxHashMap::<SubjectKey, u32>::default();
        let mut subjects = Vec::<(SubjectKey, usize)>::new();
        let mut number_of = Vec::with_capacity(events.len());
        for event in events {
            let key = subject_key(event.module, &event.subject());
            let number = *numbers.entry(key).or_insert_with(|| {
                subjects.push((key, 0));
                subjects.len() as u32 - 1
            });
            subjects[number as usize].1 += 1;
            number_of.push(number);
        }
        let mut order: Vec<u32> = (0..subjects.len() as u32).collect();
        order.sort_unstable_by_key(|number| subjects[*number as usize].0);
        let mut next = vec![0; subjects.len()];
        let mut ends = Vec::with_capacity(subjects.len());
        let mut end = 0;
        for number in order {
            let (key, count) = subjects[number as usize];
            next[number as usize] = end;
            end += count;
            ends.push((key, end));
        }
        let mut placed: Vec<&ChainEvent> = events.iter().collect();
        for (event, number) in events.iter().zip(number_of) {
            let place = &mut next[number as usize];
            placed[*place] = event;
            *place += 1;
        }
        let mut start = 0;
        for (_, end) in &ends {
            let group = &mut placed[start..*end];
            if !group.is_sorted_by_key(|event| event.position) {
                group.sort_by_key(|event| event.position);
            }
            start = *end;
        }
        Self {
            ends,
            events: placed,
        }
    }

    /// The events of each subject.
    fn groups(&self) -> impl Iterator<Item = &[&'a ChainEvent]> {
        let mut start = 0;
        self.ends.iter().map(move |(_, end)| {
            let group = &self.events[start..*end];
            start = *end;
            group
        })
    }
}

/// Appends the events, one row per subject, and notes which rows the batch brought.
fn append_events(transaction: &WriteTransaction, groups: &BySubject<'_>) -> anyhow::Result<()> {
    let blocks = groups.events.iter().map(|event| event.position.block);
    let Some(newest) = blocks.max() else {
        return Ok(());
    };
    let mut table = transaction.open_table(EVENTS)?;
    let mut keys = Some(Vec::new());
    let mut rows = 0;
    let mut row = Vec::new();
    for group in groups.groups() {
        let first = group[0];
        let key = event_key(first.module, &first.subject(), first.position);
        row.clear();
        for event in group {
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

/// Brings the cached states up to date: subjects in `stale` are folded anew from their rows, the others go on from
/// their cached state. Plans come before subscriptions, because failed payments ask for the plan's interval.
fn fold_subjects(
    transaction: &WriteTransaction,
    stale: rollback::Stale,
    groups: &BySubject<'_>,
    touched: &mut Touched,
) -> anyhow::Result<()> {
    if groups.ends.len() > MOST_ENTRIES {
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
