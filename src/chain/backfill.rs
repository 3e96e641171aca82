//! Reads long stretches by range, several at once, and stores them in few commits while it reads on.
//!
//! Ranges are read by number, so a reorganisation could mix two chains. The hash of the last block is known before the
//! first range is read and compared again before each commit: if it has not changed, all that was read lies below it on
//! one chain.

use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::{Fuse, FusedFuture};
use futures_util::{FutureExt, poll};
use tokio::sync::{Semaphore, mpsc};

use super::commit::Ledger;
use super::follow::{Follower, NEAR, Setback};
use super::goal::Goal;
use super::node::Node;
use super::node::RpcError;
use super::node::read::{self, Header};
use super::node::reconnect::Reconnect;
use super::node::stream::get_logs_by_provider;
use super::place::Place;
use super::range::{GetHeaders, GetLogs, Piece, RangeReader, RangeSize, Source};
use super::watch::{Surprise, Watch};
use super::window::Window;
use super::{Progress, ProgressLog};
use crate::domain::{Batch, Checkpoint, ModuleAddress};

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

/// A stretch to read by range.
pub(super) struct Span<'a> {
    pub(super) node: &'a Arc<Node>,
    pub(super) ledger: &'a Ledger,
    pub(super) from: u64,
    /// The last block, which the node had with this hash.
    pub(super) target: Checkpoint,
    /// Whether the store's cursor moves along.
    pub(super) moves_cursor: bool,
    /// Goes into the first commit.
    pub(super) rollback: Option<u64>,
    /// Goes into the first commit: the blocks below `from` that are to be looked at once more.
    pub(super) unsure: Option<Vec<Checkpoint>>,
}

impl Span<'_> {
    /// Reads it all for the modules of `watch`; `committed` hears of each commit. After an error, what was committed is
    /// complete up to where `committed` last heard.
    pub(super) async fn read(
        self,
        watch: &mut Watch,
        committed: impl FnMut(Checkpoint, usize) + Send,
    ) -> Result<(), Setback> {
        let size = RangeSize::default();
        let to = self.target.number;
        let source = source(self.node);
        let reader = RangeReader::new(source, watch.records(), self.from, to, size);
        let room = Arc::new(Semaphore::new(MOST_UNSTORED));
        let (pieces, arrived) = mpsc::unbounded_channel();
        let reading = read_pieces(reader, pieces, Arc::clone(&room));
        let storing = async {
            let stored = self.store_pieces(watch, arrived, &room, committed).await;
            // Nobody will make room any more.
            room.close();
            stored
        };
        // Storing goes on to the end of what was read, also when reading fails.
        let (read, stored) = tokio::join!(reading, storing);
        stored.and(read)
    }

    /// Stores what arrives, many pieces in one commit, while the next ones are read: one batch is made up and verified
    /// while the one before it is being stored.
    async fn store_pieces(
        mut self,
        watch: &mut Watch,
        mut arrived: mpsc::UnboundedReceiver<Piece>,
        room: &Semaphore,
        mut committed: impl FnMut(Checkpoint, usize) + Send,
    ) -> Result<(), Setback> {
        let (node, ledger) = (self.node, self.ledger);
        let (least, most) = match self.moves_cursor {
            true => (LEAST_PER_COMMIT, MOST_PER_COMMIT),
            false => (MOST_PER_COMMIT_BESIDE, MOST_PER_COMMIT_BESIDE),
        };
        let mut done = |(to, count, taken): (Checkpoint, usize, usize)| {
            committed(to, count);
            room.add_permits(taken);
        };
        // The batch that is being stored.
        let mut storing = std::pin::pin!(Fuse::terminated());
        while let Some(piece) = arrived.recv().await {
            let (mut to, mut unknown) = (piece.to, piece.unknown);
            let (mut count, mut taken) = (piece.events.len(), room_for(piece.events.len()));
            let mut collected = vec![piece.events];
            let due = Instant::now() + COMMIT_EVERY;
            while count < most {
                if count >= least && storing.is_terminated() {
                    break;
                }
                tokio::select! {
                    stored = &mut storing => done(stored?),
                    piece = arrived.recv() => match piece {
                        Some(piece) => {
                            taken += room_for(piece.events.len());
                            count += piece.events.len();
                            to = piece.to;
                            collected.push(piece.events);
                            unknown.extend(piece.unknown);
                        }
                        None => break,
                    },
                    () = tokio::time::sleep_until(due.into()) => break,
                }
            }
            let mut events = Vec::with_capacity(count);
            for some in collected {
                events.extend(some);
            }
            if let Err(Surprise::WrongProcessor { module, actual }) = watch.take_updates(&events) {
                if !storing.is_terminated() {
                    done(storing.as_mut().await?);
                }
                ledger.reset_module(watch, module, actual).await?;
                return Err(Setback::Moved("a module is to be read again".to_owned()));
            }
            let verified = self.verified(to).await;
            if !storing.is_terminated() {
                done(storing.as_mut().await?);
            }
            let batch = Batch {
                rollback_to: self.rollback.take(),
                modules: watch.modules(),
                to: verified?,
                moves_cursor: self.moves_cursor,
                events,
                plans: Vec::new(),
                headers: Vec::new(),
                unknown,
                unsure: self.unsure.take(),
            };
            let to = batch.to;
            let ingest = async move {
                ledger.ingest(node, batch).await?;
                Ok::<_, Setback>((to, count, taken))
            };
            storing.set(ingest.fuse());
            // It starts now, not with the next piece.
            if let Poll::Ready(stored) = poll!(storing.as_mut()) {
                done(stored?);
            }
        }
        if !storing.is_terminated() {
            done(storing.await?);
        }
        Ok(())
    }

    /// The block that a commit ends with, after making sure that the chain has not changed below the target.
    async fn verified(&self, number: u64) -> Result<Checkpoint, Setback> {
        let (end, target) = tokio::try_join!(
            read::header_at(self.node, number),
            read::header_at(self.node, self.target.number)
        )?;
        match (end, target) {
            (Some(end), Some(target)) if target.hash == self.target.hash => Ok(end.checkpoint()),
            (_, Some(_)) => Err(Setback::Moved("reorganised while it was read".to_owned())),
            (_, None) => Err(RpcError::unavailable(format!(
                "it does not have block {} any more",
                self.target.number
            ))
            .into()),
        }
    }
}

