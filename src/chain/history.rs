//! Long stretches of the chain, read by range and stored in few commits while the reading goes on.
//!
//! Ranges are read by number, so a reorganisation could mix two chains. Each range comes with the header of its end from
//! the node that answered; the hash of the last block of all is known before the first range is read and compared again
//! before each commit: if it has not changed, all that was read lies below it on one chain.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::{Fuse, FusedFuture};
use futures_util::{FutureExt, poll};
use tokio::sync::{Semaphore, mpsc};
use tracing::info;

use super::error::SessionError;
use super::node::reconnect::Reconnect;
use super::node::{Node, RpcError, read};
use super::plans::Plans;
use super::processors::{Processors, Taken};
use super::range::{Piece, RangeReader, SeenBlock};
use super::writer::Writer;
use crate::domain::{Batch, ChainEvent, Checkpoint, Coverage, ModuleAddress, UnknownLogs};

/// Events in one commit, at least: it costs an fsync.
const LEAST_PER_COMMIT: usize = 80_000;
/// Events in one commit, about, at most. A commit rewrites most pages of the events' table, whose rows stand by
/// subscription: a few large commits cost a fraction of many small ones. But they are held until then.
const MOST_PER_COMMIT: usize = 160_000;
/// The same while the tip is followed beside it: a long commit would make the tip's wait.
const MOST_PER_COMMIT_BESIDE: usize = 4_000;
/// Events that may be read and not stored yet.
const MOST_UNSTORED: usize = 200_000;
/// What was read is stored at the latest after this.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Failures of the same read, one after another, that are waited out.
const MOST_FAILURES: u32 = 4;

/// A long stretch to read.
pub(super) struct Stretch {
    /// The first block.
    pub(super) from: u64,
    /// The last block, which the node had with this hash.
    pub(super) to: Checkpoint,
    /// Whether the store's cursor moves along, for all modules that are at it.
    pub(super) moves_cursor: bool,
    /// Goes into the first commit: what was undone, joined and left since the last one.
    pub(super) first: FirstCommit,
}

/// What only the first commit of a stretch says.
#[derive(Clone, Debug, Default)]
pub(super) struct FirstCommit {
    pub(super) rollback_to: Option<u64>,
    pub(super) joined: Vec<ModuleAddress>,
    pub(super) left: Vec<ModuleAddress>,
}

/// How the reading of a stretch ended early.
#[derive(Debug)]
pub(super) enum Interrupted {
    /// The node, the chain or the store failed.
    Session(SessionError),
    /// This module was read with the wrong processor from its start on.
    WrongStart(ModuleAddress, alloy::primitives::Address),
    /// This module must be dropped.
    Hostile(ModuleAddress),
}

impl<E: Into<SessionError>> From<E> for Interrupted {
    fn from(error: E) -> Self {
        Self::Session(error.into())
    }
}

/// A part of a stretch, ready to be stored.
struct Part {
    to: Checkpoint,
    events: Vec<ChainEvent>,
    unknown: Vec<UnknownLogs>,
    last_seen: Option<SeenBlock>,
}

/// Reads a stretch for the modules of `processors`; `committed` hears of each commit, with the number of its events. After
/// an error, what was committed is complete up to where `committed` last heard.
pub(super) async fn read(
    node: &Arc<Node>,
    writer: &Writer,
    plans: &Plans,
    processors: &mut Processors,
    stretch: Stretch,
    committed: impl FnMut(Checkpoint, usize) + Send,
) -> Result<(), Interrupted> {
    let modules: Vec<_> = processors.modules().collect();
    let room = Arc::new(Semaphore::new(MOST_UNSTORED));
    let (parts, arrived) = mpsc::unbounded_channel();
    let filter = processors.filter();
    let reader = RangeReader::new(Arc::clone(node), filter, stretch.from, stretch.to.number);
    let reading = read_parts(node, reader, processors, parts, Arc::clone(&room));
    let mut storing = Storing {
        node,
        writer,
        plans,
        modules,
        stretch,
        committed,
    };
    let storing = async {
        let stored = storing.store(arrived, &room).await;
        // Nobody will make room any more.
        room.close();
        stored
    };
    // Storing goes on to the end of what was read, also when reading fails.
    let (read, stored) = tokio::join!(reading, storing);
    stored?;
    read
}

