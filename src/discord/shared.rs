//! What the handle, the workers and the gateway share: per server the outbox, the roles and the standing errors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::ensure;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Notify, OnceCell, Semaphore, mpsc, watch};

use super::Settings;
use super::backoff::rare_delay;
use super::oauth::SignIns;
use super::requests::Requests;
use super::rest::Rest;
use super::seen::Seen;
use super::server::hierarchy::GuildRoles;
use super::server::{Next, Origin, Queue};
use crate::domain::{DiscordStatus, GuildId, MembersIntent, RoleId, ServerStatus, UserId};
use crate::text;

/// The roles of a server are read at most this often, however many role events come.
const READ_GAP: Duration = Duration::from_secs(1);

/// Servers whose roles are read at the same time.
const ROLE_READS: usize = 10;

/// How long role changes wait for a reading of the roles.
const PATIENCE: Duration = Duration::from_secs(2);

/// The shared state.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) rest: Rest,
    /// Requests for members over the gateway.
    pub(crate) requests: Requests,
    pub(super) sign_ins: SignIns,
    /// What those who manage a server are judged by.
    pub(super) seen: Seen,
    /// The bot's user id, once it was asked for.
    pub(super) bot: OnceCell<UserId>,
    state: Mutex<State>,
    pub(super) status: watch::Sender<DiscordStatus>,
    /// Servers that need a worker.
    new_guilds: mpsc::UnboundedSender<GuildId>,
    /// Servers whose roles are read by their workers at the same time.
    pub(super) role_reads: Semaphore,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    guilds: BTreeMap<GuildId, Guild>,
    /// While Discord refuses the token: nothing is sent before this moment, and how often it did in a row.
    token_refused: Option<(Instant, u32)>,
}

/// One server.
#[derive(Debug, Default)]
pub(crate) struct Guild {
    pub(crate) queue: Queue,
    pub(crate) roles: Option<Arc<GuildRoles>>,
    /// The roles that gates use, as last observed.
    pub(super) watched: BTreeSet<RoleId>,
    pub(super) read_at: Option<Instant>,
    /// Whether the last try got no answer.
    pub(super) is_unreadable: bool,
    /// How often in a row Discord refused that.
    pub(super) read_refusals: u32,
    /// When the roles are to be read again, and whether because something there has changed.
    pub(super) read_next: Option<(Instant, bool)>,
    /// What is shown of it, but for the queue.
    pub(super) shown: ServerStatus,
    pub(crate) wake: Arc<Notify>,
}

impl Shared {
    /// The state, and the servers that need a worker from now on.
    pub(crate) fn new(
        settings: &Settings,
        token: &SecretString,
        status: watch::Sender<DiscordStatus>,
    ) -> anyhow::Result<(Self, mpsc::UnboundedReceiver<GuildId>)> {
        let text = token.expose_secret().trim();
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(
            fits,
            "the bot token is empty or has characters that no token has: set AMSER_ROLES_DISCORD_TOKEN"
        );
        status.send_modify(|status| status.members_intent = settings.members_intent);
        let (new_guilds, to_start) = mpsc::unbounded_channel();
        let shared = Self {
            rest: Rest::new(settings, token)?,
            requests: Requests::default(),
            sign_ins: SignIns::default(),
            seen: Seen::default(),
            bot: OnceCell::new(),
            state: Mutex::default(),
            status,
            new_guilds,
            role_reads: Semaphore::new(ROLE_READS),
        };
        Ok((shared, to_start))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the Discord state does not panic")
    }

    /// Works on a server's state, which is made when there is none, and shows its standing errors.
    pub(crate) fn with<T>(&self, id: GuildId, change: impl FnOnce(&mut Guild) -> T) -> T {
        let mut state = self.state();
        let guild = state.guilds.entry(id).or_insert_with(|| {
            // Nobody may be there to start workers; then nothing is sent either.
            let _unheard = self.new_guilds.send(id);
            Guild {
                read_next: Some((Instant::now(), false)),
                ..Guild::default()
            }
        });
        let result = change(guild);
        self.publish(&state, id);
        result
    }

    /// As [`Shared::with`], and wakes the server's worker.
    pub(crate) fn change<T>(&self, id: GuildId, change: impl FnOnce(&mut Guild) -> T) -> T {
        self.with(id, |guild| {
            guild.wake.notify_one();
            change(guild)
        })
    }

    /// As [`Shared::change`], for servers that matter already.
    pub(crate) fn change_known(&self, id: GuildId, change: impl FnOnce(&mut Guild)) {
        if self.state().guilds.contains_key(&id) {
            self.change(id, change);
        }
    }

    /// Publishes whether the gateway is connected.
    pub(crate) fn connected(&self, connected: bool) {
        self.status.send_if_modified(|status| {
            std::mem::replace(&mut status.connected, connected) != connected
        });
    }

    /// Whether member events are asked for.
    pub(crate) fn members_intent(&self) -> MembersIntent {
        self.status.borrow().members_intent
    }

    /// Discord refuses the privileged intent: the gateway goes on without it.
    pub(crate) fn refuse_members_intent(&self) {
        let refused = |status: &mut DiscordStatus| {
            let was_used = status.members_intent == MembersIntent::Used;
            if was_used {
                status.members_intent = MembersIntent::Refused;
                tracing::warn!("{}", text::intent_refused());
            }
            was_used
        };
        self.status.send_if_modified(refused);
    }

    /// Waits until Discord refuses the privileged intent.
    pub(crate) async fn until_members_intent_refused(&self) {
        let mut status = self.status.subscribe();
        let refused = status.wait_for(|status| status.members_intent == MembersIntent::Refused);
        // The sender lives in `self`.
        let _refused = refused.await;
    }

