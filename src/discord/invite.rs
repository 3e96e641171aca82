//! An invite for one user alone, that comes with roles.
//!
//! <https://discord.com/developers/docs/resources/channel#create-channel-invite>. serenity 0.12 knows neither the roles nor the
//! list of users, so the request is written here; it goes through the same limits.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::json;
use serenity::http::Route;

use super::Discord;
use super::create::AUDIT_LOG_REASON;
use super::error::{Failure, Reason};
use super::limits::Lane;
use super::shared::snowflake;
use crate::domain::{GuildId, RoleId, UserId};

/// A week, the longest that Discord allows. Seconds.
const INVITE_SECONDS: u32 = 604_800;
/// Channels that are tried: where the bot may not invite, each try is a refusal that counts against it.
const MOST_CHANNELS: usize = 3;
/// The type of a text channel.
const TEXT: u8 = 0;
/// Separates the parts of the body; ids and JSON have no such line.
const BOUNDARY: &str = "amser-roles-7b1f0c9d2e";

#[derive(Deserialize)]
struct Channel {
    id: crate::domain::ChannelId,
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default)]
    position: i64,
}

#[derive(Deserialize)]
struct Made {
    code: String,
}

impl Discord {
    /// Makes an invite that this user alone can accept, once, within a week, and that gives them these roles; its code. Into the
    /// first channels of the server, as far as the bot may invite there.
    ///
    /// # Errors
    /// [`Reason::Permissions`] where the bot may invite into none of them; when Discord refuses or cannot be reached.
    pub async fn invite(
        &self,
        guild: GuildId,
        user: UserId,
        roles: &[RoleId],
    ) -> Result<String, Failure> {
        let rest = &self.shared.rest;
        let route = Route::GuildChannels {
            guild_id: snowflake(guild.0).into(),
        };
        let mut channels: Vec<Channel> = rest.get(route).await?;
        channels.retain(|channel| channel.kind == TEXT);
        channels.sort_by_key(|channel| (channel.position, channel.id));
        let mut refused = None;
        for channel in channels.iter().take(MOST_CHANNELS) {
            let path = format!("api/v10/channels/{}/invites", channel.id);
            let (url, body) = (rest.url(&path), body(user, roles));
            let lane = Lane::of("POST", &path);
            let sent = rest.send_built(&lane, |client| {
                client
                    .post(&url)
                    .header(AUTHORIZATION, rest.authorization())
                    .header(AUDIT_LOG_REASON, "Invite for a subscriber who paid")
                    .header(
                        CONTENT_TYPE,
                        format!("multipart/form-data; boundary={BOUNDARY}"),
                    )
                    .body(body.clone())
            });
            match sent.await {
                Ok(answer) => {
                    let made: Made = serde_json::from_slice(&answer)
                        .map_err(|error| Failure::unreadable(&error))?;
                    return Ok(made.code);
                }
                // It cannot see this channel, or may not invite into it.
                Err(failure)
                    if matches!(failure.reason(), Some(Reason::Permissions | Reason::Guild)) =>
                {
                    refused = Some(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(refused.unwrap_or_else(|| {
            Failure::Transient("the server has no text channel that the bot sees".to_owned())
        }))
    }
}

/// The fields, and the list of who may accept it.
fn body(user: UserId, roles: &[RoleId]) -> String {
    let mut fields = json!({ "max_age": INVITE_SECONDS, "max_uses": 1, "unique": true });
    if !roles.is_empty() {
        fields["role_ids"] = json!(roles);
    }
    [
        &format!("--{BOUNDARY}"),
        "Content-Disposition: form-data; name=\"payload_json\"",
        "Content-Type: application/json",
        "",
        &fields.to_string(),
        &format!("--{BOUNDARY}"),
        "Content-Disposition: form-data; name=\"target_users_file\"; filename=\"users.csv\"",
        "Content-Type: text/csv",
        "",
        "user_id",
        &user.to_string(),
        &format!("--{BOUNDARY}--"),
        "",
    ]
    .join("\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_names_one_user_and_the_roles() {
        let text = body(UserId(7), &[RoleId(8), RoleId(9)]);
        assert!(text.contains("\r\n\r\nuser_id\r\n7\r\n--"), "{text}");
        assert!(text.contains("\"max_uses\":1"), "{text}");
        assert!(text.contains("\"role_ids\":[\"8\",\"9\"]"), "{text}");
        assert!(!body(UserId(7), &[]).contains("role_ids"));
    }
}
