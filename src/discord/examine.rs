//! What `doctor` and `init` ask of Discord: who the bot is, how its application is set up, and what of a server keeps roles from
//! being given.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;

use super::Discord;
use super::error::Failure;
use super::hierarchy::{ADMINISTRATOR, GuildRoles, MANAGE_GUILD, VIEW_AUDIT_LOG};
use super::member::Object;
use crate::domain::{ChannelId, GuildId, RoleId, UserId};

/// <https://discord.com/developers/docs/resources/application#application-object-application-flags>
const GUILD_MEMBERS: u64 = 1 << 14;
/// The same for an application that Discord has not reviewed, which it allows up to 10,000 users.
const GUILD_MEMBERS_LIMITED: u64 = 1 << 15;
/// A server that asks moderators for two-factor authentication.
const ELEVATED: u8 = 1;

/// The bot's own account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BotUser {
    /// Its id.
    pub id: UserId,
    /// Its name.
    pub username: String,
    /// Whether the application's owner has two-factor authentication: the bot may then act in servers that ask for it
    /// (discord-api-docs issue 4654).
    #[serde(default, rename = "mfa_enabled")]
    pub has_two_factor: bool,
}

/// The application that the bot token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Application {
    /// Its id.
    pub id: UserId,
    /// Its name.
    pub name: String,
    /// Whether anyone may add the bot to a server.
    #[serde(default, rename = "bot_public")]
    pub is_public: bool,
    #[serde(default)]
    flags: u64,
    /// Where visitors may be sent after signing in.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
}

impl Application {
    /// Whether the privileged intent "Server Members" is switched on.
    pub fn has_members_intent(&self) -> bool {
        self.flags & (GUILD_MEMBERS | GUILD_MEMBERS_LIMITED) != 0
    }

    /// Whether it is switched on without a review of Discord's, which is needed from 10,000 users on.
    pub fn is_unreviewed(&self) -> bool {
        is_unreviewed(self.flags)
    }
}

pub(super) fn is_unreviewed(flags: u64) -> bool {
    flags & GUILD_MEMBERS_LIMITED != 0 && flags & GUILD_MEMBERS == 0
}

/// How many gateway sessions the bot may still begin today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct SessionStarts {
    /// In a day.
    pub total: u32,
    /// Of these still allowed.
    pub remaining: u32,
}

/// A server as far as it matters whether roles can be given there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenServer {
    /// Its roles, and the bot's place among them.
    pub roles: Arc<GuildRoles>,
    /// Whether it asks moderators for two-factor authentication.
    pub demands_two_factor: bool,
    /// About how many members it has.
    pub members: u64,
    /// Its invites; `None` where the bot may not see them.
    pub invites: Option<Vec<Invite>>,
}

/// An invite and the roles that it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// What stands at the end of its link.
    pub code: String,
    /// Whoever follows it gets these.
    pub roles: BTreeSet<RoleId>,
}

#[derive(Deserialize)]
struct GatewayBody {
    session_start_limit: SessionStarts,
}

#[derive(Deserialize)]
struct GuildBody {
    #[serde(default)]
    mfa_level: u8,
    #[serde(default)]
    approximate_member_count: u64,
}

#[derive(Deserialize)]
struct InviteBody {
    code: String,
    #[serde(default)]
    roles: Vec<Object<RoleId>>,
}

#[derive(Deserialize)]
struct ChannelBody {
    guild_id: Option<GuildId>,
}

impl Discord {
    /// The bot's own account.
    ///
    /// # Errors
    /// With [`super::Reason::Token`] where the token is not valid.
    pub async fn bot_user(&self) -> Result<BotUser, Failure> {
        self.shared.rest.get("users/@me").await
    }

    /// The bot's application.
    ///
    /// # Errors
    /// As [`Discord::bot_user`].
    pub async fn application(&self) -> Result<Application, Failure> {
        self.shared.rest.get("applications/@me").await
    }

    /// How many sessions may still begin.
    ///
    /// # Errors
    /// As [`Discord::bot_user`].
    pub async fn session_starts(&self) -> Result<SessionStarts, Failure> {
        let body: GatewayBody = self.shared.rest.get("gateway/bot").await?;
        Ok(body.session_start_limit)
    }

    /// A server; `None` where the bot is not in it.
    ///
    /// # Errors
    /// When Discord refuses, or cannot be reached.
    pub async fn examine_server(&self, guild: GuildId) -> Result<Option<SeenServer>, Failure> {
        let rest = &self.shared.rest;
        let Some(roles) = self.server(guild).await? else {
            return Ok(None);
        };
        let path = format!("guilds/{guild}?with_counts=true");
        let body: GuildBody = rest.get(path).await?;
        // Whoever may see the audit log may see the invites, too.
        let may_see = ADMINISTRATOR | MANAGE_GUILD | VIEW_AUDIT_LOG;
        let invites = match roles.permissions(guild) & may_see {
            0 => None,
            _ => {
                let path = format!("guilds/{guild}/invites");
                let invites: Vec<InviteBody> = rest.get(path).await?;
                let invites = invites.into_iter().map(|invite| Invite {
                    code: invite.code,
                    roles: invite.roles.into_iter().map(|role| role.id).collect(),
                });
                Some(invites.collect())
            }
        };
        Ok(Some(SeenServer {
            roles,
            demands_two_factor: body.mfa_level == ELEVATED,
            members: body.approximate_member_count,
            invites,
        }))
    }

    /// Whether the bot sees a channel, and it is one of this server.
    ///
    /// # Errors
    /// When Discord cannot be reached.
    pub async fn sees_channel(&self, guild: GuildId, channel: ChannelId) -> Result<bool, Failure> {
        let read = self.shared.rest.get(format!("channels/{channel}"));
        match read.await {
            Ok(ChannelBody { guild_id }) => Ok(guild_id == Some(guild)),
            Err(Failure::Refused(_)) => Ok(false),
            Err(failure) => Err(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_members_intent_is_read_from_the_applications_flags() {
        for (flags, has_intent, is_unreviewed) in [
            (0, false, false),
            (1 << 14, true, false),
            (1 << 15, true, true),
            (1 << 14 | 1 << 15, true, false),
            (1 << 23, false, false),
        ] {
            let shown = json!({ "id": "1", "name": "bot", "flags": flags });
            let application: Application = serde_json::from_value(shown).unwrap();
            assert_eq!(application.has_members_intent(), has_intent, "{flags}");
            assert_eq!(application.is_unreviewed(), is_unreviewed, "{flags}");
            assert!(!application.is_public && application.redirect_uris.is_empty());
        }
    }
}
