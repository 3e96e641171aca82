//! The tip, block by block: a new head, the path to it, its blocks' events, what that confirms; and what runs beside it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::block::{self, BlockLogs};
use super::compare::History;
use super::context::Context;
use super::error::SessionError;
use super::holes;
use super::modules::{self, Joins};
use super::node::heads::Heads;
use super::node::{Chosen, Header, Node, RpcError, read};
use super::processors::{ProcessorError, Processors};
use super::progress;
use super::reorg::{self, Preferred, window::Block};
use super::second_look;
use super::state::Followed;
use crate::clock::{machine_time, sleep_until};
use crate::store::Store;

/// A head that jumps back further than this makes another node, if one is further, the better choice at once.
const BACK: u64 = 2;
/// Every tenth second look reads all remembered blocks again: a node behind the same URL may be minutes late.
const LONG_LOOK: u32 = 10;
/// How often the newest finalized block is asked for.
const FINALIZED_EVERY: Duration = Duration::from_secs(60);
/// A block so much newer than this machine's clock is the node's fault: access would end too soon by it.
const MOST_AHEAD: Duration = Duration::from_secs(600);

/// Follows the tip until the stop, or until a better node is found.
///
/// # Errors
/// When the node fails or falls far behind, and when what is followed must be corrected.
pub(super) async fn follow(
    context: &Context,
    chosen: &Chosen,
    followed: &mut Followed,
    head: Header,
    stop: &CancellationToken,
) -> Result<Option<Chosen>, SessionError> {
    let mut joins = Joins::new(chosen);
    let ended = follow_with(context, chosen, followed, head, &mut joins, stop).await;
    // The next session may undo blocks that these tasks have read.
    joins.abort(context).await?;
    ended
}

