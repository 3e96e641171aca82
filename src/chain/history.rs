//! Long ranges of the chain, stored in few commits while the reading goes on.
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

use super::context::Context;
use super::error::SessionError;
use super::node::{Node, RpcError, read};
use super::processors::{Processors, Taken};
use super::range::{Piece, RangeReader, SeenBlock};
use super::unsaved::NextCommit;
use crate::domain::{Batch, ChainEvent, Checkpoint, Coverage, ModuleAddress, UnknownLogs};

/// Events in one commit, at least: it costs an fsync.
const LEAST_PER_COMMIT: usize = 30_000;
/// Events in one commit, about, at most: as many are read while the ones before them are stored. Rows are ordered by
/// subscription, so that after the first history a few large commits cost a fraction of many small ones.
const MOST_PER_COMMIT: usize = 120_000;
/// The same while the tip is followed beside it: a long commit would make the tip's wait.
const MOST_PER_COMMIT_BESIDE: usize = 4_000;
/// Events that may be read and not stored yet.
const MOST_UNSTORED: usize = 150_000;
/// What was read is stored at the latest after this.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// Failures of the same read, one after another, that are waited out.
const MOST_FAILURES: u32 = 4;

/// Confirmed blocks to read.
pub(super) struct ConfirmedRange {
    /// The first block.
    pub(super) from: u64,
    /// The last block, which the node had with this hash.
    pub(super) to: Checkpoint,
    /// What the first commit says, if the store's cursor moves along; `None` for modules that are behind it.
    pub(super) next: Option<NextCommit>,
}

/// A part of a range, ready to be stored.
struct Part {
    to: Checkpoint,
    events: Vec<ChainEvent>,
    unknown: Vec<UnknownLogs>,
    last_seen: Option<SeenBlock>,
}

/// Reads a range for the modules of `processors`; `committed` hears of each commit, with the number of its events. After
/// an error, what was committed is complete up to where `committed` last heard.
pub(super) async fn read(
    context: &Context,
    node: &Arc<Node>,
    processors: &mut Processors,
    range: ConfirmedRange,
    committed: impl FnMut(Checkpoint, usize) + Send,
) -> Result<(), SessionError> {
    let modules = processors.modules().collect();
    let room = Semaphore::new(MOST_UNSTORED);
    let (parts, arrived) = mpsc::unbounded_channel();
    let (from, to) = (range.from, range.to.number);
    let reader = RangeReader::new(Arc::clone(node), processors.filter(), from, to);
    let reading = read_parts(node, reader, processors, parts, &room);
    let mut storing = Storing {
        context,
        node,
        modules,
        range,
        committed,
    };
    let storing = async {
        let stored = storing.store(arrived, &room).await;
        // Reading need not wait for room any more.
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
    room: &Semaphore,
) -> Result<(), SessionError> {
    // A node that now and then fails would be left each time without these tries.
    while let Some(piece) = reader.next_retrying(MOST_FAILURES).await {
        let Some(part) = counted(node, piece?, &mut reader, processors).await? else {
            continue;
        };
        let wanted = u32::try_from(room_for(part.events.len())).unwrap_or(u32::MAX);
        // A closed semaphore or channel: storing failed, and reports it.
        let Ok(taken) = room.acquire_many(wanted).await else {
            return Ok(());
        };
        taken.forget();
        if parts.send(part).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The events of a piece that count. A module's new processor sends the reader back to its block; `None` if that is the
/// piece's first.
async fn counted(
    node: &Node,
    piece: Piece,
    reader: &mut RangeReader,
    processors: &mut Processors,
) -> Result<Option<Part>, SessionError> {
    let Taken { events, again_from } = processors.take(piece.events)?;
    let Some(block) = again_from else {
        return Ok(Some(Part {
            to: piece.end,
            events,
            unknown: piece.unknown,
            last_seen: piece.last_seen,
        }));
    };
    info!(block, "a module has a new payment processor");
    reader.restart(block, &processors.filter());
    if block == piece.from {
        return Ok(None);
    }
    Ok(Some(Part {
        to: read::known_header(node, block - 1).await?.checkpoint(),
        events,
        // They are met again from that block on, and those before it are no more than a count.
        unknown: Vec::new(),
        last_seen: None,
    }))
}

/// The side that stores.
struct Storing<'a, C> {
    context: &'a Context,
    node: &'a Node,
    modules: Vec<ModuleAddress>,
    range: ConfirmedRange,
    committed: C,
}

impl<C: FnMut(Checkpoint, usize) + Send> Storing<'_, C> {
    /// Stores what arrives, many parts in one commit; the next batch is verified while one is being stored.
    async fn store(
        &mut self,
        mut arrived: mpsc::UnboundedReceiver<Part>,
        room: &Semaphore,
    ) -> Result<(), SessionError> {
        let (least, most) = match self.range.next {
            Some(_) => (LEAST_PER_COMMIT, MOST_PER_COMMIT),
            None => (MOST_PER_COMMIT_BESIDE, MOST_PER_COMMIT_BESIDE),
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
            let verified = verify(self.node, self.range.to, whole.last_seen).await;
            if !storing.is_terminated() {
                self.done(storing.as_mut().await?, room);
            }
            verified?;
            let to = whole.to;
            let batch = self.batch(whole);
            let (node, context) = (self.node, self.context);
            let ingest = async move {
                context.plans.ingest(node, &context.writer, batch).await?;
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
        let empty = match &mut self.range.next {
            Some(next) => std::mem::take(next).batch(part.to),
            None => Batch::new(part.to, Coverage::Behind(self.modules.clone())),
        };
        Batch {
            events: part.events,
            unknown: part.unknown,
            ..empty
        }
    }
}

/// Checks that the target is still on the chain, and that the last block of which logs were seen is too.
async fn verify(
    node: &Node,
    target: Checkpoint,
    last_seen: Option<SeenBlock>,
) -> Result<(), SessionError> {
    let seen = last_seen.map(|seen| seen.number);
    let numbers: Vec<u64> = seen.into_iter().chain([target.number]).collect();
    let headers = read::headers_at(node, &numbers).await?;
    let hash_at = |number: u64| {
        let found = headers.iter().find(|header| header.number == number);
        found.map(|header| header.hash)
    };
    match hash_at(target.number) {
        Some(hash) if hash == target.hash => {}
        Some(_) => return Err(SessionError::Moved("reorganised while it was read")),
        None => return Err(read::missing(target.number).into()),
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
