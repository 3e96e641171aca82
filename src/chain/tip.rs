//! The tip, block by block: a new head, the path to it, its blocks' events, what that confirms; and everything that goes on
//! beside it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, OptionFuture};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::block::{self, BlockLogs};
use super::compare::{self, History};
use super::error::SessionError;
use super::holes::{self, Holes};
use super::modules::{self, Joins};
use super::node::Header;
use super::node::heads::Heads;
use super::node::{Chosen, Node, RpcError, read};
use super::processors::{Processors, Taken};
use super::progress;
use super::reorg::window::Block;
use super::reorg::{self, Path};
use super::second_look;
use super::state::{Context, Followed};
use crate::clock::sleep_until;
use crate::domain::ModuleAddress;

/// A head that jumps back further than this makes another node, if one is further, the better choice at once.
const BACK: u64 = 2;
/// Every so many-th second look reads all remembered blocks again: a node behind the same URL may be minutes late.
const LONG_LOOK: u32 = 10;
/// How often the newest finalized block is asked for.
const FINALIZED_EVERY: Duration = Duration::from_secs(60);
/// A block so much newer than this machine's clock is the node's fault: access would end too soon by it.
const MOST_AHEAD: Duration = Duration::from_secs(600);

/// How the following on one node ended.
pub(super) enum End {
    /// By the stop signal, or at the goal.
    Stopped,
    /// Another node is the better choice.
    Better(Chosen),
}

/// What a step at the tip came to.
pub(super) enum Step {
    /// The head is followed.
    Done,
    /// Stored blocks are not on the node's chain any more.
    Reorganised,
    /// This module was read with the wrong processor from its start on.
    WrongStart(ModuleAddress, alloy::primitives::Address),
    /// This module must be dropped.
    Hostile(ModuleAddress),
}

