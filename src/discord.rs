//! Discord: what is (observe), what changes (gateway), and making it so (outbox).
//!
//! All REST requests leave through `rest.rs` and its limits; commands plug into the gateway as a serenity framework.

mod direct;
pub(crate) mod error;
mod gateway;
pub mod hierarchy;
mod limits;
mod member;
mod notices;
mod observe;
pub(crate) mod outbox;
mod people;
mod profile;
mod read;
mod requests;
mod rest;
mod shared;
mod worker;

use std::collections::BTreeSet;
use std::future::Future;
use std::num::NonZeroU64;
use std::sync::Arc;

use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serenity::framework::Framework;
use serenity::http::Request;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use error::{Failure, Reason, Refusal};
pub use gateway::NoCommands;
pub use member::SeenMember;
pub use notices::keep_telling;
pub use observe::{GuildObservation, Reading};
pub use outbox::Outbox;
pub use profile::MemberProfile;

use crate::domain::{DiscordStatus, GuildId, MembersIntent, Outcome, RoleChange, RoleId, UserId};
use shared::Shared;

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
    /// A member joined or changed, and now has exactly these roles.
    MemberSeen {
        /// Where.
        guild: GuildId,
        /// Who.
        user: UserId,
        /// All roles, without `@everyone`.
        roles: Vec<RoleId>,
        /// Rules of the server not accepted yet.
        pending: bool,
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
    pub change: RoleChange,
    /// `Done` is final. `Failed` is told once for each error code; the change stays outstanding until it is done or
    /// replaced.
    pub outcome: Outcome,
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
        Ok(Self {
            shared: Arc::new(Shared::new(settings, token, status)?),
        })
    }

    /// Reads a server: who is in it, who holds the `wanted` roles, and what would keep the bot from changing them.
    /// The same roles are watched from then on and shown in [`DiscordStatus::failing`] while they cannot be changed.
    ///
    /// Reads 1,000 members per request. What the gateway tells meanwhile is already part of the answer.
    ///
    /// # Errors
    /// When Discord refuses, or cannot be reached for about half a minute.
    pub async fn observe(
        &self,
        guild: GuildId,
        wanted: &BTreeSet<RoleId>,
    ) -> anyhow::Result<GuildObservation> {
        Ok(self.read_guild(guild, wanted).await?.finish())
    }

    /// As [`Discord::observe`], for those who also take the gateway's news and the reports of changes: the answer keeps
    /// itself up to date until the moment they use it.
    ///
    /// # Errors
    /// As [`Discord::observe`].
    pub async fn read_guild(
        &self,
        guild: GuildId,
        wanted: &BTreeSet<RoleId>,
    ) -> anyhow::Result<Reading> {
        observe::read(Arc::clone(&self.shared), guild, wanted.clone()).await
    }

    /// No gate uses roles of this server any more: its standing errors no longer matter.
    pub fn forget(&self, guild: GuildId) {
        self.shared
            .change_known(guild, |state| state.watch(&BTreeSet::new()));
    }

    /// The role changes to make.
    pub fn outbox(&self) -> Outbox {
        Outbox::new(Arc::clone(&self.shared))
    }

    /// Sends what the outbox holds, one worker per server, until `stop`; a request under way then still ends.
    ///
    /// # Errors
    /// When it is already running.
    pub fn deliver(
        &self,
        reports: mpsc::Sender<Report>,
        stop: CancellationToken,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + use<> {
        worker::deliver(Arc::clone(&self.shared), reports, stop)
    }

    /// Sends any request of serenity's through the limits, again after each 429.
    ///
    /// # Errors
    /// See [`Failure`]; never a rate limit.
    pub async fn call<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T, Failure> {
        self.shared.rest.call(request).await
    }

    /// A server's name; its id where the name was never read.
    pub fn guild_name(&self, guild: GuildId) -> String {
        self.shared.name(guild)
    }

    /// How many role changes are decided and not yet acknowledged.
    pub fn pending(&self) -> usize {
        self.shared.pending()
    }
}

/// Where the running connection tells what happens.
#[derive(Clone, Debug)]
pub struct Channels {
    /// What the gateway sees, in Discord's order.
    pub observations: mpsc::Sender<Observation>,
    /// What became of role changes.
    pub reports: mpsc::Sender<Report>,
    /// The state of it all.
    pub status: watch::Sender<DiscordStatus>,
}

/// Sets up Discord. The future keeps the gateway connected and delivers the outbox; it ends when `stop` is cancelled, or
/// with an error in one sentence when Discord refuses the token or the connection for good.
///
/// `commands` makes the serenity framework ([`crate::commands::framework`], or [`NoCommands`]).
///
/// # Errors
/// As [`Discord::new`].
pub fn connect<F: Framework + 'static>(
    settings: Settings,
    token: SecretString,
    commands: impl FnOnce(&Discord) -> F,
    channels: Channels,
    stop: CancellationToken,
) -> anyhow::Result<(Discord, impl Future<Output = anyhow::Result<()>> + Send)> {
    let discord = Discord::new(&settings, &token, channels.status)?;
    let commands = commands(&discord);
    let shared = Arc::clone(&discord.shared);
    // The end of one half stops the other, which then ends in its own order.
    let stop = stop.child_token();
    let deliver = discord.deliver(channels.reports, stop.clone());
    let task = async move {
        let gateway = async {
            let _stops_the_other = stop.clone().drop_guard();
            gateway::run(
                shared,
                settings,
                token,
                commands,
                channels.observations,
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
    };
    Ok((discord, task))
}
