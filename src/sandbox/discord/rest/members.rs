//! Members: reading, listing, and the role changes that this project is about.
use crate::domain::{RoleId, UserId};
use serde::Deserialize;
use serde_json::Value;
use serenity::model::gateway::GatewayIntents;

use crate::sandbox::discord::call::{Answer, Call, Handled};
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::guild::Guild;
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::World;

pub(crate) fn list(world: &mut World, call: &Call) -> Handled {
    let guild = world.guild_of_bot(call.guild()?)?;
    // The list is what the privileged intent is about; without it Discord answers 50001.
    if !world
        .options
        .privileged_intents
        .contains(GatewayIntents::GUILD_MEMBERS)
    {
        return Err(ApiError::missing_access());
    }
    let limit = call.number("limit", 1_usize, 1..=1000)?;
    let after = call.number("after", 0_u64, 0..=u64::MAX)?;
    let Some(from) = after.checked_add(1) else {
        return Ok(Answer::json(&Value::Array(Vec::new())));
    };
    let members: Value = guild
        .members
        .range(UserId(from)..)
        .take(limit)
        .map(|(id, member)| shape::member(world, guild, *id, member, false))
        .collect();
    Ok(Answer::json(&members))
}

pub(crate) fn search(world: &mut World, call: &Call) -> Handled {
    let guild = world.guild_of_bot(call.guild()?)?;
    let query = call
        .query
        .get("query")
        .filter(|query| !query.is_empty())
        .ok_or_else(|| {
            ApiError::invalid_form("query", "BASE_TYPE_REQUIRED", "This field is required")
        })?;
    let query = query.to_lowercase();
    let limit = call.number("limit", 1_usize, 1..=1000)?;
    let members: Value = guild
        .members
        .iter()
        .filter(|(id, member)| {
            let nick = member.nick.as_deref().unwrap_or_default();
            nick.to_lowercase().starts_with(&query)
                || shape::user_name(world, **id)
                    .to_lowercase()
                    .starts_with(&query)
        })
        .take(limit)
        .map(|(id, member)| shape::member(world, guild, *id, member, false))
        .collect();
    Ok(Answer::json(&members))
}

pub(crate) fn get(world: &mut World, call: &Call) -> Handled {
    let guild = world.guild_of_bot(call.guild()?)?;
    let user = call.user()?;
    let member = known_member(world, guild, user)?;
    Ok(Answer::json(&shape::member(
        world, guild, user, member, false,
    )))
}

/// Unknown Member for a user who is not in the guild, Unknown User for one who is not on Discord at all.
fn known_member<'a>(
    world: &World,
    guild: &'a Guild,
    user: UserId,
) -> Result<&'a crate::sandbox::discord::guild::Member, ApiError> {
    if !world.users.contains_key(&user) {
        return Err(ApiError::unknown_user());
    }
    guild.member(user)
}

/// The fields of Modify Guild Member that the bot has a use for; others are refused, so that tests see them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    nick: Option<String>,
    roles: Option<Vec<RoleId>>,
}

pub(crate) fn edit(world: &mut World, call: &Call) -> Handled {
    let (guild_id, user) = (call.guild()?, call.user()?);
    let edit: Edit = call.json()?;
    let bot = world.bot();
    let guild = world.guild_of_bot(guild_id)?;
    let member = known_member(world, guild, user)?;
    if let Some(roles) = &edit.roles {
        let kept = |role: &&RoleId| !member.roles.contains(role);
        let given = roles.iter().filter(kept);
        let taken = member.roles.iter().filter(|role| !roles.contains(role));
        for role in given.chain(taken) {
            guild.may_assign(bot, *role)?;
        }
    }
    if edit.nick.is_some() && user != bot && !guild.permissions(bot).manage_nicknames() {
        return Err(ApiError::missing_permissions());
    }
    if let Some(roles) = edit.roles {
        world.set_roles(guild_id, user, roles)?;
    }
    if let Some(nick) = edit.nick {
        let guild = world
            .guilds
            .get_mut(&guild_id)
            .ok_or_else(ApiError::unknown_guild)?;
        let member = guild
            .members
            .get_mut(&user)
            .ok_or_else(ApiError::unknown_member)?;
        member.nick = Some(nick).filter(|nick| !nick.is_empty()).map(Into::into);
        world.member_changed(guild_id, user);
    }
    get(world, call)
}

pub(crate) fn add_role(world: &mut World, call: &Call) -> Handled {
    change_role(world, call, true)
}

pub(crate) fn remove_role(world: &mut World, call: &Call) -> Handled {
    change_role(world, call, false)
}

fn change_role(world: &mut World, call: &Call, has: bool) -> Handled {
    let (guild_id, user, role) = (call.guild()?, call.user()?, call.role()?);
    let bot = world.bot();
    let guild = world.guild_of_bot(guild_id)?;
    if !guild.permissions(world.bot()).manage_roles() {
        return Err(ApiError::missing_permissions());
    }
    known_member(world, guild, user)?;
    guild.may_assign(world.bot(), role)?;
    let changes = guild.member(user)?.roles.contains(&role) != has;
    world.set_role(guild_id, user, role, has)?;
    if changes {
        world.audit_role(guild_id, bot, user, role, has, call.reason.clone());
        world.role_happened(guild_id, user, role, has, call.reason.as_deref());
    }
    Ok(Answer::no_content())
}
