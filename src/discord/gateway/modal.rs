//! What a person chose in a form, for a library that does not know the forms of today.

use serde_json::{Value, json};
use serenity::model::application::Interaction;

/// The type of a form that was sent in.
/// <https://discord.com/developers/docs/interactions/receiving-and-responding#interaction-object-interaction-type>
const MODAL_SUBMIT: u64 = 5;
/// Components: a row, a text input, a label.
/// <https://discord.com/developers/docs/components/reference#component-object-component-types>
const ROW: u64 = 1;
const TEXT_INPUT: u64 = 4;
const LABEL: u64 = 18;

/// Reads an interaction. serenity 0.12.5 reads a label as a row of nothing, and a select without what was chosen in it: of a
/// form each label becomes a row with a text input, whose text is what was typed, or the chosen values, one a line.
pub(super) fn read(json: &str) -> serde_json::Result<Interaction> {
    let mut interaction: Value = serde_json::from_str(json)?;
    if interaction["type"] == MODAL_SUBMIT
        && let Some(components) = interaction["data"]["components"].as_array_mut()
    {
        components.retain(|component| [ROW, LABEL].iter().any(|kind| component["type"] == *kind));
        for label in components.iter_mut().filter(|one| one["type"] == LABEL) {
            *label = json!({ "type": ROW, "components": [input(&label["component"])] });
        }
    }
    serde_json::from_value(interaction)
}

fn input(component: &Value) -> Value {
    let chosen = component["values"].as_array().map(|values| {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        values.join("\n")
    });
    let text = chosen.or_else(|| component["value"].as_str().map(str::to_owned));
    json!({ "type": TEXT_INPUT, "custom_id": component["custom_id"], "value": text })
}

#[cfg(test)]
mod tests {
    use serenity::all::ActionRowComponent;

    use super::*;

    #[test]
    fn what_was_chosen_and_typed_in_a_form_is_kept() {
        let label =
            |id: u64, component: Value| json!({ "type": LABEL, "id": id, "component": component });
        let form = json!({
            "type": MODAL_SUBMIT,
            "id": "1", "application_id": "2", "channel_id": "3", "token": "t", "version": 1,
            "user": { "id": "4", "username": "ada", "discriminator": "0", "avatar": null },
            "locale": "en-US", "entitlements": [], "attachment_size_limit": 1,
            "data": { "custom_id": "form", "components": [
                { "type": 10, "id": 1, "content": "Some text." },
                label(2, json!({ "type": 3, "id": 3, "custom_id": "one", "values": ["a", "b"] })),
                label(4, json!({ "type": 6, "id": 5, "custom_id": "none", "values": [] })),
                label(6, json!({ "type": 4, "id": 7, "custom_id": "typed", "value": "words" })),
            ]},
        });
        let Interaction::Modal(read) = read(&form.to_string()).unwrap() else {
            panic!("another kind of interaction");
        };
        let rows = read.data.components.iter().flat_map(|row| &row.components);
        let inputs = rows.map(|component| match component {
            ActionRowComponent::InputText(input) => {
                (input.custom_id.as_str(), input.value.as_deref())
            }
            other => panic!("{other:?}"),
        });
        let expected = [
            ("one", Some("a\nb")),
            ("none", Some("")),
            ("typed", Some("words")),
        ];
        assert_eq!(inputs.collect::<Vec<_>>(), expected);
    }
}
