//! Forgets the journal's old role changes, once a day.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::machine_time;
use crate::domain::Timestamp;
use crate::store::Store;

/// The twelfth part of a mean year, in seconds.
const MONTH: u64 = 2_629_746;
/// How often it is looked for what is too old.
const EVERY: Duration = Duration::from_secs(24 * 3_600);

/// Keeps `months` of the journal until `stop`; without them, all of it.
pub(super) async fn keep(store: Store, months: Option<NonZeroU32>, stop: CancellationToken) {
    let forgetting = async {
        let Some(months) = months else {
            return std::future::pending().await;
        };
        loop {
            let before = Timestamp(
                machine_time()
                    .0
                    .saturating_sub(u64::from(months.get()) * MONTH),
            );
            let store = store.clone();
            let done = tokio::task::spawn_blocking(move || store.forget_journal(before)).await;
            match done.map_err(anyhow::Error::from).flatten() {
                Ok(0) => {}
                Ok(forgotten) => info!(forgotten, months, "old role changes left the journal"),
                Err(error) => {
                    let error = format!("{error:#}");
                    warn!(error, "old role changes stay in the journal");
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = forgetting => {}
    }
}
