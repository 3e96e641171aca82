//! A user's side of forms: filling one in.
use serde_json::{Map, Value, json};
use serenity::model::id::InteractionId;

use super::super::handle::LocalDiscord;
use super::super::interaction::{Form, NoReply, Reply};
use super::super::modal::{ROLE_SELECT, STRING_SELECT, range};
use super::super::world::World;
use super::resolve;
use crate::domain::{GuildId, UserId};

impl LocalDiscord {
    /// Sends a form in and waits for the answer. `given`: what was chosen or typed, by the component's `custom_id`; what is not
    /// named stays as the form begins. A form is sent in once.
    pub async fn submit_form(
        &self,
        guild: impl Into<Option<GuildId>>,
        user: UserId,
        form: &Form,
        given: &[(&str, &[&str])],
    ) -> Result<Reply, NoReply> {
        let guild = guild.into();
        let id = self.shared.change(|world| {
            let opened = world.interactions.0.get(&form.interaction);
            let gone = || NoReply::NotOffered("the form is closed".to_owned());
            let opened = opened.ok_or_else(gone)?;
            let modal = opened.modal.clone().ok_or_else(gone)?;
            let (channel, source) = (opened.channel, opened.source);
            let mut resolved = Map::new();
            let mut components = Vec::new();
            for (at, label) in form.labels.iter().enumerate() {
                let component = &label["component"];
                let filled = fill(world, guild, component, given, &mut resolved)?;
                components.push(json!({ "type": 18, "id": 2 * at + 1, "component": filled }));
            }
            let mut payload = json!({
                "data": {
                    "custom_id": modal["custom_id"],
                    "components": components,
                    "resolved": resolved,
                },
            });
            let shown = source.and_then(|source| world.messages.get(&(channel, source)));
            if let Some(message) = shown {
                payload["message"] = message.clone();
            }
            let id = world.interact(guild, channel, user, source, 5, &payload)?;
            if let Some(opened) = world.interactions.0.get_mut(&form.interaction) {
                opened.modal = None;
            }
            Ok(id)
        })?;
        self.finish(id).await
    }
}

/// What a component sends of what was given, as Discord's client allows it.
fn fill(
    world: &World,
    guild: Option<GuildId>,
    component: &Value,
    given: &[(&str, &[&str])],
    resolved: &mut Map<String, Value>,
) -> Result<Value, NoReply> {
    let name = component["custom_id"].as_str().unwrap_or_default();
    let options = component["options"].as_array().into_iter().flatten();
    let begins: Vec<_> = options
        .filter(|option| option["default"] == true)
        .filter_map(|option| option["value"].as_str())
        .collect();
    let values = given.iter().find(|(id, _)| *id == name);
    let values = values.map_or(&begins[..], |(_, values)| *values);
    let wrong = |why: &str| Err(NoReply::WrongOption(format!("{name}: {why}")));
    let kind = component["type"].as_u64().unwrap_or_default();
    if kind == 4 {
        let value = values.first().copied().unwrap_or_default();
        return Ok(json!({ "type": kind, "id": 2, "custom_id": name, "value": value }));
    }
    let (least, most) = range(component);
    let may_be_empty = values.is_empty() && component["required"] == false;
    if !may_be_empty && !(least..=most).contains(&(values.len() as u64)) {
        return wrong("too few or too many are chosen");
    }
    for value in values {
        let is_there = match kind {
            STRING_SELECT => {
                let mut options = component["options"].as_array().into_iter().flatten();
                options.any(|option| option["value"] == *value)
            }
            ROLE_SELECT => {
                resolve(world, guild, 8, &json!(value), resolved);
                resolved
                    .get("roles")
                    .is_some_and(|roles| !roles[*value].is_null())
            }
            _ => false,
        };
        if !is_there {
            return wrong("there is no such choice");
        }
    }
    Ok(json!({ "type": kind, "id": 2, "custom_id": name, "values": values }))
}

impl World {
    /// The form with which an interaction was answered, until it is sent in.
    pub(crate) fn form(&self, id: InteractionId) -> Option<Form> {
        let modal = self.interactions.0.get(&id)?.modal.as_ref()?;
        Some(Form {
            interaction: id,
            title: modal["title"].as_str().unwrap_or_default().to_owned(),
            labels: modal["components"].as_array().cloned().unwrap_or_default(),
        })
    }
}
