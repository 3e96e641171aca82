//! The hands of a test or of the sandbox: guilds, roles and members change, faults come and go, nothing over HTTP.
mod invites;
mod people;
mod watch;

use anyhow::{Context as _, anyhow};
use serenity::model::Permissions;
use serenity::model::id::ChannelId;

use super::LocalDiscord;
use super::error::ApiError;
use super::guild::{Role, RoleTag};
use super::options::Options;
use super::world::Channel;
use crate::domain::{GuildId, RoleId, UserId};

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
    /// It is one of those that Discord gives itself.
    pub tag: Option<RoleTag>,
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
            tag: None,
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

    /// The guild's name.
    pub fn guild_name(&self, guild: GuildId) -> Option<String> {
        self.shared
            .read(|world| world.guilds.get(&guild).map(|guild| guild.name.clone()))
    }

    /// A role's name.
    pub fn role_name(&self, guild: GuildId, role: RoleId) -> Option<String> {
        self.shared.read(|world| {
            let role = world.guilds.get(&guild)?.roles.get(&role)?;
            Some(role.name.clone())
        })
    }

    /// Whether a member holds a role in the guild, its owner aside, to whom the bot gives one to test it: only the bot gives
    /// roles there unless a test does.
    pub fn bot_gave_in(&self, guild: GuildId) -> bool {
        self.shared.read(|world| {
            let bot = world.bot();
            world.guilds.get(&guild).is_some_and(|guild| {
                let mut members = guild.members.iter();
                members.any(|(user, member)| {
                    *user != bot && *user != guild.owner && !member.roles.is_empty()
                })
            })
        })
    }

    /// The guild's owner.
    pub fn owner(&self, guild: GuildId) -> Option<UserId> {
        self.shared
            .read(|world| world.guilds.get(&guild).map(|guild| guild.owner))
    }

    /// The guild asks moderators for two-factor authentication, which the bot's owner does not have, or not any more.
    pub fn set_demands_two_factor(&self, guild: GuildId, demands: bool) {
        self.shared.change(|world| {
            if let Some(guild) = world.guilds.get_mut(&guild) {
                guild.demands_two_factor = demands;
            }
        });
    }

    /// The guild's first text channel.
    pub fn channel(&self, guild: GuildId) -> Option<ChannelId> {
        self.shared
            .read(|world| world.guilds.get(&guild)?.channels.first().copied())
    }

    /// Adds a text channel.
    pub fn add_channel(&self, guild: GuildId, name: &str) -> anyhow::Result<ChannelId> {
        self.shared
            .change(|world| world.add_channel(guild, name))
            .map_err(refused)
    }

    /// Somebody deletes a channel.
    pub fn delete_channel(&self, channel: ChannelId) {
        self.shared.change(|world| world.delete_channel(channel));
    }

    /// Allows or forbids the bot to write in a channel.
    pub fn set_bot_may_write(&self, channel: ChannelId, may: bool) {
        self.set_denied(channel, Permissions::SEND_MESSAGES, !may);
    }

    /// Shows the bot a channel, or hides it.
    pub fn set_bot_may_see(&self, channel: ChannelId, may: bool) {
        self.set_denied(channel, Permissions::VIEW_CHANNEL, !may);
    }

    fn set_denied(&self, channel: ChannelId, what: Permissions, is_denied: bool) {
        self.shared.change(|world| {
            if let Some(Channel::Text { denied, .. }) = world.channels.get_mut(&channel) {
                denied.set(what, is_denied);
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

    /// The owner deletes a guild.
    pub fn delete_guild(&self, guild: GuildId) -> anyhow::Result<()> {
        self.shared
            .change(|world| world.delete_guild(guild))
            .map_err(refused)
    }

    /// Discord loses a guild in an outage (the bot stays a member), or gets it back. Only the gateway says so.
    pub fn set_unavailable(&self, guild: GuildId, unavailable: bool) -> anyhow::Result<()> {
        self.shared
            .change(|world| world.set_unavailable(guild, unavailable))
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
                // A linked role is the one kind that is not managed.
                managed: new.managed || new.tag.is_some_and(|tag| tag != RoleTag::LinkedRole),
                tag: new.tag,
                ..Role::default()
            };
            world.create_role(guild, id, role).map_err(refused)?;
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
        self.shared
            .change(|world| world.edit_role(guild, role, change))
            .map_err(refused)
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
}
