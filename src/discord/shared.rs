//! What the handle, the workers and the gateway share: per server the outbox, the roles and the standing errors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::ensure;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serenity::http::{LightMethod, Request, Route};
use tokio::sync::{Notify, OnceCell, mpsc, watch};
use tokio::time::Instant;

use super::error::{Failure, Reason};
use super::hierarchy::{GuildRoles, Role};
use super::observe::Meanwhile;
use super::outbox::{Queue, STUCK};
use super::rest::Rest;
use super::{Settings, text};
use crate::domain::{DiscordStatus, GuildId, RoleAction, RoleChange, RoleId, UserId};

/// The roles of a server are read at most this often, however many role events come.
const READ_GAP: Duration = Duration::from_secs(1);
/// After the roles could not be read; role changes go on meanwhile without them.
const READ_AGAIN: Duration = Duration::from_secs(10);

/// The shared state.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) rest: Rest,
    bot: OnceCell<UserId>,
    state: Mutex<State>,
    status: watch::Sender<DiscordStatus>,
    /// Servers that need a worker; its receiver is taken by the one that starts them.
    new_guilds: mpsc::UnboundedSender<GuildId>,
    pub(crate) to_start: Mutex<Option<mpsc::UnboundedReceiver<GuildId>>>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    guilds: BTreeMap<GuildId, Guild>,
    /// Set while Discord refuses the token: nothing is sent before.
    token_held: Option<Instant>,
}

/// One server.
#[derive(Debug, Default)]
pub(crate) struct Guild {
    pub(crate) queue: Queue,
    pub(crate) roles: Option<Arc<GuildRoles>>,
    /// The roles that gates use, as last observed.
    watched: BTreeSet<RoleId>,
    read_at: Option<Instant>,
    /// When the roles are to be read again, and whether because something there has changed.
    read_next: Option<(Instant, bool)>,
    /// Observations that are being made.
    pub(crate) meanwhile: BTreeMap<u64, Meanwhile>,
    pub(crate) wake: Arc<Notify>,
}

