//! Registers the commands, for all servers at once, when Discord has others than these.

use serde_json::{Map, Value, json};
use serenity::http::{LightMethod, Request, Route};
use serenity::model::id::ApplicationId;
use tokio_util::sync::CancellationToken;

use super::all;
use crate::discord::Discord;
use crate::discord::error::Failure;
use crate::discord::outbox::delay;

/// What makes a command what it is. Everything else in Discord's answer is Discord's own.
const ESSENCE: [&str; 13] = [
    "name",
    "description",
    "type",
    "options",
    "required",
    "choices",
    "value",
    "min_value",
    "max_value",
    "min_length",
    "max_length",
    "default_member_permissions",
    "contexts",
];

/// Registers the commands where needed, trying again while Discord has trouble, then waits for `stop`.
pub async fn keep_registered(
    discord: Discord,
    application: std::num::NonZeroU64,
    stop: CancellationToken,
) {
    let mut failures = 0;
    loop {
        let result = tokio::select! {
            () = stop.cancelled() => return,
            result = register(&discord, application.into()) => result,
        };
        match result {
            Ok(changed) => {
                tracing::info!(changed, "slash commands are registered");
                break;
            }
            Err(Failure::Refused(refusal)) => {
                tracing::error!(%refusal, "Discord refuses the slash commands: check discord.application_id");
                break;
            }
            Err(failure) => {
                tracing::warn!(%failure, "slash commands cannot be registered yet");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(delay(failures, rand::random())) => {}
                }
                failures += 1;
            }
        }
    }
    stop.cancelled().await;
}

/// Whether Discord had to be told.
async fn register(discord: &Discord, application_id: ApplicationId) -> Result<bool, Failure> {
    let route = Route::Commands { application_id };
    let wanted = definitions();
    let known: Value = discord.call(Request::new(route, LightMethod::Get)).await?;
    if essence_of_all(&known) == essence_of_all(&wanted) {
        return Ok(false);
    }
    let body = wanted.to_string().into_bytes();
    let _registered: Value = discord
        .call(Request::new(route, LightMethod::Put).body(Some(body)))
        .await?;
    Ok(true)
}

fn definitions() -> Value {
    let commands = all();
    let commands = commands
        .iter()
        .filter_map(poise::Command::create_as_slash_command);
    json!(commands.collect::<Vec<_>>())
}

/// The essences by name: Discord lists commands in an order of its own.
fn essence_of_all(commands: &Value) -> Vec<Value> {
    let mut essences: Vec<_> = commands
        .as_array()
        .map(|commands| commands.iter().map(essence).collect())
        .unwrap_or_default();
    essences.sort_by_key(|command| command["name"].to_string());
    essences
}

/// A command or option without what Discord adds and without what says nothing.
fn essence(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.iter().filter(|(key, value)| {
                // `type: 1` is what a command is when nothing is said.
                ESSENCE.contains(&key.as_str())
                    && !says_nothing(value)
                    && !(key.as_str() == "type" && **value == 1)
            });
            Value::Object(
                kept.map(|(key, value)| (key.clone(), essence(value)))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => items.iter().map(essence).collect(),
        other => other.clone(),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_discord_adds_to_a_command_is_no_change() {
        let wanted = json!([{ "name": "a", "description": "d", "options": [], "contexts": [0] }]);
        let mut known = wanted.clone();
        known[0]["id"] = json!("1");
        known[0]["version"] = json!("2");
        known[0]["nsfw"] = json!(false);
        known[0]["type"] = json!(1);
        known[0]["default_member_permissions"] = Value::Null;
        assert_eq!(essence_of_all(&known), essence_of_all(&wanted));
        known[0]["description"] = json!("other");
        assert_ne!(essence_of_all(&known), essence_of_all(&wanted));
    }

    #[test]
    fn every_command_is_for_servers_alone_and_managers_ones_are_not_offered_to_members() {
        let definitions = definitions();
        let commands = definitions.as_array().unwrap();
        assert_eq!(commands.len(), 7);
        for command in commands {
            assert_eq!(command["contexts"], json!([0]), "{command}");
            let manages = command["name"] == "amser";
            assert_eq!(
                command["default_member_permissions"] == "32",
                manages,
                "{command}"
            );
        }
    }
}
