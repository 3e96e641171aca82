//! Invites: for everyone, or for the users of a list; they may come with roles.
//!
//! <https://discord.com/developers/docs/resources/channel#create-channel-invite>
use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::domain::{RoleId, UserId};
use crate::sandbox::discord::call::{Answer, Call, Handled};
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::oauth::grants::fresh_secret;
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::{Channel, Invite, World};

/// A day, in seconds.
const USUAL_AGE: u32 = 86_400;
/// A week, in seconds.
const LONGEST_AGE: u32 = 604_800;
/// The most uses that can be named; 0 is any number.
const MOST_USES: u32 = 100;
/// A job of reading a list that is done.
const JOB_COMPLETED: u8 = 2;

/// The fields that an invite to a text channel has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    max_age: Option<u32>,
    max_uses: Option<u32>,
    #[serde(default)]
    temporary: bool,
    /// Every invite here is a new one.
    #[serde(default, rename = "unique")]
    _unique: bool,
    #[serde(default)]
    role_ids: Vec<RoleId>,
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

fn in_range(name: &str, value: u32, most: u32) -> Result<u32, ApiError> {
    if value <= most {
        return Ok(value);
    }
    let message = format!("int value should be between 0 and {most}.");
    Err(ApiError::invalid_form(name, "NUMBER_TYPE_MAX", message))
}

/// The users of a list: one column of ids; the heading `user_id` may stand above them.
fn listed(csv: &Bytes) -> Result<BTreeSet<UserId>, ApiError> {
    let text = String::from_utf8_lossy(csv);
    let lines = text.lines().map(str::trim).zip(1..);
    let mut users = BTreeSet::new();
    let mut faults = Vec::new();
    for (line, number) in lines.filter(|(line, _)| !line.is_empty() && *line != "user_id") {
        match line.parse() {
            Ok(id) if id > 0 => {
                users.insert(UserId(id));
            }
            _ => faults.push(format!("Line {number}: invalid user ID format")),
        }
    }
    if faults.is_empty() {
        return Ok(users);
    }
    Err(ApiError {
        errors: Some(json!({ "target_users_file": faults })),
        malformed: true,
        ..ApiError::new(StatusCode::BAD_REQUEST, 50035, "Invalid Form Body")
    })
}

pub(crate) fn create(world: &mut World, call: &Call) -> Handled {
    let channel = call.channel()?;
    let fields: Fields = call.json()?;
    let max_age = in_range("max_age", fields.max_age.unwrap_or(USUAL_AGE), LONGEST_AGE)?;
    let max_uses = in_range("max_uses", fields.max_uses.unwrap_or(0), MOST_USES)?;
    let targets = call.target_users.as_ref().map(listed).transpose()?;
    let guild = match world.channels.get(&channel) {
        Some(Channel::Text { guild, .. }) => *guild,
        _ => return Err(ApiError::unknown_channel()),
    };
    let bot = world.bot();
    let found = world.guild_of_bot(guild)?;
    if !found.permissions(bot).create_instant_invite() {
        return Err(ApiError::missing_permissions());
    }
    for role in &fields.role_ids {
        found.may_assign(bot, *role)?;
    }
    let code = fresh_secret();
    let invite = Invite {
        guild,
        channel,
        inviter: bot,
        created_at: now(),
        max_age,
        max_uses,
        uses: 0,
        temporary: fields.temporary,
        roles: fields.role_ids,
        targets,
    };
    world.add_invite(&code, invite);
    Ok(Answer::json(&world.invite_shape(&code, true)))
}

/// The guild's invites, for who manages the server or sees its audit log.
pub(crate) fn of_guild(world: &mut World, call: &Call) -> Handled {
    let guild = call.guild()?;
    let permissions = world.guild_of_bot(guild)?.permissions(world.bot());
    if !permissions.manage_guild() && !permissions.view_audit_log() {
        return Err(ApiError::missing_permissions());
    }
    let codes = world.invites.iter();
    let codes =
        codes.filter(|(code, invite)| invite.guild == guild && world.invite(code, now()).is_ok());
    let invites: Value = codes
        .map(|(code, _)| world.invite_shape(code, true))
        .collect();
    Ok(Answer::json(&invites))
}

pub(crate) fn get(world: &mut World, call: &Call) -> Handled {
    world.invite(call.text("code"), now())?;
    Ok(Answer::json(&world.invite_shape(call.text("code"), false)))
}

/// The invite, when the bot made it or manages its guild.
fn own<'a>(world: &'a World, call: &Call) -> Result<&'a Invite, ApiError> {
    let invite = world.invite(call.text("code"), now())?;
    let bot = world.bot();
    let guild = world.guild_of_bot(invite.guild)?;
    if invite.inviter == bot || guild.permissions(bot).manage_guild() {
        Ok(invite)
    } else {
        Err(ApiError::missing_permissions())
    }
}

pub(crate) fn delete(world: &mut World, call: &Call) -> Handled {
    let code = call.text("code");
    let invite = world.invite(code, now())?;
    let permissions = world.guild_of_bot(invite.guild)?.permissions(world.bot());
    if !permissions.manage_channels() && !permissions.manage_guild() {
        return Err(ApiError::missing_permissions());
    }
    let shape = world.invite_shape(code, false);
    world.remove_invite(code);
    Ok(Answer::json(&shape))
}

pub(crate) fn targets(world: &mut World, call: &Call) -> Handled {
    let invite = own(world, call)?;
    let users = invite.targets.iter().flatten();
    let lines: Vec<_> = std::iter::once("user_id".to_owned())
        .chain(users.map(ToString::to_string))
        .collect();
    Ok(Answer::csv(lines.join("\n")))
}

/// Discord reads the list in the background; here it is read at once.
pub(crate) fn targets_job(world: &mut World, call: &Call) -> Handled {
    let invite = own(world, call)?;
    let count = invite.targets.as_ref().map_or(0, BTreeSet::len);
    let at = shape::timestamp(invite.created_at);
    Ok(Answer::json(&json!({
        "status": JOB_COMPLETED,
        "total_users": count,
        "processed_users": count,
        "created_at": at,
        "completed_at": at,
        "error_message": null,
    })))
}
