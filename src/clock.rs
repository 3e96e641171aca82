//! The machine's clock: for display, and for what expires among people (links, sign-ins). Access follows the chain's.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;

/// Now.
pub(crate) fn machine_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| since.as_secs()))
}

/// Sleeps until then; never returns where there is no such moment.
pub(crate) async fn sleep_until(at: Option<std::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
