//! The hands of a test or of the sandbox: guilds, roles and members change, faults come and go, nothing over HTTP.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::{GuildId, RoleId, UserId};
use anyhow::{Context as _, anyhow};
use serde_json::Value;
use serenity::model::Permissions;
use serenity::model::id::{ChannelId, MessageId};

use super::LocalDiscord;
use super::error::ApiError;
use super::fault::{Fault, Times};
use super::guild::{Member, Role};
use super::interaction::SeenMessage;
use super::limits::RateLimits;
use super::log::{RequestRecord, Violation};
use super::options::Options;
use super::route::Route;
use super::world::{Channel, new_member};

/// A role to be made; `NewRole::named` fills in what rarely matters.
#[derive(Clone, Debug)]
pub struct NewRole {
    /// Its id; `None` takes a fresh one.
    pub id: Option<RoleId>,
    /// Its name.
    pub name: String,
    /// Its colour as 0xRRGGBB.
    pub color: u32,
    /// What it allows.
    pub permissions: Permissions,
    /// It belongs to an integration; nobody can give or take it.
    pub managed: bool,
}

impl NewRole {
    /// A plain role that allows nothing.
    pub fn named(name: &str) -> Self {
        Self {
            id: None,
            name: name.to_owned(),
            color: 0x58_65f2,
            permissions: Permissions::empty(),
            managed: false,
        }
    }
}

fn refused(error: ApiError) -> anyhow::Error {
    anyhow!("{} ({})", error.message, error.code)
}

impl LocalDiscord {
    /// What it was started with (and what changed since).
    pub fn options(&self) -> Options {
        self.shared.read(|world| world.options.clone())
    }

    /// The bot's user id.
    pub fn bot_id(&self) -> UserId {
        self.shared.read(|world| world.bot())
    }

    /// Adds a guild with an owner, @everyone and one text channel; the bot is in it with its own role, which may manage
    /// roles.
    pub fn add_guild(&self, name: &str) -> GuildId {
        let id = GuildId(self.shared.change(|world| world.new_id()));
        self.add_guild_with_id(id, name);
        id
    }

    /// The same under a given id. A guild that has it already is replaced.
    pub fn add_guild_with_id(&self, id: GuildId, name: &str) {
        let permissions = Permissions::VIEW_CHANNEL
            | Permissions::SEND_MESSAGES
            | Permissions::EMBED_LINKS
            | Permissions::MANAGE_ROLES;
        self.shared.change(|world| {
            world.add_guild(id, name);
            world
                .invite_bot(id, permissions)
                .expect("the guild was just added");
        });
    }

    /// The guild's owner.
    pub fn owner(&self, guild: GuildId) -> Option<UserId> {
        self.shared
            .read(|world| world.guilds.get(&guild).map(|guild| guild.owner))
    }

    /// The guild's first text channel.
    pub fn channel(&self, guild: GuildId) -> Option<ChannelId> {
        self.shared
            .read(|world| world.guilds.get(&guild)?.channels.first().copied())
    }

    /// Allows or forbids the bot to write in a channel.
    pub fn set_bot_may_write(&self, channel: ChannelId, may: bool) {
        self.shared.change(|world| {
            if let Some(Channel::Text { bot_may_write, .. }) = world.channels.get_mut(&channel) {
                *bot_may_write = may;
            }
        });
    }

    /// The bot is removed from a guild.
    pub fn kick_bot(&self, guild: GuildId) -> anyhow::Result<()> {
        self.shared
            .change(|world| world.kick_bot(guild))
            .map_err(refused)
    }

    /// The bot is invited with these permissions; its new role stands lowest, as on Discord.
    pub fn invite_bot(&self, guild: GuildId, permissions: Permissions) -> anyhow::Result<()> {
        self.shared
            .change(|world| world.invite_bot(guild, permissions))
            .map_err(refused)
    }

    /// The bot's own (managed) role in a guild.
    pub fn bot_role(&self, guild: GuildId) -> Option<RoleId> {
        self.shared.read(|world| {
            let mut roles = world.guilds.get(&guild)?.roles.iter();
            roles
                .find(|(_, role)| role.bot == Some(world.bot()))
                .map(|(id, _)| *id)
        })
    }

    /// Adds a plain role, lowest of all, as Discord does.
    pub fn add_role(&self, guild: GuildId, name: &str) -> anyhow::Result<RoleId> {
        self.add_role_with(guild, NewRole::named(name))
    }

