//! IDENTIFY: who may open a session, and what READY and the first GUILD_CREATEs say.
use std::time::Instant;

use crate::domain::GuildId;
use serde::Deserialize;
use serde_json::{Value, json};
use serenity::model::gateway::GatewayIntents;
use tokio::sync::mpsc::UnboundedSender;

use super::Close;
use super::session::{Order, Session};
use super::starts::Start;
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::World;

/// The data of IDENTIFY that matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Identify {
    token: String,
    intents: u64,
    /// Clients must say what they are; the keys `os`, `browser` and `device` are documented.
    #[serde(rename = "properties")]
    _properties: Properties,
    #[serde(default)]
    pub(crate) compress: bool,
    large_threshold: Option<u16>,
    shard: Option<(u32, u32)>,
}

#[derive(Debug, Deserialize)]
struct Properties {
    #[serde(rename = "os")]
    _os: String,
}

/// The data of RESUME.
#[derive(Debug, Deserialize)]
pub(crate) struct Resume {
    pub(crate) token: String,
    pub(crate) session_id: String,
    pub(crate) seq: u64,
}

/// Sessions are resumed at an address of their own, below the general one.
pub(crate) const RESUME_PATH: &str = "/resume";

/// Intents that must be switched on for the application.
const PRIVILEGED: GatewayIntents = GatewayIntents::privileged();

/// Whether the token is the bot's; the prefix `Bot ` is accepted, as Discord does.
pub(crate) fn token_matches(world: &World, token: &str) -> bool {
    token.strip_prefix("Bot ").unwrap_or(token) == world.options.token
}

/// Why no session is opened.
#[derive(Debug)]
pub(crate) enum Refused {
    Close(Close),
    /// It comes too soon after the last one; the client may try again.
    TooSoon,
}

impl From<Close> for Refused {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

/// Opens a session and sends READY and the guilds; returns its id.
pub(crate) fn identify(
    world: &mut World,
    asked: &Identify,
    outbox: UnboundedSender<Order>,
) -> Result<String, Refused> {
    if !token_matches(world, &asked.token) {
        return Err(Close::AUTHENTICATION_FAILED.into());
    }
    let (allowance, gap) = (world.options.session_starts, world.options.identify_gap);
    match world.sessions.starts.admit(allowance, gap, Instant::now()) {
        Start::Admitted => {}
        Start::TooSoon => return Err(Refused::TooSoon),
        // Discord takes the token away from a bot that goes on.
        Start::TooMany => return Err(Close::AUTHENTICATION_FAILED.into()),
    }
    let intents = GatewayIntents::from_bits(asked.intents).ok_or(Close::INVALID_INTENTS)?;
    if !world
        .options
        .privileged_intents
        .contains(intents & PRIVILEGED)
    {
        return Err(Close::DISALLOWED_INTENTS.into());
    }
    let shard = asked.shard.unwrap_or((0, 1));
    if shard.0 >= shard.1 {
        return Err(Close::INVALID_SHARD.into());
    }
    if shard.1 < world.required_shards {
        return Err(Close::SHARDING_REQUIRED.into());
    }
    let threshold = usize::from(asked.large_threshold.unwrap_or(50));
    if !(50..=250).contains(&threshold) {
        return Err(Close::DECODE_ERROR.into());
    }
    let id = format!("{:032x}", u128::from(world.new_id()));
    let session = Session::new(intents, shard, threshold, outbox);
    let presences = session.sees_presences();
    let bot = world.bot();
    let guilds: Vec<GuildId> = world
        .guilds
        .values()
        .filter(|guild| guild.members.contains_key(&bot) && session.serves(guild.id))
        .map(|guild| guild.id)
        .collect();
    let ready = ready(world, &id, shard, &guilds);
    let creates: Vec<Value> = guilds
        .iter()
        .filter(|_| intents.contains(GatewayIntents::GUILDS))
        .map(|id| shape::guild_create(world, &world.guilds[id], presences, threshold))
        .collect();
    let session = world.sessions.begin(id.clone(), session);
    session.push("READY", &ready.to_string());
    for create in creates {
        session.push("GUILD_CREATE", &create.to_string());
    }
    Ok(id)
}

fn ready(world: &World, session_id: &str, shard: (u32, u32), guilds: &[GuildId]) -> Value {
    let guilds: Vec<_> = guilds
        .iter()
        .map(|id| json!({ "id": id, "unavailable": true }))
        .collect();
    json!({
        "v": 10,
        "user": shape::current_user(world, world.bot()),
        "guilds": guilds,
        "session_id": session_id,
        "session_type": "normal",
        "resume_gateway_url": format!("{}{RESUME_PATH}", world.gateway_url),
        "shard": [shard.0, shard.1],
        "application": { "id": world.options.application_id, "flags": 0 },
        "private_channels": [],
        "relationships": [],
        "presences": [],
        "user_settings": {},
        "geo_ordered_rtc_regions": [],
        "_trace": ["local"],
    })
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::sandbox::discord::options::Options;

    fn asked(token: &str, intents: u64) -> Identify {
        serde_json::from_value(json!({
            "token": token,
            "intents": intents,
            "properties": { "os": "linux", "browser": "b", "device": "d" },
        }))
        .unwrap()
    }

    fn close_code(token: &str, intents: u64) -> u16 {
        let mut world = World::new(Options::default(), "ws://x".into());
        match identify(&mut world, &asked(token, intents), unbounded_channel().0) {
            Err(Refused::Close(close)) => close.0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_wrong_token_and_unknown_or_disallowed_intents_are_refused() {
        let token = Options::default().token;
        assert_eq!(close_code("wrong", 1), 4004);
        assert_eq!(close_code(&token, 1 << 40), 4013);
        assert_eq!(
            close_code(&token, GatewayIntents::GUILD_PRESENCES.bits()),
            4014
        );
    }
}
