//! Follows the chain into the store: from each module's deployment to the confirmed tip, then block by block, across
//! reorganisations, restarts and failing nodes. Only user of an alloy provider outside the sandbox.

pub mod decode;
pub mod filter;
pub mod logs;
pub mod node;
pub mod processors;
pub mod range;

mod advance;
mod backfill;
mod block;
mod commit;
mod follow;
mod goal;
mod join;
mod module;
mod place;
mod plans;
mod progress;
mod question;
mod reorg;
mod tip;
mod unknown;
mod unsure;
mod watch;
mod window;
mod writer;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use url::Url;

pub use self::progress::{Progress, ProgressLog};

use self::follow::Follower;
use self::goal::Goal;
use crate::abi::Layouts;
use crate::domain::{ChainStatus, Checkpoint, ModuleAddress};
use crate::store::Store;

/// Where and how to follow (`[chain]` of the configuration).
#[derive(Clone, Debug)]
pub struct ChainConfig {
    /// `ws(s)://` or `http(s)://`, in order of preference.
    pub rpc_urls: Vec<Url>,
    /// What every node must answer to `eth_chainId`.
    pub chain_id: u64,
    /// Blocks on top of an event's block before it counts.
    pub confirmations: u64,
    /// First block to read for every module; by default each module's deployment.
    pub start_block: Option<u64>,
    /// How the contracts' logs and answers are read.
    pub layouts: Arc<Layouts>,
    /// Codes of `ExecutionFailed` that count as a failed payment.
    pub failure_reasons: BTreeSet<u8>,
}

/// The codes of `ExecutionFailed` that lie with the subscriber: Expired, Exhausted, InsufficientAllowance,
/// InsufficientBalance, TransferFailed, WindowMissed. The others can be provoked by any stranger who calls `execute`, or
/// say nothing about the subscriber.
pub const FAILURE_REASONS: [u8; 6] = [4, 5, 7, 8, 9, 11];

/// What `index` has done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IndexReport {
    /// Events stored since the start.
    pub events: u64,
    /// The store's cursor.
    pub cursor: Checkpoint,
    /// Wall time.
    pub seconds: f64,
}

/// Follows until `stop`. Troubles with nodes are waited out, reported in the status and never end it.
///
/// # Errors
/// A node of another chain at the start while none of ours answers, or a store that cannot be written.
pub async fn follow(
    config: ChainConfig,
    store: Store,
    modules: Receiver<BTreeSet<ModuleAddress>>,
    status: Sender<ChainStatus>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let starting = Follower::start(config, store, modules, status, Goal::Follow);
    let mut follower = tokio::select! {
        follower = starting => follower?,
        () = stop.cancelled() => return Ok(()),
    };
    follower.run(&stop).await
}

/// Follows up to block `to` (at most, and by default, the confirmed tip) and returns.
///
/// # Errors
/// As `follow`; also when no node could be used for a minute, and when `stop` comes before the goal.
pub async fn index(
    config: ChainConfig,
    store: Store,
    modules: BTreeSet<ModuleAddress>,
    to: Option<u64>,
    progress: impl Fn(Progress) + Send + Sync + 'static,
    stop: CancellationToken,
) -> anyhow::Result<IndexReport> {
    let started = Instant::now();
    let (_modules, modules) = channel(modules);
    let (status, _) = channel(ChainStatus::default());
    let goal = Goal::Index {
        to,
        progress: Box::new(progress),
    };
    let starting = Follower::start(config, store.clone(), modules, status, goal);
    let mut follower = tokio::select! {
        follower = starting => follower?,
        () = stop.cancelled() => bail!("stopped before anything was read"),
    };
    follower.run(&stop).await?;
    let cursor = store.cursor()?;
    if stop.is_cancelled() {
        let at = cursor.map_or(0, |cursor| cursor.number);
        bail!("stopped at block {at}; the next run goes on from there");
    }
    let cursor = cursor.context("nothing was indexed")?;
    if let Some(to) = to
        && cursor.number < to
    {
        warn!(
            asked = to,
            read = cursor.number,
            "the chain has not confirmed the block that was asked for yet; everything up to its confirmed tip was read"
        );
    }
    Ok(IndexReport {
        events: follower.events_stored(),
        cursor,
        seconds: started.elapsed().as_secs_f64(),
    })
}
