//! The loop that keeps Discord in step: looks at what changed, plans, makes intents durable, and hands them over.
//!
//! Level-triggered: each tick recomputes the difference between what should be and what is, for the people whose
//! evidence changed. The only caller of plan *and* apply.

mod answer;
mod asking;
mod brake;
mod cause;
mod confirm;
mod contested;
mod delay;
mod desired;
mod expected;
pub mod fallback;
mod feed;
pub mod flips;
mod intents;
pub mod members;
mod observe;
pub mod people;
pub mod plan;
mod preview;
mod reading;
mod standing;
mod tick;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::discord::{Discord, Observation, Report};
use crate::domain::{
    ChainStatus, Counts, DiscordStatus, DriftMode, MemberRole, ModuleAddress, Policy, Question,
    Timestamp,
};
use crate::store::Store;
use crate::views::Views;
use asking::Confirming;
use brake::Brake;
use contested::Contests;
use fallback::Fallback;
use people::People;
use reading::Reading;

pub use answer::plan_once;
pub use cause::to_changes;

/// Everyone is checked this often, whatever was or was not noticed in between.
const FULL_PASS: Duration = Duration::from_secs(300);
/// What waits for a moment is looked after this often: the end of a grant or a pause, the beginning of fallback, the status
/// page's numbers.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Reports and observations that are taken in one turn: whatever else waits has its turn after so many.
const MOST_AT_ONCE: usize = 1_000;

/// What the loop is wired to.
#[derive(Debug)]
pub struct Inputs {
    /// The follower's view; its confirmed block is the clock.
    pub chain: watch::Receiver<ChainStatus>,
    /// Discord's standing errors, and whether member events come.
    pub discord_status: watch::Receiver<DiscordStatus>,
    /// What the gateway sees.
    pub observations: mpsc::UnboundedReceiver<Observation>,
    /// What became of role changes.
    pub reports: mpsc::Receiver<Report>,
    /// What pages and commands ask.
    pub questions: mpsc::Receiver<Question>,
    /// Where the numbers for the status page go.
    pub counts: watch::Sender<Counts>,
    /// The modules that gates ask about and those of merchants, for the follower.
    pub modules: watch::Sender<BTreeSet<ModuleAddress>>,
    /// Told when gates may have come, gone or been changed.
    pub gates_changed: Arc<Notify>,
    /// The contracts' own view of who has access.
    pub views: Views,
    /// amser's API, for while the chain cannot be followed.
    pub fallback: Fallback,
    /// `[policy]` at the start; the store tells of another one.
    pub policy: Policy,
}

/// Runs until `stop`.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn run(
    store: Store,
    discord: Discord,
    inputs: Inputs,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut roles = Roles::load(store, discord, inputs).await?;
    roles.run(stop).await
}

/// The loop's state: a mirror of what is and what is under way. All of it can be rebuilt.
struct Roles {
    store: Store,
    discord: Discord,
    inputs: Inputs,
    people: People,
    reading: Reading,
    confirming: Confirming,
    brake: Brake,
    contested: Contests,
    progress: Progress,
}

/// How far the loop came.
struct Progress {
    /// Whether the chain has been followed to its tip since the start.
    reached_tip: bool,
    /// More changed than was listed, while history was being read: everything is loaded when the tip is reached.
    reload_at_tip: bool,
    /// Whether the next plan is about everyone.
    full_pass: bool,
    /// Whether roles may have been given on the word of amser's API that the chain has not confirmed: so after a fallback, and
    /// after a start, before which there may have been one. They are looked at with everyone.
    has_vouched: bool,
    /// The grants that the last run left open, while they were not sent again.
    left_open: BTreeSet<MemberRole>,
    /// The clock of the last tick, to notice when a reorganisation turns it back.
    last_now: Timestamp,
    /// Whether the numbers for the status page may have changed, and when they may be counted again.
    counts_due: (bool, Instant),
}

impl Roles {
    async fn load(store: Store, discord: Discord, inputs: Inputs) -> anyhow::Result<Self> {
        let policy = inputs.policy;
        let mut roles = Self {
            store,
            discord,
            inputs,
            people: People::new(policy),
            reading: Reading::new(Instant::now()),
            confirming: Confirming::default(),
            brake: Brake::default(),
            contested: Contests::default(),
            progress: Progress {
                reached_tip: false,
                reload_at_tip: false,
                full_pass: true,
                has_vouched: true,
                left_open: BTreeSet::new(),
                last_now: Timestamp::default(),
                counts_due: (true, Instant::now()),
            },
        };
        // What was touched so far is part of what is loaded now.
        drop(roles.store.take_touched());
        roles.reload().await?;
        roles.load_brake().await?;
        roles.load_mode().await?;
        roles.read_on();
        Ok(roles)
    }

    async fn run(&mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut full_pass = tokio::time::interval(FULL_PASS);
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        let (mut reports, mut observations) = (Vec::new(), Vec::new());
        // The start looks at everyone anyway.
        full_pass.tick().await;
        loop {
            let is_fallback = self.mode() != DriftMode::Chain;
            let answers = self.inputs.fallback.answers.clone();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                1.. = self.inputs.reports.recv_many(&mut reports, MOST_AT_ONCE) => {
                    self.take_reports(std::mem::take(&mut reports)).await?;
                }
                () = self.store.changed() => {}
                changed = self.inputs.chain.changed() => {
                    // At the stop the follower may be the first to end.
                    if changed.is_err() && stop.is_cancelled() {
                        return Ok(());
                    }
                    changed.context("the chain follower ended")?;
                }
                1.. = self.inputs.observations.recv_many(&mut observations, MOST_AT_ONCE) => {
                    for observation in observations.drain(..) {
                        self.take_observation(observation);
                    }
                }
                Some(answer) = self.reading.requests.join_next() => {
                    self.take_answer(answer.context("reading members failed")?);
                }
                Some(answers) = self.confirming.asking.join_next() => {
                    self.take_answers(answers.context("asking the contracts failed")?);
                }
                Some(seen) = self.contested.asking.join_next() => {
                    self.take_audit_log(seen.context("reading an audit log failed")?).await?;
                }
                Some(question) = self.inputs.questions.recv() => self.answer(question).await?,
                () = answers.heard(), if is_fallback => {}
                _ = heartbeat.tick() => self.count(),
                _ = full_pass.tick() => {
                    self.end_contests();
                    self.touch_everyone();
                }
            }
            self.tick().await?;
            self.tell_synced();
            self.tell_previews();
        }
    }
}

/// Works with the store on a thread that may block.
async fn blocking<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&Store) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let store = store.clone();
    tokio::task::spawn_blocking(move || work(&store))
        .await
        .context("the store's thread failed")?
}
