//! The loop over endpoints and, on each, from wherever the store is to the tip and on with it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::watch::{Receiver, Sender};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::advance::Step;
use super::commit::Committer;
use super::goal::Goal;
use super::join::Joining;
use super::node::Node;
use super::node::heads::{self, Heads};
use super::node::read::Header;
use super::node::{Chosen, Pool, RpcError};
use super::place::Place;
use super::{ChainConfig, Progress};
use crate::domain::{ChainStatus, ModuleAddress};
use crate::store::Store;

/// The newest blocks are read one by one by their hashes, never by range: a node behind a load balancer may know a block
/// and not its logs.
pub(super) const NEAR: u64 = 64;
/// Further behind than this the follower reads ranges again.
const FAR: u64 = 2 * NEAR;
/// A tip that was seen longer ago than this is looked for again before an index ends.
const STALE: Duration = Duration::from_secs(10);
/// How long a step that is under way when the stop comes may take to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// Subscriptions in a row to which an node pushed nothing before it is polled.
const MOST_SILENCES: u32 = 2;
/// Moves in a row, without progress, that are put down to the chain and not to the node.
const MOST_MOVES: u32 = 20;
/// Pause before a chain that moved while it was read is read again.
const BREATH: Duration = Duration::from_millis(50);

/// Why a step was not made.
#[derive(Debug)]
pub(super) enum Setback {
    /// The node failed.
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

/// How a session on one node ended.
pub(super) enum End {
    /// By the stop signal, or at the goal.
    Stopped,
    /// Another node is the better choice.
    Better(Chosen),
}

/// The follower.
pub(super) struct Follower {
    pub(super) config: ChainConfig,
    pub(super) store: Store,
    pub(super) modules: Receiver<BTreeSet<ModuleAddress>>,
    pub(super) status: Sender<ChainStatus>,
    pub(super) goal: Goal,
    pub(super) committer: Committer,
    pub(super) pool: Pool,
    /// Whether the modules of the start have been read. Ones that come later do not hold up the others.
    pub(super) settled: bool,
    /// The places of the endpoints that did not let a module be read.
    pub(super) refused: BTreeMap<ModuleAddress, BTreeSet<usize>>,
    /// How often in a row an node, by its place, took a subscription to new heads and pushed none.
    pub(super) mute: BTreeMap<usize, u32>,
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
        let late_plans = tokio::task::spawn_blocking(move || {
            bound.bind_chain(chain_id)?;
            bound.plans_without_terms()
        });
        let committer = Committer::new(store.clone())?;
        committer.ledger.plans.expect_late(late_plans.await??);
        Ok(Self {
            committer,
            config,
            store,
            modules,
            status,
            goal,
            pool,
            settled: false,
            refused: BTreeMap::new(),
            mute: BTreeMap::new(),
        })
    }

    /// Events stored since the start.
    pub(super) fn events_stored(&self) -> u64 {
        self.committer.events_stored()
    }

