//! What an interaction carries to the bot, and its answer as the user sees it.
use serde_json::{Value, json};
use serenity::model::Permissions;
use serenity::model::id::{ChannelId, InteractionId, MessageId};

use super::interaction::{Reply, SeenMessage};
use super::shape;
use super::world::World;
use crate::domain::{GuildId, UserId};

/// What every INTERACTION_CREATE carries, besides `type` and `data`; without a guild it is one in direct messages.
pub(crate) fn envelope(
    world: &World,
    id: InteractionId,
    token: &str,
    guild: Option<GuildId>,
    channel: ChannelId,
    user: UserId,
) -> Option<Value> {
    let mut envelope = match guild {
        Some(guild) => in_guild(world, guild, channel, user)?,
        None => in_direct(world, channel, user)?,
    };
    envelope["id"] = json!(id);
    envelope["application_id"] = json!(world.options.application_id);
    envelope["token"] = json!(token);
    envelope["version"] = json!(1);
    envelope["channel_id"] = json!(channel);
    envelope["locale"] = json!("en-US");
    envelope["entitlements"] = json!([]);
    envelope["attachment_size_limit"] = json!(10_485_760);
    Some(envelope)
}

/// In the bot's direct messages with the user.
fn in_direct(world: &World, channel: ChannelId, user: UserId) -> Option<Value> {
    let place = shape::channel(world, channel, world.channels.get(&channel)?);
    let permissions = Permissions::VIEW_CHANNEL
        | Permissions::SEND_MESSAGES
        | Permissions::EMBED_LINKS
        | Permissions::ATTACH_FILES;
    Some(json!({
        "channel": place,
        "user": shape::user(world, user),
        "app_permissions": permissions,
        "authorizing_integration_owners": { "0": "0" },
        "context": 1,
    }))
}

fn in_guild(world: &World, guild_id: GuildId, channel: ChannelId, user: UserId) -> Option<Value> {
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
        "guild_id": guild_id,
        "guild": { "id": guild_id, "locale": "en-US", "features": [] },
        "channel": place,
        "member": shape::interaction_member(world, guild_id, user, permissions)?,
        "app_permissions": bot_permissions,
        "guild_locale": "en-US",
        "authorizing_integration_owners": { "0": guild_id },
        "context": 0,
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
