//! What the page's buttons post: something for the chain, or something that people do on Discord, which is done here.
use serde::Deserialize;

use super::action::Action;
use crate::domain::{GuildId, RoleId, UserId};
use crate::sandbox::discord::{Happening, LocalDiscord};

/// Something that people do on Discord, without the bot.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum HandAction {
    Join {
        guild_id: GuildId,
        user_id: UserId,
    },
    Leave {
        guild_id: GuildId,
        user_id: UserId,
    },
    GiveRole {
        guild_id: GuildId,
        user_id: UserId,
        role_id: RoleId,
    },
    TakeRole {
        guild_id: GuildId,
        user_id: UserId,
        role_id: RoleId,
    },
}

/// Either kind, as posted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Posted {
    Chain(Action),
    Hand(HandAction),
}

impl HandAction {
    /// Does it; the sentence says what happened, or why not.
    pub(crate) fn perform(self, discord: &LocalDiscord) -> Result<String, String> {
        let name = |user| discord.user_name(user);
        let role = |guild, role| discord.role_name(guild, role).unwrap_or_default();
        let (done, text) = match self {
            Self::Join { guild_id, user_id } => (
                discord.add_member(guild_id, user_id),
                format!(
                    "**{}** joined {}.",
                    name(user_id),
                    discord.guild_name(guild_id).unwrap_or_default()
                ),
            ),
            Self::Leave { guild_id, user_id } => (
                discord.remove_member(guild_id, user_id),
                format!(
                    "**{}** left {}.",
                    name(user_id),
                    discord.guild_name(guild_id).unwrap_or_default()
                ),
            ),
            Self::GiveRole {
                guild_id,
                user_id,
                role_id,
            } => (
                discord.give_role(guild_id, user_id, role_id),
                format!(
                    "Somebody gave **{}** the role **{}** by hand.",
                    name(user_id),
                    role(guild_id, role_id)
                ),
            ),
            Self::TakeRole {
                guild_id,
                user_id,
                role_id,
            } => (
                discord.take_role(guild_id, user_id, role_id),
                format!(
                    "Somebody took the role **{}** from **{}** by hand.",
                    role(guild_id, role_id),
                    name(user_id)
                ),
            ),
        };
        match done {
            Ok(()) => {
                discord.happened(Happening::Person, text.clone());
                Ok(text.replace("**", ""))
            }
            Err(error) => Err(format!("Discord refuses: {error}.")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posted_actions_are_told_apart() {
        let parse = |text: &str| serde_json::from_str::<Posted>(text).ok();
        let pay = Action::Pay { user_id: UserId(7) };
        assert_eq!(
            parse(r#"{"action":"pay","user_id":"7"}"#),
            Some(Posted::Chain(pay))
        );
        let leave = HandAction::Leave {
            guild_id: GuildId(1),
            user_id: UserId(7),
        };
        assert_eq!(
            parse(r#"{"action":"leave","guild_id":"1","user_id":"7"}"#),
            Some(Posted::Hand(leave))
        );
        assert_eq!(parse(r#"{"action":"pay"}"#), None);
        assert_eq!(parse(r#"{"action":"explode"}"#), None);
    }
}
