//! Members come, go and change; the gateway hears of it.
use serde_json::json;
use serenity::model::gateway::GatewayIntents;

use super::{World, new_member};
use crate::domain::{GuildId, RoleId, UserId};
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::guild::RoleUpdate;
use crate::sandbox::discord::shape;

/// Entries of the audit log that are kept for each guild: more than one answer shows.
const ROLE_UPDATES: usize = 200;

impl World {
    pub(crate) fn add_member(&mut self, id: GuildId, user: UserId) -> Result<(), ApiError> {
        self.add_user(user, None);
        let guild = self
            .guilds
            .get_mut(&id)
            .ok_or_else(ApiError::unknown_guild)?;
        guild.members.entry(user).or_insert_with(new_member);
        if self.sessions.any() {
            let guild = &self.guilds[&id];
            let member = shape::member(self, guild, user, &guild.members[&user], true);
            self.tell(
                id,
                GatewayIntents::GUILD_MEMBERS,
                "GUILD_MEMBER_ADD",
                &member,
            );
        }
        Ok(())
    }

    pub(crate) fn remove_member(&mut self, id: GuildId, user: UserId) -> Result<(), ApiError> {
        let guild = self
            .guilds
            .get_mut(&id)
            .ok_or_else(ApiError::unknown_guild)?;
        guild
            .members
            .remove(&user)
            .ok_or_else(ApiError::unknown_member)?;
        let data = json!({ "guild_id": id, "user": shape::user(self, user) });
        self.tell(
            id,
            GatewayIntents::GUILD_MEMBERS,
            "GUILD_MEMBER_REMOVE",
            &data,
        );
        Ok(())
    }

    /// Replaces a member's roles; says so on the gateway when they differ.
    pub(crate) fn set_roles(
        &mut self,
        id: GuildId,
        user: UserId,
        mut roles: Vec<RoleId>,
    ) -> Result<(), ApiError> {
        roles.sort_unstable();
        roles.dedup();
        let guild = self
            .guilds
            .get_mut(&id)
            .ok_or_else(ApiError::unknown_guild)?;
        for role in &roles {
            guild.role(*role)?;
        }
        let member = guild
            .members
            .get_mut(&user)
            .ok_or_else(ApiError::unknown_member)?;
        if member.roles != roles {
            member.roles = roles;
            self.member_changed(id, user);
        }
        Ok(())
    }

    /// A member has not accepted the server's rules yet, or now has.
    pub(crate) fn set_pending(
        &mut self,
        id: GuildId,
        user: UserId,
        pending: bool,
    ) -> Result<(), ApiError> {
        let guild = self
            .guilds
            .get_mut(&id)
            .ok_or_else(ApiError::unknown_guild)?;
        let member = guild
            .members
            .get_mut(&user)
            .ok_or_else(ApiError::unknown_member)?;
        if std::mem::replace(&mut member.pending, pending) != pending {
            self.member_changed(id, user);
        }
        Ok(())
    }

    /// Gives one role (`true`) or takes it (`false`).
    pub(crate) fn set_role(
        &mut self,
        id: GuildId,
        user: UserId,
        role: RoleId,
        has: bool,
    ) -> Result<(), ApiError> {
        let guild = self.guilds.get(&id).ok_or_else(ApiError::unknown_guild)?;
        let mut roles = guild.member(user)?.roles.clone();
        roles.retain(|other| *other != role);
        if has {
            roles.push(role);
        }
        self.set_roles(id, user, roles)
    }

    /// Adds to the guild's audit log who gave or took a role.
    pub(crate) fn audit_role(
        &mut self,
        id: GuildId,
        by: UserId,
        member: UserId,
        role: RoleId,
        given: bool,
        reason: Option<String>,
    ) {
        let entry = RoleUpdate {
            id: self.new_id(),
            by,
            member,
            role,
            given,
            reason,
        };
        if let Some(guild) = self.guilds.get_mut(&id) {
            if guild.role_updates.len() == ROLE_UPDATES {
                guild.role_updates.pop_front();
            }
            guild.role_updates.push_back(entry);
        }
    }

    pub(crate) fn member_changed(&mut self, id: GuildId, user: UserId) {
        let Some(guild) = self.guilds.get(&id).filter(|_| self.sessions.any()) else {
            return;
        };
        let Some(member) = guild.members.get(&user) else {
            return;
        };
        let data = shape::member(self, guild, user, member, true);
        // Discord tells a bot of changes to itself without the members intent.
        let intent = if user == self.bot() {
            GatewayIntents::empty()
        } else {
            GatewayIntents::GUILD_MEMBERS
        };
        self.tell(id, intent, "GUILD_MEMBER_UPDATE", &data);
    }
}
