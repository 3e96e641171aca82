//! Messages of the bot's own accord: in channels, and to members.

use serde::Deserialize;
use serde_json::json;
use serenity::http::{LightMethod, Request, Route};

use super::Discord;
use super::backoff::retry;
use super::error::{Failure, Reason};
use super::shared::snowflake;
use crate::domain::{ChannelId, Message, Unsent, UserId};

/// Cannot send messages to this user: their direct messages are closed, or no server is shared any more.
/// <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes>
const CLOSED: [u32; 2] = [50007, 50278];

/// How often a message is tried when Discord has trouble.
const TRIES: u32 = 3;

#[derive(Deserialize)]
struct Channel {
    id: ChannelId,
}

impl From<Failure> for Unsent {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal)
                if refusal.reason == Reason::Member || CLOSED.contains(&refusal.code) =>
            {
                Self::Closed
            }
            Failure::Refused(refusal) => Self::Refused {
                code: refusal.code,
                message: refusal.message,
            },
            Failure::RateLimited | Failure::Transient(_) => Self::Later(failure.to_string()),
        }
    }
}

impl Discord {
    /// Sends a message that pings nobody. However often it is sent within some minutes, it is there once.
    ///
    /// # Errors
    /// When Discord refuses or has trouble for several tries.
    pub async fn say(&self, channel: ChannelId, message: &Message) -> Result<(), Failure> {
        let mut body = json!({
            "content": message.content,
            "allowed_mentions": { "parse": [] },
            "nonce": message.nonce,
            "enforce_nonce": true,
        });
        if let Some((label, id)) = &message.button {
            let button = json!({ "type": 2, "style": 2, "label": label, "custom_id": id });
            body["components"] = json!([{ "type": 1, "components": [button] }]);
        }
        self.post(snowflake(channel.0).into(), &body).await
    }

    /// The channel for direct messages to a user.
    ///
    /// # Errors
    /// As [`Discord::say`].
    pub async fn direct_channel(&self, user: UserId) -> Result<ChannelId, Failure> {
        let whom = json!({ "recipient_id": snowflake(user.0).to_string() });
        let open = Request::new(Route::UserMeDmChannels, LightMethod::Post);
        let body = whom.to_string().into_bytes();
        let channel: Channel = self.try_some(open.body(Some(body))).await?;
        Ok(channel.id)
    }

    /// Posts a message in a channel.
    pub(crate) async fn post(
        &self,
        channel: serenity::model::id::ChannelId,
        message: &serde_json::Value,
    ) -> Result<(), Failure> {
        let route = Route::ChannelMessages {
            channel_id: channel,
        };
        let body = message.to_string().into_bytes();
        let _posted: serde_json::Value = self
            .try_some(Request::new(route, LightMethod::Post).body(Some(body)))
            .await?;
        Ok(())
    }

    /// As [`Discord::call`], a few times while Discord has trouble.
    pub(crate) async fn try_some<T: serde::de::DeserializeOwned>(
        &self,
        request: Request<'_>,
    ) -> Result<T, Failure> {
        retry(TRIES, || self.call(request.clone())).await
    }
}
