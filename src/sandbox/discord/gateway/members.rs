//! REQUEST_GUILD_MEMBERS: members by id, by name, or the whole list in chunks of 1,000.
use std::time::{Duration, Instant};

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
/// A guild's whole list may be requested this often.
const WHOLE_LIST_GAP: Duration = Duration::from_secs(30);
/// Bytes of a nonce; a longer one is dropped.
const LONGEST_NONCE: usize = 32;

/// Answers with GUILD_MEMBERS_CHUNK events on the session, or with RATE_LIMITED; an error says what is wrong with the
/// request.
pub(crate) fn request_members(
    world: &mut World,
    session_id: &str,
    asked: &RequestMembers,
) -> Result<(), String> {
    let nonce = asked.nonce.as_ref();
    let nonce = nonce.filter(|nonce| nonce.len() <= LONGEST_NONCE);
    let is_whole_list = asked.is_whole_list();
    let Some(session) = world.sessions.get_mut(session_id) else {
        return Ok(());
    };
    // Only the whole list is what the privileged intent is about.
    if is_whole_list && !session.intents.contains(GatewayIntents::GUILD_MEMBERS) {
        return Err("asked for all members without the GUILD_MEMBERS intent".to_owned());
    }
    let now = Instant::now();
    let limited = if let Some(limited) = world.sessions.member_requests_limited.take() {
        Some(limited)
    } else if is_whole_list {
        let last = world.sessions.whole_lists.get(&asked.guild_id);
        last.map(|last| WHOLE_LIST_GAP.saturating_sub(now.duration_since(*last)))
            .filter(|wait| !wait.is_zero())
    } else {
        None
    };
    if let Some(retry_after) = limited {
        let data = json!({
            "opcode": 8,
            "retry_after": retry_after.as_secs_f64(),
            "meta": { "guild_id": asked.guild_id, "nonce": nonce },
        });
        if let Some(session) = world.sessions.get_mut(session_id) {
            session.push("RATE_LIMITED", &data.to_string());
        }
        return Ok(());
    }
    if is_whole_list {
        world.sessions.whole_lists.insert(asked.guild_id, now);
    }
    world.sessions.member_requests += 1;
    for user in asked.named() {
        *world.sessions.members_requested.entry(*user).or_default() += 1;
    }
    let payloads = chunks(world, asked, nonce)?;
    if let Some(session) = world.sessions.get_mut(session_id) {
        for payload in payloads {
            session.push("GUILD_MEMBERS_CHUNK", &payload.to_string());
        }
    }
    Ok(())
}

impl RequestMembers {
    fn named(&self) -> &[UserId] {
        match &self.user_ids {
            None => &[],
            Some(OneOrMany::One(id)) => std::slice::from_ref(id),
            Some(OneOrMany::Many(ids)) => ids,
        }
    }

    fn is_whole_list(&self) -> bool {
        let all = self.query.as_ref().is_some_and(String::is_empty) && self.limit == Some(0);
        self.user_ids.is_none() && all
    }
}

fn chunks(
    world: &World,
    asked: &RequestMembers,
    nonce: Option<&String>,
) -> Result<Vec<Value>, String> {
    let Ok(guild) = world.guild_of_bot(asked.guild_id) else {
        return Err("asked for the members of a guild that the bot is not in".to_owned());
    };
    let mut not_found = Vec::new();
    let found: Vec<UserId> = match (&asked.user_ids, &asked.query) {
        (Some(_), Some(_)) => return Err("named both query and user_ids".to_owned()),
        (Some(_), None) => {
            let ids = asked.named();
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
        (None, Some(_)) if asked.is_whole_list() => guild.members.keys().copied().collect(),
        (None, Some(query)) => {
            let limit = asked.limit.unwrap_or_default();
            if !(1..=100).contains(&limit) {
                return Err("asked for members by name without a limit of 1 to 100".to_owned());
            }
            let names = guild.members.keys().copied();
            names
                .filter(|id| shape::user_name(world, *id).starts_with(query.as_str()))
                .take(limit)
                .collect()
        }
        (None, None) => return Err("named neither query nor user_ids".to_owned()),
    };
    let count = found.len().div_ceil(CHUNK).max(1);
    let chunk = |index: usize| {
        let part = found.iter().skip(index * CHUNK).take(CHUNK);
        let members: Vec<_> = part
            .map(|id| shape::member(world, guild, *id, &guild.members[id], false))
            .collect();
        let mut chunk = json!({
            "guild_id": guild.id,
            "members": members,
            "chunk_index": index,
            "chunk_count": count,
        });
        // Both are there only where there is something to say.
        if !not_found.is_empty() {
            chunk["not_found"] = json!(not_found);
        }
        if let Some(nonce) = nonce {
            chunk["nonce"] = json!(nonce);
        }
        chunk
    };
    Ok((0..count).map(chunk).collect())
}
