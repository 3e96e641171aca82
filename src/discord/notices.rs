//! Tells the former owners of wallets that another member linked them.

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Discord;
use super::error::{Failure, Reason};
use super::outbox::delay;
use crate::store::{Notice, Store};

/// Tells of every noted move, those from before a restart too, until `stop`. Who is being told at the stop may be told
/// once more after the next start: better than not at all.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn keep_telling(
    discord: Discord,
    store: Store,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let telling = async {
        let mut failures = 0;
        loop {
            failures = match tell_all(&discord, &store).await? {
                true => failures + 1,
                false => 0,
            };
            let pause = delay(failures, rand::random());
            tokio::select! {
                () = store.notice_added() => {}
                () = tokio::time::sleep(pause), if failures > 0 => {}
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = telling => ended,
    }
}

/// One round; whether some are to be tried again.
async fn tell_all(discord: &Discord, store: &Store) -> anyhow::Result<bool> {
    let mut left = false;
    for notice in with_store(store, Store::notices).await? {
        let Notice {
            former,
            wallet,
            moved_at,
        } = notice;
        match discord.tell_moved(former, wallet, moved_at).await {
            Ok(told) => info!(%former, told, "a wallet moved to another member"),
            Err(Failure::Refused(refusal)) if refusal.reason != Reason::Token => {
                warn!(%refusal, %former, "the former owner of a wallet cannot be told");
            }
            Err(failure) => {
                warn!(%failure, %former, "the former owner of a wallet cannot be told yet");
                left = true;
                continue;
            }
        }
        with_store(store, move |store| store.remove_notice(&notice)).await?;
    }
    Ok(left)
}

async fn with_store<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let store = store.clone();
    tokio::task::spawn_blocking(move || work(&store)).await?
}