async fn follow_with(
    context: &Context,
    chosen: &Chosen,
    followed: &mut Followed,
    head: Header,
    joins: &mut Joins,
    stop: &CancellationToken,
) -> Result<Option<Chosen>, SessionError> {
    let node = &chosen.node;
    let mut heads = Heads::open(node, &head).await;
    let mut wanted = context.wanted.clone();
    let status = context.status.subscribe();
    let look_at = |other: Arc<Node>| {
        let (confirmed, reads) = (status.borrow().confirmed, context.reads.clone());
        let current = Arc::clone(node);
        async move { reorg::look_at_preferred(&other, &current, &reads, confirmed).await }.boxed()
    };
    let mut better = std::pin::pin!(context.pool.better_than(chosen.place, look_at));
    let mut late_plans = std::pin::pin!(context.plans.read_late(node, &context.writer));
    let second_look_every = context.config.second_look_every;
    // What runs beside, and when it was started last.
    let (mut peek, mut look, mut finalized, mut holes_look) = (None, None, None, None);
    let mut asked_finalized: Option<Instant> = None;
    let mut looked_for_holes: Option<Instant> = None;
    let mut newest = head.clone();
    let mut new = Some(head);
    loop {
        if let Some(head) = new.take() {
            progress::show_head(&context.status, &head);
            check_clock(context, &head)?;
            if progress::is_far(context, followed, &head) {
                return Err(SessionError::Moved("far behind the tip"));
            }
            advance(context, node, followed, joins, &head).await?;
            chosen.works();
            let is_back = head.number + BACK < followed.window.tip().number;
            peek = is_back.then(|| look_around(context, chosen, followed));
            newest = head;
        }
        joins.update(context, followed).await?;
        progress::publish(context, followed, joins, heads.block_time());
        let look_due = followed.looks.0 + second_look_every;
        if look.is_none() && look_due <= Instant::now() {
            let looks = followed.looks.1 + 1;
            followed.looks = (Instant::now(), looks);
            if looks.is_multiple_of(LONG_LOOK) {
                followed.looked.0 = 0;
            }
            if let Some(blocks) = second_look::blocks(followed) {
                let processors = followed.processors.clone();
                look = Some(second_look::look(node.clone(), processors, blocks).boxed());
            }
            continue;
        }
        let is_due = asked_finalized.is_none_or(|at| at.elapsed() > FINALIZED_EVERY);
        // Only the preferred node is believed: the word of another one must not stand against that one later.
        let is_preferred = chosen.place == 0;
        if finalized.is_none() && is_due && is_preferred && !context.config.is_local() {
            asked_finalized = Some(Instant::now());
            finalized = Some(read::finalized(node).boxed());
        }
        joins.compare(context, followed);
        let is_due = looked_for_holes.is_none_or(|at| at.elapsed() >= second_look_every);
        if holes_look.is_none() && is_due && followed.settled {
            looked_for_holes = Some(Instant::now());
            let (modules, read_to) = (followed.maybe_empty(), followed.window.base().number);
            let looking = holes::look(context.clone(), node.clone(), modules, read_to);
            holes_look = Some(looking.boxed());
        }
        tokio::select! {
            () = stop.cancelled() => {
                followed.save(context).await?;
                return Ok(None);
            }
            seen = heads.next(node, followed.window.tip()) => match seen? {
                Some(head) => new = Some(head),
                None => {
                    // One that hangs goes on: there may be others after it.
                    peek.get_or_insert_with(|| look_around(context, chosen, followed));
                }
            },
            further = end_of(&mut peek) => if let Some(better) = further {
                let rpc = better.node.host();
                warn!(rpc, "the node in use lags behind another one");
                let error = RpcError::unavailable("it lags behind another node");
                context.pool.failed(chosen, &error);
                return Ok(Some(better));
            },
            // A look that failed is taken again with the next one.
            seen = end_of(&mut look) => if let Ok(seen) = seen
                && second_look::compare(context, followed, seen).await?
            {
                joins.abort(context).await?;
                new = Some(newest.clone());
            },
            // Not every node knows the tag.
            shown = end_of(&mut finalized) => if let Ok(Some(header)) = shown {
                let shown = header.checkpoint();
                let stored = move |store: &Store| store.headers_below(shown.number, 1);
                let stored = context.reads.read(stored).await?;
                followed.take_finalized(shown, stored.first().copied());
            },
            found = end_of(&mut holes_look) => {
                let holes = found?;
                followed.not_empty.extend(holes.settled);
                // What another node may still add is waited for.
                let is_final = context.pool.len() == 1 || followed.histories.is_empty();
                if holes.orphans > 0 && is_final && !followed.warned_of_orphans {
                    followed.warned_of_orphans = true;
                    holes::warn_of(holes.orphans);
                }
            }
            () = context.doubts.are_due() => {
                // What is found must not be stored above the cursor.
                followed.save(context).await?;
                let asked = context.doubts.take_everything();
                if !asked.is_empty() {
                    joins.abort(context).await?;
                    modules::read_again(context, followed).await?;
                    for answer in asked {
                        // Whoever asked may have gone.
                        let _gone = answer.send(());
                    }
                }
                let to = followed.window.base();
                for (module, doubted) in context.doubts.take(Instant::now()) {
                    context.status.send_modify(|status| {
                        status.disagreements += doubted.questions.len() as u64;
                    });
                    let modules = [module].into();
                    let doubted = Some(doubted);
                    // Before those that nobody doubts; the last one may be under way.
                    let at = followed.histories.len().saturating_sub(1);
                    followed.histories.insert(at, History { modules, from: 0, to, doubted });
                }
            }
            done = joins.next() => if let Some(done) = done
                && joins.take(context, followed, done).await?
            {
                // More is watched from the confirmed tip on: the unconfirmed blocks are read again.
                let base = followed.window.base();
                followed.window.rewind(base);
                followed.replaced_above(base.number);
                new = Some(newest.clone());
            },
            // An error means that the set of modules is final; then there is nothing to wait for.
            Ok(()) = wanted.changed() => {}
            (better, found) = &mut better => {
                followed.passed = match found {
                    Preferred::Ready => None,
                    Preferred::Contradicts(block) => Some(block),
                };
                return Ok(Some(better));
            }
            () = sleep_until(followed.unsaved.due()) => followed.save(context).await?,
            () = tokio::time::sleep_until(look_due.into()), if look.is_none() => {}
            failed = &mut late_plans => return Err(failed),
        }
    }
}

