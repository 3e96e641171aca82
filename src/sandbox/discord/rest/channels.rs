//! Channels, direct messages, and the bot's messages in them.
use crate::domain::UserId;
use serde::Deserialize;
use serde_json::{Value, json};
use serenity::model::id::ChannelId;

use super::responses::is_ephemeral;
use crate::sandbox::discord::call::{Answer, Call, Handled};
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::message::{self, MessageBody};
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::{Channel, World};
use serenity::model::id::MessageId;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenDirect {
    recipient_id: UserId,
}

pub(crate) fn open_direct(world: &mut World, call: &Call) -> Handled {
    let asked: OpenDirect = call.json()?;
    let user = asked.recipient_id;
    if !world.users.contains_key(&user) {
        return Err(ApiError::unknown_user());
    }
    let id = world.direct_channel(user);
    Ok(Answer::json(&shape::channel(
        world,
        id,
        &Channel::Direct { user },
    )))
}

impl World {
    /// The bot's direct-message channel with a user.
    pub(crate) fn direct_channel(&mut self, with: UserId) -> ChannelId {
        let wanted = Channel::Direct { user: with };
        let known = self
            .channels
            .iter()
            .find(|(_, channel)| **channel == wanted);
        if let Some((id, _)) = known {
            return *id;
        }
        let id = ChannelId::new(self.new_id());
        self.channels.insert(id, wanted);
        id
    }
}

/// The channel, when the bot can see it; `writing` also asks whether it may write.
fn reachable(world: &World, id: ChannelId, writing: bool) -> Result<&Channel, ApiError> {
    let channel = world
        .channels
        .get(&id)
        .ok_or_else(ApiError::unknown_channel)?;
    match channel {
        Channel::Text { guild, denied, .. } => {
            let permissions = world.guild_of_bot(*guild)?.permissions(world.bot());
            let permissions = match permissions.administrator() {
                true => permissions,
                false => permissions - *denied,
            };
            if !permissions.view_channel() {
                return Err(ApiError::missing_access());
            }
            if writing && !permissions.send_messages() {
                return Err(ApiError::missing_permissions());
            }
        }
        Channel::Direct { user } => {
            let bot = world.bot();
            let meet = world
                .guilds
                .values()
                .any(|guild| guild.members.contains_key(user) && guild.members.contains_key(&bot));
            let closed = world
                .users
                .get(user)
                .is_none_or(|user| user.closed_to_messages);
            if writing && (closed || !meet) {
                return Err(ApiError::cannot_message_user());
            }
        }
    }
    Ok(channel)
}

pub(crate) fn channel(world: &mut World, call: &Call) -> Handled {
    let id = call.channel()?;
    let channel = reachable(world, id, false)?;
    Ok(Answer::json(&shape::channel(world, id, channel)))
}

pub(crate) fn list(world: &mut World, call: &Call) -> Handled {
    let id = call.channel()?;
    reachable(world, id, false)?;
    let limit = call.number("limit", 50_usize, 1..=100)?;
    let newest_first: Value = world
        .messages
        .range((id, MessageId::new(1))..=(id, MessageId::new(u64::MAX)))
        .rev()
        .map(|(_, message)| message)
        .filter(|message| !is_ephemeral(message))
        .take(limit)
        .cloned()
        .collect();
    Ok(Answer::json(&newest_first))
}

pub(crate) fn create(world: &mut World, call: &Call) -> Handled {
    let channel = call.channel()?;
    let body = call.json::<MessageBody>()?.for_everyone();
    body.check(true)?;
    reachable(world, channel, true)?;
    if let Some(message) = body.made_before(world) {
        return Ok(Answer::json(message));
    }
    let id = MessageId::new(world.new_id());
    let message = message::create(world, id, channel, world.bot(), &body);
    world.messages.insert((channel, id), message.clone());
    Ok(Answer::json(&message))
}

pub(crate) fn get(world: &mut World, call: &Call) -> Handled {
    let (channel, id) = (call.channel()?, call.message()?);
    reachable(world, channel, false)?;
    let message = world
        .messages
        .get(&(channel, id))
        .filter(|message| !is_ephemeral(message));
    Ok(Answer::json(message.ok_or_else(ApiError::unknown_message)?))
}

pub(crate) fn edit(world: &mut World, call: &Call) -> Handled {
    let (channel, id) = (call.channel()?, call.message()?);
    let body: MessageBody = call.json()?;
    body.check(false)?;
    reachable(world, channel, false)?;
    let message = world
        .messages
        .get_mut(&(channel, id))
        .ok_or_else(ApiError::unknown_message)?;
    body.apply(message);
    message["edited_timestamp"] = json!(message::now());
    Ok(Answer::json(message))
}

pub(crate) fn delete(world: &mut World, call: &Call) -> Handled {
    let (channel, id) = (call.channel()?, call.message()?);
    reachable(world, channel, false)?;
    world
        .messages
        .remove(&(channel, id))
        .ok_or_else(ApiError::unknown_message)?;
    Ok(Answer::no_content())
}
