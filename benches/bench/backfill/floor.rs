//! The floor: the very calls that the backfill makes, by the same client, eight in flight, every byte thrown away.

use std::path::PathBuf;
use std::time::Instant;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::Measured;
use crate::process;

/// As many as the backfill has in flight.
const IN_FLIGHT: usize = 8;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FloorTask {
    pub(crate) url: Url,
    /// Bodies of the calls, as the backfill wrote them down.
    pub(crate) calls: PathBuf,
}

pub(crate) async fn task(arguments: &[String]) -> anyhow::Result<()> {
    let task: FloorTask = process::options(arguments)?;
    let calls: Vec<Value> = serde_json::from_slice(&std::fs::read(&task.calls)?)?;
    let started = Instant::now();
    let client = reqwest::Client::new();
    let bytes: u64 = stream::iter(calls)
        .map(|call| {
            let sent = client.post(task.url.clone()).json(&call).send();
            // A task of its own, as in the backfill, so that both may use all cores.
            tokio::spawn(async move {
                let mut response = sent.await?;
                let mut bytes = 0;
                while let Some(chunk) = response.chunk().await? {
                    bytes += chunk.len() as u64;
                }
                anyhow::Ok(bytes)
            })
        })
        .buffer_unordered(IN_FLIGHT)
        .map(|joined| joined?)
        .try_fold(0, |sum, bytes| async move { Ok(sum + bytes) })
        .await?;
    process::say(&Measured {
        seconds: started.elapsed().as_secs_f64(),
        events: 0,
        bytes,
        peak_mb: process::peak_memory()?,
    })
}
