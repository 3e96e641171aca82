//! Roles are made, changed, moved and deleted; the gateway hears of it.
use std::collections::BTreeMap;

use serde_json::json;
use serenity::model::gateway::GatewayIntents;

use super::World;
use crate::domain::{GuildId, RoleId};
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::guild::Role;
use crate::sandbox::discord::shape;

impl World {
    /// Makes a role right above @everyone.
    pub(crate) fn create_role(
        &mut self,
        id: GuildId,
        role_id: RoleId,
        role: Role,
    ) -> Result<(), ApiError> {
        self.guilds
            .get_mut(&id)
            .ok_or_else(ApiError::unknown_guild)?
            .insert_role(role_id, role);
        self.role_changed("GUILD_ROLE_CREATE", id, role_id)
    }

    /// Changes a role with `change`.
    pub(crate) fn edit_role(
        &mut self,
        id: GuildId,
        role: RoleId,
        change: impl FnOnce(&mut Role),
    ) -> Result<(), ApiError> {
        let guild = self
            .guilds
            .get_mut(&id)
            .ok_or_else(ApiError::unknown_guild)?;
        change(
            guild
                .roles
                .get_mut(&role)
                .ok_or_else(ApiError::unknown_role)?,
        );
        self.role_changed("GUILD_ROLE_UPDATE", id, role)
    }

    /// Moves roles to positions; each role that moves is told of.
    pub(crate) fn move_roles(
        &mut self,
        id: GuildId,
        to: &BTreeMap<RoleId, u16>,
    ) -> Result<(), ApiError> {
        let guild = self
            .guilds
            .get_mut(&id)
            .ok_or_else(ApiError::unknown_guild)?;
        for role in guild.move_roles(to) {
            self.role_changed("GUILD_ROLE_UPDATE", id, role)?;
        }
        Ok(())
    }

    /// Says that a role was created or changed.
    pub(crate) fn role_changed(
        &mut self,
        event: &str,
        id: GuildId,
        role: RoleId,
    ) -> Result<(), ApiError> {
        let guild = self.guilds.get(&id).ok_or_else(ApiError::unknown_guild)?;
        let data = json!({ "guild_id": id, "role": shape::role(role, guild.role(role)?) });
        self.tell(id, GatewayIntents::GUILDS, event, &data);
        Ok(())
    }

    pub(crate) fn delete_role(&mut self, id: GuildId, role: RoleId) -> Result<(), ApiError> {
        let guild = self
            .guilds
            .get_mut(&id)
            .ok_or_else(ApiError::unknown_guild)?;
        let gone = guild
            .roles
            .remove(&role)
            .ok_or_else(ApiError::unknown_role)?;
        for other in guild
            .roles
            .values_mut()
            .filter(|other| other.position > gone.position)
        {
            other.position -= 1;
        }
        for member in guild.members.values_mut() {
            member.roles.retain(|other| *other != role);
        }
        let data = json!({ "guild_id": id, "role_id": role });
        self.tell(id, GatewayIntents::GUILDS, "GUILD_ROLE_DELETE", &data);
        Ok(())
    }
}