/// The result of what runs, if anything does; else pending. Cancel safe.
async fn end_of<T>(running: &mut Option<BoxFuture<'_, T>>) -> T {
    let ended = match running {
        Some(running) => running.await,
        None => std::future::pending().await,
    };
    *running = None;
    ended
}

/// Follows this head, and stores what it confirms. A module that contradicts itself, or crowds a block, holds up nobody else.
pub(super) async fn advance(
    context: &Context,
    node: &Node,
    followed: &mut Followed,
    joins: &mut Joins,
    head: &Header,
) -> Result<(), SessionError> {
    loop {
        match advance_all(context, node, followed, head).await {
            // It alone is read again.
            Err(SessionError::Processors(ProcessorError::WrongStart { module, .. }))
                if followed.joining.contains_key(&module) =>
            {
                let why = "its processor is not the one that its next event replaces";
                joins.set_aside(context, followed, module, &RpcError::unavailable(why));
            }
            Err(SessionError::Processors(ProcessorError::TooMany(module))) => {
                joins.too_many_processors(followed, module);
            }
            Err(SessionError::Rpc(error)) => {
                let RpcError::Crowded { module, .. } = &error else {
                    return Err(error.into());
                };
                if joins.set_aside(context, followed, *module, &error) {
                    return Err(error.into());
                }
            }
            advanced => return advanced,
        }
    }
}

async fn advance_all(
    context: &Context,
    node: &Node,
    followed: &mut Followed,
    head: &Header,
) -> Result<(), SessionError> {
    let (stay, headers) = reorg::path(node, &context.reads, &followed.window, head).await?;
    // What is replaced is dropped first: if the reading fails, window and processors are at one place still.
    followed.window.replace(stay, []);
    followed.replaced_above(followed.window.tip().number);
    let blocks = read_blocks(node, &mut followed.processors, &headers).await?;
    followed.window.replace(stay, blocks);
    // Also what an earlier attempt took in and could not store.
    followed.confirm(context, node).await
}

/// Reads linked blocks in order.
async fn read_blocks(
    node: &Node,
    processors: &mut Processors,
    headers: &[Header],
) -> Result<Vec<Block>, SessionError> {
    let mut blocks = Vec::with_capacity(headers.len());
    while blocks.len() < headers.len() {
        let rest = &headers[blocks.len()..];
        let read = block::logs_of(node, rest, &processors.filter()).await?;
        for (header, BlockLogs { events, unknown }) in rest.iter().zip(read) {
            let taken = processors.take(events)?;
            if let Some(block) = taken.again_from {
                info!(block, "a module has a new payment processor");
                break;
            }
            blocks.push(Block {
                header: header.clone(),
                events: taken.events,
                unknown,
            });
        }
    }
    Ok(blocks)
}

/// Fails when the node's newest block is from the future.
pub(super) fn check_clock(context: &Context, head: &Header) -> Result<(), SessionError> {
    let ahead = head.timestamp.0.saturating_sub(machine_time().0);
    let ahead = Duration::from_secs(ahead);
    if context.config.is_local() || ahead <= MOST_AHEAD {
        return Ok(());
    }
    // Without the exact figure, which changes with each try: the same trouble is told once.
    Err(RpcError::unavailable(format!(
        "its newest block is more than {} minutes ahead of this machine's clock: one of the two is wrong",
        MOST_AHEAD.as_secs() / 60
    ))
    .into())
}

/// The node has shown nothing new for a while, or an older head: is another one further? Asked beside following on.
fn look_around(
    context: &Context,
    chosen: &Chosen,
    followed: &Followed,
) -> BoxFuture<'static, Option<Chosen>> {
    let (pool, current) = (context.pool.clone(), chosen.place);
    let beyond = followed.window.tip().number + 2;
    async move { pool.ahead_of(current, beyond).await }.boxed()
}
