//! The running parts: the first to end stops the others.

use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use crate::store::Store;

/// How long the parts may take to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Waits for the stop or the first end, then for the rest.
pub(super) async fn until_all_ended(
    mut parts: JoinSet<(&'static str, anyhow::Result<()>)>,
    store: &Store,
    stop: &CancellationToken,
    parts_stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut failure = None;
    let mut all_ended = async || {
        while let Some(ended) = parts.join_next().await {
            let wanted = stop.is_cancelled();
            match ended.context("a part of the service panicked") {
                Ok((_, Ok(()))) if wanted => {}
                Ok((name, Ok(()))) => {
                    failure.get_or_insert_with(|| anyhow::anyhow!("{name} ended early"));
                }
                // The first one is what the process ends with, and is said there.
                Ok((_, Err(cause))) if failure.is_none() => failure = Some(cause),
                Ok((part, Err(cause))) if store.disk_full().is_some() => {
                    debug!(part, error = format!("{cause:#}"), "a part failed, too");
                }
                Ok((name, Err(cause))) => {
                    let error = format!("{cause:#}");
                    error!(part = name, error, "a part of the service failed, too");
                }
                Err(cause) => {
                    failure.get_or_insert(cause);
                }
            }
            parts_stop.cancel();
        }
    };
    let bounded = async {
        parts_stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        () = all_ended() => info!("stopped"),
        () = bounded => error!("some parts did not stop in time"),
    }
    match (failure, store.disk_full()) {
        // After the first write that failed, redb refuses everything without saying why.
        (Some(_), Some(full)) => Err(full.into()),
        (failure, _) => failure.map_or(Ok(()), Err),
    }
}
