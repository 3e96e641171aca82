//! Somebody follows an invite.
use time::OffsetDateTime;

use super::refused;
use crate::domain::{GuildId, UserId};
use crate::sandbox::discord::LocalDiscord;

impl LocalDiscord {
    /// The codes of the invites to a guild, in no order that matters.
    pub fn invites(&self, guild: GuildId) -> Vec<String> {
        self.shared.read(|world| {
            let of_guild = world
                .invites
                .iter()
                .filter(|(_, invite)| invite.guild == guild);
            of_guild.map(|(code, _)| code.clone()).collect()
        })
    }

    /// A user follows an invite, joins and gets its roles.
    ///
    /// # Errors
    /// When there is no such invite, or it is not for this user, or it is used up.
    pub fn accept_invite(&self, code: &str, user: UserId) -> anyhow::Result<GuildId> {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        self.shared
            .change(|world| world.accept_invite(code, user, now))
            .map_err(refused)
    }
}