/// Reads on as long as there is room for what is not stored yet.
async fn read_parts(
    node: &Node,
    mut reader: RangeReader,
    processors: &mut Processors,
    parts: mpsc::UnboundedSender<Part>,
    room: Arc<Semaphore>,
) -> Result<(), Interrupted> {
    let mut failures = Failures::default();
    while let Some(piece) = reader.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) if !is_worth_another_try(&error) => return Err(error.into()),
            Err(error) => match failures.wait(reader.due()) {
                Some(wait) => {
                    tracing::debug!(%error, ?wait, "a range failed; trying again");
                    tokio::time::sleep(wait).await;
                    continue;
                }
                None => return Err(error.into()),
            },
        };
        let Some(part) = counted(node, piece, &mut reader, processors).await? else {
            continue;
        };
        let wanted = u32::try_from(room_for(part.events.len())).unwrap_or(u32::MAX);
        let Ok(taken) = room.acquire_many(wanted).await else {
            return Ok(());
        };
        taken.forget();
        if parts.send(part).is_err() {
            // Storing failed; its error is the one to report.
            return Ok(());
        }
    }
    Ok(())
}

/// Rate limits were waited out as far as the node's patience goes, and history that is not kept does not come back: it is
/// for the pool to say who is asked instead.
fn is_worth_another_try(error: &RpcError) -> bool {
    !matches!(
        error,
        RpcError::RateLimited { .. } | RpcError::Pruned { .. } | RpcError::WrongChain { .. }
    )
}

/// The events of a piece that count. Where a module has a new processor, the reader is sent back to that block; `None` when
/// that is the first one.
async fn counted(
    node: &Node,
    piece: Piece,
    reader: &mut RangeReader,
    processors: &mut Processors,
) -> Result<Option<Part>, Interrupted> {
    let (from, end) = (piece.from, piece.end);
    let mut part = Part {
        to: end,
        events: Vec::new(),
        unknown: piece.unknown,
        last_seen: piece.last_seen,
    };
    match processors.take(piece.events) {
        Taken::Events(events) => part.events = events,
        Taken::AskAgain {
            from: block,
            before,
        } => {
            info!(block, "a module has a new payment processor");
            reader.restart(block, &processors.filter());
            if block == from {
                return Ok(None);
            }
            let end = read::header_at(node, block - 1).await?;
            let end = end.ok_or_else(|| {
                RpcError::unavailable(format!("it does not have block {} any more", block - 1))
            })?;
            part.to = end.checkpoint();
            part.events = before;
            // They are met again from that block on, and those before it are no more than a count.
            part.unknown.clear();
            part.last_seen = None;
        }
        Taken::WrongStart { module, actual } => {
            return Err(Interrupted::WrongStart(module, actual));
        }
        Taken::Hostile(module) => return Err(Interrupted::Hostile(module)),
    }
    Ok(Some(part))
}

/// The side that stores.
struct Storing<'a, C> {
    node: &'a Node,
    writer: &'a Writer,
    plans: &'a Plans,
    modules: Vec<ModuleAddress>,
    stretch: Stretch,
    committed: C,
}

