//! Tells the former owners of wallets that another member linked them.

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Discord;
use super::backoff::delay;
use super::direct::never_reached;
use super::error::Failure;
use crate::domain::Timestamp;
use crate::store::{Notice, Store};

/// After so many seconds a move is no news any more, and whoever could not be told by then never is.
const STALE_SECONDS: u64 = 7 * 24 * 60 * 60;

/// Tells of every noted move, those from before a restart too, until `stop`. Who is being told at the stop may be told
/// once more after the next start: better than not at all.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn keep_telling(
    discord: Discord,
    store: Store,
    clock: impl Fn() -> Timestamp + Send + Sync,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let telling = async {
        let mut failures = 0;
        loop {
            failures = match tell_all(&discord, &store, clock()).await? {
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
async fn tell_all(discord: &Discord, store: &Store, now: Timestamp) -> anyhow::Result<bool> {
    let mut left = false;
    for notice in with_store(store, Store::notices).await? {
        let former = notice.former;
        if notice.moved_at.plus(STALE_SECONDS) < now {
            warn!(%former, "the former owner of a wallet was not told: Discord would not for too long");
        } else {
            match tell(discord, store, &notice).await? {
                Ok(told) => info!(%former, told, "a wallet moved to another member"),
                // Most refusals pass: too many new direct messages, a proxy's page, a token that is being exchanged.
                Err(failure) => {
                    warn!(%failure, %former, "the former owner of a wallet cannot be told yet");
                    left = true;
                    continue;
                }
            }
        }
        with_store(store, move |store| store.remove_notice(&notice)).await?;
    }
    Ok(left)
}

/// Tells one member, unless there is nothing to tell any more when the channel is open, or they cannot be told; whether
/// they were.
async fn tell(
    discord: &Discord,
    store: &Store,
    notice: &Notice,
) -> anyhow::Result<Result<bool, Failure>> {
    let told = async {
        let channel = discord.direct_channel(notice.former).await?;
        let noted = *notice;
        match with_store(store, move |store| store.notice_stands(&noted)).await {
            Ok(true) => discord.tell_moved(channel, notice).await.map(|()| Ok(true)),
            other => Ok(other),
        }
    };
    match told.await {
        Ok(told) => told.map(Ok),
        Err(failure) if never_reached(&failure) => Ok(Ok(false)),
        Err(failure) => Ok(Err(failure)),
    }
}

async fn with_store<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let store = store.clone();
    tokio::task::spawn_blocking(move || work(&store)).await?
}
