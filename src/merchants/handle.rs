//! The handle and what it works with.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;
use tokio::sync::{mpsc, oneshot, watch};

use super::Refusal;
use super::known::{Outlooks, Owners, Tokens};
use super::names::ServerNames;
use crate::amser_api::AmserApi;
use crate::discord::Discord;
use crate::domain::{ChainStatus, DiscordStatus, Policy, Question, Timestamp};
use crate::store::Store;
use crate::views::Views;

/// What [`Merchants`] works with.
pub struct Inputs {
    /// Gates, wallets, plans and the journal.
    pub store: Store,
    /// Reads servers, members and roles.
    pub discord: Discord,
    /// The follower's view of the chain.
    pub chain: watch::Receiver<ChainStatus>,
    /// Standing errors and what is known of each server.
    pub discord_status: watch::Receiver<DiscordStatus>,
    /// To the loop that decides about roles.
    pub questions: mpsc::Sender<Question>,
    /// Asks contracts.
    pub views: Views,
    /// `amser.factory`: where a wallet's module is looked up.
    pub factory: Option<Address>,
    /// Names of plans.
    pub api: AmserApi,
    /// `[policy]`, which a server's settings fall back to.
    pub policy: watch::Receiver<Policy>,
    /// The machine's clock.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// For how long one forecast serves everybody who asks for it.
    pub outlook_kept: Duration,
}

/// The handle; cheap to clone.
#[derive(Clone)]
pub struct Merchants {
    shared: Arc<Shared>,
}

struct Shared {
    inputs: Inputs,
    owners: Owners,
    tokens: Tokens,
    outlooks: Outlooks,
    names: ServerNames,
}

impl Merchants {
    /// Asks nobody yet.
    pub fn new(inputs: Inputs) -> Self {
        Self {
            shared: Arc::new(Shared {
                inputs,
                owners: Owners::default(),
                tokens: Tokens::default(),
                outlooks: Outlooks::default(),
                names: ServerNames::default(),
            }),
        }
    }

    pub(super) fn inputs(&self) -> &Inputs {
        &self.shared.inputs
    }

    pub(super) fn owners(&self) -> &Owners {
        &self.shared.owners
    }

    pub(super) fn tokens(&self) -> &Tokens {
        &self.shared.tokens
    }

    pub(super) fn outlooks(&self) -> &Outlooks {
        &self.shared.outlooks
    }

    pub(super) fn names(&self) -> &ServerNames {
        &self.shared.names
    }

    /// The machine's clock.
    pub(super) fn now(&self) -> Timestamp {
        (self.inputs().clock)()
    }

    /// `[policy]`: what a server follows where it sets nothing.
    pub fn default_policy(&self) -> Policy {
        *self.inputs().policy.borrow()
    }

    /// Asks the loop that decides about roles.
    pub(super) async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        let asked = self.inputs().questions.send(question(answer)).await;
        asked.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())
    }

    /// Works on the store, off the async threads.
    pub(super) async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let store = self.inputs().store.clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(|error| Refusal::Internal(error.into()))?
            .map_err(Refusal::Internal)
    }
}

/// The answer never came: the loop is gone.
fn stopping() -> Refusal {
    Refusal::Internal(anyhow::anyhow!("the service is stopping"))
}

impl std::fmt::Debug for Merchants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merchants").finish_non_exhaustive()
    }
}