    /// Follows until `stop`, or until the goal is reached.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut place: Option<Place> = None;
        let mut next = None;
        // How often in a row the chain moved under the reading, without progress, and from where.
        let mut moves = (0, None);
        // Since when sessions have been failing without progress, and what had been stored by then.
        let mut failing = None;
        loop {
            let chosen = match next.take() {
                Some(chosen) => chosen,
                None => {
                    let status = &self.status;
                    let choosing = self.pool.choose(|trouble| report(status, trouble));
                    tokio::select! {
                        chosen = choosing => chosen,
                        () = stop.cancelled() => return Ok(()),
                        () = self.goal.out_of_patience() => return Err(self.unusable()),
                    }
                }
            };
            self.status.send_modify(|status| {
                status.rpc = Some(chosen.node.host().to_owned());
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
                    self.leave(&chosen, &error);
                    self.check_patience(&mut failing)?;
                }
                Err(Setback::Moved(why)) => {
                    debug!(why, "reading again from what is stored");
                    let at = place.as_ref().map(|place| place.window.base());
                    moves = if moves.1 == at {
                        (moves.0 + 1, at)
                    } else {
                        (1, at)
                    };
                    if moves.0 > MOST_MOVES {
                        // A node that contradicts itself for so long is broken.
                        self.leave(&chosen, &RpcError::unavailable(why));
                        self.check_patience(&mut failing)?;
                    } else {
                        tokio::time::sleep(BREATH).await;
                        next = Some(chosen);
                    }
                }
                Err(Setback::Store(error)) => return Err(error),
            }
        }
    }

    /// The node failed: says so, and lets the pool decide what comes next.
    fn leave(&self, chosen: &Chosen, error: &RpcError) {
        let trouble = format!("{}: {error}", chosen.node.host());
        report(&self.status, &trouble);
        let mut worked = false;
        self.status.send_modify(|status| {
            worked = status.at_tip;
            status.set_at_tip(false, Instant::now());
        });
        self.pool.failed(chosen, worked, error);
    }

    /// Follows on one node for as long as that works.
    async fn session(
        &mut self,
        chosen: &Chosen,
        place: &mut Option<Place>,
        stop: &CancellationToken,
    ) -> Result<End, Setback> {
        let node = &chosen.node;
        // What an earlier session was storing when it failed must be seen before anything is read again.
        self.committer.ledger.settle().await;
        let mut head = self.head(node).await?;
        let is_new = place.is_none();
        let place = match place {
            Some(place) => place,
            None => place.insert(self.begin(node, &head).await?),
        };
        // An attempt that failed may have taken in processors from blocks that it did not store.
        place.watch.rewind(place.window.tip().number);
        // A start from nothing has just read its block from this node.
        if !is_new || self.committer.is_anchored() {
            self.check_stored_chain(node, place).await?;
        }
        while self.is_far(place, &head) {
            self.show_head(&head);
            let started = Instant::now();
            self.backfill(node, place, &head).await?;
            // An index need not chase a tip that has moved only a little.
            if matches!(self.goal, Goal::Follow) || started.elapsed() > STALE {
                head = self.head(node).await?;
            }
        }
        match self.goal {
            Goal::Follow => {
                let is_mute = self.mute.get(&chosen.place) >= Some(&MOST_SILENCES);
                let mut heads = Heads::open(node, is_mute).await;
                // After subscribing: what comes in between is not pushed.
                head = self.head(node).await?;
                heads.starts_at(&head);
                self.follow_tip(chosen, place, heads, head, stop).await
            }
            Goal::Index { .. } => self.finish_index(chosen, place, head).await,
        }
    }

    /// Follows the last blocks up to the goal.
    async fn finish_index(
        &mut self,
        chosen: &Chosen,
        place: &mut Place,
        head: Header,
    ) -> Result<End, Setback> {
        let node = &chosen.node;
        let mut joining = Joining::new(chosen, self);
        let mut modules = self.modules.clone();
        let from = place.window.base().number + 1;
        loop {
            let mut step = self
                .advance(node, place, std::slice::from_ref(&head))
                .await?;
            if step == Step::Done {
                // There may be no later run that looks again.
                place.unsure.hurry();
                step = self.look_again(node, place).await?;
            }
            match step {
                Step::Done => break,
                Step::Repaired => {}
                Step::Reorganised => self.recover(node, place).await?,
            }
            if self.is_far(place, &head) {
                return Err(Setback::Moved("far behind the goal".to_owned()));
            }
        }
        self.save(place).await?;
        loop {
            self.take_modules(node, &mut modules, place, &mut joining)
                .await?;
            if joining.is_done() {
                break;
            }
            if let Some(caught) = joining.next().await {
                self.join(node, place, &mut joining, caught).await?;
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
    async fn head(&self, node: &Node) -> Result<Header, Setback> {
        let latest = heads::newest(node).await?;
        let Goal::Index { to, .. } = &self.goal else {
            return Ok(latest);
        };
        let confirmed = latest.number.saturating_sub(self.config.confirmations);
        let to = to.unwrap_or(confirmed).min(confirmed);
        if to == latest.number {
            return Ok(latest);
        }
        self.known_header(node, to).await
    }

    /// Blocks on top of an event's block before it counts; the goal of an index is confirmed already.
    pub(super) fn confirmations(&self) -> u64 {
        match self.goal {
            Goal::Follow => self.config.confirmations,
            Goal::Index { .. } => 0,
        }
    }

    /// Stores the eventless blocks that are not stored yet.
    pub(super) async fn save(&mut self, place: &Place) -> Result<(), Setback> {
        let (modules, to) = (place.watch.modules(), place.window.base());
        let unsure = place.unsure.up_to(to.number);
        self.committer.save(modules, to, unsure).await
    }

    /// Whether the head is so far away that ranges are read up to near it.
    pub(super) fn is_far(&self, place: &Place, head: &Header) -> bool {
        let allowed = FAR + self.confirmations();
        head.number.saturating_sub(place.window.tip().number) > allowed
    }

    /// Shows the newest head in the status.
    pub(super) fn show_head(&self, head: &Header) {
        let head = head.checkpoint();
        self.status.send_if_modified(|status| {
            let changed = status.head != Some(head);
            status.head = Some(head);
            changed
        });
    }
}

/// Says in the status why the chain cannot be followed at the moment.
fn report(status: &Sender<ChainStatus>, trouble: &str) {
    status.send_if_modified(|status| {
        let changed = status.trouble.as_deref() != Some(trouble);
        status.trouble = Some(trouble.to_owned());
        status.behind_since.get_or_insert_with(Instant::now);
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