    /// Reads the servers that matter.
    pub(super) fn look<T>(&self, at: impl FnOnce(&BTreeMap<GuildId, Guild>) -> T) -> T {
        at(&self.state().guilds)
    }

    /// Shows a server and its standing errors, where that changed.
    fn publish(&self, state: &State, id: GuildId) {
        let Some(guild) = state.guilds.get(&id) else {
            return;
        };
        let server = guild.matters().then(|| ServerStatus {
            queued: guild.queue.len(),
            queue_wait: guild.queue.wait_time(),
            ..guild.shown.clone()
        });
        let mut failing: BTreeMap<_, _> = guild
            .queue
            .troubles
            .sentences()
            .map(|(scope, text)| ((id, scope), text.to_owned()))
            .collect();
        if state.token_refused.is_some() {
            failing.insert((id, None), text::token_refused());
        }
        self.status.send_if_modified(|status| {
            let is_changed = status.servers.get(&id) != server.as_ref();
            match server {
                Some(server) => _ = status.servers.insert(id, server),
                None => _ = status.servers.remove(&id),
            }
            let shown = status
                .failing
                .range((id, None)..=(id, Some(RoleId(u64::MAX))));
            if shown.clone().eq(failing.iter()) {
                return is_changed;
            }
            let gone: Vec<_> = shown
                .map(|(key, _)| *key)
                .filter(|key| !failing.contains_key(key))
                .collect();
            for key in gone {
                status.failing.remove(&key);
                tracing::info!(guild = %id, role = key.1.map(tracing::field::display), "what was wrong is repaired");
            }
            for (key, sentence) in &failing {
                if status.failing.get(key) != Some(sentence) && state.token_refused.is_none() {
                    let role = key.1.map(tracing::field::display);
                    tracing::warn!(guild = %id, role, sentence, "roles cannot be changed here until it is repaired");
                }
            }
            status.failing.append(&mut failing);
            true
        });
    }

    /// Notes whether Discord accepts the token; while it does not, nothing but a rare try is sent.
    pub(crate) fn token(&self, accepted: bool) {
        let mut state = self.state();
        let refused = (!accepted).then(|| {
            let times = state.token_refused.map_or(0, |(_, times)| times);
            (Instant::now() + rare_delay(times), times.saturating_add(1))
        });
        let before = std::mem::replace(&mut state.token_refused, refused);
        if before.is_some() != refused.is_some() {
            if !accepted {
                // The gateway refuses it as well, which ends the service with this sentence.
                tracing::debug!("{}", text::token_refused());
            }
            for (id, guild) in &state.guilds {
                guild.wake.notify_one();
                self.publish(&state, *id);
            }
        }
    }

    /// What a server's worker is to do now; `is_reading` while it reads the roles already.
    pub(crate) fn step(&self, id: GuildId, is_reading: bool) -> Step {
        let mut state = self.state();
        let now = Instant::now();
        let refused = state.token_refused;
        let Some(guild) = state.guilds.get_mut(&id) else {
            return Step::Sleep(None);
        };
        // Standing errors are looked after from time to time, in case the event of their repair was missed.
        let look = guild
            .read_at
            .and_then(|at| guild.queue.troubles.next_check(at));
        let read = guild.read_next.map(|(at, _)| at).or(look);
        let read = read.filter(|_| !is_reading);
        let step = if read.is_some_and(|at| at <= now) {
            // What is read tells which changes Discord would refuse; but one hanging answer is enough to wait for.
            let patience = if guild.is_unreadable {
                Duration::ZERO
            } else {
                PATIENCE
            };
            Step::ReadRoles { patience }
        } else if let Some(next) = guild.queue.peek(now) {
            Step::Send(next)
        } else {
            return Step::Sleep(guild.queue.next_at().into_iter().chain(read).min());
        };
        match refused {
            Some((until, _)) if now < until => Step::Sleep(Some(until)),
            Some((_, times)) => {
                // One worker finds out; the others wait for what it finds.
                state.token_refused = Some((now + rare_delay(times), times));
                step
            }
            None => step,
        }
    }
}

impl Guild {
    /// The roles are to be read again; `changed` when something there has changed.
    pub(crate) fn read_again(&mut self, changed: bool) {
        let now = Instant::now();
        let earliest = self
            .read_at
            .map_or(now, |read_at| now.max(read_at + READ_GAP));
        let (at, already) = self.read_next.unwrap_or((earliest, false));
        self.read_next = Some((at.min(earliest), already || changed));
    }

    /// From now on these roles matter, and no others but those of outstanding changes.
    pub(crate) fn watch(&mut self, wanted: &BTreeSet<RoleId>) {
        self.watched.clone_from(wanted);
        if !self.matters() {
            self.queue.troubles = Default::default();
        }
    }

    /// Whether there is anything to tell of the server.
    fn matters(&self) -> bool {
        !self.watched.is_empty() || self.queue.len() > 0
    }

    /// The bot is not in the server, which is a trouble where it is wanted there.
    pub(crate) fn gone(&mut self, id: GuildId) {
        if !self.matters() {
            return;
        }
        let sentence = text::not_in_guild(&self.name(id));
        self.queue
            .troubles
            .note(None, sentence, Origin::Seen, Instant::now());
    }

    pub(crate) fn name(&self, id: GuildId) -> String {
        self.roles
            .as_ref()
            .map_or_else(|| text::nameless(id), |roles| roles.name.clone())
    }
}

/// What a worker does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Read the server's roles. Role changes wait for so long, and then go on with what was known before.
    ReadRoles { patience: Duration },
    /// Send the first change, which is of this kind.
    Send(Next),
    /// Wait for a signal, or until this moment.
    Sleep(Option<Instant>),
}
