//! What an interaction carries to the bot, and its answer as the user sees it.
use serde_json::{Value, json};
use serenity::model::Permissions;
use serenity::model::id::{ChannelId, InteractionId, MessageId};

use super::interaction::{Reply, SeenMessage};
use super::shape;
use super::world::World;
use crate::domain::{GuildId, UserId};

/// What every INTERACTION_CREATE carries, besides `type` and `data`.
pub(crate) fn envelope(
    world: &World,
    id: InteractionId,
    token: &str,
    guild_id: GuildId,
    channel: ChannelId,
    user: UserId,
) -> Option<Value> {
    let guild = world.guilds.get(&guild_id)?;
    let permissions = guild.permissions(user);
    let place = world.channels.get(&channel)?;
    // What the bot may do in this channel, not in the whole server.
    let mut bot_permissions = guild.permissions(world.bot());
    if !place.bot_may_write() {
        bot_permissions.remove(Permissions::SEND_MESSAGES);
    }
    let mut place = shape::channel(world, channel, place);
    place["permissions"] = json!(permissions);
    Some(json!({
        "id": id,
        "application_id": world.options.application_id,
        "token": token,
        "version": 1,
        "guild_id": guild_id,
        "guild": { "id": guild_id, "locale": "en-US", "features": [] },
        "channel_id": channel,
        "channel": place,
        "member": shape::interaction_member(world, guild_id, user, permissions)?,
        "app_permissions": bot_permissions,
        "locale": "en-US",
        "guild_locale": "en-US",
        "entitlements": [],
        "authorizing_integration_owners": { "0": guild_id },
        "context": 0,
        "attachment_size_limit": 10_485_760,
    }))
}

impl World {
    /// The reply as it stands; `None` before the callback or while the bot is thinking.
    pub(crate) fn reply(&self, id: InteractionId) -> Option<Reply> {
        let interaction = self.interactions.0.get(&id)?;
        let answered_after = interaction
            .answered_after
            .filter(|_| !interaction.thinking)?;
        let seen = |message: &MessageId| {
            let value = self.messages.get(&(interaction.channel, *message))?;
            Some(SeenMessage::new(*message, value))
        };
        Some(Reply {
            interaction: id,
            message: interaction.original.as_ref().and_then(seen)?,
            followups: interaction.followups.iter().filter_map(seen).collect(),
            answered_after,
            deferred: interaction.deferred,
        })
    }
}
