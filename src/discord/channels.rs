//! The text channels of a server, and in which of them the bot can write.

use serde::Deserialize;

use super::Discord;
use super::error::Failure;
use super::server::hierarchy::{ADMINISTRATOR, GuildRoles};
use crate::domain::{ChannelId, GuildId, RoleId, TextChannel, UserId};
use crate::text;

/// "View Channel" and "Send Messages".
/// <https://discord.com/developers/docs/topics/permissions#permissions-bitwise-permission-flags>
const VIEW_CHANNEL: u64 = 1 << 10;
const SEND_MESSAGES: u64 = 1 << 11;
/// Text and announcement channels: <https://discord.com/developers/docs/resources/channel#channel-object-channel-types>
const WRITABLE: [u8; 2] = [0, 5];

#[derive(Deserialize)]
pub(super) struct ChannelBody {
    pub(super) id: ChannelId,
    #[serde(rename = "type")]
    pub(super) kind: u8,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    position: i64,
    #[serde(default)]
    permission_overwrites: Vec<Overwrite>,
}

/// What a channel changes of the permissions of a role or a member.
#[derive(Clone, Debug, Deserialize)]
struct Overwrite {
    id: String,
    #[serde(rename = "type")]
    kind: u8,
    allow: String,
    deny: String,
}

impl Overwrite {
    /// The bits that it takes, and those that it gives.
    fn bits(&self) -> (u64, u64) {
        let bits = |text: &str| text.parse().unwrap_or(0);
        (bits(&self.deny), bits(&self.allow))
    }
}

/// The bot's permissions in a channel, as Discord computes them: those of the server, then what the channel says of
/// `@everyone`, of all the bot's roles together, and of the bot.
/// <https://discord.com/developers/docs/topics/permissions#permission-overwrites>
fn permissions(guild: GuildId, bot: UserId, server: &GuildRoles, overwrites: &[Overwrite]) -> u64 {
    let base = server.permissions(guild);
    if server.owned || base & ADMINISTRATOR != 0 {
        return u64::MAX;
    }
    // Of several at once, what one gives counts more than what another takes.
    let step = |may: u64, kind: u8, ids: &[u64]| {
        let is_of =
            |one: &&Overwrite| one.kind == kind && ids.iter().any(|id| one.id == id.to_string());
        let together = overwrites.iter().filter(is_of).map(Overwrite::bits);
        let (deny, allow) = together.fold((0, 0), |all, one| (all.0 | one.0, all.1 | one.1));
        may & !deny | allow
    };
    let held: Vec<_> = server.held.iter().map(|RoleId(id)| *id).collect();
    step(step(step(base, 0, &[guild.0]), 0, &held), 1, &[bot.0])
}

impl Discord {
    /// The text channels of a server in the order in which Discord shows them; none where the bot is not in it.
    ///
    /// # Errors
    /// When Discord refuses or does not answer.
    pub async fn text_channels(&self, guild: GuildId) -> Result<Vec<TextChannel>, Failure> {
        let Some(server) = self.server(guild).await? else {
            return Ok(Vec::new());
        };
        let bot = self.shared.bot().await?;
        let mut channels = self.channels(guild).await?;
        channels.retain(|channel| WRITABLE.contains(&channel.kind));
        let row = |channel: ChannelBody| {
            let may = permissions(guild, bot, &server, &channel.permission_overwrites);
            let code = match (may & VIEW_CHANNEL != 0, may & SEND_MESSAGES != 0) {
                (false, _) => Some(50_001),
                (true, false) => Some(50_013),
                (true, true) => None,
            };
            TextChannel {
                id: channel.id,
                name: channel.name.unwrap_or_default(),
                why_not: code.map(text::channel_lacks),
            }
        };
        Ok(channels.into_iter().map(row).collect())
    }

    /// The channels of a server in the order in which Discord shows them.
    pub(super) async fn channels(&self, guild: GuildId) -> Result<Vec<ChannelBody>, Failure> {
        let path = format!("guilds/{guild}/channels");
        let mut channels: Vec<ChannelBody> = self.shared.rest.get(path).await?;
        channels.sort_by_key(|channel| (channel.position, channel.id));
        Ok(channels)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::discord::hierarchy::Role;

    const GUILD: GuildId = GuildId(1);
    const BOT: UserId = UserId(5);
    const STAFF: RoleId = RoleId(10);

    fn server(everyone: u64, staff: u64) -> GuildRoles {
        let role = |permissions| Role {
            name: String::new(),
            color: 0,
            position: 1,
            permissions,
            given_by: None,
        };
        GuildRoles {
            name: "Guild".to_owned(),
            owner: UserId(9),
            roles: BTreeMap::from([(RoleId(GUILD.0), role(everyone)), (STAFF, role(staff))]),
            held: vec![STAFF],
            owned: false,
        }
    }

    fn overwrite(kind: u8, id: u64, deny: u64, allow: u64) -> Overwrite {
        Overwrite {
            id: id.to_string(),
            kind,
            allow: allow.to_string(),
            deny: deny.to_string(),
        }
    }

    #[test]
    fn a_channel_changes_what_everyone_the_roles_and_the_bot_may_in_this_order() {
        let may = |server: &GuildRoles, overwrites: &[Overwrite]| {
            permissions(GUILD, BOT, server, overwrites) & SEND_MESSAGES != 0
        };
        let open = server(SEND_MESSAGES, 0);
        assert!(may(&open, &[]));
        let shut = overwrite(0, GUILD.0, SEND_MESSAGES, 0);
        assert!(!may(&open, std::slice::from_ref(&shut)));
        let for_staff = overwrite(0, STAFF.0, 0, SEND_MESSAGES);
        assert!(may(&open, &[for_staff.clone(), shut.clone()]));
        let not_the_bot = overwrite(1, BOT.0, SEND_MESSAGES, 0);
        assert!(!may(&open, &[not_the_bot, for_staff, shut.clone()]));
        let other_role = overwrite(0, 77, 0, SEND_MESSAGES);
        assert!(!may(&open, &[shut.clone(), other_role]));
        let administrator = server(0, ADMINISTRATOR);
        assert!(may(&administrator, &[shut]));
        assert!(!may(&server(0, 0), &[]));
    }
}
