//! Forgetting a module, to read it again.

use alloy::primitives::Address;

use super::codec::{encode, module_bounds, scoped_bounds, split_scoped_key};
use super::ingest::complete_modules;
use super::tables::{
    BLOCKED, EVENTS, MODULES, ORPHANS, PLANS, PLANS_READ, SUBSCRIPTIONS, UNKNOWN_LOGS,
};
use super::touched::{MOST_ENTRIES, Touched};
use super::{Store, runs};
use crate::domain::{ModuleAddress, ModuleRecord, PlanId, SubscriptionId, Synced, Wallet};

impl Store {
    /// Forgets everything read of a module, to read it again from `start_block` with another first processor. Reads and
    /// writes only what is about this module.
    ///
    /// # Errors
    /// When the file cannot be written or is damaged. Nothing has changed then.
    pub fn reset_module(
        &self,
        module: ModuleAddress,
        start_block: u64,
        initial_processor: Address,
    ) -> anyhow::Result<()> {
        let address: &[u8; 20] = &module.0.0.0;
        let (first_event, end_of_events) = module_bounds(module);
        let (first, last) = scoped_bounds(module);
        let mut touched = Touched::default();
        let transaction = self.database.begin_write()?;
        runs::merge(&transaction)?;
        {
            transaction
                .open_table(EVENTS)?
                .retain_in(first_event.as_slice()..end_of_events.as_slice(), |_, _| {
                    false
                })?;
            transaction
                .open_table(SUBSCRIPTIONS)?
                .retain_in::<&[u8; 52], _>(&first..=&last, |key, _| {
                    let id = SubscriptionId(split_scoped_key(key).1);
                    touched.note(|touched| touched.subscriptions.insert((module, id), None));
                    false
                })?;
            transaction.open_table(PLANS)?.retain_in::<&[u8; 52], _>(
                &first..=&last,
                |key, _| {
                    let id = PlanId(split_scoped_key(key).1);
                    touched.note(|touched| touched.plans.insert((module, id), None));
                    false
                },
            )?;
            transaction
                .open_table(PLANS_READ)?
                .retain_in::<&[u8; 52], _>(&first..=&last, |_, _| false)?;
            let wallets = (address, &[0; 20])..=(address, &[0xff; 20]);
            transaction
                .open_table(BLOCKED)?
                .retain_in(wallets, |(_, wallet), _| {
                    let wallet = Wallet(Address::from(*wallet));
                    touched.note(|touched| touched.blocked.insert((module, wallet), None));
                    false
                })?;
            transaction
                .open_table(UNKNOWN_LOGS)?
                .retain_in((address, &[0; 32])..=(address, &[0xff; 32]), |_, _| false)?;
            transaction.open_table(ORPHANS)?.remove(address)?;
            let record = ModuleRecord {
                start_block,
                synced: Synced::To(None),
                initial_processor,
                processor_updates: Vec::new(),
            };
            let mut modules = transaction.open_table(MODULES)?;
            modules.insert(address, encode(&record).as_slice())?;
            touched.complete = Some(complete_modules(&modules)?);
        }
        transaction.commit()?;
        self.touched.put(touched);
        Ok(())
    }
}

impl Touched {
    /// Notes one more entry, or that everything changed when there are too many.
    fn note<T>(&mut self, entry: impl FnOnce(&mut Self) -> T) {
        if self.subscriptions.len() + self.plans.len() + self.blocked.len() > MOST_ENTRIES {
            self.everything = true;
        } else {
            entry(self);
        }
    }
}
