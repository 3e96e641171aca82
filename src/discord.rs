//! Discord: who is there (people), what changes (gateway), and making it so (worker).
//!
//! All REST requests leave through `rest.rs` and its limits; commands plug into the gateway as a serenity framework.

mod audit;
pub(crate) mod backoff;
mod channels;
mod create;
mod direct;
pub(crate) mod error;
mod examine;
mod gateway;
mod invite;
mod limits;
mod managers;
mod member;
mod oauth;
mod people;
mod profile;
mod read;
mod requests;
pub(crate) mod rest;
mod seen;
mod server;
mod shared;
mod worker;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use reqwest::{Method, RequestBuilder};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serenity::framework::Framework;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use audit::{AuditLog, RoleUpdate};
pub use error::{Failure, Reason, Refusal};
pub use examine::{Application, BotUser, Invite, SeenServer, SessionStarts};
pub use gateway::NoCommands;
pub use member::SeenMember;
pub use oauth::OauthApplication;
pub use profile::MemberProfile;

pub use server::hierarchy;

use crate::domain::{
    DiscordStatus, GuildId, Intent, MemberRole, MembersIntent, Outcome, RoleAction, RoleId,
    ServerStatus, UserId,
};
use crate::text;
use shared::Shared;

/// Tries to read a server; with the pauses between them about half a minute.
const READ_TRIES: u32 = 6;

/// Whether something may be logged, whatever the operator asks for: on their talkative levels serenity and the websocket
/// library write gateway payloads and requests, among them the bot token and the answers to members.
///
/// For `tracing_subscriber::filter::filter_fn`, beside the operator's own filter, which could name these targets more
/// precisely than any directive added to it.
pub fn may_log(metadata: &tracing::Metadata<'_>) -> bool {
    const CEILINGS: [(&str, tracing::Level); 4] = [
        ("serenity", tracing::Level::WARN),
        ("tungstenite", tracing::Level::INFO),
        ("tokio_tungstenite", tracing::Level::INFO),
        ("h2", tracing::Level::INFO),
    ];
    let target = metadata.target();
    let ceiling = CEILINGS.iter().find(|(prefix, _)| {
        let rest = target.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    });
    ceiling.is_none_or(|(_, level)| metadata.level() <= level)
}

/// Where Discord is and who the bot is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The application's id.
    pub application_id: NonZeroU64,
    /// `https://discord.com`, or the local Discord.
    pub api_url: url::Url,
    /// `Used`: asked for as long as Discord does not refuse it; `Never`.
    pub members_intent: MembersIntent,
}

/// Something seen on the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A new session: anything may have happened before it, so every guild is to be observed again. A session that is
    /// merely resumed replays what was missed and is not told.
    Connected,
    /// The bot is in this server and the server works.
    GuildAvailable(GuildId),
    /// The bot was removed from this server, or the server is gone.
    GuildGone(GuildId),
    /// A member joined or changed.
    MemberSeen {
        /// Where.
        guild: GuildId,
        /// As they are now.
        member: SeenMember,
    },
    /// A member left.
    MemberLeft {
        /// Where.
        guild: GuildId,
        /// Who.
        user: UserId,
    },
    /// Roles, their order or the bot's permissions may have changed.
    RolesChanged(GuildId),
    /// A role was deleted: no member has it any more.
    RoleDeleted {
        /// Where.
        guild: GuildId,
        /// Which.
        role: RoleId,
    },
}

/// What came of a role change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The change as it was sent.
    pub intent: Intent,
    /// Discord's answer; a failure is told once for each error code. `None`: Discord knows no such member of the server. What is not
    /// done is tried again until it is, or is replaced or withdrawn.
    pub outcome: Option<Outcome>,
}

/// The handle to Discord; cheap to clone.
#[derive(Clone, Debug)]
pub struct Discord {
    shared: Arc<Shared>,
}

impl Discord {
    /// A handle for REST alone; nothing is sent yet.
    ///
    /// # Errors
    /// When the token cannot be one, or the HTTP client cannot be set up.
    pub fn new(
        settings: &Settings,
        token: &SecretString,
        status: watch::Sender<DiscordStatus>,
    ) -> anyhow::Result<Self> {
        let (shared, _no_workers) = Shared::new(settings, token, status)?;
        let shared = Arc::new(shared);
        Ok(Self { shared })
    }

    /// From now on these roles of a server matter: what keeps them from being changed is shown in
    /// [`DiscordStatus::failing`], and the server in [`DiscordStatus::servers`]. None: the server no longer matters.
    pub fn watch(&self, guild: GuildId, roles: &BTreeSet<RoleId>) {
        if roles.is_empty() {
            let forget = |state: &mut shared::Guild| state.watch(roles);
            self.shared.change_known(guild, forget);
            return;
        }
        self.shared.change(guild, |state| {
            if state.watched != *roles {
                state.watch(roles);
                state.read_again(false);
            }
        });
    }

    /// What keeps the bot from changing these roles, each in one sentence that says what to do.
    ///
    /// # Errors
    /// When Discord refuses to show the server's roles, or cannot be reached for about half a minute.
    pub async fn obstacles(
        &self,
        guild: GuildId,
        roles: &BTreeSet<RoleId>,
    ) -> anyhow::Result<BTreeSet<String>> {
        let seen = match backoff::retry(READ_TRIES, || self.shared.read_roles(guild)).await {
            // Each has its own sentence that says what to do.
            Err(Failure::Refused(refusal))
                if matches!(refusal.reason, Reason::Token | Reason::Guild) =>
            {
                let sentence = text::refusal(&text::nameless(guild), None, &refusal);
                return Ok([sentence].into());
            }
            seen => seen
                .with_context(|| format!("cannot read the roles of the Discord server {guild}"))?,
        };
        let obstacles = roles.iter().filter_map(|role| {
            let obstacle = seen.obstacle(guild, *role)?;
            Some(text::obstacle(&seen.name, *role, &obstacle))
        });
        Ok(obstacles.collect())
    }

