//! Registers the commands, for all servers at once, when Discord has others than these.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Map, Value, json};
use serenity::model::id::ApplicationId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::discord::backoff::{delay, rare_delay};
use crate::discord::{Discord, Failure, Reason};
use crate::domain::DiscordStatus;
use crate::text;

/// What Discord adds to a command or option, or says of it when we say nothing.
const DISCORDS_OWN: [&str; 7] = [
    "id",
    "application_id",
    "guild_id",
    "version",
    "type",
    "dm_permission",
    "integration_types",
];

/// What Discord is told of the commands.
pub(super) fn definitions<U, E>(commands: &[poise::Command<U, E>]) -> Value {
    let commands = commands.iter().filter_map(|command| {
        let slash = command.create_as_slash_command();
        slash.or_else(|| command.create_as_context_menu_command())
    });
    json!(commands.collect::<Vec<_>>())
}

/// Registers the `wanted` commands where needed, trying again while Discord refuses or has trouble, then waits for `stop`.
pub(super) async fn keep_registered(
    discord: Discord,
    application: ApplicationId,
    wanted: Value,
    status: watch::Sender<DiscordStatus>,
    stop: CancellationToken,
) {
    let mut failures = 0;
    let registered = async {
        while let Err(failure) = register(&discord, application, &wanted).await {
            let pause = note_failure(&failure, failures, &status);
            tokio::time::sleep(pause).await;
            failures = failures.saturating_add(1);
        }
        status.send_if_modified(|status| status.commands_refused.take().is_some());
    };
    tokio::select! {
        () = stop.cancelled() => return,
        () = registered => {}
    }
    stop.cancelled().await;
}

/// Says what went wrong; how long to wait before the next try.
fn note_failure(
    failure: &Failure,
    failures: u32,
    status: &watch::Sender<DiscordStatus>,
) -> Duration {
    match failure {
        // Not about the commands; whoever ends the service because of it says so.
        Failure::Refused(refusal) if refusal.reason == Reason::Token => rare_delay(failures),
        Failure::Refused(refusal) => {
            let sentence = text::commands_refused(refusal);
            status.send_if_modified(|status| {
                let known = status.commands_refused.replace(sentence.clone());
                let is_new = known.as_ref() != Some(&sentence);
                if is_new {
                    tracing::error!("{sentence}");
                }
                is_new
            });
            rare_delay(failures)
        }
        Failure::RateLimited | Failure::Transient(_) => {
            // Said once: each further try of an outage fails the same.
            match failures {
                0 => tracing::warn!(%failure, "slash commands cannot be registered yet"),
                _ => tracing::debug!(%failure, "slash commands cannot be registered yet"),
            }
            delay(failures, rand::random())
        }
    }
}

/// Whether Discord has the commands of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Exactly these.
    Same,
    /// Others, of an older version or of another program.
    Different,
    /// None at all.
    None,
}

/// Compares what Discord has with the `wanted` commands.
pub(super) async fn compare(
    discord: &Discord,
    application_id: ApplicationId,
    wanted: &Value,
) -> Result<Registration, Failure> {
    let path = format!("applications/{application_id}/commands");
    let known: Value = discord.call(discord.request(Method::GET, path)).await?;
    Ok(match known.as_array() {
        Some(known) if known.is_empty() => Registration::None,
        _ if comparable(wanted, wanted) == comparable(&known, wanted) => Registration::Same,
        _ => Registration::Different,
    })
}

async fn register(
    discord: &Discord,
    application_id: ApplicationId,
    wanted: &Value,
) -> Result<(), Failure> {
    let changed = compare(discord, application_id, wanted).await? != Registration::Same;
    if changed {
        let path = format!("applications/{application_id}/commands");
        let request = discord.request(Method::PUT, path).json(wanted);
        let _registered: Value = discord.call(request).await?;
    }
    tracing::info!(changed, "slash commands are registered");
    Ok(())
}

