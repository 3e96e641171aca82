//! THE loop: choose a node → find the followed block on its chain → read history up to near its head → follow the tip. Any
//! failure ends the session with that node; what is followed stays.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::config::{Goal, Progress, ProgressLog};
use super::context::Context;
use super::error::SessionError;
use super::history::{self, ConfirmedRange};
use super::holes;
use super::modules::{self, Joins};
use super::node::{Chosen, Header, Node, RpcError, heads, read};
use super::processors::ProcessorError;
use super::reorg::{self, window::Window};
use super::start;
use super::state::Followed;
use super::{progress, second_look, tip};
use crate::domain::Checkpoint;
use crate::store::Store;

/// A tip that was seen longer ago than this is looked for again before an index ends.
const STALE: Duration = Duration::from_secs(10);
/// How long a step that is running at the stop may take to finish.
const GRACE: Duration = Duration::from_secs(2);
/// After this many retries because the chain moved, without progress, the node is blamed.
const MOST_MOVES: u32 = 8;
/// Pause before a chain that moved while it was read is read again; it doubles with each further move without progress, up to
/// the longest one. The nodes behind one URL may be blocks apart: asking at once meets the same two.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);
/// How long an index waits for a usable node before it fails.
const INDEX_PATIENCE: Duration = Duration::from_secs(60);

/// Follows until `stop`, or until the goal is reached.
///
/// # Errors
/// When the store fails; for an index, when no node could be used for a minute.
pub(super) async fn run(context: &Context, stop: &CancellationToken) -> anyhow::Result<()> {
    let mut followed: Option<Followed> = None;
    let mut next = None;
    // How often in a row the chain moved under the reading, without progress, and from where.
    let mut moves = (0, None);
    // Since when sessions have been failing without progress, and how much had been stored by then.
    let mut failing = None;
    loop {
        let chosen = match next.take() {
            Some(chosen) => chosen,
            None => {
                let report = |trouble: &str| progress::report(&context.status, trouble);
                let choosing = context.pool.choose(report);
                tokio::select! {
                    chosen = choosing => chosen,
                    () = stop.cancelled() => return Ok(()),
                    () = out_of_patience(&context.goal) => return Err(unusable(context)),
                }
            }
        };
        context.status.send_modify(|status| {
            status.rpc = Some(chosen.node.host().to_owned());
        });
        let ended = tokio::select! {
            ended = session(context, &chosen, &mut followed, stop) => ended,
            // Dropped in the middle of a step: the store is consistent, and nothing more is written to it.
            () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => return Ok(()),
        };
        match ended {
            Ok(None) => return Ok(()),
            Ok(better) => next = better,
            Err(SessionError::Rpc(error)) => leave(context, &chosen, &error, &mut failing)?,
            Err(SessionError::Moved(why)) => {
                debug!(why, "reading again from what is stored");
                let at = followed.as_ref().map(|followed| followed.window.base());
                let before = if moves.1 == at { moves.0 } else { 0 };
                moves = (before + 1, at);
                if moves.0 > MOST_MOVES {
                    // The next node is not blamed for them.
                    moves = (0, None);
                    let error = RpcError::unavailable(why);
                    leave(context, &chosen, &error, &mut failing)?;
                } else {
                    let pause = PAUSE * 2u32.pow(moves.0 - 1);
                    tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
                    next = Some(chosen);
                }
            }
            Err(SessionError::Processors(error)) => {
                if let Some(followed) = &mut followed {
                    modules::correct(context, followed, error).await?;
                }
                match error {
                    ProcessorError::Hidden(module) if context.pool.len() > 1 => {
                        let why = format!("it has lost logs of module {module}");
                        let error = RpcError::unavailable(why);
                        leave(context, &chosen, &error, &mut failing)?;
                    }
                    _ => next = Some(chosen),
                }
            }
            Err(SessionError::Store(error)) => return Err(error),
        }
    }
}