    /// Changes what is shown of a server; its queue is shown by itself.
    pub fn show<T>(&self, guild: GuildId, change: impl FnOnce(&mut ServerStatus) -> T) -> T {
        self.shared.with(guild, |state| change(&mut state.shown))
    }

    /// Sends these changes until they are acknowledged or replaced by their opposite. Costs microseconds and never waits.
    pub fn send(&self, intents: impl IntoIterator<Item = Intent>) {
        let now = Instant::now();
        for intent in intents {
            self.shared
                .change(intent.change.guild, |state| state.queue.put(intent, now));
        }
    }

    /// Changes a role now, past the queue: for tests that a person waits for. `reason` goes to the server's audit log.
    ///
    /// # Errors
    /// See [`Failure`]; never a rate limit.
    pub async fn change_now(
        &self,
        guild: GuildId,
        user: UserId,
        role: RoleId,
        action: RoleAction,
        reason: &str,
    ) -> Result<(), Failure> {
        let reason = format!("amser: {reason}");
        let rest = &self.shared.rest;
        let request = rest.role_request(action, guild, user, role, &reason);
        rest.bytes(request).await.map(drop)
    }

    /// Stops sending a change that is not wanted any more, but not its opposite; it may have been made.
    pub fn withdraw(&self, (guild, user, role): MemberRole, action: RoleAction) {
        let withdraw = |state: &mut shared::Guild| state.queue.withdraw(user, role, action);
        self.shared.change_known(guild, withdraw);
    }

    /// A role's name; `None` where the server's roles were not read.
    pub fn role_name(&self, guild: GuildId, role: RoleId) -> Option<String> {
        self.shared.look(|guilds| {
            let roles = guilds.get(&guild)?.roles.as_ref()?;
            Some(roles.roles.get(&role)?.name.clone())
        })
    }

    /// What keeps the bot from giving and taking a role, as the server's roles were last read; `None` also where they were not.
    pub fn obstacle(&self, guild: GuildId, role: RoleId) -> Option<hierarchy::Obstacle> {
        let roles = self.shared.look(|guilds| guilds.get(&guild)?.roles.clone());
        roles?.obstacle(guild, role)
    }

    /// A request with the bot's token for a path below `/api/v10`, to be sent by [`Discord::call`].
    pub fn request(&self, method: Method, path: impl Display) -> RequestBuilder {
        self.shared.rest.request(method, path)
    }

    /// Sends a request through the limits, again after each 429, and decodes the answer. Its body is no stream.
    ///
    /// # Errors
    /// See [`Failure`]; never a rate limit.
    pub async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        self.shared.rest.call(request).await
    }

    /// A server's name; its id where the name was never read.
    pub fn guild_name(&self, guild: GuildId) -> String {
        self.shared.look(|guilds| match guilds.get(&guild) {
            Some(state) => state.name(guild),
            None => text::nameless(guild),
        })
    }

    /// How many role changes are decided and not yet acknowledged.
    pub fn pending(&self) -> usize {
        let queued = |state: &shared::Guild| state.queue.len();
        self.shared.look(|guilds| guilds.values().map(queued).sum())
    }
}

/// Where the running connection tells what happens.
#[derive(Clone, Debug)]
pub struct Channels {
    /// What the gateway sees, in Discord's order. Unbounded, because an event that waits would make heartbeats late.
    pub observations: mpsc::UnboundedSender<Observation>,
    /// What became of role changes.
    pub reports: mpsc::Sender<Report>,
    /// The state of it all.
    pub status: watch::Sender<DiscordStatus>,
}

/// Sets up Discord; nothing is sent before [`Connection::run`].
///
/// # Errors
/// As [`Discord::new`].
pub fn connect(
    settings: Settings,
    token: SecretString,
    channels: Channels,
    stop: CancellationToken,
) -> anyhow::Result<(Discord, Connection)> {
    let (shared, to_start) = Shared::new(&settings, &token, channels.status.clone())?;
    let shared = Arc::new(shared);
    let discord = Discord {
        shared: Arc::clone(&shared),
    };
    let connection = Connection {
        shared,
        to_start,
        settings,
        token,
        channels,
        stop,
    };
    Ok((discord, connection))
}

/// The connection of a [`Discord`] that is set up.
#[derive(Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    to_start: mpsc::UnboundedReceiver<GuildId>,
    settings: Settings,
    token: SecretString,
    channels: Channels,
    stop: CancellationToken,
}

impl Connection {
    /// Keeps the gateway connected and delivers the outbox, until the stop. `commands`: the serenity framework
    /// ([`crate::commands::framework`], or [`NoCommands`]).
    ///
    /// # Errors
    /// In one sentence, when Discord refuses the token or the connection for good.
    pub async fn run<F: Framework + 'static>(self, commands: F) -> anyhow::Result<()> {
        // The end of one half stops the other, which then ends in its own order.
        let stop = self.stop.child_token();
        let deliver = worker::deliver(
            Arc::clone(&self.shared),
            self.to_start,
            self.channels.reports,
            stop.clone(),
        );
        let gateway = async {
            let _stops_the_other = stop.clone().drop_guard();
            gateway::run(
                self.shared,
                self.settings,
                self.token,
                commands,
                self.channels.observations,
                stop.clone(),
            )
            .await
        };
        let deliver = async {
            let _stops_the_other = stop.clone().drop_guard();
            deliver.await
        };
        let (gateway, deliver) = tokio::join!(gateway, deliver);
        gateway.and(deliver)
    }
}
