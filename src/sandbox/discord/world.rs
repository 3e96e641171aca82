//! All of the local Discord's state, and the changes to it; every change tells the gateway sessions that may know.
mod events;
mod invites;
mod members;
mod roles;

use std::collections::{BTreeMap, VecDeque};

use crate::domain::{GuildId, RoleId, UserId};
use serde_json::Value;
use serenity::model::Permissions;
use serenity::model::id::{ChannelId, CommandId, MessageId};
use time::OffsetDateTime;

use super::board::Board;
use super::error::ApiError;
use super::gateway::session::Sessions;
use super::guild::{Guild, Member, Role, User};
use super::interaction::Interactions;
use super::oauth::grants::Grants;
use super::options::Options;
pub(crate) use invites::Invite;

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    /// A guild's text channel, and which permissions it denies the bot.
    Text {
        guild: GuildId,
        name: String,
        denied: Permissions,
    },
    /// A direct-message channel with this user.
    Direct { user: UserId },
}

impl Channel {
    /// Whether the channel's own settings let the bot write there.
    pub(crate) fn bot_may_write(&self) -> bool {
        match self {
            Self::Text { denied, .. } => !denied.send_messages() && !denied.view_channel(),
            Self::Direct { .. } => true,
        }
    }
}

/// The state. Held in one mutex, never over an await.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) options: Options,
    /// Where clients are sent for the gateway.
    pub(crate) gateway_url: String,
    /// What `/gateway/bot` recommends.
    pub(crate) shards: u32,
    /// A session of fewer shards is closed: each would serve too many servers.
    pub(crate) required_shards: u32,
    /// So many of the next handshakes at the gateway are never answered.
    pub(crate) hanging_handshakes: u32,
    /// The user who owns the application.
    pub(crate) developer: UserId,
    pub(crate) users: BTreeMap<UserId, User>,
    pub(crate) guilds: BTreeMap<GuildId, Guild>,
    pub(crate) channels: BTreeMap<ChannelId, Channel>,
    /// Messages as their JSON, by channel in order.
    pub(crate) messages: BTreeMap<(ChannelId, MessageId), Value>,
    /// Registered commands as their JSON, global (`None`) or of a guild.
    pub(crate) commands: BTreeMap<(Option<GuildId>, CommandId), Value>,
    pub(crate) sessions: Sessions,
    pub(crate) interactions: Interactions,
    pub(crate) grants: Grants,
    /// By code.
    pub(crate) invites: BTreeMap<String, Invite>,
    /// What the page shows besides the state.
    pub(crate) board: Board,
    next_id: u64,
}

/// The first id given out; a snowflake of 2023.
const FIRST_ID: u64 = 1_120_000_000_000_000_000;
/// Ids differ in their time part, which is also what sharding looks at.
const ID_STEP: u64 = 1 << 22;

impl World {
    pub(crate) fn new(options: Options, gateway_url: String) -> Self {
        let bot = User {
            name: Some(options.name.as_str().into()),
            bot: true,
            closed_to_messages: false,
        };
        let developer = UserId(FIRST_ID);
        let owner = User {
            name: Some("developer".into()),
            ..User::default()
        };
        Self {
            users: BTreeMap::from([(options.bot_id(), bot), (developer, owner)]),
            options,
            gateway_url,
            shards: 1,
            required_shards: 1,
            hanging_handshakes: 0,
            developer,
            guilds: BTreeMap::new(),
            channels: BTreeMap::new(),
            messages: BTreeMap::new(),
            commands: BTreeMap::new(),
            sessions: Sessions::default(),
            interactions: Interactions::default(),
            grants: Grants::default(),
            invites: BTreeMap::new(),
            board: Board::default(),
            next_id: FIRST_ID,
        }
    }

    pub(crate) fn new_id(&mut self) -> u64 {
        self.next_id += ID_STEP;
        self.next_id
    }

    /// Reserves `count` consecutive ids and returns the first.
    pub(crate) fn new_ids(&mut self, count: u64) -> u64 {
        let first = self.next_id + ID_STEP;
        self.next_id += ID_STEP * (count / ID_STEP + 1);
        first
    }

    pub(crate) fn bot(&self) -> UserId {
        self.options.bot_id()
    }

    /// The guild, when the bot is in it. `GET /guilds/{id}` answers 10004 otherwise (discord-api-docs issue 5840),
    /// everything below it 50001 when the guild exists.
    pub(crate) fn guild_of_bot(&self, id: GuildId) -> Result<&Guild, ApiError> {
        let guild = self.guilds.get(&id).ok_or_else(ApiError::unknown_guild)?;
        if guild.members.contains_key(&self.bot()) {
            Ok(guild)
        } else {
            Err(ApiError::missing_access())
        }
    }

    pub(crate) fn add_user(&mut self, id: UserId, name: Option<&str>) {
        let user = self.users.entry(id).or_default();
        if let Some(name) = name {
            user.name = Some(name.into());
        }
    }

    /// A text channel of a guild, which the guild must list.
    fn new_channel(&mut self, guild: GuildId, name: &str) -> ChannelId {
        let id = ChannelId::new(self.new_id());
        let text = Channel::Text {
            guild,
            name: name.to_owned(),
            denied: Permissions::empty(),
        };
        self.channels.insert(id, text);
        id
    }

    pub(crate) fn add_channel(
        &mut self,
        guild: GuildId,
        name: &str,
    ) -> Result<ChannelId, ApiError> {
        let id = self.new_channel(guild, name);
        let found = self.guilds.get_mut(&guild);
        found.ok_or_else(ApiError::unknown_guild)?.channels.push(id);
        Ok(id)
    }

    pub(crate) fn delete_channel(&mut self, channel: ChannelId) {
        self.channels.remove(&channel);
        for guild in self.guilds.values_mut() {
            guild.channels.retain(|one| *one != channel);
        }
    }

    pub(crate) fn add_guild(&mut self, id: GuildId, name: &str) {
        let owner = UserId(self.new_id());
        self.add_user(
            owner,
            Some(&format!(
                "owner-of-{}",
                name.to_lowercase().replace(' ', "-")
            )),
        );
        let channel = self.new_channel(id, "general");
        let everyone = Role {
            name: "@everyone".to_owned(),
            permissions: Permissions::VIEW_CHANNEL
                | Permissions::SEND_MESSAGES
                | Permissions::EMBED_LINKS
                | Permissions::READ_MESSAGE_HISTORY
                | Permissions::USE_APPLICATION_COMMANDS
                | Permissions::CREATE_INSTANT_INVITE,
            ..Role::default()
        };
        let guild = Guild {
            id,
            name: name.to_owned(),
            owner,
            roles: BTreeMap::from([(RoleId(id.0), everyone)]),
            members: BTreeMap::from([(owner, new_member())]),
            channels: vec![channel],
            unavailable: false,
            role_updates: VecDeque::new(),
            demands_two_factor: false,
        };
        self.guilds.insert(id, guild);
    }
}

/// A member who joins now, without roles.
pub(crate) fn new_member() -> Member {
    Member {
        roles: Vec::new(),
        nick: None,
        pending: false,
        joined_at: OffsetDateTime::now_utc().unix_timestamp(),
    }
}
