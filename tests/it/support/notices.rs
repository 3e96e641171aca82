//! The notices as `app` wires them, with a clock of the story's own.

use std::sync::Arc;
use std::time::Duration;

use amser_roles::app::notices::{names, open_direct, post};
use amser_roles::discord::Discord;
use amser_roles::domain::{ChainStatus, DiscordStatus, DriftStatus, Policy, Timestamp};
use amser_roles::forecast::Forecast;
use amser_roles::notices::{Inputs, Timing};
use amser_roles::store::Store;
use amser_roles::views::Views;
use tokio::sync::watch;

use super::merchants::no_chain;

/// What they work with, where nothing answers for the contracts.
pub(crate) fn inputs(
    discord: &Discord,
    store: &Store,
    chain: &watch::Receiver<ChainStatus>,
    clock: impl Fn() -> Timestamp + Send + Sync + 'static,
) -> Inputs {
    Inputs {
        store: store.clone(),
        chain: chain.clone(),
        discord: watch::Sender::new(DiscordStatus::default()),
        drift: watch::channel(DriftStatus::default()).1,
        policy: watch::channel(Policy::default()).1,
        forecast: Forecast::new(store.clone(), Views::new(&no_chain(), chain.clone())),
        open_direct: open_direct(discord),
        post: post(discord),
        names: names(discord),
        chain_id: 31_337,
        clock: Arc::new(clock),
        timing: Timing {
            open: Duration::from_millis(1),
            ..Timing::default()
        },
    }
}