impl<C: FnMut(Checkpoint, usize) + Send> Storing<'_, C> {
    /// Stores what arrives, many parts in one commit, while the next ones are read: one batch is made up and verified
    /// while the one before it is being stored.
    async fn store(
        &mut self,
        mut arrived: mpsc::UnboundedReceiver<Part>,
        room: &Semaphore,
    ) -> Result<(), SessionError> {
        let (least, most) = match self.stretch.moves_cursor {
            true => (LEAST_PER_COMMIT, MOST_PER_COMMIT),
            false => (MOST_PER_COMMIT_BESIDE, MOST_PER_COMMIT_BESIDE),
        };
        // The batch that is being stored.
        let mut storing = std::pin::pin!(Fuse::terminated());
        while let Some(part) = arrived.recv().await {
            let mut whole = part;
            let mut taken = room_for(whole.events.len());
            let mut more = Vec::new();
            let mut count = whole.events.len();
            let due = Instant::now() + COMMIT_EVERY;
            while count < most {
                if count >= least && storing.is_terminated() {
                    break;
                }
                tokio::select! {
                    stored = &mut storing => self.done(stored?, room),
                    part = arrived.recv() => match part {
                        Some(part) => {
                            taken += room_for(part.events.len());
                            count += part.events.len();
                            whole.to = part.to;
                            whole.last_seen = part.last_seen.or(whole.last_seen);
                            whole.unknown.extend(part.unknown);
                            more.push(part.events);
                        }
                        None => break,
                    },
                    () = tokio::time::sleep_until(due.into()) => break,
                }
            }
            whole.events.reserve(count - whole.events.len());
            for some in more {
                whole.events.extend(some);
            }
            let verified = verify(self.node, self.stretch.to, whole.last_seen).await;
            if !storing.is_terminated() {
                self.done(storing.as_mut().await?, room);
            }
            verified?;
            let to = whole.to;
            let batch = self.batch(whole);
            let (node, writer, plans) = (self.node, self.writer, self.plans);
            let ingest = async move {
                plans.ingest(node, writer, batch).await?;
                Ok::<_, SessionError>((to, count, taken))
            };
            storing.set(ingest.fuse());
            // It starts now, not with the next part.
            if let Poll::Ready(stored) = poll!(storing.as_mut()) {
                self.done(stored?, room);
            }
        }
        if !storing.is_terminated() {
            self.done(storing.await?, room);
        }
        Ok(())
    }

    fn done(&mut self, (to, count, taken): (Checkpoint, usize, usize), room: &Semaphore) {
        (self.committed)(to, count);
        room.add_permits(taken);
    }

    fn batch(&mut self, part: Part) -> Batch {
        let first = std::mem::take(&mut self.stretch.first);
        Batch {
            rollback_to: first.rollback_to,
            to: part.to,
            coverage: match self.stretch.moves_cursor {
                true => Coverage::Cursor {
                    joined: first.joined,
                    left: first.left,
                },
                false => Coverage::Behind(self.modules.clone()),
            },
            events: part.events,
            plans: Vec::new(),
            headers: Vec::new(),
            unknown: part.unknown,
            finalized: None,
        }
    }
}

/// Makes sure that the chain has not changed below the target since the reading began, and that the logs were this
/// chain's: the last block of which some were seen must be on it.
async fn verify(
    node: &Node,
    target: Checkpoint,
    last_seen: Option<SeenBlock>,
) -> Result<(), SessionError> {
    let mut numbers = vec![target.number];
    numbers.extend(last_seen.map(|seen| seen.number));
    numbers.dedup();
    let headers = read::headers_at(node, &numbers).await?;
    let hash_at = |number: u64| {
        let mut found = headers.iter().filter(|header| header.number == number);
        found.next().map(|header| header.hash)
    };
    match hash_at(target.number) {
        Some(hash) if hash == target.hash => {}
        Some(_) => return Err(SessionError::Moved("reorganised while it was read".into())),
        None => {
            let message = format!("it does not have block {} any more", target.number);
            return Err(RpcError::unavailable(message).into());
        }
    }
    match last_seen {
        Some(seen) if hash_at(seen.number) != Some(seen.hash) => {
            let message = format!("its logs of block {} are another chain's", seen.number);
            Err(RpcError::unavailable(message).into())
        }
        _ => Ok(()),
    }
}

/// The room that a part takes: a single huge block may pass when nothing else waits.
fn room_for(events: usize) -> usize {
    events.min(MOST_UNSTORED)
}

/// Failed reads without progress: a few are waited out, or a node that now and then fails would be left each time.
#[derive(Default)]
struct Failures {
    at: u64,
    schedule: Option<Reconnect>,
    count: u32,
}

impl Failures {
    /// How long to wait before the same read is tried again; `None` when it has failed too often.
    fn wait(&mut self, due: u64) -> Option<Duration> {
        if self.at != due {
            *self = Self {
                at: due,
                ..Self::default()
            };
        }
        self.count += 1;
        let schedule = self.schedule.get_or_insert_with(Reconnect::new);
        (self.count <= MOST_FAILURES).then(|| schedule.failed(None))
    }
}
