//! The loop over endpoints and, on each, from wherever the store is to the tip and on with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch::{Receiver, Sender};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::advance::Step;
use super::commit::Committer;
use super::head::{self, Heads, Seen};
use super::join::Joining;
use super::module;
use super::read::{self, Header};
use super::rpc::endpoint::Endpoint;
use super::rpc::error::RpcError;
use super::rpc::{Chosen, Pool};
use super::watch::Watch;
use super::window::Window;
use super::{ChainConfig, Progress};
use crate::domain::{ChainStatus, ModuleAddress};
use crate::store::Store;

/// The newest blocks are read one by one by their hashes, never by range: a node behind a load balancer may know a block
/// and not its logs.
pub(super) const NEAR: u64 = 64;
/// Further behind than this the follower reads ranges again.
const FAR: u64 = 2 * NEAR;
/// A head that jumps back further than this makes another node, if one is further, the better choice at once.
const BACK: u64 = 2;
/// How long a step that is under way when the stop comes may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);

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

/// Pause before a chain that moved while it was read is read again.
const BREATH: Duration = Duration::from_millis(50);

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
    /// By the stop signal, or at the goal.
    Stopped,
    /// Another endpoint is the better choice.
    Better(Chosen),
}

/// The place in the chain, which survives a change of endpoint.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) window: Window,
    pub(super) watch: Watch,
}