    /// Adds a role.
    pub fn add_role_with(&self, guild: GuildId, new: NewRole) -> anyhow::Result<RoleId> {
        self.shared.change(|world| {
            let id = new.id.unwrap_or_else(|| RoleId(world.new_id()));
            let role = Role {
                name: new.name,
                color: new.color,
                permissions: new.permissions,
                position: 1,
                managed: new.managed,
                bot: None,
            };
            let found = world.guilds.get_mut(&guild).context("no such guild")?;
            found.insert_role(id, role);
            world
                .role_changed("GUILD_ROLE_CREATE", guild, id)
                .map_err(refused)?;
            Ok(id)
        })
    }

    /// Changes a role with `change` and tells the gateway.
    fn edit_role(
        &self,
        guild: GuildId,
        role: RoleId,
        change: impl FnOnce(&mut Role),
    ) -> anyhow::Result<()> {
        self.shared.change(|world| {
            let found = world.guilds.get_mut(&guild).context("no such guild")?;
            change(found.roles.get_mut(&role).context("no such role")?);
            world
                .role_changed("GUILD_ROLE_UPDATE", guild, role)
                .map_err(refused)
        })
    }

    /// Sets what a role (also @everyone or the bot's) allows.
    pub fn set_role_permissions(
        &self,
        guild: GuildId,
        role: RoleId,
        permissions: Permissions,
    ) -> anyhow::Result<()> {
        self.edit_role(guild, role, |role| role.permissions = permissions)
    }

    /// Makes a role an integration's, or not.
    pub fn set_role_managed(
        &self,
        guild: GuildId,
        role: RoleId,
        managed: bool,
    ) -> anyhow::Result<()> {
        self.edit_role(guild, role, |role| role.managed = managed)
    }

    /// Renames a role.
    pub fn rename_role(&self, guild: GuildId, role: RoleId, name: &str) -> anyhow::Result<()> {
        self.edit_role(guild, role, |role| role.name = name.to_owned())
    }

    /// Orders roles, lowest first; roles that are not named go on top.
    pub fn set_role_order(&self, guild: GuildId, lowest_first: &[RoleId]) -> anyhow::Result<()> {
        self.shared.change(|world| {
            let found = world.guilds.get_mut(&guild).context("no such guild")?;
            found.order_roles(lowest_first);
            let roles: Vec<_> = found.roles.keys().copied().collect();
            for role in roles {
                world
                    .role_changed("GUILD_ROLE_UPDATE", guild, role)
                    .map_err(refused)?;
            }
            Ok(())
        })
    }

    /// Deletes a role; members lose it.
    pub fn delete_role(&self, guild: GuildId, role: RoleId) -> anyhow::Result<()> {
        self.shared
            .change(|world| world.delete_role(guild, role))
            .map_err(refused)
    }

    /// Adds a user who is in no guild yet.
    pub fn add_user(&self, name: &str) -> UserId {
        self.shared.change(|world| {
            let id = UserId(world.new_id());
            world.add_user(id, Some(name));
            id
        })
    }

    /// The same under a given id.
    pub fn add_user_with_id(&self, id: UserId, name: &str) {
        self.shared.change(|world| world.add_user(id, Some(name)));
    }

    /// A user refuses the bot's direct messages, or takes them again.
    pub fn set_closed_to_messages(&self, user: UserId, closed: bool) {
        self.shared.change(|world| {
            world.users.entry(user).or_default().closed_to_messages = closed;
        });
    }

    /// A user joins (or rejoins, without roles).
    pub fn add_member(&self, guild: GuildId, user: UserId) -> anyhow::Result<()> {
        self.shared
            .change(|world| world.add_member(guild, user))
            .map_err(refused)
    }

    /// Adds so many new users as members at once and returns their ids in order. No gateway events: for guilds that
    /// are large before the bot looks.
    pub fn add_members(&self, guild: GuildId, count: u64) -> anyhow::Result<Vec<UserId>> {
        self.shared.change(|world| {
            let first = world.new_ids(count);
            let ids: Vec<_> = (first..first + count).map(UserId).collect();
            world
                .users
                .extend(ids.iter().map(|id| (*id, super::guild::User::default())));
            let found = world.guilds.get_mut(&guild).context("no such guild")?;
            let template: Member = new_member();
            found
                .members
                .extend(ids.iter().map(|id| (*id, template.clone())));
            Ok(ids)
        })
    }

    /// A member leaves, with all roles.
    pub fn remove_member(&self, guild: GuildId, user: UserId) -> anyhow::Result<()> {
        self.shared
            .change(|world| world.remove_member(guild, user))
            .map_err(refused)
    }

    /// Somebody replaces a member's roles by hand.
    pub fn set_member_roles(
        &self,
        guild: GuildId,
        user: UserId,
        roles: &[RoleId],
    ) -> anyhow::Result<()> {
        self.shared
            .change(|world| world.set_roles(guild, user, roles.to_vec()))
            .map_err(refused)
    }