/// Follows on one node for as long as that works.
async fn session(
    context: &Context,
    chosen: &Chosen,
    followed: &mut Option<Followed>,
    stop: &CancellationToken,
) -> Result<Option<Chosen>, SessionError> {
    let node = &chosen.node;
    // What an earlier session was storing when it failed must be seen before anything is read again.
    context.writer.settle().await?;
    let mut head = goal(context, node).await?;
    if matches!(context.goal, Goal::Follow) {
        // Before anything is read from it, or undone for it.
        tip::check_clock(context, &head)?;
    }
    let is_new = followed.is_none();
    let followed = match followed {
        Some(followed) => followed,
        None => followed.insert(start::start(context, node, &head).await?),
    };
    if !followed.unsaved.has_cursor && progress::is_far(context, followed, &head) {
        context.writer.submit(Store::postpone_folds).await?;
    }
    // An attempt that failed may have taken in processors from blocks that it did not store.
    followed.processors.rewind(followed.window.tip().number);
    // A start from nothing has just read its block from this node.
    if !is_new || followed.unsaved.has_cursor {
        reorg::check(context, chosen, followed).await?;
    }
    while progress::is_far(context, followed, &head) {
        progress::show_head(&context.status, &head);
        let started = Instant::now();
        catch_up(context, node, followed, &head).await?;
        // An index need not chase a tip that has moved only a little.
        if matches!(context.goal, Goal::Follow) || started.elapsed() > STALE {
            head = goal(context, node).await?;
        }
    }
    let folding = context.writer.submit(Store::fold_postponed);
    match context.goal {
        Goal::Follow => {
            folding.await?;
            tip::follow(context, chosen, followed, head, stop).await
        }
        // What is asked does not wait for the folding, what is stored then stands behind it in the writer's queue.
        Goal::Index { .. } => {
            let folding = async { Ok(folding.await?) };
            let finishing = finish_index(context, chosen, followed, head);
            tokio::try_join!(folding, finishing).map(|_| None)
        }
    }
}

/// Reads history by range up to near the head, or to the goal.
async fn catch_up(
    context: &Context,
    node: &Arc<Node>,
    followed: &mut Followed,
    head: &Header,
) -> Result<(), SessionError> {
    context
        .status
        .send_modify(|status| status.set_at_tip(false, Instant::now()));
    let end = progress::range_end(context, head);
    let to = match followed.range_end.take() {
        Some(known) if known.number == end => known.checkpoint(),
        _ => read::known_header(node, end).await?.checkpoint(),
    };
    let base = followed.window.base();
    // The unconfirmed blocks are read again as part of the range.
    followed.window.rewind(base);
    followed.processors.rewind(base.number);
    // What joins is read from its own place on, with the modules at the cursor watched from the new one.
    let joining: BTreeSet<_> = followed.joining.keys().copied().collect();
    followed.retain(|module| !joining.contains(module));
    if followed.processors.is_empty() {
        // Nothing to read: only the clock moves.
        followed.unsaved.keep([to]);
        followed.window = Window::new(to);
        return Ok(());
    }
    let from = base.number + 1;
    let range = ConfirmedRange {
        from,
        to,
        next: Some(followed.unsaved.next.clone()),
    };
    let (window, unsaved) = (&mut followed.window, &mut followed.unsaved);
    let mut log = ProgressLog::begin();
    let committed = |at: Checkpoint, _| {
        *window = Window::new(at);
        unsaved.clear();
        context
            .status
            .send_modify(|status| status.confirmed = Some(at));
        tell_progress(context, &mut log, from, at.number, to.number);
    };
    let read = history::read(context, node, &mut followed.processors, range, committed).await;
    // Also what a node has told that failed on the way.
    let to = followed.window.base();
    if to.number >= from {
        let modules = followed.processors.modules().collect();
        followed.add_history(modules, from, to);
    }
    match read {
        // It joins again beside the tip, and holds up nobody else.
        Err(SessionError::Rpc(RpcError::Crowded { module, .. })) => {
            followed.drop_module(module);
            Ok(())
        }
        read => read,
    }
}

