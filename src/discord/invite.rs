//! An invite for one user alone, that comes with roles.
//! <https://discord.com/developers/docs/resources/channel#create-channel-invite>

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Discord;
use super::error::{Failure, Reason};
use super::rest::{because, with_file};
use crate::domain::{GuildId, RoleId, UserId};

/// A week, the longest that Discord allows. Seconds.
const INVITE_SECONDS: u32 = 604_800;
/// Channels that are tried: where the bot may not invite, each try is a refusal that counts against it.
const MOST_CHANNELS: usize = 3;
/// The type of a text channel.
const TEXT: u8 = 0;
/// The list of who may accept it.
const WHO: [&str; 3] = ["target_users_file", "users.csv", "text/csv"];

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
        let mut channels = self.channels(guild).await?;
        channels.retain(|channel| channel.kind == TEXT);
        let mut refused = None;
        for channel in channels.iter().take(MOST_CHANNELS) {
            let path = format!("channels/{}/invites", channel.id);
            let request = self.request(Method::POST, path);
            let request = because(request, "Invite for a subscriber who paid");
            let who = format!("user_id\r\n{user}");
            let sent = self.call(with_file(request, &fields(roles), WHO, who.as_bytes()));
            match sent.await {
                Ok(Made { code }) => return Ok(code),
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

fn fields(roles: &[RoleId]) -> Value {
    let mut fields = json!({ "max_age": INVITE_SECONDS, "max_uses": 1, "unique": true });
    if !roles.is_empty() {
        fields["role_ids"] = json!(roles);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_names_one_user_and_the_roles() {
        let fields = fields(&[RoleId(8), RoleId(9)]);
        assert_eq!(fields["max_uses"], 1);
        let request = crate::http::local_client()
            .build()
            .unwrap()
            .post("http://localhost");
        let request = with_file(request, &fields, WHO, b"user_id\r\n7");
        let request = request.build().unwrap();
        let body = request.body().and_then(|body| body.as_bytes()).unwrap();
        let text = std::str::from_utf8(body).unwrap();
        assert!(text.contains("\r\n\r\nuser_id\r\n7\r\n--"), "{text}");
        assert!(text.contains("\"role_ids\":[\"8\",\"9\"]"), "{text}");
        assert!(super::fields(&[])["role_ids"].is_null());
    }
}
