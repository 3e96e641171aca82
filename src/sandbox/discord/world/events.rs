//! What happens to guilds and roles; the gateway hears of it.
use serde_json::{Value, json};
use serenity::model::Permissions;
use serenity::model::gateway::GatewayIntents;

use super::{World, new_member};
use crate::domain::{GuildId, RoleId};
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::guild::{Member, Role};
use crate::sandbox::discord::shape;

impl World {
    /// Lets the bot in with its own managed role, as the invite flow does.
    pub(crate) fn invite_bot(
        &mut self,
        id: GuildId,
        permissions: Permissions,
    ) -> Result<(), ApiError> {
        let bot = self.bot();
        let role_id = RoleId(self.new_id());
        let name = self.options.name.clone();
        let guild = self
            .guilds
            .get_mut(&id)
            .ok_or_else(ApiError::unknown_guild)?;
        if guild.members.contains_key(&bot) {
            // A second invite only changes what the bot's own role may do.
            let role = guild
                .roles
                .iter_mut()
                .find(|(_, role)| role.bot == Some(bot));
            let own = role.map(|(id, role)| {
                role.permissions = permissions;
                *id
            });
            return match own {
                Some(role) => self.role_changed("GUILD_ROLE_UPDATE", id, role),
                None => Ok(()),
            };
        }
        let role = Role {
            name,
            permissions,
            managed: true,
            bot: Some(bot),
            ..Role::default()
        };
        guild.insert_role(role_id, role);
        let member = Member {
            roles: vec![role_id],
            ..new_member()
        };
        guild.members.insert(bot, member);
        self.guild_created(id);
        Ok(())
    }

    /// Sends GUILD_CREATE to every session; its data depends on what the session asked for.
    fn guild_created(&mut self, id: GuildId) {
        let mut sessions = std::mem::take(&mut self.sessions);
        if let Some(guild) = self.guilds.get(&id) {
            sessions.dispatch_with(id, GatewayIntents::GUILDS, "GUILD_CREATE", |session| {
                shape::guild_create(
                    self,
                    guild,
                    session.sees_presences(),
                    session.large_threshold,
                )
            });
        }
        self.sessions = sessions;
    }

    pub(crate) fn set_unavailable(
        &mut self,
        id: GuildId,
        unavailable: bool,
    ) -> Result<(), ApiError> {
        self.guild_of_bot(id)?;
        if let Some(guild) = self.guilds.get_mut(&id) {
            guild.unavailable = unavailable;
        }
        if unavailable {
            let data = json!({ "id": id, "unavailable": true });
            self.tell(id, GatewayIntents::GUILDS, "GUILD_DELETE", &data);
        } else {
            self.guild_created(id);
        }
        Ok(())
    }

    pub(crate) fn kick_bot(&mut self, id: GuildId) -> Result<(), ApiError> {
        let bot = self.bot();
        let guild = self
            .guilds
            .get_mut(&id)
            .ok_or_else(ApiError::unknown_guild)?;
        guild
            .members
            .remove(&bot)
            .ok_or_else(ApiError::unknown_member)?;
        guild.roles.retain(|_, role| role.bot != Some(bot));
        self.commands.retain(|(of, _), _| *of != Some(id));
        self.sessions.dispatch(
            id,
            GatewayIntents::GUILDS,
            "GUILD_DELETE",
            &json!({ "id": id }),
        );
        Ok(())
    }

    /// The server is deleted by its owner, with all that is in it.
    pub(crate) fn delete_guild(&mut self, id: GuildId) -> Result<(), ApiError> {
        let data = json!({ "id": id });
        self.tell(id, GatewayIntents::GUILDS, "GUILD_DELETE", &data);
        let guild = self
            .guilds
            .remove(&id)
            .ok_or_else(ApiError::unknown_guild)?;
        self.commands.retain(|(of, _), _| *of != Some(id));
        self.invites.retain(|_, invite| invite.guild != id);
        self.messages
            .retain(|(channel, _), _| !guild.channels.contains(channel));
        self.channels
            .retain(|channel, _| !guild.channels.contains(channel));
        Ok(())
    }

    /// Dispatches a guild event to the sessions, unless the bot is not in the guild.
    pub(crate) fn tell(&mut self, id: GuildId, intent: GatewayIntents, event: &str, data: &Value) {
        let bot = self.bot();
        if self
            .guilds
            .get(&id)
            .is_some_and(|guild| guild.members.contains_key(&bot))
        {
            self.sessions.dispatch(id, intent, event, data);
        }
    }
}
