//! The subscriptions whose next charge is near.

use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase as _};

use super::Store;
use super::codec::{KnownPlan, decode, read, scoped_bounds, scoped_key, split_scoped_key};
use super::ingest::{complete_modules, events_of};
use super::tables::{BLOCKED, EVENTS, META, META_CURSOR, MODULES, PLANS, SUBSCRIPTIONS};
use crate::domain::{
    Checkpoint, ModuleAddress, ModuleRecord, Position, Renewal, RenewalsOf, Subject, Subscription,
    SubscriptionId, Timestamp,
};
use crate::projection::{Gist, Terms, paid_until};

impl Store {
    /// The subscriptions among these that have access at the cursor's time, and whose next charge is due until `within`
    /// seconds after it; with the cursor, `None` before any block was read. Of modules that are behind the cursor none. Left
    /// out is what the subscriber or the merchant ended (paused, cancelled, blocked): no charge is to come there.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn renewals(
        &self,
        of: &RenewalsOf,
        within: u64,
    ) -> anyhow::Result<Option<(Checkpoint, Vec<Renewal>)>> {
        let transaction = self.database.begin_read()?;
        let cursor: Option<Checkpoint> = read(transaction.open_table(META)?.get(META_CURSOR)?)?;
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        let mut search = Search {
            tables: Tables::open(&transaction)?,
            cursor,
            until: cursor.timestamp.plus(within),
            found: Vec::new(),
        };
        let complete = complete_modules(&search.tables.modules)?;
        match of {
            RenewalsOf::Subscriptions(ids) => {
                for (module, id) in ids.iter().filter(|(module, _)| complete.contains(module)) {
                    let row = search
                        .tables
                        .subscriptions
                        .get(&scoped_key(*module, id.0))?;
                    if let Some(subscription) = read(row)? {
                        search.look_at(*module, *id, &subscription)?;
                    }
                }
            }
            RenewalsOf::Modules(modules) => {
                for module in modules.intersection(&complete) {
                    search.look_through(*module)?;
                }
            }
        }
        Ok(Some((cursor, search.found)))
    }
}

type Rows<K> = ReadOnlyTable<K, &'static [u8]>;

struct Tables {
    modules: Rows<&'static [u8; 20]>,
    subscriptions: Rows<&'static [u8; 52]>,
    plans: Rows<&'static [u8; 52]>,
    blocked: Rows<(&'static [u8; 20], &'static [u8; 20])>,
    events: Rows<&'static [u8]>,
}

impl Tables {
    fn open(transaction: &ReadTransaction) -> anyhow::Result<Self> {
        Ok(Self {
            modules: transaction.open_table(MODULES)?,
            subscriptions: transaction.open_table(SUBSCRIPTIONS)?,
            plans: transaction.open_table(PLANS)?,
            blocked: transaction.open_table(BLOCKED)?,
            events: transaction.open_table(EVENTS)?,
        })
    }
}

struct Search {
    tables: Tables,
    cursor: Checkpoint,
    until: Timestamp,
    found: Vec<Renewal>,
}

impl Search {
    /// Every subscription of a module.
    fn look_through(&mut self, module: ModuleAddress) -> anyhow::Result<()> {
        let (first, last) = scoped_bounds(module);
        for row in self
            .tables
            .subscriptions
            .range::<&[u8; 52]>(&first..=&last)?
        {
            let (key, value) = row?;
            let (_, id) = split_scoped_key(key.value());
            self.look_at(module, SubscriptionId(id), &decode(value.value())?)?;
        }
        Ok(())
    }

    /// Adds it if it has access and is due soon.
    fn look_at(
        &mut self,
        module: ModuleAddress,
        id: SubscriptionId,
        subscription: &Subscription,
    ) -> anyhow::Result<()> {
        let gist = Gist::from(subscription);
        let (Some((wallet, plan_id)), Some(paid_at)) =
            (subscription.subscriber, subscription.last_paid_at)
        else {
            return Ok(());
        };
        if gist.paused || gist.cancelled {
            return Ok(());
        }
        let plan = self.tables.plans.get(&scoped_key(module, plan_id.0))?;
        let Some(KnownPlan { plan, .. }) = read(plan)? else {
            return Ok(());
        };
        let has_access =
            paid_until(gist, Some(&plan)).is_some_and(|until| until >= self.cursor.timestamp);
        // A recovery only puts a charge off, so what is not near by the last payment is not near at all.
        if !has_access || paid_at.plus(plan.interval) > self.until {
            return Ok(());
        }
        let subscriber = (&module.0.0.0, &wallet.0.0.0);
        if self.tables.blocked.get(subscriber)?.is_some() {
            return Ok(());
        }
        let mut terms = Terms::default();
        for event in events_of(&self.tables.events, module, &Subject::Subscription(id))? {
            terms.fold(&event);
        }
        let due_at = terms.due_at(paid_at, plan.interval);
        if due_at > self.until {
            return Ok(());
        }
        let record: Option<ModuleRecord> = read(self.tables.modules.get(&module.0.0.0)?)?;
        let now = Position {
            block: self.cursor.number,
            log_index: u32::MAX,
        };
        self.found.push(Renewal {
            module,
            plan: plan_id,
            subscription: id,
            wallet,
            token: plan.token,
            processor: record.map_or_else(Default::default, |record| record.processor_at(now)),
            price: plan.price,
            interval: plan.interval,
            grace_period: plan.grace_period,
            paid_at,
            due_at,
            remaining: terms.remaining(),
            expiry: terms.expiry,
            has_failed: subscription.failed.is_some(),
        });
        Ok(())
    }
}
