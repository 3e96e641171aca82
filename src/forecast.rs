//! Who will fail to renew, and why: before it happens, while it can still be helped.
//!
//! The store says who has access, what is due when and what the subscription still allows; the contracts say what the wallet
//! has, at the very block up to which the store's events go. What a contract does not answer counts as no risk and is told
//! apart ([`Outlook::unread`]).

mod judge;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::{ModuleAddress, RenewalsOf, SubscriptionId};
use crate::store::Store;
use crate::views::Views;

pub use self::judge::{Outlook, judge};
pub use crate::domain::{AtRisk, Risk};

/// Asks store and contracts; cheap to clone.
#[derive(Clone, Debug)]
pub struct Forecast {
    store: Store,
    views: Views,
}

/// Why nothing can be foretold.
#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    /// Nothing has been read from the chain yet.
    #[error("the chain has not been read yet")]
    NotRead,
    /// No node answered what the wallets have; its own words.
    #[error("no node answered: {0}")]
    NoNode(String),
    /// The store cannot be read.
    #[error(transparent)]
    Store(anyhow::Error),
}

impl Forecast {
    /// Asks nobody yet.
    pub fn new(store: Store, views: Views) -> Self {
        Self { store, views }
    }

    /// The renewals of these modules' subscriptions that will fail within this time of the chain's clock.
    ///
    /// # Errors
    /// See [`ForecastError`].
    pub async fn of_modules(
        &self,
        modules: &BTreeSet<ModuleAddress>,
        within: Duration,
    ) -> Result<Vec<AtRisk>, ForecastError> {
        let of = RenewalsOf::Modules(modules.clone());
        Ok(self.outlook(of, within).await?.at_risk)
    }

    /// The same of these subscriptions. Reads nothing else, so it is quick for a few.
    ///
    /// # Errors
    /// See [`ForecastError`].
    pub async fn of_subscriptions(
        &self,
        subscriptions: BTreeSet<(ModuleAddress, SubscriptionId)>,
        within: Duration,
    ) -> Result<Vec<AtRisk>, ForecastError> {
        let of = RenewalsOf::Subscriptions(subscriptions);
        Ok(self.outlook(of, within).await?.at_risk)
    }

    /// What is to be expected of these subscriptions within this time of the chain's clock.
    ///
    /// # Errors
    /// See [`ForecastError`].
    pub async fn outlook(
        &self,
        of: RenewalsOf,
        within: Duration,
    ) -> Result<Outlook, ForecastError> {
        let store = self.store.clone();
        let seconds = within.as_secs();
        let read = tokio::task::spawn_blocking(move || store.renewals(&of, seconds)).await;
        let read = read.map_err(|error| ForecastError::Store(error.into()))?;
        let read = read.map_err(ForecastError::Store)?;
        let (block, renewals) = read.ok_or(ForecastError::NotRead)?;
        let drawn_on = renewals.iter().map(judge::funds_of).collect();
        let facts = self.views.renewal_facts(block, &drawn_on).await;
        let facts = facts.map_err(|error| ForecastError::NoNode(error.to_string()))?;
        let now = block.timestamp;
        Ok(judge(&renewals, &facts, now, now.plus(seconds)))
    }
}
