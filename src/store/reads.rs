//! What the follower, the roles' loop and the status pages read, and the small writes about modules.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, B256};
use anyhow::Context as _;
use redb::{
    ReadTransaction, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _,
};

use super::codec::{KnownPlan, decode, encode, read, scoped_bounds, scoped_key, split_scoped_key};
use super::ingest::{complete_modules, events_of};
use super::tables::{
    BLOCKED, EVENTS, HEADERS, META, META_CHAIN, META_CURSOR, META_FINALIZED, META_LAST_FORK,
    MODULES, ORPHANS, PLANS, SUBSCRIPTIONS, UNKNOWN_LOGS,
};
use super::{Store, StoreError};
use crate::domain::{
    ActiveQuestion, ChainEvent, Checkpoint, Mark, ModuleAddress, ModuleRecord, Plan, PlanId,
    Subject, Subscription, SubscriptionId, Synced, Timestamp, UnknownLogs, Wallet,
};

impl Store {
    /// Ties the store to a chain; once something of that chain is in it, no other chain is accepted.
    ///
    /// # Errors
    /// [`StoreError::OtherChain`] (as `anyhow`), or an unreadable file.
    pub fn bind_chain(&self, chain_id: u64) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            let bound = meta
                .get(META_CHAIN)?
                .and_then(|bytes| Some(u64::from_le_bytes(bytes.value().try_into().ok()?)));
            match bound {
                Some(bound) if bound == chain_id => return Ok(()),
                // Bound by a configuration with a wrong chain id, which no node confirmed.
                Some(bound)
                    if !transaction.open_table(HEADERS)?.is_empty()?
                        || !transaction.open_table(MODULES)?.is_empty()? =>
                {
                    return Err(StoreError::OtherChain(bound, chain_id).into());
                }
                Some(_) | None => meta.insert(META_CHAIN, chain_id.to_le_bytes().as_slice())?,
            };
        }
        transaction.commit()?;
        Ok(())
    }

    /// The modules that are followed, with how far each has been read.
    pub fn modules(&self) -> anyhow::Result<BTreeMap<ModuleAddress, ModuleRecord>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(MODULES)?;
        let mut modules = BTreeMap::new();
        for row in table.iter()? {
            let (key, value) = row?;
            modules.insert(
                ModuleAddress(Address::from(*key.value())),
                decode(value.value())?,
            );
        }
        Ok(modules)
    }

    /// The module as it is known; `None` where it is not.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn module(&self, module: ModuleAddress) -> anyhow::Result<Option<ModuleRecord>> {
        let transaction = self.database.begin_read()?;
        read(transaction.open_table(MODULES)?.get(&module.0.0.0)?)
    }

    /// The modules of which every event up to the cursor is stored.
    pub fn complete_modules(&self) -> anyhow::Result<BTreeSet<ModuleAddress>> {
        let transaction = self.database.begin_read()?;
        complete_modules(&transaction.open_table(MODULES)?)
    }

    /// Begins to follow a module; changes nothing when it is known already.
    pub fn add_module(
        &self,
        module: ModuleAddress,
        start_block: u64,
        initial_processor: Address,
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(MODULES)?;
            if table.get(&module.0.0.0)?.is_some() {
                return Ok(());
            }
            let record = ModuleRecord {
                start_block,
                synced: Synced::To(None),
                initial_processor,
                processor_updates: Vec::new(),
            };
            table.insert(&module.0.0.0, encode(&record).as_slice())?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// The newest block up to which every module at the cursor has been read.
    pub fn cursor(&self) -> anyhow::Result<Option<Checkpoint>> {
        checkpoint_in(&self.database.begin_read()?, META_CURSOR)
    }

    /// The newest finalized block that a node has shown and that no rollback has gone below since.
    pub fn finalized(&self) -> anyhow::Result<Option<Checkpoint>> {
        checkpoint_in(&self.database.begin_read()?, META_FINALIZED)
    }

    /// The block from which on a payment may be missing of which one of these modules knows: of the last payments that are
    /// stored of each subscriber the oldest; a module's first block where of one there is none.
    pub fn last_known_payment(&self, of: &BTreeSet<ActiveQuestion>) -> anyhow::Result<u64> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(SUBSCRIPTIONS)?;
        let mut paid: BTreeMap<ActiveQuestion, u64> = BTreeMap::new();
        let modules: BTreeSet<_> = of.iter().map(|one| one.module).collect();
        for module in modules {
            let record =
                read::<ModuleRecord>(transaction.open_table(MODULES)?.get(&module.0.0.0)?)?;
            let start = record.map_or(0, |record| record.start_block);
            let asked = of.iter().filter(|one| one.module == module);
            paid.extend(asked.map(|one| (*one, start)));
            let (first, last) = scoped_bounds(module);
            for row in table.range::<&[u8; 52]>(&first..=&last)? {
                let subscription: Subscription = decode(row?.1.value())?;
                let (Some((wallet, plan)), Some(mark)) =
                    (subscription.subscriber, subscription.paid)
                else {
                    continue;
                };
                let question = ActiveQuestion {
                    module,
                    wallet,
                    plan,
                };
                if let Some(block) = paid.get_mut(&question) {
                    *block = mark.position.block.max(*block);
                }
            }
        }
        Ok(paid.into_values().min().unwrap_or_default())
    }

    /// Plans that subscriptions refer to and whose terms are not known.
    pub fn plans_without_terms(&self) -> anyhow::Result<BTreeSet<(ModuleAddress, PlanId)>> {
        let transaction = self.database.begin_read()?;
        let mut referred = BTreeSet::new();
        for row in transaction.open_table(SUBSCRIPTIONS)?.iter()? {
            let (key, value) = row?;
            let (module, _) = split_scoped_key(key.value());
            let subscription: Subscription = decode(value.value())?;
            referred.extend(subscription.subscriber.map(|(_, plan)| (module, plan)));
        }
        let plans = transaction.open_table(PLANS)?;
        let mut unknown = BTreeSet::new();
        for (module, plan) in referred {
            if plans.get(&scoped_key(module, plan.0))?.is_none() {
                unknown.insert((module, plan));
            }
        }
        Ok(unknown)
    }

    /// Stored block hashes from `number` (inclusive) downwards, newest first, at most `limit`.
    pub fn headers_below(&self, number: u64, limit: usize) -> anyhow::Result<Vec<Checkpoint>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(HEADERS)?;
        let rows = table.range(..=number)?.rev().take(limit);
        rows.map(|row| {
            let (key, value) = row?;
            let (hash, timestamp) = value.value();
            Ok(Checkpoint {
                number: key.value(),
                hash: B256::from(hash),
                timestamp: Timestamp(timestamp),
            })
        })
        .collect()
    }

    /// The fork block of the newest rollback, if there ever was one.
    pub fn last_fork(&self) -> anyhow::Result<Option<u64>> {
        let transaction = self.database.begin_read()?;
        let meta = transaction.open_table(META)?;
        let fork = meta.get(META_LAST_FORK)?;
        fork.map(|bytes| {
            let bytes = bytes
                .value()
                .try_into()
                .context("the fork block is damaged")?;
            Ok(u64::from_le_bytes(bytes))
        })
        .transpose()
    }

    /// A plan's terms.
    pub fn plan(&self, module: ModuleAddress, plan: PlanId) -> anyhow::Result<Option<Plan>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(PLANS)?;
        let known: Option<KnownPlan> = read(table.get(&scoped_key(module, plan.0))?)?;
        Ok(known.map(|known| known.plan))
    }

    /// A subscription's state.
    pub fn subscription(
        &self,
        module: ModuleAddress,
        id: SubscriptionId,
    ) -> anyhow::Result<Option<Subscription>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(SUBSCRIPTIONS)?;
        read(table.get(&scoped_key(module, id.0))?)
    }

    /// The mark of the merchant's block in force against a subscriber.
    pub fn blocked(&self, module: ModuleAddress, wallet: Wallet) -> anyhow::Result<Option<Mark>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(BLOCKED)?;
        read(table.get((&module.0.0.0, &wallet.0.0.0))?)
    }

    /// The plans of a module with their terms.
    pub fn plans_of(&self, module: ModuleAddress) -> anyhow::Result<BTreeMap<PlanId, Plan>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(PLANS)?;
        let (first, last) = scoped_bounds(module);
        let rows = table.range::<&[u8; 52]>(&first..=&last)?;
        rows.map(|row| {
            let (key, value) = row?;
            let (_, id) = split_scoped_key(key.value());
            Ok((PlanId(id), decode::<KnownPlan>(value.value())?.plan))
        })
        .collect()
    }

    /// Hands every plan to `each`.
    pub fn for_each_plan(
        &self,
        mut each: impl FnMut(ModuleAddress, PlanId, Plan),
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_read()?;
        for row in transaction.open_table(PLANS)?.iter()? {
            let (key, value) = row?;
            let (module, id) = split_scoped_key(key.value());
            each(module, PlanId(id), decode::<KnownPlan>(value.value())?.plan);
        }
        Ok(())
    }

    /// Hands every subscription to `each`.
    pub fn for_each_subscription(
        &self,
        mut each: impl FnMut(ModuleAddress, SubscriptionId, Subscription),
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_read()?;
        for row in transaction.open_table(SUBSCRIPTIONS)?.iter()? {
            let (key, value) = row?;
            let (module, id) = split_scoped_key(key.value());
            each(module, SubscriptionId(id), decode(value.value())?);
        }
        Ok(())
    }

    /// Hands every block in force to `each`.
    pub fn for_each_blocked(
        &self,
        mut each: impl FnMut(ModuleAddress, Wallet, Mark),
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_read()?;
        for row in transaction.open_table(BLOCKED)?.iter()? {
            let (key, value) = row?;
            let (module, wallet) = key.value();
            each(
                ModuleAddress(Address::from(*module)),
                Wallet(Address::from(*wallet)),
                decode(value.value())?,
            );
        }
        Ok(())
    }

    /// The stored events of one subject, in chain order.
    pub fn events_of(
        &self,
        module: ModuleAddress,
        subject: Subject,
    ) -> anyhow::Result<Vec<ChainEvent>> {
        let transaction = self.database.begin_read()?;
        events_of(&transaction.open_table(EVENTS)?, module, &subject)
    }

    /// Every stored event, by module, subject and position. Reads everything: for tests and exports.
    pub fn all_events(&self) -> anyhow::Result<Vec<ChainEvent>> {
        let transaction = self.database.begin_read()?;
        let mut all = Vec::new();
        for row in transaction.open_table(EVENTS)?.iter()? {
            let (key, value) = row?;
            let (module, subject) = super::codec::split_event_key(key.value())?;
            all.append(&mut super::codec::unpack(module, &subject, value.value())?);
        }
        Ok(all)
    }

    /// How many subscriptions have events and whose creation was never seen, plus how many plans were read by `getPlan` and
    /// whose `PlanCreated` was never seen; of modules at the cursor. More than none means that events are missing.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn orphans(&self) -> anyhow::Result<u64> {
        Ok(self.orphans_by_module()?.into_values().sum())
    }

    /// The same of each module that has any.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn orphans_by_module(&self) -> anyhow::Result<BTreeMap<ModuleAddress, u64>> {
        let transaction = self.database.begin_read()?;
        let modules = transaction.open_table(MODULES)?;
        let mut orphans = BTreeMap::new();
        for row in transaction.open_table(ORPHANS)?.iter()? {
            let (module, count) = row?;
            let record: Option<ModuleRecord> = read(modules.get(module.value())?)?;
            let is_at_cursor = record.is_some_and(|record| record.synced == Synced::ToCursor);
            if is_at_cursor && count.value() > 0 {
                orphans.insert(ModuleAddress(Address::from(*module.value())), count.value());
            }
        }
        Ok(orphans)
    }

    /// How many subscriptions there are.
    pub fn subscription_count(&self) -> anyhow::Result<u64> {
        let transaction = self.database.begin_read()?;
        Ok(transaction.open_table(SUBSCRIPTIONS)?.len()?)
    }

    /// Logs of watched addresses that could not be decoded.
    pub fn unknown_logs(&self) -> anyhow::Result<Vec<UnknownLogs>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(UNKNOWN_LOGS)?;
        table
            .iter()?
            .map(|row| {
                let (key, count) = row?;
                let (address, topic) = key.value();
                Ok(UnknownLogs {
                    address: Address::from(*address),
                    topic: B256::from(*topic),
                    count: count.value(),
                })
            })
            .collect()
    }
}

fn checkpoint_in(transaction: &ReadTransaction, name: &str) -> anyhow::Result<Option<Checkpoint>> {
    let meta = transaction.open_table(META)?;
    read(meta.get(name)?)
}
