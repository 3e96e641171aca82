//! What merchants and managers of servers may do, where no chain and no API of amser's is there to ask.

use std::sync::Arc;

use amser_roles::amser_api::AmserApi;
use amser_roles::chain::ChainConfig;
use amser_roles::discord::Discord;
use amser_roles::domain::{ChainStatus, DiscordStatus, Policy, Question, Timestamp};
use amser_roles::merchants::{Inputs, OUTLOOK_KEPT};
use amser_roles::store::Store;
use amser_roles::views::Views;
use tokio::sync::{mpsc, watch};

/// Nothing answers for the contracts.
pub(crate) fn no_chain() -> ChainConfig {
    ChainConfig::new(Vec::new(), 31_337)
}

/// An API that is never reached.
pub(crate) fn no_api() -> AmserApi {
    AmserApi::new(&"http://127.0.0.1:9".parse().unwrap(), 31_337, None).unwrap()
}

/// What the handle works with.
pub(crate) fn inputs_without_chain(
    store: &Store,
    discord: &Discord,
    chain: &watch::Receiver<ChainStatus>,
    discord_status: &watch::Receiver<DiscordStatus>,
    questions: &mpsc::Sender<Question>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
) -> Inputs {
    Inputs {
        store: store.clone(),
        discord: discord.clone(),
        chain: chain.clone(),
        discord_status: discord_status.clone(),
        questions: questions.clone(),
        views: Views::new(&no_chain(), chain.clone()),
        factory: None,
        api: no_api(),
        policy: watch::channel(Policy::default()).1,
        clock,
        outlook_kept: OUTLOOK_KEPT,
    }
}