/// The commands by name (Discord lists them in an order of its own), without what says nothing, and without what is
/// Discord's own where `wanted` does not set it. Everything else counts, so that nothing we set is missed.
fn comparable(commands: &Value, wanted: &Value) -> Vec<Value> {
    let of_name = |command: &Value| {
        let mut wanted = wanted.as_array().into_iter().flatten();
        wanted
            .find(|other| other["name"] == command["name"])
            .cloned()
            .unwrap_or_default()
    };
    let commands = commands.as_array().into_iter().flatten();
    let mut all: Vec<_> = commands
        .map(|command| essence(command, &of_name(command)))
        .collect();
    all.sort_by_key(|command| command["name"].to_string());
    all
}

/// A command, an option or a field without what says nothing, and without Discord's own where `wanted` does not set it.
fn essence(value: &Value, wanted: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.iter().filter(|(key, value)| {
                let is_set = !says_nothing(&wanted[key.as_str()]);
                !says_nothing(value) && (is_set || !DISCORDS_OWN.contains(&key.as_str()))
            });
            Value::Object(
                kept.map(|(key, value)| (key.clone(), essence(value, &wanted[key.as_str()])))
                    .collect::<Map<_, _>>(),
            )
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            let mut items: Vec<_> = items.map(|(at, item)| essence(item, &wanted[at])).collect();
            // The order of contexts and channel kinds means nothing; that of options does.
            if items.iter().all(Value::is_number) {
                items.sort_by_key(Value::as_u64);
            }
            Value::Array(items)
        }
        other => other.clone(),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differ(known: &Value, wanted: &Value) -> bool {
        comparable(wanted, wanted) != comparable(known, wanted)
    }

    #[test]
    fn what_discord_adds_to_a_command_is_no_change() {
        let option = json!({ "name": "o", "type": 3, "required": true, "description": "d" });
        let wanted = json!([
            { "name": "b", "description": "d", "options": [], "contexts": [0, 1] },
            { "name": "a", "description": "d", "options": [option], "contexts": [0] },
        ]);
        let mut known = json!([wanted[1], wanted[0]]);
        for command in known.as_array_mut().unwrap() {
            command["id"] = json!("1");
            command["application_id"] = json!("3");
            command["version"] = json!("2");
            command["nsfw"] = json!(false);
            command["type"] = json!(1);
            command["dm_permission"] = json!(true);
            command["integration_types"] = json!([0]);
            command["default_member_permissions"] = Value::Null;
            command["name_localizations"] = Value::Null;
        }
        known[1]["contexts"] = json!([1, 0]);
        assert!(!differ(&known, &wanted));
    }

    #[test]
    fn every_field_that_is_set_added_or_dropped_is_a_change() {
        let option = json!({ "name": "o", "type": 3, "required": true, "description": "d" });
        let wanted = json!([{ "name": "a", "description": "d", "options": [option] }]);
        let set = [
            ("/0/description", json!("other")),
            ("/0/integration_types", json!([0, 1])),
            ("/0/name_localizations", json!({ "de": "b" })),
            ("/0/description_localizations", json!({ "de": "b" })),
            ("/0/nsfw", json!(true)),
            ("/0/contexts", json!([0, 1])),
            ("/0/default_member_permissions", json!("32")),
            ("/0/options/0/type", json!(4)),
            ("/0/options/0/autocomplete", json!(true)),
            ("/0/options/0/channel_types", json!([0])),
            ("/0/options/0/max_length", json!(9)),
            ("/0/options/0/required", json!(false)),
        ];
        for (path, value) in set {
            let mut changed = wanted.clone();
            let (parent, key) = path.rsplit_once('/').unwrap();
            changed.pointer_mut(parent).unwrap()[key] = value;
            assert!(differ(&wanted, &changed), "{path} is set");
            if path != "/0/integration_types" {
                assert!(differ(&changed, &wanted), "{path} is dropped");
            }
        }
        assert!(differ(&json!([]), &wanted));
        assert!(differ(&wanted, &json!([])));
    }
}