/// Follows the tip until the node fails, falls far behind, or a better one is found.
pub(super) async fn follow(
    context: &mut Context,
    chosen: &Chosen,
    followed: &mut Followed,
    head: Header,
    stop: &CancellationToken,
) -> Result<End, SessionError> {
    let node = &chosen.node;
    let mut joins = Joins::new(chosen);
    let mut heads = Heads::open(node, &head).await;
    let mut wanted = context.wanted.clone();
    let pool = context.pool.clone();
    let (store, status) = (context.store.clone(), context.status.subscribe());
    let is_usable = |other: Arc<Node>| {
        let (confirmed, store) = (status.borrow().confirmed, store.clone());
        let usable = async move { reorg::is_worth_returning_to(&other, &store, confirmed).await };
        usable.boxed()
    };
    let mut better = std::pin::pin!(pool.better_than(chosen.place, is_usable));
    let (plans, writer) = (context.plans.clone(), context.writer.clone());
    let mut late_plans = std::pin::pin!(plans.read_late(node, &writer));
    let mut peek: Option<BoxFuture<'static, Option<Chosen>>> = None;
    let mut look: Option<BoxFuture<'static, Result<second_look::Seen, RpcError>>> = None;
    let mut finalized: Option<BoxFuture<'_, Result<Option<Header>, RpcError>>> = None;
    let mut comparing = JoinSet::new();
    let mut holes_look: Option<BoxFuture<'static, Result<Holes, SessionError>>> = None;
    let mut holes_looked_at: Option<Instant> = None;
    let (mut looks, mut looked_at) = (0, Instant::now());
    let mut asked_finalized: Option<Instant> = None;
    let mut newest = head.clone();
    let mut new = Some(head);
    loop {
        if let Some(head) = &new {
            progress::show_head(&context.status, head);
            check_clock(context, head)?;
            if progress::is_far(context, followed, head) {
                return Err(SessionError::Moved("far behind the tip".into()));
            }
            let step = advance(context, node, followed, head).await?;
            if matches!(step, Step::Reorganised) {
                comparing.shutdown().await;
            }
            if !is_done(step, context, node, followed, &mut joins).await? {
                continue;
            }
            let is_back = head.number + BACK < followed.window.tip().number;
            peek = is_back.then(|| look_around(context, chosen, followed));
            newest = head.clone();
            new = None;
        }
        joins.update(context, followed).await?;
        progress::publish(context, followed, &joins, heads.block_time());
        let look_due = looked_at + context.config.second_look_every;
        if look.is_none() && look_due <= Instant::now() {
            looked_at = Instant::now();
            looks += 1;
            if looks % LONG_LOOK == 0 {
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
        if comparing.is_empty()
            && let Some(history) = followed.histories.last().cloned()
        {
            let (pool, store) = (context.pool.clone(), context.store.clone());
            let processors = followed.processors.clone();
            comparing.spawn(compare::compare(
                pool,
                chosen.clone(),
                store,
                writer.clone(),
                processors,
                history,
                context.config.second_look_every,
            ));
        }
        let is_due =
            holes_looked_at.is_none_or(|at| at.elapsed() >= context.config.second_look_every);
        if holes_look.is_none() && is_due && followed.settled {
            holes_looked_at = Some(Instant::now());
            let (store, writer) = (context.store.clone(), writer.clone());
            let (layouts, modules) = (context.config.layouts.clone(), followed.maybe_empty());
            let read_to = followed.window.base().number;
            holes_look =
                Some(holes::look(node.clone(), store, writer, layouts, modules, read_to).boxed());
        }
        tokio::select! {
            () = stop.cancelled() => {
                joins.abort(context).await?;
                followed.save(context).await?;
                return Ok(End::Stopped);
            }
            seen = heads.next(node, followed.window.tip()) => match seen? {
                Some(head) => new = Some(head),
                None => {
                    // One that hangs goes on: there may be others after it.
                    peek.get_or_insert_with(|| look_around(context, chosen, followed));
                }
            },
            further = OptionFuture::from(peek.as_mut()), if peek.is_some() => {
                peek = None;
                if let Some(better) = further.flatten() {
                    leave_behind(context, chosen, &better);
                    return Ok(End::Better(better));
                }
            }
            seen = OptionFuture::from(look.as_mut()), if look.is_some() => {
                look = None;
                // A look that failed is taken again with the next one.
                if let Some(Ok(seen)) = seen
                    && second_look::compare(context, followed, seen).await?
                {
                    joins.abort(context).await?;
                    comparing.shutdown().await;
                    new = Some(newest.clone());
                }
            }
            shown = OptionFuture::from(finalized.as_mut()), if finalized.is_some() => {
                finalized = None;
                // Not every node knows the tag.
                if let Some(Ok(Some(header))) = shown {
                    followed.take_finalized(&header);
                }
            }
            found = OptionFuture::from(holes_look.as_mut()), if holes_look.is_some() => {
                holes_look = None;
                let Some(holes) = found.transpose()? else { continue };
                followed.not_empty.extend(holes.settled);
                // What another node may still add is waited for.
                let is_final = context.pool.len() == 1 || followed.histories.is_empty();
                if holes.orphans > 0 && is_final && !followed.warned_of_orphans {
                    followed.warned_of_orphans = true;
                    holes::warn_of(holes.orphans);
                }
            }
            Some(compared) = comparing.join_next() => match compared {
                Ok(compared) => {
                    compared?;
                    followed.histories.pop();
                }
                Err(error) => if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                },
            },
            () = context.doubts.are_due() => {
                // What is found must not be stored above the cursor.
                followed.save(context).await?;
                let taken = context.doubts.take(Instant::now());
                let to = followed.window.base();
                for (module, doubted) in taken {
                    context.status.send_modify(|status| {
                        status.disagreements += doubted.len() as u64;
                    });
                    followed.histories.insert(0, History::doubted(module, doubted, to));
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
            better = &mut better => return Ok(End::Better(better)),
            () = sleep_until(followed.unsaved.due()) => followed.save(context).await?,
            () = tokio::time::sleep_until(look_due.into()), if look.is_none() => {}
            failed = &mut late_plans => return Err(failed),
        }
    }
}

/// Follows this head, and stores what it confirms.
pub(super) async fn advance(
    context: &Context,
    node: &Node,
    followed: &mut Followed,
    head: &Header,
) -> Result<Step, SessionError> {
    let (stay, headers) = match reorg::path(node, &followed.window, head).await? {
        Path::Known => {
            // What an earlier attempt took in and could not store.
            followed.confirm(context, node).await?;
            return Ok(Step::Done);
        }
        Path::Lower => {
            let known = followed.window.at(head.number);
            let contradicts = reorg::contradicts(node, &context.store, known, head.number).await?;
            return Ok(if contradicts {
                Step::Reorganised
            } else {
                Step::Done
            });
        }
        Path::BelowConfirmed => return Ok(Step::Reorganised),
        Path::Onto(stay, headers) => (stay, headers),
    };
    // What is replaced is dropped first: if the reading fails, window and processors are at one place still.
    followed.window.replace(stay, []);
    followed.replaced_above(followed.window.tip().number);
    let mut blocks = Vec::with_capacity(headers.len());
    let surprise = read_blocks(node, &mut followed.processors, &headers, &mut blocks).await?;
    if let Some(surprise) = surprise {
        return Ok(surprise);
    }
    followed.window.replace(stay, blocks);
    followed.confirm(context, node).await?;
    Ok(Step::Done)
}

/// Whether the head is followed; if not, what the step came to is dealt with, and it is to be made again.
pub(super) async fn is_done(
    step: Step,
    context: &Context,
    node: &Node,
    followed: &mut Followed,
    joins: &mut Joins,
) -> Result<bool, SessionError> {
    match step {
        Step::Done => return Ok(true),
        Step::Reorganised => {
            // What joins may have read blocks that are undone.
            joins.abort(context).await?;
            reorg::recover(context, node, followed).await?;
        }
        Step::WrongStart(module, actual) => {
            joins.abort(context).await?;
            modules::read_again(context, followed, module, actual).await?;
        }
        Step::Hostile(module) => joins.drop_hostile(followed, module),
    }
    Ok(false)
}

/// Reads linked blocks in order; a surprise ends the reading.
async fn read_blocks(
    node: &Node,
    processors: &mut Processors,
    headers: &[Header],
    blocks: &mut Vec<Block>,
) -> Result<Option<Step>, SessionError> {
    while blocks.len() < headers.len() {
        let rest = &headers[blocks.len()..];
        let read = block::logs_of(node, rest, &processors.filter()).await?;
        for (header, BlockLogs { events, unknown }) in rest.iter().zip(read) {
            match processors.take(events) {
                Taken::Events(events) => blocks.push(Block {
                    header: header.clone(),
                    events,
                    unknown,
                }),
                Taken::AskAgain { from, .. } => {
                    info!(block = from, "a module has a new payment processor");
                    break;
                }
                Taken::WrongStart { module, actual } => {
                    return Ok(Some(Step::WrongStart(module, actual)));
                }
                Taken::Hostile(module) => return Ok(Some(Step::Hostile(module))),
            }
        }
    }
    Ok(None)
}

fn check_clock(context: &Context, head: &Header) -> Result<(), SessionError> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let ahead = Duration::from_secs(head.timestamp.0).saturating_sub(now);
    if context.config.is_local() || ahead <= MOST_AHEAD {
        return Ok(());
    }
    Err(RpcError::unavailable(format!(
        "its newest block is {} minutes ahead of this machine's clock: one of the two is wrong",
        ahead.as_secs() / 60
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

fn leave_behind(context: &Context, chosen: &Chosen, better: &Chosen) {
    let rpc = better.node.host();
    warn!(rpc, "the node in use lags behind another one");
    let error = RpcError::unavailable("it lags behind another node");
    context.pool.failed(chosen, true, &error);
}
