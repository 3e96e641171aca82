//! Names and pictures of a server and a member, for the wallet page.

use serenity::model::guild::{Member, PartialGuild};
use url::Url;

use super::Discord;
use super::error::Failure;
use crate::domain::{GuildId, UserId};

/// What Discord shows of a server and one of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberProfile {
    /// The server's name.
    pub server_name: String,
    /// Its icon on Discord's CDN.
    pub server_icon: Option<Url>,
    /// Nickname, else display name, else username.
    pub member_name: String,
    /// The unique username.
    pub username: String,
    /// The avatar on Discord's CDN; `None` for Discord's default ones.
    pub avatar: Option<Url>,
}

impl Discord {
    /// Reads how a server and a member look.
    ///
    /// # Errors
    /// When the bot is not in the server, the user is not a member, or Discord does not answer.
    pub async fn member_profile(
        &self,
        guild: GuildId,
        user: UserId,
    ) -> Result<MemberProfile, Failure> {
        let rest = &self.shared.rest;
        let server: PartialGuild = rest.get(format!("guilds/{guild}")).await?;
        let path = format!("guilds/{guild}/members/{user}");
        let member: Member = rest.get(path).await?;
        let picture = |link: Option<String>| link.and_then(|link| Url::parse(&link).ok());
        Ok(MemberProfile {
            server_icon: picture(server.icon_url()),
            server_name: server.name,
            member_name: member.display_name().to_owned(),
            avatar: picture(member.avatar_url().or_else(|| member.user.avatar_url())),
            username: member.user.name.clone(),
        })
    }
}
