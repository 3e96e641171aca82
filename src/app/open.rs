//! Opens the store, and says which modules it knows.

use std::collections::BTreeSet;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::machine_time;
use crate::config::Config;
use crate::domain::{ModuleAddress, Rules};
use crate::store::Store;
use crate::web;

/// Opens the store while `/healthz` answers already: after a crash a large store is checked first, and whoever watches the
/// process must not take that for a hang.
pub(super) async fn open_while_alive(
    config: &Config,
    listener: TcpListener,
) -> anyhow::Result<(Store, TcpListener)> {
    let listener = listener.into_std()?;
    let early = TcpListener::from_std(listener.try_clone()?)?;
    let never = CancellationToken::new();
    let alive = tokio::spawn(web::serve(
        early,
        web::while_starting(),
        config.web.trusted_proxies.clone(),
        never,
    ));
    let store = open_store(config).await;
    alive.abort();
    Ok((store?, TcpListener::from_std(listener)?))
}

/// Opens the store and ties it to the chain and gates of the configuration.
///
/// # Errors
/// See [`crate::store::StoreError`].
pub async fn open_store(config: &Config) -> anyhow::Result<Store> {
    let store = open_bound(config).await?;
    let (gates, servers) = (config.gates.clone(), config.servers.clone());
    tokio::task::spawn_blocking(move || {
        store.set_config(&gates, &servers, machine_time())?;
        Ok(store)
    })
    .await?
}

/// The store of this chain, with the gates of the run before.
pub(super) async fn open_bound(config: &Config) -> anyhow::Result<Store> {
    let (path, chain_id) = (config.store_path.clone(), config.chain.chain_id);
    let failure_reasons = config.chain.failure_reasons.clone();
    tokio::task::spawn_blocking(move || {
        let store = Store::open_with(&path, Rules { failure_reasons })?;
        store.bind_chain(chain_id)?;
        Ok(store)
    })
    .await?
}

/// The modules that the store's gates ask about, and those of merchants.
///
/// # Errors
/// When the store cannot be read.
pub fn modules_of(store: &Store) -> anyhow::Result<BTreeSet<ModuleAddress>> {
    let mut modules = store.merchant_modules()?;
    modules.extend(store.gates()?.into_iter().map(|gate| gate.module));
    Ok(modules)
}
