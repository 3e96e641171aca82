//! The way of one payment, from its transaction to what roles follow. The transaction's hash comes from the visitor's browser
//! and decides nothing: it only says where to look in the followed chain.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::B256;
use tokio::sync::watch;

use crate::cache::Cache;
use crate::domain::{
    ChainEvent, ChainStatus, EventKind, Mined, ModuleAddress, PlanId, Subject, Subscription,
    SubscriptionId, Wallet,
};
use crate::store::Store;
use crate::views::Views;

/// Transactions that are remembered, each for less than a block of most chains: visitors who ask in the meantime share one answer.
const REMEMBERED: usize = 1_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(1);

/// A plan of a module.
pub(crate) type PlanKey = (ModuleAddress, PlanId);

/// Where a payment is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payment {
    /// No node could be asked.
    Unavailable,
    /// It is in no block.
    NotMined,
    /// It is in a block, and did nothing.
    Reverted,
    /// It is in a block that was not read yet, or in one that is not confirmed and in which nothing of ours was seen.
    InBlock(Confirmations),
    /// It is in a confirmed block, and pays for none of the plans in question.
    NotOurs,
    /// It is in a confirmed block, and may pay for a plan of a module that is still being read.
    NotRead,
    /// It is in a confirmed block, and may pay for a plan of a module that cannot be read at present.
    Unreadable,
    /// It was confirmed so long ago that it is not looked for.
    LongAgo,
    /// It belongs to a subscription to one of the plans in question.
    Ours {
        /// Who subscribed.
        wallet: Wallet,
        /// How far it is.
        step: Step,
    },
}

/// How far a subscription is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// What the transaction did is not confirmed yet.
    Seen(Confirmations),
    /// Subscribed, and the first payment was not made yet.
    Unpaid,
    /// A payment is confirmed.
    Paid,
}

/// Blocks on top of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Confirmations {
    /// So far; at most `needed`.
    pub(crate) seen: u64,
    /// Before what the block says counts.
    pub(crate) needed: u64,
}

/// Looks payments up; clones share what they know.
#[derive(Clone)]
pub struct Payments {
    store: Store,
    chain: watch::Receiver<ChainStatus>,
    views: Views,
    needed: u64,
    mined: Arc<Cache<B256, Option<Mined>>>,
}

impl Payments {
    /// `confirmations`: blocks on top of an event's block before it counts.
    pub fn new(
        store: Store,
        chain: watch::Receiver<ChainStatus>,
        views: Views,
        confirmations: u64,
    ) -> Self {
        Self {
            store,
            chain,
            views,
            needed: confirmations,
            mined: Arc::new(Cache::new(REMEMBERED, |_| REMEMBERED_FOR)),
        }
    }

    /// Where a transaction is, as far as it is about these plans. Of several subscriptions in it, those of `wallets` come first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn look(
        &self,
        transaction: B256,
        plans: &BTreeSet<PlanKey>,
        wallets: &[Wallet],
    ) -> anyhow::Result<Payment> {
        let status = self.chain.borrow().clone();
        let pending = status.pending.iter();
        let seen: Vec<_> = pending
            .filter(|event| event.transaction == transaction)
            .cloned()
            .collect();
        let known = match seen.is_empty() {
            true => None,
            false => self.about(seen, &status, plans, wallets).await?,
        };
        if let Some(payment) = known {
            return Ok(payment);
        }
        let asked = self.mined.get(transaction, self.views.mined(transaction));
        let mined = match asked.await {
            Ok(Some(mined)) => mined,
            Ok(None) => return Ok(Payment::NotMined),
            Err(error) => {
                tracing::debug!(%error, "no node says in which block a transaction is");
                return Ok(Payment::Unavailable);
            }
        };
        if !mined.succeeded {
            return Ok(Payment::Reverted);
        }
        // What is confirmed is stored, except for modules that are still being read.
        if status
            .confirmed
            .is_none_or(|confirmed| confirmed.number < mined.block)
        {
            return Ok(Payment::InBlock(self.confirmations(&status, mined.block)));
        }
        let modules: BTreeSet<_> = plans.iter().map(|(module, _)| *module).collect();
        let (missing, events) = self
            .with_store(move |store| {
                // First: a module that becomes complete afterwards has its events in what is read next.
                let complete = store.complete_modules()?;
                let missing: Vec<_> = modules.difference(&complete).copied().collect();
                let events = store.events_of_transaction(transaction, mined.block, &modules)?;
                Ok((missing, events))
            })
            .await?;
        let is_unreadable = |module: &ModuleAddress| status.unread_modules.contains_key(module);
        let otherwise = match &events {
            _ if !missing.iter().all(is_unreadable) => Payment::NotRead,
            _ if !missing.is_empty() => Payment::Unreadable,
            None => Payment::LongAgo,
            Some(_) => Payment::NotOurs,
        };
        let events = events.unwrap_or_default();
        let about = self.about(events, &status, plans, wallets).await?;
        Ok(about.unwrap_or(otherwise))
    }

    /// What these events of one transaction come to.
    async fn about(
        &self,
        events: Vec<ChainEvent>,
        status: &ChainStatus,
        plans: &BTreeSet<PlanKey>,
        wallets: &[Wallet],
    ) -> anyhow::Result<Option<Payment>> {
        let subject = |event: &ChainEvent| match event.subject() {
            Subject::Subscription(id) => Some((event.module, id)),
            _ => None,
        };
        let keys: BTreeSet<_> = events.iter().filter_map(subject).collect();
        let stored = self
            .with_store(move |store| {
                let stored = |(module, id)| {
                    let folded = store.subscription(module, id)?;
                    Ok(((module, id), folded.unwrap_or_default()))
                };
                keys.into_iter()
                    .map(stored)
                    .collect::<anyhow::Result<Vec<_>>>()
            })
            .await?;
        let mut found: Option<(Wallet, Step)> = None;
        for (key, stored) in &stored {
            let (subscriber, step) = self.step(*key, stored, status);
            let Some((wallet, plan)) = subscriber else {
                continue;
            };
            let is_better = found.is_none() || wallets.contains(&wallet);
            if plans.contains(&(key.0, plan)) && is_better {
                found = Some((wallet, step));
            }
        }
        Ok(found.map(|(wallet, step)| Payment::Ours { wallet, step }))
    }

    /// Whose a subscription is, and how far: by its confirmed state and by what is not confirmed yet.
    fn step(
        &self,
        (module, id): (ModuleAddress, SubscriptionId),
        stored: &Subscription,
        status: &ChainStatus,
    ) -> (Option<(Wallet, PlanId)>, Step) {
        let mut subscriber = stored.subscriber;
        let mut step = match stored.paid {
            Some(_) => Step::Paid,
            None => Step::Unpaid,
        };
        let own = status
            .pending
            .iter()
            .filter(|event| event.module == module && event.subject() == Subject::Subscription(id));
        for event in own {
            match event.kind {
                EventKind::SubscriptionCreated {
                    subscriber: wallet,
                    plan,
                    ..
                } => subscriber = Some((wallet, plan)),
                EventKind::ExecutionExecuted { .. } => {}
                _ => continue,
            }
            step = Step::Seen(self.confirmations(status, event.position.block));
        }
        (subscriber, step)
    }

    fn confirmations(&self, status: &ChainStatus, block: u64) -> Confirmations {
        let head = status.head.map_or(0, |head| head.number);
        Confirmations {
            seen: head.saturating_sub(block).min(self.needed),
            needed: self.needed,
        }
    }

    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || work(&store)).await?
    }
}

impl std::fmt::Debug for Payments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payments").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
