//! Users and members: they come, go, and have their roles changed by hand.
use std::collections::BTreeSet;

use anyhow::Context as _;

use super::refused;
use crate::domain::{GuildId, RoleId, UserId};
use crate::sandbox::discord::LocalDiscord;
use crate::sandbox::discord::guild::{Member, User};
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::new_member;

impl LocalDiscord {
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

    /// Whether there is such a user, and it is a person.
    pub fn has_user(&self, user: UserId) -> bool {
        self.shared
            .read(|world| world.users.get(&user).is_some_and(|known| !known.bot))
    }

    /// A user's name.
    pub fn user_name(&self, user: UserId) -> String {
        self.shared.read(|world| shape::user_name(world, user))
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

    /// Hands a guild to another owner, who joins; the former one leaves.
    pub fn set_owner(&self, guild: GuildId, user: UserId) -> anyhow::Result<()> {
        self.shared.change(|world| {
            let found = world.guilds.get_mut(&guild).context("no such guild")?;
            let former = std::mem::replace(&mut found.owner, user);
            world.add_member(guild, user).map_err(refused)?;
            if former != user {
                world.remove_member(guild, former).map_err(refused)?;
                world.users.remove(&former);
            }
            Ok(())
        })
    }

    /// Adds so many new users as members at once and returns their ids in order. No gateway events: for guilds that
    /// are large before the bot looks.
    pub fn add_members(&self, guild: GuildId, count: u64) -> anyhow::Result<Vec<UserId>> {
        self.shared.change(|world| {
            let first = world.new_ids(count);
            let ids: Vec<_> = (first..first + count).map(UserId).collect();
            let found = world.guilds.get_mut(&guild).context("no such guild")?;
            let template: Member = new_member();
            // Made whole and appended, the maps are packed: about 100 bytes for each member.
            let members = ids.iter().map(|id| (*id, template.clone()));
            found.members.append(&mut members.collect());
            let users = ids.iter().map(|id| (*id, User::default()));
            world.users.append(&mut users.collect());
            Ok(ids)
        })
    }

    /// A member leaves, with all roles.
    pub fn remove_member(&self, guild: GuildId, user: UserId) -> anyhow::Result<()> {
        self.shared
            .change(|world| world.remove_member(guild, user))
            .map_err(refused)
    }

    /// A member has not accepted the server's rules yet (`true`), or passes (`false`).
    pub fn set_pending(&self, guild: GuildId, user: UserId, pending: bool) -> anyhow::Result<()> {
        self.shared
            .change(|world| world.set_pending(guild, user, pending))
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

    /// Another bot joins a guild.
    pub fn add_bot(&self, guild: GuildId, name: &str) -> anyhow::Result<UserId> {
        let bot = self.add_user(name);
        self.shared
            .change(|world| world.users.entry(bot).or_default().bot = true);
        self.add_member(guild, bot)?;
        Ok(bot)
    }

    /// A certain bot or person gives a member a role (`true`) or takes it, as the guild's audit log tells.
    pub fn change_role_as(
        &self,
        by: UserId,
        guild: GuildId,
        user: UserId,
        role: RoleId,
        given: bool,
    ) -> anyhow::Result<()> {
        self.shared.change(|world| {
            world.set_role(guild, user, role, given).map_err(refused)?;
            world.audit_role(guild, by, user, role, given, None);
            Ok(())
        })
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
}
