//! A form of the bot's (a modal), as Discord's client shows it, and what was chosen in it.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Json;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};
use serenity::model::id::InteractionId;

use super::{Answered, answered, read, refused};
use crate::domain::{GuildId, UserId};
use crate::sandbox::discord::modal::{ROLE_SELECT, STRING_SELECT, range};
use crate::sandbox::discord::world::World;
use crate::sandbox::discord::{Form, LocalDiscord};

/// As the page shows it to this user.
pub(super) fn shown(discord: &LocalDiscord, guild: GuildId, user: UserId, form: &Form) -> Value {
    let html = discord.shared.read(|world| draw(world, guild, user, form));
    json!({ "html": html.into_string(), "text": form.title })
}

fn draw(world: &World, guild: GuildId, user: UserId, form: &Form) -> Markup {
    html! {
        form.modal data-guild=(guild) data-user=(user) data-interaction=(form.interaction) {
            p.title { strong { (form.title) } }
            @for label in &form.labels {
                @let text = |key: &str| label[key].as_str().unwrap_or_default();
                label {
                    (text("label"))
                    (field(world, guild, &label["component"]))
                    @if !text("description").is_empty() { span.quiet { (text("description")) } }
                }
            }
            button type="submit" { "Submit" }
        }
    }
}

fn field(world: &World, guild: GuildId, component: &Value) -> Markup {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = text(&component["custom_id"]);
    let choices: Vec<(String, String, bool)> = match component["type"].as_u64() {
        Some(STRING_SELECT) => {
            let options = component["options"].as_array().into_iter().flatten();
            let option = |one: &Value| {
                let label = [text(&one["label"]), text(&one["description"])];
                let label = label.into_iter().filter(|part| !part.is_empty());
                let label = label.collect::<Vec<_>>().join(": ");
                (text(&one["value"]), label, one["default"] == true)
            };
            options.map(option).collect()
        }
        Some(ROLE_SELECT) => {
            let roles = world
                .guilds
                .get(&guild)
                .into_iter()
                .flat_map(|one| &one.roles);
            let roles = roles.filter(|(id, _)| id.0 != guild.0);
            roles
                .map(|(id, role)| (id.to_string(), role.name.clone(), false))
                .collect()
        }
        _ => return html! { input name=(name) autocomplete="off"; },
    };
    let (_, most) = range(component);
    html! {
        select name=(name) multiple[most > 1] required[component["required"] != false] {
            @if most == 1 && component["required"] == false { option value="" { "–" } }
            @for (value, label, is_default) in &choices {
                option value=(value) selected[*is_default] { (label) }
            }
        }
    }
}

#[derive(Deserialize)]
struct SentIn {
    guild_id: GuildId,
    user_id: UserId,
    interaction: InteractionId,
    /// What was chosen, by the component's id.
    given: BTreeMap<String, Vec<String>>,
}

/// `POST /sandbox/forms`
pub(super) async fn submit(
    State(discord): State<LocalDiscord>,
    headers: HeaderMap,
    body: Bytes,
) -> Answered {
    let sent: SentIn = read(&discord, &headers, &body)?;
    let (guild, user) = (sent.guild_id, sent.user_id);
    let form = discord.shared.read(|world| world.form(sent.interaction));
    let form =
        form.ok_or_else(|| refused(StatusCode::CONFLICT, "This form was sent in already."))?;
    let values: Vec<(&str, Vec<&str>)> = sent
        .given
        .iter()
        .map(|(id, values)| (id.as_str(), values.iter().map(String::as_str).collect()))
        .collect();
    let given: Vec<(&str, &[&str])> = values
        .iter()
        .map(|(id, values)| (*id, values.as_slice()))
        .collect();
    let reply = discord.submit_form(guild, user, &form, &given).await;
    answered(&discord, guild, user, reply).map(Json)
}
