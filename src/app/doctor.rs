//! `doctor`: asked of the running service, which holds the store and the connections; or done here when none runs.

use std::sync::Arc;

use tokio::sync::watch;

use super::control_path;
use super::open::open_bound;
use crate::config::{Config, Secrets};
use crate::discord::Discord;
use crate::doctor::{Access, Inputs, Live, examine};
use crate::domain::{ChainStatus, DiscordStatus, DriftStatus, Finding};
use crate::store::{Store, StoreError};
use crate::web;

/// What `doctor` finds.
///
/// # Errors
/// When the service that holds the store does not answer.
pub async fn doctor(config: &Config, secrets: &Secrets) -> anyhow::Result<Vec<Finding>> {
    // Opening would make it.
    let store = match config.store_path.exists() {
        false => Access::Absent,
        true => match open_bound(config).await {
            Ok(store) => checked(config, store).await,
            Err(error) if matches!(error.downcast_ref(), Some(StoreError::InUse(_))) => {
                return web::control::ask_for_findings(&control_path(&config.store_path)).await;
            }
            Err(error) => Access::Unusable(format!("{error:#}")),
        },
    };
    Ok(examine(Inputs {
        config,
        secrets,
        store,
        live: None,
    })
    .await)
}

/// Nothing else has the store open: its pages can be checked before anything is read.
async fn checked(config: &Config, store: Store) -> Access {
    let checked = tokio::task::spawn_blocking(move || store.check_pages()).await;
    match checked.map_err(anyhow::Error::from).flatten() {
        Ok((store, pages)) => Access::Open(store, Some(pages)),
        Err(error) => {
            let path = config.store_path.display().to_string();
            Access::Unusable(StoreError::Damaged(path, format!("{error:#}")).to_string())
        }
    }
}

/// What the running service answers to `doctor` of another process.
pub(super) fn of_service(
    config: &Config,
    secrets: &Secrets,
    store: &Store,
    chain: &watch::Receiver<ChainStatus>,
    discord_status: &watch::Receiver<DiscordStatus>,
    drift: &watch::Receiver<DriftStatus>,
    discord: &Discord,
) -> web::control::Examine {
    let (config, secrets) = (config.clone(), secrets.clone());
    let (store, chain, discord) = (store.clone(), chain.clone(), discord.clone());
    let (discord_status, drift) = (discord_status.clone(), drift.clone());
    Arc::new(move || {
        let (config, secrets, store) = (config.clone(), secrets.clone(), store.clone());
        let live = Live {
            chain: chain.borrow().clone(),
            discord_status: discord_status.borrow().clone(),
            drift: drift.borrow().clone(),
            discord: discord.clone(),
        };
        Box::pin(async move {
            examine(Inputs {
                config: &config,
                secrets: &secrets,
                store: Access::Open(store, None),
                live: Some(live),
            })
            .await
        })
    })
}