/// Everything up to block `at` of `from..=to` is stored.
fn tell_progress(context: &Context, log: &mut ProgressLog, from: u64, at: u64, to: u64) {
    let events = context.writer.events_stored();
    let progress = Progress {
        from,
        at,
        to,
        events,
    };
    match &context.goal {
        Goal::Follow => log.note(progress),
        Goal::Index { progress: tell, .. } => tell(progress),
    }
}

/// Follows the last blocks up to the goal, and lets the remaining modules join.
async fn finish_index(
    context: &Context,
    chosen: &Chosen,
    followed: &mut Followed,
    head: Header,
) -> Result<(), SessionError> {
    let node = &chosen.node;
    let mut joins = Joins::new(chosen);
    let from = followed.window.base().number + 1;
    let mut looked = false;
    loop {
        if progress::is_far(context, followed, &head) {
            return Err(SessionError::Moved("far behind the goal"));
        }
        tip::advance(context, node, followed, &mut joins, &head).await?;
        // There may be no later run that looks again.
        if !looked && let Some(blocks) = second_look::blocks(followed) {
            let seen = second_look::look(node.clone(), followed.processors.clone(), blocks).await?;
            looked = !second_look::compare(context, followed, seen).await?;
            continue;
        }
        joins.update(context, followed).await?;
        if joins.is_done(followed) {
            break;
        }
        if let Some(done) = joins.next().await {
            joins.take(context, followed, done).await?;
        }
    }
    let unread = joins.unread();
    context
        .status
        .send_modify(|status| status.unread_modules = unread);
    followed.save(context).await?;
    let (modules, at) = (followed.maybe_empty(), followed.window.base().number);
    let holes = holes::look(context.clone(), node.clone(), modules, at).await?;
    if holes.orphans > 0 {
        holes::warn_of(holes.orphans);
    }
    tell_progress(context, &mut ProgressLog::begin(), from, at, at);
    Ok(())
}

/// The newest block, or the last one of the goal.
async fn goal(context: &Context, node: &Node) -> Result<Header, SessionError> {
    let latest = heads::newest(node).await?;
    let Goal::Index { to, .. } = &context.goal else {
        return Ok(latest);
    };
    let confirmed = latest.number.saturating_sub(context.config.confirmations);
    let to = to.unwrap_or(confirmed).min(confirmed);
    if to == latest.number {
        return Ok(latest);
    }
    Ok(read::known_header(node, to).await?)
}

/// The node failed: reports it, and lets the pool choose again. Ends an index that has stored nothing for too long.
fn leave(
    context: &Context,
    chosen: &Chosen,
    error: &RpcError,
    failing: &mut Option<(u64, Instant)>,
) -> anyhow::Result<()> {
    let trouble = format!("{}: {error}", chosen.node.host());
    progress::report(&context.status, &trouble);
    context
        .status
        .send_modify(|status| status.set_at_tip(false, Instant::now()));
    context.pool.failed(chosen, error);
    let commits = context.writer.commits();
    let since = match failing {
        Some((before, since)) if *before == commits => *since,
        _ => failing.insert((commits, Instant::now())).1,
    };
    match &context.goal {
        Goal::Index { .. } if since.elapsed() > INDEX_PATIENCE => Err(unusable(context)),
        _ => Ok(()),
    }
}

/// Returns when an index has waited too long for a node; never for the service.
async fn out_of_patience(goal: &Goal) {
    match goal {
        Goal::Follow => std::future::pending().await,
        Goal::Index { .. } => tokio::time::sleep(INDEX_PATIENCE).await,
    }
}

fn unusable(context: &Context) -> anyhow::Error {
    info!("giving up: no node can be used");
    let trouble = context.status.borrow().trouble.clone();
    anyhow!(
        "no node of chain.rpc_urls could be used for {} seconds ({})",
        INDEX_PATIENCE.as_secs(),
        trouble.as_deref().unwrap_or("none answered"),
    )
}
