//! The loop over endpoints and, on each, from wherever the store is to the tip and on with it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::watch::{Receiver, Sender};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::commit::Committer;
use super::head::{Heads, Seen};
use super::join::Joining;
use super::module;
use super::read::{self, Header};
use super::rpc::endpoint::Endpoint;
use super::rpc::error::RpcError;
use super::rpc::{Chosen, Pool};
use super::watch::Watch;
use super::window::Window;
use super::{ChainConfig, Progress};
use crate::domain::{ChainStatus, Checkpoint, ModuleAddress};
use crate::store::Store;

/// The newest blocks are read one by one by their hashes, never by range: a node behind a load balancer may know a block
/// and not its logs.
pub(super) const NEAR: u64 = 64;
/// Further behind than this the follower reads ranges again.
const FAR: u64 = 2 * NEAR;
/// A stored chain that the node does not confirm yet may just be ahead of it.
const BEHIND_WAIT: Duration = Duration::from_millis(500);

/// What ends the following.
pub(super) enum Goal {
    /// The stop signal.
    Follow,
    /// Having come to a block.
    Index {
        to: Option<u64>,
        progress: Box<dyn Fn(Progress) + Send + Sync>,
    },
}

impl fmt::Debug for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follow => "Follow",
            Self::Index { .. } => "Index",
        })
    }
}

/// Why a step was not made.
#[derive(Debug)]
pub(super) enum Setback {
    /// The endpoint failed.
    Rpc(RpcError),
    /// The chain moved while it was read; reading again gives a consistent answer.
    Moved(String),
    /// The store failed: nothing can be done here.
    Store(anyhow::Error),
}

impl From<RpcError> for Setback {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}

impl From<anyhow::Error> for Setback {
    fn from(error: anyhow::Error) -> Self {
        Self::Store(error)
    }
}

/// How a session on one endpoint ended.
enum End {
    Stopped,
    Reached,
    Better(Chosen),
}

/// The position in the chain that survives a change of endpoint.
#[derive(Debug)]
pub(super) struct Position {
    pub(super) window: Window,
    pub(super) watch: Watch,
}

/// The follower.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) config: ChainConfig,
    pub(super) store: Store,
    pub(super) modules: Receiver<BTreeSet<ModuleAddress>>,
    pub(super) status: Sender<ChainStatus>,
    pub(super) goal: Goal,
    pub(super) committer: Committer,
    pool: Pool,
    position: Option<Position>,
}

impl Follower {
    /// Checks the chain ids and binds the store to the chain.
    pub(super) async fn start(
        config: ChainConfig,
        store: Store,
        modules: Receiver<BTreeSet<ModuleAddress>>,
        status: Sender<ChainStatus>,
        goal: Goal,
    ) -> anyhow::Result<Self> {
        let mut pool = Pool::new(&config.rpc_urls, config.chain_id);
        pool.refuse_wrong_chain().await?;
        let (bound, chain_id) = (store.clone(), config.chain_id);
        tokio::task::spawn_blocking(move || bound.bind_chain(chain_id)).await??;
        Ok(Self {
            committer: Committer::new(store.clone()),
            config,
            store,
            modules,
            status,
            goal,
            pool,
            position: None,
        })
    }

    /// Events stored since the start.
    pub(super) fn events_stored(&self) -> u64 {
        self.committer.events_stored()
    }

