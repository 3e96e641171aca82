//! SIGHUP reads `gates`, `servers` and `policy` of the configuration again; a bad file changes nothing.

use std::future;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::clock::machine_time;
use crate::config::Config;
use crate::domain::Policy;
use crate::store::Store;

/// Reads the file again at each SIGHUP, until `stop`. Without a file nothing is read.
///
/// # Errors
/// When signals cannot be received, or the store cannot be written.
pub(super) async fn at_each_hangup(
    file: Option<PathBuf>,
    store: Store,
    policy: watch::Sender<Policy>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Some(file) = file else {
        stop.cancelled().await;
        return Ok(());
    };
    let mut hangups = signal(SignalKind::hangup()).context("cannot receive SIGHUP")?;
    loop {
        let hung_up = async {
            match hangups.recv().await {
                Some(()) => {}
                None => future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = hung_up => reload(&file, &store, &policy).await?,
        }
    }
}

async fn reload(file: &Path, store: &Store, policy: &watch::Sender<Policy>) -> anyhow::Result<()> {
    let (file, store, policy) = (file.to_owned(), store.clone(), policy.clone());
    let read = tokio::task::spawn_blocking(move || {
        let config = match Config::load(&file) {
            Ok(config) => config,
            Err(bad) => {
                error!(%bad, "the configuration was not read again; nothing is changed");
                return anyhow::Ok(None);
            }
        };
        let (gates, servers, now) = (&config.gates, &config.servers, machine_time());
        store.change_config(gates, servers, Some(config.policy), now)?;
        policy.send_replace(config.policy);
        Ok(Some(config))
    });
    if let Some(config) = read.await.context("reading the configuration failed")?? {
        info!(
            gates = config.gates.len(),
            servers = config.servers.len(),
            "gates, servers and policy were read again; other sections count from the next start on"
        );
    }
    Ok(())
}