    /// Somebody gives a member a role by hand.
    pub fn give_role(&self, guild: GuildId, user: UserId, role: RoleId) -> anyhow::Result<()> {
        self.shared
            .change(|world| world.set_role(guild, user, role, true))
            .map_err(refused)
    }

    /// Somebody takes a role from a member by hand.
    pub fn take_role(&self, guild: GuildId, user: UserId, role: RoleId) -> anyhow::Result<()> {
        self.shared
            .change(|world| world.set_role(guild, user, role, false))
            .map_err(refused)
    }

    /// A member's roles without @everyone; `None` when not a member.
    pub fn member_roles(&self, guild: GuildId, user: UserId) -> Option<BTreeSet<RoleId>> {
        self.shared.read(|world| {
            let member = world.guilds.get(&guild)?.members.get(&user)?;
            Some(member.roles.iter().copied().collect())
        })
    }

    /// Whether the member has the role now.
    pub fn has_role(&self, guild: GuildId, user: UserId, role: RoleId) -> bool {
        self.member_roles(guild, user)
            .is_some_and(|roles| roles.contains(&role))
    }

    /// Who has a role.
    pub fn members_with(&self, guild: GuildId, role: RoleId) -> BTreeSet<UserId> {
        self.shared.read(|world| {
            let members = world
                .guilds
                .get(&guild)
                .into_iter()
                .flat_map(|guild| &guild.members);
            let having = members.filter(|(_, member)| member.roles.contains(&role));
            having.map(|(id, _)| *id).collect()
        })
    }

    /// What can be read in a channel, oldest first, without ephemeral messages.
    pub fn messages(&self, channel: ChannelId) -> Vec<SeenMessage> {
        self.shared.read(|world| {
            let all = world
                .messages
                .range((channel, MessageId::new(1))..=(channel, MessageId::new(u64::MAX)));
            let seen = all.map(|((_, id), message)| SeenMessage::new(*id, message));
            seen.filter(|message| !message.ephemeral).collect()
        })
    }

    /// The bot's direct messages to a user, oldest first.
    pub fn direct_messages(&self, user: UserId) -> Vec<SeenMessage> {
        let channel = self.shared.change(|world| world.direct_channel(user));
        self.messages(channel)
    }

    /// The commands registered for a guild (or `None`: globally), as JSON.
    pub fn commands(&self, guild: Option<GuildId>) -> Vec<Value> {
        self.shared
            .read(|world| world.commands_in(guild).cloned().collect())
    }

    /// Switches a fault on for a route (`None`: for all).
    pub fn inject(&self, route: Option<Route>, fault: Fault, times: Times) {
        self.shared.faults(|faults| faults.add(route, fault, times));
    }

    /// Switches a route's faults off (`None`: all of them).
    pub fn clear_faults(&self, route: Option<Route>) {
        self.shared.faults(|faults| faults.clear(route));
    }

    /// Changes the rate limits.
    pub fn set_rate_limits(&self, limits: RateLimits) {
        self.shared
            .change(|world| world.options.rate_limits = limits);
    }

    /// The requests so far (the last 50,000), in order of arrival.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.shared.log(|log| log.requests())
    }

    /// How many requests a route had.
    pub fn count(&self, route: Route) -> u64 {
        self.shared.log(|log| log.count(route))
    }

    /// How many requests every route had that had any.
    pub fn counts(&self) -> BTreeMap<Route, u64> {
        self.shared.log(|log| log.counts())
    }

    /// The rules that clients broke. Tests assert that there are none.
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.log(|log| log.violations())
    }

    /// Invalid answers (401, 403, 429) in the last ten minutes; at 10,000 Discord blocks the address.
    pub fn invalid_requests(&self) -> u32 {
        self.shared
            .limiter(|limiter, now| limiter.invalid_requests(now))
    }

    /// Forgets requests, counters and violations.
    pub fn clear_log(&self) {
        self.shared.log(|log| log.clear());
    }

    /// Waits until `condition` holds; looks again after every change of the state, request or violation. `what` names
    /// the condition in the error.
    pub async fn wait_until(
        &self,
        what: &str,
        deadline: Duration,
        condition: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let mut news = self.shared.news();
        let met = async {
            loop {
                news.borrow_and_update();
                if condition(self) {
                    return;
                }
                if news.changed().await.is_err() {
                    // The sender lives in `self`.
                    return;
                }
            }
        };
        let waited = tokio::time::timeout(deadline, met).await;
        waited.with_context(|| format!("waited {deadline:?} in vain until {what}"))
    }
}