impl Shared {
    pub(crate) fn new(
        settings: &Settings,
        token: &SecretString,
        status: watch::Sender<DiscordStatus>,
    ) -> anyhow::Result<Self> {
        let text = token.expose_secret().trim();
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(
            fits,
            "the bot token is empty or has characters that no token has: set AMSER_ROLES_DISCORD_TOKEN"
        );
        let (new_guilds, to_start) = mpsc::unbounded_channel();
        Ok(Self {
            rest: Rest::new(settings, token)?,
            bot: OnceCell::new(),
            state: Mutex::default(),
            status,
            new_guilds,
            to_start: Mutex::new(Some(to_start)),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the Discord state does not panic")
    }

    pub(crate) fn pending(&self) -> usize {
        self.state()
            .guilds
            .values()
            .map(|guild| guild.queue.len())
            .sum()
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

    /// Replaces a member's outstanding changes.
    pub(crate) fn set(&self, id: GuildId, user: UserId, changes: Vec<RoleChange>) {
        let now = Instant::now().into_std();
        if changes.is_empty() {
            if let Some(guild) = self.state().guilds.get_mut(&id) {
                guild.queue.set(user, changes, now);
            }
        } else {
            self.change(id, |guild| guild.queue.set(user, changes, now));
        }
    }

    /// Publishes whether the gateway is connected.
    pub(crate) fn connected(&self, connected: bool) {
        self.status.send_if_modified(|status| {
            std::mem::replace(&mut status.connected, connected) != connected
        });
    }

    fn publish(&self, state: &State, id: GuildId) {
        let Some(guild) = state.guilds.get(&id) else {
            return;
        };
        let mut failing: BTreeMap<_, _> = guild
            .queue
            .standing
            .sentences()
            .map(|(scope, text)| ((id, scope), text.to_owned()))
            .collect();
        if state.token_held.is_some() {
            failing.insert((id, None), text::token_refused());
        }
        self.status.send_if_modified(|status| {
            let shown = status
                .failing
                .range((id, None)..=(id, Some(RoleId(u64::MAX))));
            if shown.clone().eq(failing.iter()) {
                return false;
            }
            let gone: Vec<_> = shown
                .map(|(key, _)| *key)
                .filter(|key| !failing.contains_key(key))
                .collect();
            for key in gone {
                status.failing.remove(&key);
            }
            status.failing.append(&mut failing);
            true
        });
    }

    /// Notes whether Discord accepts the token; while it does not, nothing but a rare try is sent.
    pub(crate) fn token(&self, accepted: bool) {
        let mut state = self.state();
        let held = (!accepted).then(|| Instant::now() + STUCK);
        let changed = state.token_held.is_some() != held.is_some();
        state.token_held = held;
        if changed {
            if !accepted {
                tracing::error!("{}", text::token_refused());
            }
            for (id, guild) in &state.guilds {
                guild.wake.notify_one();
                self.publish(&state, *id);
            }
        }
    }

    /// What a server's worker is to do now.
    pub(crate) fn step(&self, id: GuildId) -> Step {
        let mut state = self.state();
        let now = Instant::now();
        let held = state.token_held;
        let Some(guild) = state.guilds.get_mut(&id) else {
            return Step::Sleep(None);
        };
        // Standing errors are looked after from time to time, in case the event of their repair was missed.
        let look = guild
            .read_at
            .filter(|_| guild.queue.standing.is_any())
            .map(|at| at + STUCK);
        let read = guild.read_next.map(|(at, _)| at).or(look);
        let step = if read.is_some_and(|at| at <= now) {
            Step::ReadRoles
        } else if let Some(action) = guild.queue.peek(now.into_std()) {
            Step::Send(action)
        } else {
            return Step::Sleep(
                guild
                    .queue
                    .next_at()
                    .map(Instant::from_std)
                    .into_iter()
                    .chain(read)
                    .min(),
            );
        };
        match held {
            Some(until) if now < until => Step::Sleep(Some(until)),
            Some(_) => {
                // One worker finds out; the others wait for what it finds.
                state.token_held = Some(now + STUCK);
                step
            }
            None => step,
        }
    }

    /// The bot's user id.
    async fn bot(&self) -> Result<UserId, Failure> {
        #[derive(Deserialize)]
        struct User {
            id: UserId,
        }
        let read = async {
            let user: User = self
                .rest
                .call(Request::new(Route::UserMe, LightMethod::Get))
                .await?;
            Ok(user.id)
        };
        self.bot.get_or_try_init(|| read).await.copied()
    }

    /// Reads a server's roles and compares them with the standing errors.
    pub(crate) async fn read_roles(&self, id: GuildId) -> Result<Arc<GuildRoles>, Failure> {
        let asked = Instant::now();
        // If this is dropped half-way, they are read again.
        let (mark, changed) = self.with(id, |guild| {
            let changed = guild.read_next.is_some_and(|(_, changed)| changed);
            (
                *guild.read_next.insert((asked + READ_AGAIN, changed)),
                changed,
            )
        });
        let result = self.fetch_roles(id).await;
        let now = Instant::now();
        match result {
            Ok(roles) => {
                self.token(true);
                let roles = Arc::new(roles);
                self.change(id, |guild| {
                    let moved = guild.roles.as_ref().is_some_and(|known| *known != roles);
                    guild.roles = Some(Arc::clone(&roles));
                    guild.read_at = Some(asked);
                    // An event that came meanwhile has put another moment here.
                    guild.read_next.take_if(|next| *next == mark);
                    let wanted: BTreeSet<_> =
                        guild.watched.union(&guild.queue.roles()).copied().collect();
                    guild.queue.standing.review(
                        id,
                        &roles,
                        &wanted,
                        changed || moved,
                        now.into_std(),
                    );
                });
                Ok(roles)
            }
            Err(failure) => {
                let reason = failure.reason();
                if reason == Some(Reason::Token) {
                    self.token(false);
                }
                self.change(id, |guild| {
                    if reason == Some(Reason::Guild) {
                        guild.gone(id);
                    }
                    if reason.is_some() {
                        guild.read_next = guild.read_next.filter(|next| *next != mark);
                        guild.read_next.get_or_insert((now + STUCK, changed));
                    }
                });
                Err(failure)
            }
        }
    }

    async fn fetch_roles(&self, id: GuildId) -> Result<GuildRoles, Failure> {
        let bot = self.bot().await?;
        let guild_id = snowflake(id.0).into();
        let guild: GuildBody = self
            .rest
            .call(Request::new(Route::Guild { guild_id }, LightMethod::Get))
            .await?;
        let user_id = snowflake(bot.0).into();
        let route = Route::GuildMember { guild_id, user_id };
        let member: MemberBody = self
            .rest
            .call(Request::new(route, LightMethod::Get))
            .await?;
        let roles = guild
            .roles
            .into_iter()
            .map(|role| (role.id, Role::from(role)))
            .collect();
        Ok(GuildRoles {
            name: guild.name,
            roles,
            held: member.roles,
            owned: guild.owner_id == bot,
        })
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

    /// From now on these roles matter.
    pub(crate) fn watch(&mut self, wanted: &BTreeSet<RoleId>) {
        self.watched.clone_from(wanted);
    }

    /// The bot is not in the server.
    pub(crate) fn gone(&mut self, id: GuildId) {
        let sentence = text::not_in_guild(&self.name(id));
        self.queue
            .standing
            .seen(None, sentence, Instant::now().into_std());
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
    /// Read the server's roles.
    ReadRoles,
    /// Send the first change, which is of this kind.
    Send(RoleAction),
    /// Wait for a signal, or until this moment.
    Sleep(Option<Instant>),
}

#[derive(Deserialize)]
struct GuildBody {
    name: String,
    owner_id: UserId,
    roles: Vec<RoleBody>,
}

#[derive(Deserialize)]
struct MemberBody {
    roles: Vec<RoleId>,
}

#[derive(Deserialize)]
struct RoleBody {
    id: RoleId,
    name: String,
    position: i64,
    permissions: String,
    managed: bool,
}

impl From<RoleBody> for Role {
    fn from(
        RoleBody {
            name,
            position,
            permissions,
            managed,
            ..
        }: RoleBody,
    ) -> Self {
        // Discord writes the bits as a decimal string; what is no number gives no permission.
        Self {
            name,
            position,
            permissions: permissions.parse().unwrap_or(0),
            managed,
        }
    }
}

/// serenity refuses the id 0, which no object has; 1 is no object either and is answered with "unknown".
pub(crate) fn snowflake(id: u64) -> std::num::NonZeroU64 {
    std::num::NonZeroU64::new(id).unwrap_or(std::num::NonZeroU64::MIN)
}
