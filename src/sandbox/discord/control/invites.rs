//! Somebody follows an invite.
use anyhow::Context as _;
use time::OffsetDateTime;

use super::refused;
use crate::domain::{GuildId, RoleId, UserId};
use crate::sandbox::discord::LocalDiscord;
use crate::sandbox::discord::oauth::grants::fresh_secret;
use crate::sandbox::discord::world::Invite;

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

    /// The guild's owner makes an invite that never ends and gives these roles; its code.
    ///
    /// # Errors
    /// When there is no such guild.
    pub fn create_invite(&self, guild: GuildId, roles: &[RoleId]) -> anyhow::Result<String> {
        let code = fresh_secret();
        self.shared.change(|world| {
            let found = world.guilds.get(&guild).context("no such guild")?;
            let invite = Invite {
                guild,
                channel: *found.channels.first().context("no channel")?,
                inviter: found.owner,
                created_at: OffsetDateTime::now_utc().unix_timestamp(),
                max_age: 0,
                max_uses: 0,
                uses: 0,
                temporary: false,
                roles: roles.to_vec(),
                targets: None,
            };
            world.add_invite(&code, invite);
            anyhow::Ok(())
        })?;
        Ok(code)
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
