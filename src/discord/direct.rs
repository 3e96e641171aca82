//! Direct messages of the bot to a member.

use alloy::primitives::{hex, keccak256};
use serde::Deserialize;
use serde_json::json;
use serenity::http::{LightMethod, Request, Route};
use serenity::model::id::ChannelId;

use super::Discord;
use super::backoff::retry;
use super::error::{Failure, Reason};
use super::shared::snowflake;
use crate::domain::UserId;
use crate::store::Notice;
use crate::text;

/// Cannot send messages to this user: their direct messages are closed, or no server is shared any more.
/// <https://discord.com/developers/docs/topics/opcodes-and-status-codes#json-json-error-codes>
const CLOSED: [u32; 2] = [50007, 50278];

/// How often a message is tried when Discord has trouble.
const TRIES: u32 = 3;

#[derive(Deserialize)]
struct Channel {
    id: ChannelId,
}

/// Whether this answer will stay: direct messages to the user are closed, or there is no such user. Nobody's failure.
pub(super) fn never_reached(failure: &Failure) -> bool {
    match failure {
        Failure::Refused(refusal) => {
            refusal.reason == Reason::Member || CLOSED.contains(&refusal.code)
        }
        Failure::RateLimited | Failure::Transient(_) => false,
    }
}

impl Discord {
    /// Tells a member by direct message, in the channel with them, that one of their wallets was linked by another
    /// member. However often it is told within some minutes, they get it once.
    ///
    /// # Errors
    /// When Discord refuses or has trouble for several tries.
    pub(super) async fn tell_moved(
        &self,
        channel: ChannelId,
        notice: &Notice,
    ) -> Result<(), Failure> {
        let message = json!({
            "content": text::wallet_moved(notice.wallet, notice.moved_at),
            "allowed_mentions": { "parse": [] },
            "nonce": nonce(notice),
            "enforce_nonce": true,
        });
        self.post(channel, &message).await
    }

    /// The channel for direct messages to a user.
    pub(super) async fn direct_channel(&self, user: UserId) -> Result<ChannelId, Failure> {
        let whom = json!({ "recipient_id": snowflake(user.0).to_string() });
        let open = Request::new(Route::UserMeDmChannels, LightMethod::Post);
        let body = whom.to_string().into_bytes();
        let channel: Channel = self.try_some(open.body(Some(body))).await?;
        Ok(channel.id)
    }

    /// Posts a message in a channel.
    pub(crate) async fn post(
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
    pub(crate) async fn try_some<T: serde::de::DeserializeOwned>(
        &self,
        request: Request<'_>,
    ) -> Result<T, Failure> {
        retry(TRIES, || self.call(request.clone())).await
    }
}

/// The same for the same notice, so that Discord knows a message that it took without our hearing so. At most 25
/// characters: <https://discord.com/developers/docs/resources/message#create-message>
fn nonce(notice: &Notice) -> String {
    let mut what = notice.wallet.0.to_vec();
    what.extend(notice.former.0.to_be_bytes());
    what.extend(notice.moved_at.0.to_be_bytes());
    hex::encode(&keccak256(what)[..12])
}
