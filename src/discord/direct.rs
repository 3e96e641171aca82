//! Direct messages of the bot to a member.

use serde::Deserialize;
use serde_json::json;
use serenity::http::{LightMethod, Request, Route};
use serenity::model::id::ChannelId;

use super::Discord;
use super::error::Failure;
use super::shared::snowflake;
use super::text;
use crate::domain::{Timestamp, UserId, Wallet};

/// Cannot send messages to this user: their direct messages are closed, or no server is shared any more.
/// <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes>
const CLOSED: [u32; 2] = [50007, 50278];

/// How often a message is tried when Discord has trouble.
const TRIES: u32 = 3;

#[derive(Deserialize)]
struct Channel {
    id: ChannelId,
}

impl Discord {
    /// Tells a member by direct message that one of their wallets was linked by another member; whether Discord took
    /// it. Closed direct messages are nobody's failure.
    ///
    /// # Errors
    /// When Discord refuses for another reason or has trouble for several tries.
    pub async fn tell_moved(
        &self,
        former: UserId,
        wallet: Wallet,
        moved_at: Timestamp,
    ) -> Result<bool, Failure> {
        match self
            .tell(former, &text::wallet_moved(wallet, moved_at))
            .await
        {
            Ok(()) => Ok(true),
            Err(Failure::Refused(refusal)) if CLOSED.contains(&refusal.code) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    async fn tell(&self, user: UserId, content: &str) -> Result<(), Failure> {
        let whom = json!({ "recipient_id": snowflake(user.0).to_string() });
        let open = Request::new(Route::UserMeDmChannels, LightMethod::Post);
        let channel: Channel = self
            .try_some(open.body(Some(whom.to_string().into_bytes())))
            .await?;
        self.post(
            channel.id,
            &json!({ "content": content, "allowed_mentions": { "parse": [] } }),
        )
        .await
    }

    /// Posts a message in a channel.
    pub(super) async fn post(
        &self,
        channel: ChannelId,
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
    pub(super) async fn try_some<T: serde::de::DeserializeOwned>(
        &self,
        request: Request<'_>,
    ) -> Result<T, Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.call(request.clone()).await {
                Err(Failure::Transient(_)) if tries < TRIES => {
                    tokio::time::sleep(super::outbox::delay(tries - 1, rand::random())).await;
                }
                result => return result,
            }
        }
    }
}
