//! Tells people in time: members by direct messages, managers by a log channel, alerts and a weekly digest. Never a condition
//! of what it tells.
//!
//! Nothing is queued. What is to be said follows from what is stored and from the parts' own statuses (`due`, `alerts`); what
//! was said is noted when Discord acknowledged it. A message that is sent again after a crash carries the same nonce, by which
//! Discord knows it.
//!
//! | question | file |
//! |---|---|
//! | what is to be said now | `due` |
//! | which changes a member is told of | `members` |
//! | which renewals a member is warned of | `warnings` |
//! | what is an alert | `alerts` |
//! | the week's numbers | `digest` |
//! | one message, sent and noted | `deliver` |

mod alerts;
mod deliver;
mod digest;
mod due;
mod members;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::clock::sleep_until;
use crate::domain::{
    ChainStatus, ChannelId, DiscordStatus, DriftStatus, GuildId, Message, Policy, RoleId,
    STOP_NOTICES, Timestamp, Unsent, UserId,
};
use crate::forecast::Forecast;
use crate::store::Store;
use crate::text;
use alerts::Holding;
use deliver::{Ended, Job, Lane};
use warnings::{Foretold, Warning};

/// A request to Discord under way.
pub type Sending<T> = Pin<Box<dyn Future<Output = Result<T, Unsent>> + Send>>;
/// Opens the channel for direct messages with a user.
pub type OpenDirect = Arc<dyn Fn(UserId) -> Sending<ChannelId> + Send + Sync>;
/// Sends a message in a channel.
pub type Post = Arc<dyn Fn(ChannelId, Message) -> Sending<()> + Send + Sync>;
/// The name of a server, and of a role in it where it is known.
pub type Names = Arc<dyn Fn(GuildId, RoleId) -> (String, Option<String>) + Send + Sync>;

/// Messages under way at the same time: Discord's requests are needed for roles.
const AT_ONCE: usize = 8;
/// The longest pause before another try where Discord has trouble.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The first and the longest pause where Discord refuses a channel: a person must repair that.
const REFUSED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));

/// When what could not be foretold is asked again.
const RETRY_FORETELLING: Duration = Duration::from_secs(30);

/// What the notices work with.
#[derive(Clone)]
pub struct Inputs {
    /// The journal, and how far it was told.
    pub store: Store,
    /// The follower's view.
    pub chain: watch::Receiver<ChainStatus>,
    /// Standing errors and what is known of each server. Channels that refuse messages are added.
    pub discord: watch::Sender<DiscordStatus>,
    /// Which source decides about roles.
    pub drift: watch::Receiver<DriftStatus>,
    /// `[policy]`, which a server's settings fall back to.
    pub policy: watch::Receiver<Policy>,
    /// Which renewals look unlikely.
    pub forecast: Forecast,
    /// Opens a direct channel.
    pub open_direct: OpenDirect,
    /// Sends a message.
    pub post: Post,
    /// Names of servers and roles.
    pub names: Names,
    /// For links to the chain's explorer.
    pub chain_id: u64,
    /// The machine's clock.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// How long things take.
    pub timing: Timing,
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Lines of a log that come within this time become one message.
    pub gather: Duration,
    /// Statuses are looked at this often.
    pub look: Duration,
    /// An alert begins, and ends, when its cause has been there, and gone, for so long.
    pub hold: Duration,
    /// Renewals are foretold this often.
    pub foretell: Duration,
    /// Direct channels are opened this far apart: Discord stops bots that open many at once.
    pub open: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            gather: Duration::from_millis(200),
            look: Duration::from_secs(1),
            hold: Duration::from_secs(10),
            foretell: Duration::from_secs(600),
            open: Duration::from_secs(1),
        }
    }
}

impl std::fmt::Debug for Inputs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inputs").finish_non_exhaustive()
    }
}

/// Tells until `stop`.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn run(inputs: Inputs, stop: CancellationToken) -> anyhow::Result<()> {
    let mut notices = Notices::new(inputs);
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = notices.tell() => ended,
    }
}

/// The loop's state. All of it can be lost.
struct Notices {
    inputs: Inputs,
    /// When it began (machine clock).
    begun: Timestamp,
    /// Messages under way.
    sending: JoinSet<anyhow::Result<(Lane, Ended)>>,
    busy: BTreeSet<Lane>,
    /// Lanes whose last message was not sent: when it is tried again, and how often it was.
    paused: BTreeMap<Lane, (Instant, u32)>,
    holding: Holding,
    foretelling: JoinSet<Option<Foretold>>,
    /// When it is asked again which renewals look unlikely.
    foretell_at: Instant,
    warnings: Vec<Warning>,
    /// Renewals of the next week that look unlikely, by server; `None`: not known.
    at_risk: Option<BTreeMap<GuildId, usize>>,
    /// Ticks when another direct channel may be opened.
    opening: Arc<Mutex<Interval>>,
}

