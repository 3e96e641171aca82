//! Answers to interactions: the callback, and the webhook that edits it and follows up.
use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};
use serenity::model::id::{ChannelId, MessageId};

use crate::sandbox::discord::call::{Answer, Call, Handled};
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::interaction::{EPHEMERAL, Interaction};
use crate::sandbox::discord::message::{self, MessageBody};
use crate::sandbox::discord::modal;
use crate::sandbox::discord::world::World;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Callback {
    #[serde(rename = "type")]
    kind: u8,
    data: Option<Value>,
}

fn body(data: Option<Value>) -> Result<MessageBody, ApiError> {
    serde_json::from_value(data.unwrap_or_else(|| json!({}))).map_err(ApiError::invalid_json)
}

pub(crate) fn callback(world: &mut World, call: &Call) -> Handled {
    let id = call.interaction()?;
    let asked: Callback = call.json()?;
    let deadline = world.options.interaction_deadline;
    let interaction = world
        .interactions
        .0
        .get(&id)
        .ok_or_else(ApiError::unknown_interaction)?;
    let age = Instant::now().duration_since(interaction.created);
    if interaction.token != call.text("token") {
        return Err(ApiError::unknown_interaction());
    }
    if interaction.answered_after.is_some() {
        return Err(ApiError::already_acknowledged());
    }
    if age > deadline {
        return Err(ApiError::unknown_interaction());
    }
    let (channel, source) = (interaction.channel, interaction.source);
    // A form cannot be answered with a form.
    if asked.kind == 9 && interaction.kind != 5 {
        let form = asked.data.unwrap_or_default();
        modal::check(&form)?;
        if let Some(interaction) = world.interactions.0.get_mut(&id) {
            interaction.answered_after = Some(age);
            interaction.modal = Some(form);
        }
        return Ok(Answer::no_content());
    }
    let data = body(asked.data)?;
    let original = match (asked.kind, source) {
        (4, _) => {
            data.check(true)?;
            Some(post(world, channel, &data))
        }
        (5, _) => Some(post(world, channel, &data)),
        (6, Some(source)) => Some(source),
        (7, Some(source)) => {
            data.check(false)?;
            change(world, channel, source, &data)?;
            Some(source)
        }
        (kind, _) => {
            let message = format!("Type {kind} does not answer this interaction.");
            return Err(ApiError::invalid_form(
                "type",
                "INTERACTION_TYPE_INVALID",
                message,
            ));
        }
    };
    if let Some(interaction) = world.interactions.0.get_mut(&id) {
        interaction.answered_after = Some(age);
        interaction.thinking = asked.kind == 5;
        interaction.deferred = matches!(asked.kind, 5 | 6);
        interaction.original = original;
    }
    Ok(Answer::no_content())
}

/// Adds a message of the bot's to a channel.
fn post(world: &mut World, channel: ChannelId, data: &MessageBody) -> MessageId {
    let id = MessageId::new(world.new_id());
    let mut message = message::create(world, id, channel, world.bot(), data);
    message["application_id"] = json!(world.options.application_id);
    message["webhook_id"] = json!(world.options.application_id);
    world.messages.insert((channel, id), message);
    id
}

/// Edits a message in place and returns it.
fn change(
    world: &mut World,
    channel: ChannelId,
    id: MessageId,
    data: &MessageBody,
) -> Result<Value, ApiError> {
    let message = world
        .messages
        .get_mut(&(channel, id))
        .ok_or_else(ApiError::unknown_message)?;
    data.apply(message);
    message["edited_timestamp"] = json!(message::now());
    Ok(message.clone())
}

fn interaction<'a>(world: &'a mut World, call: &Call) -> Result<&'a mut Interaction, ApiError> {
    if call.application()? != world.options.application_id {
        return Err(ApiError::unknown_webhook());
    }
    let lifetime = world.options.interaction_lifetime;
    world
        .interactions
        .by_token(call.text("token"), lifetime, Instant::now())
}

pub(crate) fn follow_up(world: &mut World, call: &Call) -> Handled {
    let data = MessageBody::of(call)?;
    data.check(true)?;
    let found = interaction(world, call)?;
    let (channel, original, thinking) = (found.channel, found.original, found.thinking);
    // The first follow-up after a deferral fills the placeholder instead of adding a message.
    if let Some(original) = original.filter(|_| thinking) {
        found.thinking = false;
        return Ok(Answer::json(&change(world, channel, original, &data)?));
    }
    let id = post(world, channel, &data);
    interaction(world, call)?.followups.push(id);
    Ok(Answer::json(&world.messages[&(channel, id)]))
}

/// The channel and id of `@original`.
fn original(world: &mut World, call: &Call) -> Result<(ChannelId, MessageId), ApiError> {
    let found = interaction(world, call)?;
    Ok((
        found.channel,
        found.original.ok_or_else(ApiError::unknown_message)?,
    ))
}

pub(crate) fn get_original(world: &mut World, call: &Call) -> Handled {
    let key = original(world, call)?;
    Ok(Answer::json(
        world
            .messages
            .get(&key)
            .ok_or_else(ApiError::unknown_message)?,
    ))
}

pub(crate) fn edit_original(world: &mut World, call: &Call) -> Handled {
    let data = MessageBody::of(call)?;
    data.check(false)?;
    let (channel, id) = original(world, call)?;
    let message = change(world, channel, id, &data)?;
    interaction(world, call)?.thinking = false;
    Ok(Answer::json(&message))
}

pub(crate) fn delete_original(world: &mut World, call: &Call) -> Handled {
    let key = original(world, call)?;
    world
        .messages
        .remove(&key)
        .ok_or_else(ApiError::unknown_message)?;
    let found = interaction(world, call)?;
    found.original = None;
    found.thinking = false;
    Ok(Answer::no_content())
}

/// The channel and id of one of the interaction's own messages.
fn own(world: &mut World, call: &Call) -> Result<(ChannelId, MessageId), ApiError> {
    let id = call.message()?;
    let found = interaction(world, call)?;
    if found.original == Some(id) || found.followups.contains(&id) {
        Ok((found.channel, id))
    } else {
        Err(ApiError::unknown_message())
    }
}

pub(crate) fn get(world: &mut World, call: &Call) -> Handled {
    let key = own(world, call)?;
    Ok(Answer::json(
        world
            .messages
            .get(&key)
            .ok_or_else(ApiError::unknown_message)?,
    ))
}

pub(crate) fn edit(world: &mut World, call: &Call) -> Handled {
    let data: MessageBody = call.json()?;
    data.check(false)?;
    let (channel, id) = own(world, call)?;
    Ok(Answer::json(&change(world, channel, id, &data)?))
}

pub(crate) fn delete(world: &mut World, call: &Call) -> Handled {
    let (channel, id) = own(world, call)?;
    world
        .messages
        .remove(&(channel, id))
        .ok_or_else(ApiError::unknown_message)?;
    interaction(world, call)?
        .followups
        .retain(|other| *other != id);
    Ok(Answer::no_content())
}

/// Whether a message object is one that only one user sees.
pub(crate) fn is_ephemeral(message: &Value) -> bool {
    message["flags"].as_u64().unwrap_or(0) & EPHEMERAL != 0
}
