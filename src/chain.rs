//! Follows the chain into the store: from each module's deployment to the confirmed tip, then block by block, across
//! reorganisations, restarts and failing nodes. Whatever else asks a node (`views`, `wallet`, `doctor`, `init`) does so through
//! `node`, too; alloy's provider is used by the sandbox alone.
//!
//! | question | file |
//! |---|---|
//! | choose a node, catch up, follow the tip, and what ends a session | `follow` |
//! | a new head, its blocks, and what runs beside | `tip`, `block` |
//! | a reorganisation: the path to the followed chain, the fork, what a node may undo | `reorg` |
//! | where following begins after a start | `start` |
//! | how a module is registered and joins | `modules` |
//! | whose logs count: the rule of processors | `processors` |
//! | what a provider's limit does to ranges | `range` |
//! | what a node's refusal means, which node is used | `node/error`, `node/pool` |
//! | empty answers that were wrong | `second_look`, `compare`, `holes` |
//! | what happens if a contract itself (`crate::views`) contradicts the events | `doubts` |
//! | when something is written | `unsaved` (what is not stored yet), `writer` (the one thread) |

pub mod decode;
pub mod filter;
pub mod logs;
pub mod node;
pub mod processors;
pub mod range;

mod block;
mod compare;
mod config;
mod context;
mod doubts;
mod error;
mod follow;
mod history;
mod holes;
mod modules;
mod plans;
mod progress;
mod reads;
mod reorg;
mod second_look;
mod start;
mod state;
mod tip;
mod unsaved;
mod writer;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use futures_util::future::BoxFuture;
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub use crate::domain::FAILURE_REASONS;

pub use self::config::{
    ChainConfig, DEPLOYMENT_WITHIN, IndexReport, LOCAL_CHAIN, OnProgress, Progress, ProgressLog,
    SECOND_LOOK_EVERY,
};
pub use self::doubts::Doubts;

use self::config::Goal;
use self::context::Context;
use self::node::Pool;
use self::plans::Plans;
use self::reads::StoreReader;
use self::writer::Writer;
use crate::domain::{ChainStatus, ModuleAddress};
use crate::store::Store;

/// Follows until `stop`. Troubles with nodes are waited out, reported in the status and never end it. What is doubted
/// ([`crate::views::Views::doubts`]) is read again beside.
///
/// # Errors
/// A node of another chain at the start while none of ours answers, or a store that cannot be written.
pub fn follow(
    config: ChainConfig,
    store: Store,
    modules: Receiver<BTreeSet<ModuleAddress>>,
    doubts: Doubts,
    status: Sender<ChainStatus>,
    stop: CancellationToken,
) -> BoxFuture<'static, anyhow::Result<()>> {
    // In a box, and so is `index`: the follower is compiled here and not again in each program that polls it.
    Box::pin(async move {
        let preparing = prepare(config, store, modules, doubts, status, Goal::Follow);
        let context = tokio::select! {
            context = preparing => context?,
            () = stop.cancelled() => return Ok(()),
        };
        let ended = follow::run(&context, &stop).await;
        context.settle().await;
        ended
    })
}

/// Follows up to block `to` (at most, and by default, the confirmed tip) and returns.
///
/// # Errors
/// As `follow`; also when no node could be used for a minute, and when `stop` comes before the goal.
pub fn index(
    config: ChainConfig,
    store: Store,
    modules: BTreeSet<ModuleAddress>,
    to: Option<u64>,
    progress: OnProgress,
    stop: CancellationToken,
) -> BoxFuture<'static, anyhow::Result<IndexReport>> {
    Box::pin(async move {
        let started = Instant::now();
        let (_modules, modules) = channel(modules);
        let (status, _) = channel(ChainStatus::default());
        let goal = Goal::Index { to, progress };
        let doubts = Doubts::default();
        let preparing = prepare(config, store.clone(), modules, doubts, status, goal);
        let context = tokio::select! {
            context = preparing => context?,
            () = stop.cancelled() => bail!("stopped before anything was read"),
        };
        let ended = follow::run(&context, &stop).await;
        context.settle().await;
        ended?;
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
            events: context.writer.events_stored(),
            cursor,
            seconds: started.elapsed().as_secs_f64(),
            unread: context.status.borrow().unread_modules.clone(),
        })
    })
}

/// Checks the chain ids and binds the store to the chain.
async fn prepare(
    config: ChainConfig,
    store: Store,
    wanted: Receiver<BTreeSet<ModuleAddress>>,
    doubts: Doubts,
    status: Sender<ChainStatus>,
    goal: Goal,
) -> anyhow::Result<Context> {
    let pool = Pool::new(&config.rpc_urls, config.chain_id);
    pool.refuse_wrong_chain().await?;
    let (bound, chain_id) = (store.clone(), config.chain_id);
    let layouts = Arc::clone(&config.layouts);
    let late_plans = tokio::task::spawn_blocking(move || {
        bound.bind_chain(chain_id)?;
        bound.plans_without_terms()
    });
    let late_plans = late_plans.await??;
    let reads = StoreReader::new(store.clone());
    Ok(Context {
        plans: Plans::new(reads.clone(), Arc::clone(&layouts), late_plans),
        writer: Writer::start(store, layouts)?,
        config: Arc::new(config),
        goal,
        reads,
        pool,
        wanted,
        doubts,
        status,
    })
}
