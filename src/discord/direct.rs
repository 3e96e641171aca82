//! Messages of the bot's own accord: in channels, and to members.

use reqwest::{Method, RequestBuilder};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::Discord;
use super::backoff::retry;
use super::error::{Failure, Reason};
use super::member::Object;
use super::rest::again;
use crate::domain::{ChannelId, Message, Unsent, UserId};

/// Cannot send messages to this user: their direct messages are closed, or no server is shared any more.
/// <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes>
const CLOSED: [u32; 2] = [50007, 50278];

/// Opening direct messages too fast, and the quarantine that follows. The HTTP status may be 400 or 403.
const TOO_FAST: [u32; 2] = [40003, 20026];

/// How often a message is tried when Discord has trouble.
const TRIES: u32 = 3;

impl From<Failure> for Unsent {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal)
                if refusal.reason == Reason::Member || CLOSED.contains(&refusal.code) =>
            {
                Self::Closed
            }
            Failure::Refused(refusal) if TOO_FAST.contains(&refusal.code) => Self::TooFast,
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
        self.post(channel, &body).await
    }

    /// The channel for direct messages to a user.
    ///
    /// # Errors
    /// As [`Discord::say`].
    pub async fn direct_channel(&self, user: UserId) -> Result<ChannelId, Failure> {
        let open = self.request(Method::POST, "users/@me/channels");
        let open = open.json(&json!({ "recipient_id": user }));
        Ok(self.try_some::<Object<_>>(open).await?.id)
    }

    /// Posts a message in a channel.
    pub(crate) async fn post(&self, channel: ChannelId, message: &Value) -> Result<(), Failure> {
        let request = self.request(Method::POST, format!("channels/{channel}/messages"));
        let _posted: IgnoredAny = self.try_some(request.json(message)).await?;
        Ok(())
    }

    /// As [`Discord::call`], a few times while Discord has trouble.
    pub(crate) async fn try_some<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<T, Failure> {
        retry(TRIES, || self.call(again(&request))).await
    }
}