/// Reads on as long as there is room for what is not stored yet.
async fn read_pieces(
    mut reader: RangeReader,
    pieces: mpsc::UnboundedSender<Piece>,
    room: Arc<Semaphore>,
) -> Result<(), Setback> {
    let mut failures = Failures::default();
    while let Some(piece) = reader.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            // Waited out as far as the node's patience goes: it is for the pool to say who is asked instead.
            Err(error @ RpcError::RateLimited { .. }) => return Err(error.into()),
            Err(error) => match failures.wait(reader.due()) {
                Some(wait) => {
                    tracing::debug!(%error, ?wait, "a range failed; trying again");
                    tokio::time::sleep(wait).await;
                    continue;
                }
                None => return Err(error.into()),
            },
        };
        let wanted = u32::try_from(room_for(piece.events.len())).unwrap_or(u32::MAX);
        let Ok(taken) = room.acquire_many(wanted).await else {
            return Ok(());
        };
        taken.forget();
        if pieces.send(piece).is_err() {
            // Storing failed; its error is the one to report.
            return Ok(());
        }
    }
    Ok(())
}

/// The room that a piece takes: a single huge block may pass when nothing else waits.
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

impl Follower {
    /// The last block that is read by range: those near the head are read one by one.
    pub(super) fn range_end(&self, head: &Header) -> u64 {
        head.number.saturating_sub(self.confirmations().max(NEAR))
    }

    /// Reads up to near the head, or to the goal.
    pub(super) async fn backfill(
        &mut self,
        node: &Arc<Node>,
        place: &mut Place,
        head: &Header,
    ) -> Result<(), Setback> {
        self.status
            .send_modify(|status| status.set_at_tip(false, Instant::now()));
        let target = self.range_end(head);
        let target = match place.range_end.take() {
            Some(known) if known.number == target => known.checkpoint(),
            _ => self.known_header(node, target).await?.checkpoint(),
        };
        let base = place.window.base();
        let from = base.number + 1;
        // The unconfirmed blocks are read again as part of the range.
        place.window.rewind(base);
        place.watch.rewind(base.number);
        if place.watch.is_empty() {
            // Nothing to read: only the clock moves.
            self.committer.keep_for_later([target]);
            place.window = Window::new(target);
            return Ok(());
        }
        // Blocks without events that are not stored yet are read again as part of the range.
        let span = Span {
            node,
            ledger: &self.committer.ledger.clone(),
            from,
            target,
            moves_cursor: true,
            rollback: self.committer.rollback(),
            unsure: Some(place.unsure.up_to(base.number)),
        };
        let (window, committer) = (&mut place.window, &mut self.committer);
        let (status, goal) = (&self.status, &self.goal);
        let mut log = ProgressLog::begin();
        span.read(&mut place.watch, |to, events| {
            *window = Window::new(to);
            committer.stored(events);
            status.send_modify(|status| status.confirmed = Some(to));
            let progress = Progress {
                from,
                at: to.number,
                to: target.number,
                events: committer.events_stored(),
            };
            match goal {
                Goal::Follow => log.note(progress),
                Goal::Index { progress: tell, .. } => tell(progress),
            }
        })
        .await
    }
}

/// Downloads the logs of modules that join, beside the tip.
pub(super) async fn read_module(
    node: &Arc<Node>,
    ledger: &Ledger,
    module: ModuleAddress,
    watch: &mut Watch,
    from: u64,
    target: Checkpoint,
) -> Result<(), Setback> {
    let span = Span {
        node,
        ledger,
        from,
        target,
        moves_cursor: false,
        rollback: None,
        unsure: None,
    };
    span.read(watch, |to, events| {
        tracing::debug!(%module, at = to.number, events, "a module catches up");
    })
    .await
}

/// How a range is read from this node: streamed over HTTP, as one message over a websocket.
fn source(node: &Arc<Node>) -> Source {
    let logs: GetLogs = {
        let (node, http) = (Arc::clone(node), node.http_logs());
        Arc::new(move |query, collector| {
            let (node, http) = (Arc::clone(&node), http.clone());
            async move {
                node.wait_out_quiet().await?;
                let answer = match http {
                    Some(http) => http.get_logs(&query, collector).await,
                    None => get_logs_by_provider(&node.provider(), &query, collector).await,
                };
                if let Err(RpcError::RateLimited {
                    retry_after: Some(wait),
                    ..
                }) = &answer
                {
                    node.be_quiet_for(*wait);
                }
                answer
            }
            .boxed()
        })
    };
    let patience = node.patience();
    let node = Arc::clone(node);
    let headers: GetHeaders = Arc::new(move |numbers| {
        let node = Arc::clone(&node);
        async move {
            let headers = read::headers_at(&node, &numbers).await?;
            Ok(headers.iter().map(Header::checkpoint).collect())
        }
        .boxed()
    });
    Source {
        logs,
        headers,
        patience,
    }
}