/// The follower.
pub(super) struct Follower {
    pub(super) config: ChainConfig,
    pub(super) store: Store,
    pub(super) modules: Receiver<BTreeSet<ModuleAddress>>,
    pub(super) status: Sender<ChainStatus>,
    pub(super) goal: Goal,
    pub(super) committer: Committer,
    pool: Pool,
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
        let pool = Pool::new(&config.rpc_urls, config.chain_id);
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
        })
    }

    /// Events stored since the start.
    pub(super) fn events_stored(&self) -> u64 {
        self.committer.events_stored()
    }

    /// Follows until `stop`, or until the goal is reached.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut place = None;
        let mut next = None;
        loop {
            let chosen = match next.take() {
                Some(chosen) => chosen,
                None => {
                    let status = &self.status;
                    let choosing = self.pool.choose(|trouble| report(status, trouble));
                    tokio::select! {
                        chosen = choosing => chosen,
                        () = stop.cancelled() => return Ok(()),
                    }
                }
            };
            self.status.send_modify(|status| {
                status.rpc = Some(chosen.endpoint.host().to_owned());
            });
            let ended = tokio::select! {
                ended = self.session(&chosen, &mut place, stop) => ended,
                // Dropped in the middle of a step: the store is consistent, and nothing more is written to it.
                () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => return Ok(()),
            };
            match ended {
                Ok(End::Stopped) => return Ok(()),
                Ok(End::Better(chosen)) => next = Some(chosen),
                Err(Setback::Rpc(error)) => {
                    report(
                        &self.status,
                        &format!("{}: {error}", chosen.endpoint.host()),
                    );
                    let mut worked = false;
                    self.status.send_modify(|status| {
                        worked = std::mem::take(&mut status.at_tip);
                    });
                    self.pool.failed(&chosen, worked, &error);
                }
                Err(Setback::Moved(why)) => {
                    debug!(why, "reading again from what is stored");
                    tokio::time::sleep(BREATH).await;
                    next = Some(chosen);
                }
                Err(Setback::Store(error)) => return Err(error),
            }
        }
    }

    /// Follows on one endpoint for as long as that works.
    async fn session(
        &mut self,
        chosen: &Chosen,
        place: &mut Option<Place>,
        stop: &CancellationToken,
    ) -> Result<End, Setback> {
        let endpoint = &chosen.endpoint;
        let mut heads = Heads::open(endpoint).await?;
        let mut head = self.head(endpoint).await?;
        heads.arrived(&head);
        let place = match place {
            Some(place) => place,
            None => place.insert(self.begin(endpoint, &head).await?),
        };
        // An attempt that failed may have taken in processors from blocks that it did not store.
        place.watch.rewind(place.window.tip().number);
        self.check_stored_chain(endpoint, place).await?;
        while self.is_far(place, &head) {
            self.show_head(&head);
            self.backfill(endpoint, place, &head).await?;
            head = self.head(endpoint).await?;
            heads.arrived(&head);
        }
        match self.goal {
            Goal::Follow => self.follow_tip(chosen, place, heads, head, stop).await,
            Goal::Index { .. } => self.finish_index(endpoint, place, head).await,
        }
    }

    /// Follows the tip until the endpoint fails, falls far behind, or a better one is found.
    async fn follow_tip(
        &mut self,
        chosen: &Chosen,
        place: &mut Place,
        mut heads: Heads,
        head: Header,
        stop: &CancellationToken,
    ) -> Result<End, Setback> {
        let endpoint = &chosen.endpoint;
        let mut joining = Joining::new(Arc::clone(endpoint), self);
        let mut modules = self.modules.clone();
        let pool = self.pool.clone();
        let status = self.status.clone();
        let height = move || {
            status
                .borrow()
                .confirmed
                .map_or(0, |confirmed| confirmed.number)
        };
        let mut better = std::pin::pin!(pool.better_than(chosen.place, height));
        let mut new = vec![head];
        loop {
            if let Some(head) = new.last() {
                self.show_head(head);
                if self.is_far(place, head) {
                    return Err(Setback::Moved("far behind the tip".to_owned()));
                }
                if self.advance(endpoint, place, &new).await? == Step::Reorganised {
                    // What joins was read from the old chain.
                    joining.abort().await;
                    self.recover(endpoint, place).await?;
                    continue;
                }
                let is_back = head.number + BACK < place.window.tip().number;
                new.clear();
                if is_back && let Some(better) = self.leave_behind(chosen, place).await {
                    return Ok(End::Better(better));
                }
            }
            self.take_modules(&mut modules, place, &mut joining).await?;
            self.publish(place, &joining);
            let save_due = self.committer.save_due();
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    joining.abort().await;
                    self.save(place).await?;
                    return Ok(End::Stopped);
                }
                seen = heads.next(endpoint) => match seen? {
                    Seen::Heads(headers) => new = headers,
                    Seen::Nothing => {
                        if let Some(better) = self.leave_behind(chosen, place).await {
                            return Ok(End::Better(better));
                        }
                    }
                },
                joined = joining.next() => if let Some(caught) = joined {
                    self.join(endpoint, place, &mut joining, caught).await?;
                },
                // An error means that the set of modules is final; then there is nothing to wait for.
                Ok(()) = modules.changed() => {}
                better = &mut better => return Ok(End::Better(better)),
                () = tokio::time::sleep_until(save_due.into()) => self.save(place).await?,
            }
        }
    }

    /// The node has shown nothing new for a while: is another one further?
    async fn leave_behind(&mut self, chosen: &Chosen, place: &Place) -> Option<Chosen> {
        let beyond = place.window.tip().number + 2;
        let better = self.pool.ahead_of(chosen.place, beyond).await?;
        warn!(
            rpc = better.endpoint.host(),
            "the node in use lags behind another one"
        );
        self.pool.failed(
            chosen,
            true,
            &RpcError::unavailable("it lags behind another node"),
        );
        Some(better)
    }

    /// Brings the followed modules in line with the wanted ones.
    async fn take_modules(
        &mut self,
        modules: &mut Receiver<BTreeSet<ModuleAddress>>,
        place: &mut Place,
        joining: &mut Joining,
    ) -> Result<(), Setback> {
        let wanted = modules.borrow_and_update().clone();
        if place.watch.keep_only(&wanted) {
            Self::drop_unwatched(place);
        }
        if joining.has_work(&wanted, place) {
            // What a module reads up to must be stored, or a crash would leave it ahead of the cursor.
            self.save(place).await?;
            joining.start(&wanted, place);
        }
        Ok(())
    }

    /// Follows the last blocks up to the goal.
    async fn finish_index(
        &mut self,
        endpoint: &Arc<Endpoint>,
        place: &mut Place,
        head: Header,
    ) -> Result<End, Setback> {
        let mut joining = Joining::new(Arc::clone(endpoint), self);
        let mut modules = self.modules.clone();
        let from = place.window.base().number + 1;
        while self
            .advance(endpoint, place, std::slice::from_ref(&head))
            .await?
            == Step::Reorganised
        {
            self.recover(endpoint, place).await?;
        }
        self.save(place).await?;
        loop {
            self.take_modules(&mut modules, place, &mut joining).await?;
            if joining.is_done() {
                break;
            }
            if let Some(caught) = joining.next().await {
                self.join(endpoint, place, &mut joining, caught).await?;
            }
        }
        if let Goal::Index { progress, .. } = &self.goal {
            let at = place.window.base().number;
            progress(Progress {
                from,
                at,
                to: at,
                events: self.committer.events_stored(),
            });
        }
        Ok(End::Stopped)
    }

    /// The newest block, or the one that the goal is to come to.
    async fn head(&self, endpoint: &Endpoint) -> Result<Header, Setback> {
        let latest = head::newest(endpoint).await?;
        let Goal::Index { to, .. } = &self.goal else {
            return Ok(latest);
        };
        let confirmed = latest.number.saturating_sub(self.config.confirmations);
        let to = to.unwrap_or(confirmed).min(confirmed);
        self.known_header(endpoint, to).await
    }

    /// Blocks on top of an event's block before it counts; the goal of an index is confirmed already.
    pub(super) fn confirmations(&self) -> u64 {
        match self.goal {
            Goal::Follow => self.config.confirmations,
            Goal::Index { .. } => 0,
        }
    }

    async fn save(&mut self, place: &Place) -> Result<(), Setback> {
        let (modules, to) = (place.watch.modules(), place.window.base());
        self.committer.save(modules, to).await
    }

    /// Where to begin: at the store's cursor, else before the first block of the first module.
    async fn begin(&mut self, endpoint: &Endpoint, head: &Header) -> Result<Place, Setback> {
        let wanted = self.modules.borrow_and_update().clone();
        let store = self.store.clone();
        let (cursor, known) = blocking(move || Ok((store.cursor()?, store.modules()?))).await?;
        let confirmed = head.number.saturating_sub(self.confirmations());
        if let Some(cursor) = cursor {
            let modules = known
                .into_iter()
                .filter(|(module, record)| {
                    wanted.contains(module) && record.synced_to == Some(cursor.number)
                })
                .collect();
            let watch = Watch::new(modules);
            info!(block = cursor.number, "following from the stored cursor");
            return Ok(Place {
                window: Window::new(cursor),
                watch,
            });
        }
        let mut records = BTreeMap::new();
        for module in wanted {
            match module::register(endpoint, &self.store, &self.config, module, head.number).await {
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
        info!(
            block = base.number,
            modules = watch.modules().len(),
            "following from the start"
        );
        Ok(Place {
            window: Window::new(base),
            watch,
        })
    }

    /// Compares the newest followed confirmed block with the node's chain: it may have changed while nobody looked.
    async fn check_stored_chain(
        &mut self,
        endpoint: &Endpoint,
        place: &mut Place,
    ) -> Result<(), Setback> {
        let base = place.window.base();
        match read::header_at(endpoint, base.number).await? {
            Some(header) if header.hash == base.hash => Ok(()),
            Some(_) => self.recover(endpoint, place).await,
            None => {
                // Shorter than what was followed: a lagging node, or a chain that went back. Only another block at a
                // height that both have is evidence of the latter.
                let head = head::newest(endpoint).await?;
                if self
                    .is_on_another_chain(endpoint, place, head.number)
                    .await?
                {
                    return self.recover(endpoint, place).await;
                }
                Err(
                    RpcError::unavailable(format!("it does not have block {} yet", base.number))
                        .into(),
                )
            }
        }
    }

    pub(super) async fn known_header(
        &self,
        endpoint: &Endpoint,
        number: u64,
    ) -> Result<Header, Setback> {
        read::header_at(endpoint, number)
            .await?
            .ok_or_else(|| RpcError::unavailable(format!("it does not have block {number}")).into())
    }

    fn is_far(&self, place: &Place, head: &Header) -> bool {
        let allowed = FAR + self.confirmations();
        head.number.saturating_sub(place.window.tip().number) > allowed
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
    fn publish(&self, place: &Place, joining: &Joining) {
        let trouble = joining
            .unreadable()
            .next()
            .map(|module| format!("there is no contract at {module}"));
        let confirmed = place.window.base();
        let pending: Vec<_> = place
            .window
            .tail()
            .flat_map(|block| block.events.iter().cloned())
            .collect();
        self.status.send_if_modified(|status| {
            let before = status.clone();
            status.confirmed = Some(confirmed);
            status.at_tip = joining.is_done() && self.committer.rollback().is_none();
            status.pending = pending;
            status.trouble = trouble;
            *status != before
        });
    }
}

/// Says in the status why the chain cannot be followed at the moment.
fn report(status: &Sender<ChainStatus>, trouble: &str) {
    status.send_if_modified(|status| {
        let changed = status.trouble.as_deref() != Some(trouble);
        status.trouble = Some(trouble.to_owned());
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