    /// Follows until `stop`, or until the goal is reached.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut better = None;
        loop {
            let chosen = match better.take() {
                Some(chosen) => chosen,
                None => {
                    let status = &self.status;
                    let choosing = self.pool.choose(|trouble| report(status, Some(trouble)));
                    tokio::select! {
                        chosen = choosing => chosen,
                        () = stop.cancelled() => break,
                    }
                }
            };
            self.status.send_modify(|status| {
                status.rpc = Some(chosen.endpoint.host().to_owned());
            });
            // What is under way when the stop comes may be dropped: commits run to their end on their own thread.
            let ended = tokio::select! {
                ended = self.session(&chosen) => ended,
                () = stop.cancelled() => Ok(End::Stopped),
            };
            match ended {
                Ok(End::Stopped | End::Reached) => break,
                Ok(End::Better(chosen)) => better = Some(chosen),
                Err(Setback::Rpc(error)) => {
                    report(&self.status, Some(&format!("{}: {error}", chosen.endpoint.host())));
                    self.status.send_modify(|status| status.at_tip = false);
                    self.pool.failed(&chosen, &error);
                }
                Err(Setback::Moved(why)) => {
                    debug!(why, "the chain moved while it was read; reading again");
                    better = Some(chosen);
                }
                Err(Setback::Store(error)) => return Err(error),
            }
        }
        if let Some(position) = &self.position {
            self.committer.save(position).await?;
        }
        Ok(())
    }

    async fn session(&mut self, chosen: &Chosen) -> Result<End, Setback> {
        // Taken out, so that parts of `self` can be borrowed beside it; put back however the session ends. A stop that
        // drops the session drops the position with it, which costs re-reading eventless blocks after the restart.
        let mut position = self.position.take();
        let ended = self.session_at(chosen, &mut position).await;
        self.position = position;
        ended
    }

    async fn session_at(
        &mut self,
        chosen: &Chosen,
        position: &mut Option<Position>,
    ) -> Result<End, Setback> {
        let endpoint = &chosen.endpoint;
        let mut heads = Heads::open(endpoint).await?;
        let mut head = read::latest(endpoint).await?;
        heads.arrived(&head);
        let position = match position {
            Some(position) => position,
            None => position.insert(self.begin(endpoint, &head).await?),
        };
        self.check_stored_chain(endpoint, position).await?;
        loop {
            self.show_head(&head);
            if self.is_far(position, &head) {
                self.backfill(endpoint, position, &head).await?;
                head = read::latest(endpoint).await?;
                heads.arrived(&head);
                continue;
            }
            if let Goal::Index { .. } = self.goal {
                self.finish_index(endpoint, position, head).await?;
                return Ok(End::Reached);
            }
            return self.follow_tip(chosen, position, heads, head).await;
        }
    }

    /// Follows the tip until the endpoint fails, falls far behind, or a better one is found.
    async fn follow_tip(
        &mut self,
        chosen: &Chosen,
        position: &mut Position,
        mut heads: Heads,
        head: Header,
    ) -> Result<End, Setback> {
        let endpoint = &chosen.endpoint;
        let mut joining = Joining::new(Arc::clone(endpoint), self);
        let mut new = vec![head];
        loop {
            if let Some(head) = new.last() {
                self.show_head(head);
                if self.is_far(position, head) {
                    return Err(Setback::Moved("far behind the tip".to_owned()));
                }
                if self.advance(endpoint, position, &new).await? {
                    // A reorganisation of stored blocks: what joins was read from the old chain.
                    joining.abort().await;
                    self.recover(endpoint, position).await?;
                    continue;
                }
            }
            new.clear();
            let wanted = self.modules.borrow_and_update().clone();
            if position.watch.keep_only(&wanted) {
                self.drop_unwatched(position);
            }
            joining.want(&wanted, position);
            self.publish(position, joining.is_empty());
            let better = self.pool.better_than(chosen.place, position.window.tip().number);
            tokio::select! {
                biased;
                seen = heads.next(endpoint) => match seen? {
                    Seen::Heads(headers) => new = headers,
                    Seen::Nothing => {
                        let beyond = position.window.tip().number + 2;
                        if let Some(better) = self.pool.ahead_of(chosen.place, beyond).await {
                            warn!(rpc = better.endpoint.host(), "the node lags behind another one");
                            let lag = RpcError::unavailable("it lags behind another node");
                            self.pool.failed(chosen, &lag);
                            return Ok(End::Better(better));
                        }
                    }
                },
                joined = joining.next() => self.join(endpoint, position, &mut joining, joined).await?,
                changed = self.modules.changed() => {
                    if changed.is_err() {
                        // Whoever decided on modules is gone; the set stays as it is.
                        debug!("the set of modules is final");
                        std::future::pending::<()>().await;
                    }
                }
                better = better => return Ok(End::Better(better)),
                () = tokio::time::sleep_until(self.committer.save_due().into()) => {
                    self.committer.save(position).await?;
                }
            }
        }
    }

    /// Where to begin: at the store's cursor, else before the first block of the first module.
    async fn begin(&mut self, endpoint: &Endpoint, head: &Header) -> Result<Position, Setback> {
        let wanted = self.modules.borrow_and_update().clone();
        let store = self.store.clone();
        let (cursor, known) =
            blocking(move || Ok((store.cursor()?, store.modules()?))).await?;
        let confirmed = head.number.saturating_sub(self.config.confirmations);
        if let Some(cursor) = cursor {
            let modules = known
                .into_iter()
                .filter(|(module, record)| {
                    wanted.contains(module) && record.synced_to == Some(cursor.number)
                })
                .collect();
            let watch = Watch::new(modules);
            info!(block = cursor.number, "following from the stored cursor");
            return Ok(Position {
                window: Window::new(cursor),
                watch,
            });
        }
        let mut records = std::collections::BTreeMap::new();
        for module in wanted {
            match module::register(endpoint, &self.store, &self.config, module, head).await {
                Ok(record) => {
                    records.insert(module, record);
                }
                Err(module::NotReadable::Setback(setback)) => return Err(setback),
                Err(module::NotReadable::NoContract) => {
                    warn!(%module, "there is no contract at this module's address");
                }
            }
        }
        let watch = Watch::new(records);
        let base = match watch.is_empty() {
            true => confirmed,
            // The genesis block holds no transactions, so nothing is lost by starting on top of it.
            false => watch.start_block().saturating_sub(1).min(confirmed),
        };
        let base = self.known_header(endpoint, base).await?.checkpoint();
        info!(block = base.number, modules = watch.modules().len(), "following from the start");
        Ok(Position {
            window: Window::new(base),
            watch,
        })
    }

    /// Compares the newest followed confirmed block with the node's chain: it may have changed while nobody looked.
    async fn check_stored_chain(
        &mut self,
        endpoint: &Endpoint,
        position: &mut Position,
    ) -> Result<(), Setback> {
        let base = position.window.base();
        match read::header_at(endpoint, base.number).await? {
            Some(header) if header.hash == base.hash => Ok(()),
            Some(_) => self.recover(endpoint, position).await,
            None => {
                // Shorter than what was followed: a lagging node, or a chain that went back. Only another block at a
                // known height is evidence of the latter.
                if self.is_on_another_chain(endpoint, position).await? {
                    return self.recover(endpoint, position).await;
                }
                tokio::time::sleep(BEHIND_WAIT).await;
                Err(Setback::Rpc(RpcError::unavailable(format!(
                    "it does not have block {} yet",
                    base.number
                ))))
            }
        }
    }

    pub(super) async fn known_header(
        &self,
        endpoint: &Endpoint,
        number: u64,
    ) -> Result<Header, Setback> {
        read::header_at(endpoint, number).await?.ok_or_else(|| {
            RpcError::unavailable(format!("it does not have block {number}")).into()
        })
    }

    fn is_far(&self, position: &Position, head: &Header) -> bool {
        let allowed = FAR + self.config.confirmations;
        head.number.saturating_sub(position.window.tip().number) > allowed
    }

    fn show_head(&self, head: &Header) {
        let head = head.checkpoint();
        self.status.send_if_modified(|status| {
            let changed = status.head != Some(head);
            status.head = Some(head);
            changed
        });
    }

    /// Publishes where we are, after every step.
    fn publish(&self, position: &Position, all_joined: bool) {
        let confirmed = position.window.base();
        let pending: Vec<_> = position
            .window
            .tail()
            .flat_map(|block| block.events.iter().cloned())
            .collect();
        self.status.send_if_modified(|status| {
            let before = status.clone();
            status.confirmed = Some(confirmed);
            status.at_tip = all_joined;
            status.pending = pending;
            status.trouble = None;
            *status != before
        });
    }
}

/// Says in the status why the chain cannot be followed at the moment.
pub(super) fn report(status: &Sender<ChainStatus>, trouble: Option<&str>) {
    status.send_if_modified(|status| {
        let changed = status.trouble.as_deref() != trouble;
        status.trouble = trouble.map(str::to_owned);
        changed
    });
}

/// Runs a step of the store off the async threads.
pub(super) async fn blocking<T: Send + 'static>(
    step: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T, Setback> {
    let result = tokio::task::spawn_blocking(step).await;
    Ok(result.context("a step of the store was interrupted")??)
}

/// The moment `wait` from now.
pub(super) fn soon(wait: Duration) -> Instant {
    Instant::now() + wait
}

/// Whether a checkpoint is reached.
pub(super) fn has_reached(at: Checkpoint, to: u64) -> bool {
    at.number >= to
}
