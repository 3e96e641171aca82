//! Guilds and their channels.
use serde_json::Value;

use crate::sandbox::discord::call::{Answer, Call, Handled};
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::World;

pub(crate) fn guild(world: &mut World, call: &Call) -> Handled {
    // For this route Discord does not say whether a guild without the bot exists (discord-api-docs issue 5840).
    let guild = world
        .guild_of_bot(call.guild()?)
        .map_err(|_| ApiError::unknown_guild())?;
    let counts = call
        .query
        .get("with_counts")
        .is_some_and(|value| value == "true");
    Ok(Answer::json(&shape::guild(guild, counts)))
}

pub(crate) fn channels(world: &mut World, call: &Call) -> Handled {
    let guild = world.guild_of_bot(call.guild()?)?;
    let channels: Value = guild
        .channels
        .iter()
        .filter_map(|id| {
            world
                .channels
                .get(id)
                .map(|channel| shape::channel(world, *id, channel))
        })
        .collect();
    Ok(Answer::json(&channels))
}
