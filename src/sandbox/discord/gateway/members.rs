//! REQUEST_GUILD_MEMBERS: the member list in chunks of 1,000.
use crate::domain::{GuildId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};
use serenity::model::gateway::GatewayIntents;

use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::World;

/// The data of REQUEST_GUILD_MEMBERS.
/// <https://discord.com/developers/docs/events/gateway-events#request-guild-members>
#[derive(Debug, Deserialize)]
pub(crate) struct RequestMembers {
    guild_id: GuildId,
    query: Option<String>,
    limit: Option<usize>,
    user_ids: Option<OneOrMany>,
    nonce: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(UserId),
    Many(Vec<UserId>),
}

/// Members in one chunk.
const CHUNK: usize = 1_000;

/// Answers with GUILD_MEMBERS_CHUNK events on the session; an error says what is wrong with the request.
pub(crate) fn request_members(
    world: &mut World,
    session_id: &str,
    asked: &RequestMembers,
) -> Result<(), String> {
    let intents = world
        .sessions
        .get_mut(session_id)
        .map(|session| session.intents);
    let intents = intents.unwrap_or(GatewayIntents::empty());
    let Ok(guild) = world.guild_of_bot(asked.guild_id) else {
        return Err("asked for the members of a guild that the bot is not in".to_owned());
    };
    let limit = asked.limit.unwrap_or(0);
    let mut not_found = Vec::new();
    let found: Vec<UserId> = match (&asked.user_ids, &asked.query) {
        (Some(ids), _) => {
            let ids = match ids {
                OneOrMany::One(id) => std::slice::from_ref(id),
                OneOrMany::Many(ids) => ids.as_slice(),
            };
            if ids.len() > 100 {
                return Err("asked for more than 100 members by id at once".to_owned());
            }
            let (found, missing) = ids
                .iter()
                .copied()
                .partition(|id| guild.members.contains_key(id));
            not_found = missing;
            found
        }
        (None, Some(query)) if query.is_empty() && limit == 0 => {
            if !intents.contains(GatewayIntents::GUILD_MEMBERS) {
                return Err("asked for all members without the GUILD_MEMBERS intent".to_owned());
            }
            guild.members.keys().copied().collect()
        }
        (None, Some(query)) => {
            if limit > 100 {
                return Err("asked for more than 100 members by name at once".to_owned());
            }
            let names = guild.members.keys().copied();
            names
                .filter(|id| shape::user_name(world, *id).starts_with(query.as_str()))
                .take(limit)
                .collect()
        }
        (None, None) => return Err("named neither query nor user_ids".to_owned()),
    };
    let chunks = found.len().div_ceil(CHUNK).max(1);
    let payloads: Vec<Value> = (0..chunks)
        .map(|index| {
            let part = found.iter().skip(index * CHUNK).take(CHUNK);
            let members: Vec<_> = part
                .map(|id| shape::member(world, guild, *id, &guild.members[id], false))
                .collect();
            json!({
                "guild_id": guild.id,
                "members": members,
                "chunk_index": index,
                "chunk_count": chunks,
                "not_found": not_found,
                "nonce": asked.nonce,
            })
        })
        .collect();
    if let Some(session) = world.sessions.get_mut(session_id) {
        for payload in payloads {
            session.push("GUILD_MEMBERS_CHUNK", &payload.to_string());
        }
    }
    Ok(())
}
