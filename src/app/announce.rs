//! The two lines by which whoever starts the service knows what it is and when it is ready.

use std::time::Instant;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::systemd;
use crate::config::Config;
use crate::domain::{ChainStatus, Checkpoint, DiscordStatus};

/// Says what is about to run.
pub(super) fn starting(config: &Config) {
    let servers: std::collections::BTreeSet<_> =
        config.gates.iter().map(|gate| gate.guild).collect();
    info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %config.web.listen,
        public_url = %config.web.public_url,
        chain_id = config.chain.chain_id,
        confirmations = config.chain.confirmations,
        store = %config.absolute_store_path().display(),
        gates_in_file = config.gates.len(),
        servers_in_file = servers.len(),
        "starting"
    );
    systemd::tell(&[NotifyState::Status(
        "waiting for the chain and for Discord; the log says what is missing",
    )]);
}

/// Says once that the chain is followed and Discord connected; then waits for the stop.
pub(super) async fn ready(
    mut chain: watch::Receiver<ChainStatus>,
    mut discord: watch::Receiver<DiscordStatus>,
    stop: CancellationToken,
) {
    let started = Instant::now();
    let both = async {
        let confirmed = chain.wait_for(|chain| chain.reached_tip).await;
        let confirmed = confirmed.ok()?.confirmed;
        discord.wait_for(|discord| discord.connected).await.ok()?;
        Some(confirmed)
    };
    tokio::select! {
        () = stop.cancelled() => return,
        confirmed = both => if let Some(confirmed) = confirmed {
            let number = |block: Checkpoint| block.number;
            let block = confirmed.map_or(0, number);
            let seconds = started.elapsed().as_secs();
            info!(block, seconds, "ready: the chain is followed and Discord is connected");
            systemd::tell(&[NotifyState::Status("the chain is followed and Discord is connected")]);
        },
    }
    stop.cancelled().await;
}
