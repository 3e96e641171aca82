//! Registering application commands, global or of one guild.
use crate::domain::GuildId;
use axum::http::StatusCode;
use serde_json::{Value, json};
use serenity::model::id::CommandId;

use crate::sandbox::discord::call::{Answer, Call, Handled};
use crate::sandbox::discord::command;
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::world::World;

/// Commands of each kind that an application may have in one place.
const MOST: usize = 100;

fn check_application(world: &World, call: &Call) -> Result<(), ApiError> {
    if call.application()? == world.options.application_id {
        Ok(())
    } else {
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            20012,
            "You are not authorized to perform this action on this application",
        ))
    }
}

/// Whose commands the request is about: a guild's, in which the bot must be, or the global ones.
fn place(world: &World, call: &Call, of_guild: bool) -> Result<Option<GuildId>, ApiError> {
    check_application(world, call)?;
    if !of_guild {
        return Ok(None);
    }
    let guild = call.guild()?;
    world
        .guild_of_bot(guild)
        .map_err(|_| ApiError::missing_access())?;
    Ok(Some(guild))
}

fn list(world: &mut World, call: &Call, of_guild: bool) -> Handled {
    let place = place(world, call, of_guild)?;
    let commands: Value = world.commands_in(place).cloned().collect();
    Ok(Answer::json(&commands))
}

/// Registers one command; one of the same name and kind is replaced and keeps its id.
fn register(world: &mut World, place: Option<GuildId>, body: &Value) -> (Value, bool) {
    let kind = body["type"].as_u64().unwrap_or(1);
    let same = world
        .commands_in(place)
        .find(|command| command["name"] == body["name"] && command["type"] == kind)
        .and_then(|command| command["id"].as_str()?.parse().ok());
    let id: u64 = same.unwrap_or_else(|| world.new_id());
    let version = world.new_id();
    let mut command = json!({
        "name_localizations": null,
        "description_localizations": null,
        "description": "",
        "default_member_permissions": null,
        "dm_permission": true,
        "nsfw": false,
        "contexts": null,
        "integration_types": [0],
    });
    if let (Some(command), Some(body)) = (command.as_object_mut(), body.as_object()) {
        command.extend(body.clone());
    }
    command["id"] = json!(id.to_string());
    command["type"] = json!(kind);
    command["application_id"] = json!(world.options.application_id);
    command["version"] = json!(version.to_string());
    if let Some(guild) = place {
        command["guild_id"] = json!(guild);
    }
    world
        .commands
        .insert((place, CommandId::new(id)), command.clone());
    (command, same.is_none())
}

fn create(world: &mut World, call: &Call, of_guild: bool) -> Handled {
    let place = place(world, call, of_guild)?;
    let body: Value = call.json()?;
    command::check(&body, "")?;
    let (command, new) = register(world, place, &body);
    Ok(if new {
        Answer::created(&command)
    } else {
        Answer::json(&command)
    })
}

fn replace(world: &mut World, call: &Call, of_guild: bool) -> Handled {
    let place = place(world, call, of_guild)?;
    let bodies: Vec<Value> = call.json()?;
    if bodies.len() > MOST {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            30032,
            "Maximum number of application commands reached (100)",
        ));
    }
    for (at, body) in bodies.iter().enumerate() {
        command::check(body, &at.to_string())?;
        let same = |other: &Value| other["name"] == body["name"] && other["type"] == body["type"];
        if bodies[..at].iter().any(same) {
            let message = "Application command names must be unique";
            return Err(ApiError::invalid_form(
                &at.to_string(),
                "APPLICATION_COMMANDS_DUPLICATE_NAME",
                message,
            ));
        }
    }
    let commands: Vec<_> = bodies
        .iter()
        .map(|body| register(world, place, body).0)
        .collect();
    world
        .commands
        .retain(|(of, _), command| *of != place || commands.contains(command));
    Ok(Answer::json(&Value::Array(commands)))
}

fn get(world: &mut World, call: &Call, of_guild: bool) -> Handled {
    let key = (place(world, call, of_guild)?, call.command()?);
    Ok(Answer::json(
        world
            .commands
            .get(&key)
            .ok_or_else(ApiError::unknown_command)?,
    ))
}

fn edit(world: &mut World, call: &Call, of_guild: bool) -> Handled {
    let place = place(world, call, of_guild)?;
    let id = call.command()?;
    let known = world
        .commands
        .get(&(place, id))
        .ok_or_else(ApiError::unknown_command)?;
    let changes: Value = call.json()?;
    let mut body = json!({});
    for key in [
        "name",
        "description",
        "options",
        "default_member_permissions",
        "type",
    ] {
        let value = if changes[key].is_null() {
            &known[key]
        } else {
            &changes[key]
        };
        if !value.is_null() {
            body[key] = value.clone();
        }
    }
    command::check(&body, "")?;
    world.commands.remove(&(place, id));
    let (mut command, _) = register(world, place, &body);
    let registered: Option<u64> = command["id"].as_str().and_then(|id| id.parse().ok());
    if let Some(registered) = registered {
        world.commands.remove(&(place, CommandId::new(registered)));
    }
    command["id"] = json!(id);
    world.commands.insert((place, id), command.clone());
    Ok(Answer::json(&command))
}

fn delete(world: &mut World, call: &Call, of_guild: bool) -> Handled {
    let key = (place(world, call, of_guild)?, call.command()?);
    world
        .commands
        .remove(&key)
        .ok_or_else(ApiError::unknown_command)?;
    Ok(Answer::no_content())
}

macro_rules! handlers {
    ($($global:ident $guild:ident $common:ident;)+) => {
        $(
            pub(crate) fn $global(world: &mut World, call: &Call) -> Handled {
                $common(world, call, false)
            }

            pub(crate) fn $guild(world: &mut World, call: &Call) -> Handled {
                $common(world, call, true)
            }
        )+
    };
}

handlers! {
    list_global list_guild list;
    create_global create_guild create;
    replace_global replace_guild replace;
    get_global get_guild get;
    edit_global edit_guild edit;
    delete_global delete_guild delete;
}

impl World {
    /// The commands registered for a guild, or globally.
    pub(crate) fn commands_in(&self, place: Option<GuildId>) -> impl Iterator<Item = &Value> {
        let here = move |((of, _), _): &(&(Option<GuildId>, CommandId), &Value)| *of == place;
        self.commands
            .iter()
            .filter(here)
            .map(|(_, command)| command)
    }
}