impl Notices {
    fn new(inputs: Inputs) -> Self {
        let mut opening = tokio::time::interval(inputs.timing.open);
        opening.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            begun: (inputs.clock)(),
            inputs,
            sending: JoinSet::new(),
            busy: BTreeSet::new(),
            paused: BTreeMap::new(),
            holding: Holding::default(),
            foretelling: JoinSet::new(),
            foretell_at: Instant::now(),
            warnings: Vec::new(),
            at_risk: None,
            opening: Arc::new(Mutex::new(opening)),
        }
    }

    async fn tell(&mut self) -> anyhow::Result<()> {
        let timing = self.inputs.timing;
        let mut look = tokio::time::interval(timing.look);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.foretell();
            self.look().await?;
            let paused = self.paused.values().map(|(until, _)| *until);
            let next = paused.filter(|until| *until > Instant::now()).min();
            tokio::select! {
                () = self.inputs.store.notice_added() => {}
                Some(ended) = self.sending.join_next() => {
                    let (lane, ended) = ended.context("sending a message panicked")??;
                    self.ended(lane, ended);
                }
                Some(foretold) = self.foretelling.join_next() => {
                    let foretold = foretold.context("foretelling panicked")?;
                    if foretold.is_none() {
                        // Sooner than usual.
                        self.foretell_at = Instant::now() + timing.foretell.min(RETRY_FORETELLING);
                    }
                    let (warnings, at_risk) = foretold.map(|one| (one.warnings, one.at_risk)).unzip();
                    (self.warnings, self.at_risk) = (warnings.unwrap_or_default(), at_risk);
                }
                () = sleep_until(next) => {}
                _ = look.tick() => {}
            }
            tokio::time::sleep(timing.gather).await;
        }
    }

    /// Starts whatever is to be said and can be said now.
    async fn look(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let paused = self.paused.iter().filter(|(_, (until, _))| *until > now);
        let taken = self.busy.iter().chain(paused.map(|(lane, _)| lane));
        let look = due::Look {
            store: self.inputs.store.clone(),
            chain: self.inputs.chain.borrow().clone(),
            discord: self.inputs.discord.borrow().clone(),
            mode: self.inputs.drift.borrow().mode,
            names: Arc::clone(&self.inputs.names),
            chain_id: self.inputs.chain_id,
            time: (self.inputs.clock)(),
            begun: self.begun,
            instant: now,
            hold: self.inputs.timing.hold,
            taken: taken.copied().collect(),
            room: AT_ONCE.saturating_sub(self.busy.len()),
            holding: std::mem::take(&mut self.holding),
            warnings: std::mem::take(&mut self.warnings),
            at_risk: self.at_risk.clone(),
        };
        let found = tokio::task::spawn_blocking(move || due::jobs(look)).await??;
        self.holding = found.holding;
        self.warnings = found.warnings;
        // One that was replaced is of no concern any more.
        let is_used = |guild: &GuildId, channel: ChannelId| {
            let of = found.settings.get(guild);
            of.is_some_and(|of| [of.log_channel, of.alert_channel].contains(&Some(channel)))
        };
        self.inputs.discord.send_if_modified(|status| {
            let refused = &mut status.channels_refused;
            let unused = refused.extract_if(.., |(guild, channel), _| !is_used(guild, *channel));
            unused.count() > 0
        });
        for job in found.jobs {
            self.send(job);
        }
        Ok(())
    }

    fn send(&mut self, job: Job) {
        let failures = self
            .paused
            .get(&job.lane)
            .map_or(0, |(_, failures)| *failures);
        self.busy.insert(job.lane);
        let (inputs, opening) = (self.inputs.clone(), Arc::clone(&self.opening));
        self.sending
            .spawn(async move { deliver::deliver(&inputs, &opening, job, failures).await });
    }

    fn ended(&mut self, lane: Lane, ended: Ended) {
        self.busy.remove(&lane);
        let failures = self
            .paused
            .remove(&lane)
            .map_or(0, |(_, failures)| failures);
        let pause = match ended {
            Ended::Said => {
                self.show_channel(lane, None);
                return;
            }
            Ended::Later => doubled((Duration::from_millis(500), LONGEST_PAUSE), failures)
                .mul_f64(0.5 + rand::random::<f64>()),
            Ended::Refused(sentence) => {
                self.show_channel(lane, Some(sentence));
                doubled(REFUSED, failures)
            }
        };
        let until = Instant::now() + pause;
        self.paused
            .insert(lane, (until, failures.saturating_add(1)));
    }

    /// Shows whether a server's channel takes messages.
    fn show_channel(&self, lane: Lane, trouble: Option<String>) {
        let Lane::Channel(guild, channel) = lane else {
            return;
        };
        self.inputs.discord.send_if_modified(|status| {
            let key = (guild, channel);
            let is_changed = status.channels_refused.get(&key) != trouble.as_ref();
            match trouble {
                Some(sentence) => {
                    if is_changed {
                        tracing::warn!(%guild, %channel, sentence, "a channel takes no messages");
                    }
                    status.channels_refused.insert(key, sentence);
                }
                None => {
                    status.channels_refused.remove(&key);
                }
            }
            is_changed
        });
    }

    /// Asks which renewals look unlikely, when it is time.
    fn foretell(&mut self) {
        // Before the tip is reached, what is stored is the past.
        if Instant::now() < self.foretell_at
            || !self.inputs.chain.borrow().at_tip
            || !self.foretelling.is_empty()
        {
            return;
        }
        self.foretell_at = Instant::now() + self.inputs.timing.foretell;
        let inputs = self.inputs.clone();
        self.foretelling.spawn(async move {
            let found = warnings::foretell(&inputs).await;
            if let Err(error) = &found {
                let error = format!("{error:#}");
                tracing::info!(error, "members cannot be warned of their renewals yet");
            }
            found.ok()
        });
    }
}

/// The button below direct messages.
fn stop_button() -> (String, String) {
    (text::stop_notices_button(), STOP_NOTICES.to_owned())
}

/// The first pause doubled so many times, up to the longest.
fn doubled((first, longest): (Duration, Duration), times: u32) -> Duration {
    first
        .saturating_mul(2_u32.saturating_pow(times.min(16)))
        .min(longest)
}
