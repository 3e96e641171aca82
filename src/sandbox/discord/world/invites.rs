//! Invites, also those that only some may accept and that give roles.
use std::collections::BTreeSet;

use serde_json::{Value, json};
use serenity::model::gateway::GatewayIntents;
use serenity::model::id::ChannelId;

use super::World;
use crate::domain::{GuildId, RoleId, UserId};
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::shape;

/// An invite to a guild.
#[derive(Clone, Debug)]
pub(crate) struct Invite {
    pub(crate) guild: GuildId,
    pub(crate) channel: ChannelId,
    pub(crate) inviter: UserId,
    /// Unix seconds.
    pub(crate) created_at: i64,
    /// Seconds; 0 for never.
    pub(crate) max_age: u32,
    /// 0 for any number.
    pub(crate) max_uses: u32,
    pub(crate) uses: u32,
    pub(crate) temporary: bool,
    /// Who accepts it gets these.
    pub(crate) roles: Vec<RoleId>,
    /// Who may accept it; `None` for everyone.
    pub(crate) targets: Option<BTreeSet<UserId>>,
}

impl Invite {
    fn expires_at(&self) -> Option<i64> {
        (self.max_age > 0).then(|| self.created_at.saturating_add(i64::from(self.max_age)))
    }

    fn spent(&self, now: i64) -> bool {
        let old = self.expires_at().is_some_and(|end| now >= end);
        old || (self.max_uses > 0 && self.uses >= self.max_uses)
    }
}

impl World {
    pub(crate) fn add_invite(&mut self, code: &str, invite: Invite) {
        let (guild, channel) = (invite.guild, invite.channel);
        self.invites.insert(code.to_owned(), invite);
        let mut data = self.invite_shape(code, true);
        data["guild_id"] = json!(guild);
        data["channel_id"] = json!(channel);
        self.tell(guild, GatewayIntents::GUILD_INVITES, "INVITE_CREATE", &data);
    }

    pub(crate) fn remove_invite(&mut self, code: &str) {
        if let Some(invite) = self.invites.remove(code) {
            let (guild, channel) = (invite.guild, invite.channel);
            let data = json!({ "guild_id": guild, "channel_id": channel, "code": code });
            self.tell(guild, GatewayIntents::GUILD_INVITES, "INVITE_DELETE", &data);
        }
    }

    /// The invite, when it can still be used.
    pub(crate) fn invite(&self, code: &str, now: i64) -> Result<&Invite, ApiError> {
        let invite = self.invites.get(code).filter(|invite| !invite.spent(now));
        invite.ok_or_else(ApiError::unknown_invite)
    }

    /// Somebody follows an invite: they join with its roles. Who it is not for is told that there is none.
    pub(crate) fn accept_invite(
        &mut self,
        code: &str,
        user: UserId,
        now: i64,
    ) -> Result<GuildId, ApiError> {
        let invite = self.invite(code, now)?;
        let guild = invite.guild;
        let invited = invite.targets.as_ref();
        if invited.is_some_and(|targets| !targets.contains(&user)) {
            return Err(ApiError::unknown_invite());
        }
        let roles = invite.roles.clone();
        // Discord does not say whether the join's event has the roles: two events are the harder case.
        self.add_member(guild, user)?;
        for role in roles {
            // A role that was deleted meanwhile is not given.
            let _gone = self.set_role(guild, user, role, true);
        }
        if let Some(invite) = self.invites.get_mut(code) {
            invite.uses += 1;
        }
        Ok(guild)
    }

    /// The invite object; `metadata` as the inviter sees it.
    pub(crate) fn invite_shape(&self, code: &str, metadata: bool) -> Value {
        let Some(invite) = self.invites.get(code) else {
            return Value::Null;
        };
        let guild = self.guilds.get(&invite.guild);
        let mut shape = json!({
            "type": 0,
            "code": code,
            "guild": guild.map(|guild| json!({
                "id": guild.id,
                "name": guild.name,
                "splash": null,
                "banner": null,
                "description": null,
                "icon": null,
                "features": ["COMMUNITY"],
                "verification_level": 1,
                "vanity_url_code": null,
                "nsfw_level": 0,
                "premium_subscription_count": 0,
            })),
            "channel": { "id": invite.channel, "name": "general", "type": 0 },
            "inviter": shape::user(self, invite.inviter),
            "expires_at": invite.expires_at().map(shape::timestamp),
            "flags": 0,
        });
        let roles = guild.into_iter().flat_map(|guild| &guild.roles);
        let roles: Vec<_> = roles
            .filter(|(id, _)| invite.roles.contains(id))
            .map(|(id, role)| {
                let mut role = shape::role(*id, role);
                let wanted = [
                    "id",
                    "name",
                    "position",
                    "color",
                    "colors",
                    "icon",
                    "unicode_emoji",
                ];
                if let Value::Object(fields) = &mut role {
                    fields.retain(|key, _| wanted.contains(&key.as_str()));
                }
                role
            })
            .collect();
        if !roles.is_empty() {
            shape["roles"] = json!(roles);
        }
        if metadata {
            shape["uses"] = json!(invite.uses);
            shape["max_uses"] = json!(invite.max_uses);
            shape["max_age"] = json!(invite.max_age);
            shape["temporary"] = json!(invite.temporary);
            shape["created_at"] = json!(shape::timestamp(invite.created_at));
        }
        shape
    }
}
