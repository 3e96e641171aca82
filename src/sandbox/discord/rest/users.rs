//! Users, the application, and where the gateway is.
use std::time::Instant;

use serde_json::{Value, json};

use crate::sandbox::discord::call::{Answer, Call, Handled, Identity};
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::World;

/// <https://discord.com/developers/docs/resources/application#application-object-application-flags>
const GATEWAY_GUILD_MEMBERS_LIMITED: u64 = 1 << 15;

pub(crate) fn gateway(world: &mut World, _: &Call) -> Handled {
    Ok(Answer::json(&json!({ "url": world.gateway_url })))
}

pub(crate) fn gateway_bot(world: &mut World, _: &Call) -> Handled {
    let total = world.options.session_starts;
    let (remaining, reset_after) = world.sessions.starts.left(total, Instant::now());
    Ok(Answer::json(&json!({
        "url": world.gateway_url,
        "shards": world.shards,
        "session_start_limit": {
            "total": total.requests,
            "remaining": remaining,
            "reset_after": u64::try_from(reset_after.as_millis()).unwrap_or(u64::MAX),
            "max_concurrency": 1,
        },
    })))
}

pub(crate) fn current(world: &mut World, call: &Call) -> Handled {
    let user = match &call.identity {
        Identity::Bearer { user, scopes } if scopes.iter().any(|scope| scope == "identify") => {
            *user
        }
        Identity::Bearer { .. } => return Err(ApiError::missing_access()),
        Identity::Bot | Identity::Nobody => world.bot(),
    };
    Ok(Answer::json(&shape::current_user(world, user)))
}

pub(crate) fn user(world: &mut World, call: &Call) -> Handled {
    let user = call.user()?;
    if !world.users.contains_key(&user) {
        return Err(ApiError::unknown_user());
    }
    Ok(Answer::json(&shape::user(world, user)))
}

pub(crate) fn guilds(world: &mut World, call: &Call) -> Handled {
    let user = match &call.identity {
        Identity::Bearer { user, scopes } if scopes.iter().any(|scope| scope == "guilds") => *user,
        Identity::Bearer { .. } => return Err(ApiError::missing_access()),
        Identity::Bot | Identity::Nobody => world.bot(),
    };
    let limit = call.number("limit", 200_usize, 1..=200)?;
    let after = call.number("after", 0_u64, 0..=u64::MAX)?;
    let before = call.number("before", u64::MAX, 0..=u64::MAX)?;
    let guilds: Value = world
        .guilds
        .values()
        .filter(|guild| guild.members.contains_key(&user))
        .filter(|guild| (after + 1..before).contains(&guild.id.0))
        .take(limit)
        .map(|guild| shape::user_guild(guild, user))
        .collect();
    Ok(Answer::json(&guilds))
}

pub(crate) fn application(world: &mut World, _: &Call) -> Handled {
    let options = &world.options;
    let bot = world.bot();
    let guilds = world
        .guilds
        .values()
        .filter(|guild| guild.members.contains_key(&bot))
        .count();
    // As for an application below 10,000 users, which switches the intent on by itself.
    let has_members = options.privileged_intents.guild_members();
    let flags = if has_members {
        GATEWAY_GUILD_MEMBERS_LIMITED
    } else {
        0
    };
    Ok(Answer::json(&json!({
        "id": options.application_id,
        "name": options.name,
        "icon": null,
        "description": "The application registered on the local Discord.",
        "rpc_origins": [],
        "bot_public": options.public_bot,
        "bot_require_code_grant": false,
        "bot": shape::user(world, bot),
        "owner": shape::user(world, world.developer),
        "verify_key": "0".repeat(64),
        "team": null,
        "flags": flags,
        "tags": [],
        "redirect_uris": options.redirect_uris,
        "interactions_endpoint_url": null,
        "role_connections_verification_url": null,
        "integration_types_config": { "0": {} },
        "approximate_guild_count": guilds,
        "approximate_user_install_count": 0,
    })))
}
