//! The loop that keeps Discord in step: looks at what changed, plans, makes intents durable, and hands changes over.
//!
//! Level-triggered: each tick recomputes the difference between what should be and what is, for the members whose
//! evidence changed. The only caller of plan *and* apply.

mod answer;
mod cause;
mod observe;
mod report;
mod settle;
mod tick;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::discord::{Discord, Observation, Reading, Report};
use crate::domain::{
    ChainStatus, Counts, DiscordStatus, GuildId, ModuleAddress, Policy, Question, RoleAction,
    RoleChange, RoleId, SyncOutcome, UserId,
};
use crate::planner::Held;
use crate::roster::Roster;
use crate::store::Store;

pub use answer::{plan_once, standing};
pub use cause::to_changes;

/// Everyone is checked this often, whatever was or was not noticed in between.
const FULL_PASS: Duration = Duration::from_secs(300);
/// Servers are read anew this often, in case the gateway missed something.
const OBSERVE_AGAIN: Duration = Duration::from_secs(3_600);

/// The status page's numbers are looked after this often.
const COUNT: Duration = Duration::from_millis(500);

/// What the loop is wired to.
#[derive(Debug)]
pub struct Inputs {
    /// The follower's view; its confirmed block is the clock.
    pub chain: watch::Receiver<ChainStatus>,
    /// Discord's standing errors.
    pub discord_status: watch::Receiver<DiscordStatus>,
    /// What the gateway sees.
    pub observations: mpsc::Receiver<Observation>,
    /// What became of role changes.
    pub reports: mpsc::Receiver<Report>,
    /// What pages and commands ask.
    pub questions: mpsc::Receiver<Question>,
    /// Where the numbers for the status page go.
    pub counts: watch::Sender<Counts>,
    /// The modules that gates ask about, for the follower.
    pub modules: watch::Sender<BTreeSet<ModuleAddress>>,
}

/// Runs until `stop`.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn run(
    store: Store,
    discord: Discord,
    policy: Policy,
    inputs: Inputs,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut reconcile = Reconcile::load(store, discord, policy, inputs).await?;
    reconcile.run(stop).await
}

/// The loop's state: a mirror of what is and what is under way. All of it can be rebuilt.
struct Reconcile {
    store: Store,
    discord: Discord,
    roster: Roster,
    chain: watch::Receiver<ChainStatus>,
    discord_status: watch::Receiver<DiscordStatus>,
    counts: watch::Sender<Counts>,
    modules: watch::Sender<BTreeSet<ModuleAddress>>,
    observations: mpsc::Receiver<Observation>,
    reports: mpsc::Receiver<Report>,
    questions: mpsc::Receiver<Question>,
    /// Changes handed to the outbox and not acknowledged, by member.
    outstanding: BTreeMap<(GuildId, UserId), Vec<RoleChange>>,
    /// The newest confirmed block when each change was decided, until it is acknowledged: a change may be done long after
    /// its decision, and even after it became moot.
    decided_at: HashMap<(GuildId, UserId, RoleId, RoleAction), u64>,
    /// Members whose revokes wait for the chain's tip.
    waiting: BTreeSet<UserId>,
    /// Mass removals that were stopped.
    held_back: BTreeMap<(GuildId, RoleId), Held>,
    /// Whether the next plan is about everyone.
    full_pass: bool,
    /// Whether the chain has been followed to its tip since the start.
    reached_tip: bool,
    /// More changed than was listed, while history was being read: everything is loaded when the tip is reached.
    reload_at_tip: bool,
    /// The clock of the last tick, to notice when a reorganisation turns it back.
    last_now: crate::domain::Timestamp,
    /// Members as seen by an event that contradicts a change just acknowledged; settled a moment later.
    doubtful: HashMap<(GuildId, UserId), (Instant, Vec<RoleId>)>,
    /// Members with an intent that could not be settled, because its change may still arrive; when to look again.
    unsettled: BTreeMap<UserId, Instant>,
    /// Changes acknowledged a moment ago.
    fresh: HashMap<(GuildId, UserId), Instant>,
    observing: JoinSet<(GuildId, BTreeSet<RoleId>, anyhow::Result<Reading>)>,
    /// Servers of which an observation is under way.
    under_observation: BTreeMap<GuildId, Underway>,
    /// Servers that could not be read: how often in a row, and what was said of it.
    unreadable: BTreeMap<GuildId, (u32, String)>,
    /// Who waits for a server to be read and checked.
    syncing: BTreeMap<GuildId, Vec<oneshot::Sender<SyncOutcome>>>,
    /// Servers that were read for them and are not told of yet.
    synced: BTreeSet<GuildId>,
    /// Whether the numbers for the status page may have changed, and when they may be counted again.
    counts_due: (bool, Instant),
}

/// An observation of a server that is under way.
struct Underway {
    /// When its first request leaves.
    begins: Instant,
    /// Something may have been missed since: once more.
    again: bool,
}

impl Reconcile {
    async fn load(
        store: Store,
        discord: Discord,
        policy: Policy,
        inputs: Inputs,
    ) -> anyhow::Result<Self> {
        let mut reconcile = Self {
            store,
            discord,
            roster: Roster::new(policy),
            chain: inputs.chain,
            discord_status: inputs.discord_status,
            counts: inputs.counts,
            modules: inputs.modules,
            observations: inputs.observations,
            reports: inputs.reports,
            questions: inputs.questions,
            outstanding: BTreeMap::new(),
            decided_at: HashMap::new(),
            waiting: BTreeSet::new(),
            held_back: BTreeMap::new(),
            full_pass: true,
            reached_tip: false,
            reload_at_tip: false,
            last_now: crate::domain::Timestamp::default(),
            doubtful: HashMap::new(),
            unsettled: BTreeMap::new(),
            fresh: HashMap::new(),
            observing: JoinSet::new(),
            under_observation: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            syncing: BTreeMap::new(),
            synced: BTreeSet::new(),
            counts_due: (true, Instant::now()),
        };
        // What was touched so far is part of what is loaded now.
        drop(reconcile.store.take_touched());
        reconcile.reload().await?;
        Ok(reconcile)
    }

    async fn run(&mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut full_pass = tokio::time::interval(FULL_PASS);
        let mut observe_again = tokio::time::interval(OBSERVE_AGAIN);
        let mut count = tokio::time::interval(COUNT);
        // Their first ticks are immediate, and the start does both anyway.
        full_pass.tick().await;
        observe_again.tick().await;
        loop {
            let settle_at = self.next_settling();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(report) = self.reports.recv() => self.take_reports(report).await?,
                () = self.store.changed() => {}
                changed = self.chain.changed() => changed.context("the chain follower ended")?,
                changed = self.discord_status.changed() => {
                    changed.context("the Discord connection ended")?;
                    self.note_trouble();
                    continue;
                }
                Some(observation) = self.observations.recv() => self.take_observations(observation),
                Some(done) = self.observing.join_next() => {
                    self.take_observed(done.context("reading a server failed")?);
                }
                Some(question) = self.questions.recv() => {
                    self.answer(question).await?;
                    continue;
                }
                () = sleep_until(settle_at) => self.settle_doubts(),
                _ = count.tick() => {
                    self.count();
                    continue;
                }
                _ = full_pass.tick() => self.touch_everyone(),
                _ = observe_again.tick() => self.observe_all(),
            }
            self.tick().await?;
            self.tell_synced();
        }
    }
}

/// Sleeps until then, or for ever.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Runs blocking work of the store on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("the store's thread failed")?
}
