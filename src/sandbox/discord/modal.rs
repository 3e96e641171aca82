//! What Discord accepts as a form (a modal). Pure.
//!
//! <https://discord.com/developers/docs/components/reference#label>
use serde_json::Value;

use super::error::ApiError;

/// Components: a select of given options, a text input, selects of users, roles, either, and channels.
pub(crate) const STRING_SELECT: u64 = 3;
const TEXT_INPUT: u64 = 4;
pub(crate) const ROLE_SELECT: u64 = 6;
const SELECTS: [u64; 5] = [STRING_SELECT, 5, ROLE_SELECT, 7, 8];
const LABEL: u64 = 18;

const SELECT_KEYS: &[&str] = &[
    "type",
    "id",
    "custom_id",
    "options",
    "placeholder",
    "min_values",
    "max_values",
    "required",
    "default_values",
    "channel_types",
];
const INPUT_KEYS: &[&str] = &[
    "type",
    "id",
    "custom_id",
    "style",
    "min_length",
    "max_length",
    "required",
    "value",
    "placeholder",
];

fn refused(path: &str, message: impl Into<String>) -> ApiError {
    ApiError::invalid_form(path, "COMPONENT_INVALID", message.into())
}

fn known_keys(value: &Value, known: &[&str], path: &str) -> Result<(), ApiError> {
    let object = value
        .as_object()
        .ok_or_else(|| refused(path, "Only dictionaries are allowed"))?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(refused(&format!("{path}.{key}"), "Unknown field.")),
        None => Ok(()),
    }
}

/// A text of so many characters, or none where that is allowed.
fn length(value: &Value, least: usize, most: usize, path: &str) -> Result<(), ApiError> {
    if value.is_null() && least == 0 {
        return Ok(());
    }
    let length = value.as_str().map(|text| text.chars().count());
    match length.filter(|length| (least..=most).contains(length)) {
        Some(_) => Ok(()),
        None => {
            let message = format!("Must be between {least} and {most} in length.");
            Err(refused(path, message))
        }
    }
}

/// Checks the data of a callback of type 9.
pub(crate) fn check(form: &Value) -> Result<(), ApiError> {
    known_keys(form, &["custom_id", "title", "components"], "data")?;
    length(&form["custom_id"], 1, 100, "data.custom_id")?;
    length(&form["title"], 1, 45, "data.title")?;
    let labels = form["components"].as_array().map(Vec::as_slice);
    let labels = labels.unwrap_or_default();
    if !(1..=5).contains(&labels.len()) {
        return Err(refused(
            "data.components",
            "Must be between 1 and 5 in length.",
        ));
    }
    for (at, label) in labels.iter().enumerate() {
        let path = format!("data.components.{at}");
        known_keys(
            label,
            &["type", "id", "label", "description", "component"],
            &path,
        )?;
        if label["type"] != LABEL {
            return Err(refused(&path, "Here forms consist of labels alone."));
        }
        length(&label["label"], 1, 45, &format!("{path}.label"))?;
        length(
            &label["description"],
            0,
            100,
            &format!("{path}.description"),
        )?;
        let component = &label["component"];
        let id = &component["custom_id"];
        if labels[..at]
            .iter()
            .any(|other| other["component"]["custom_id"] == *id)
        {
            return Err(refused(&path, "Component custom id cannot be duplicated"));
        }
        check_component(component, &format!("{path}.component"))?;
    }
    Ok(())
}

fn check_component(component: &Value, path: &str) -> Result<(), ApiError> {
    let kind = component["type"].as_u64().unwrap_or_default();
    length(
        &component["custom_id"],
        1,
        100,
        &format!("{path}.custom_id"),
    )?;
    if kind == TEXT_INPUT {
        return known_keys(component, INPUT_KEYS, path);
    }
    if !SELECTS.contains(&kind) {
        return Err(refused(path, "This component cannot stand in a label."));
    }
    // `disabled` is among the unknown ones: a select of a form cannot be.
    known_keys(component, SELECT_KEYS, path)?;
    length(
        &component["placeholder"],
        0,
        150,
        &format!("{path}.placeholder"),
    )?;
    let (least, most) = range(component);
    let is_required = component["required"] != false;
    if least > most || most > 25 || (is_required && least == 0) {
        return Err(refused(
            path,
            "min_values, max_values and required do not fit together.",
        ));
    }
    let options = component["options"].as_array();
    match options {
        Some(options) if kind == STRING_SELECT && (1..=25).contains(&options.len()) => {
            check_options(options, path)
        }
        None if kind != STRING_SELECT => Ok(()),
        _ => Err(refused(
            &format!("{path}.options"),
            "Between 1 and 25, and for string selects alone.",
        )),
    }
}

fn check_options(options: &[Value], path: &str) -> Result<(), ApiError> {
    for (at, option) in options.iter().enumerate() {
        let path = format!("{path}.options.{at}");
        known_keys(
            option,
            &["label", "value", "description", "emoji", "default"],
            &path,
        )?;
        length(&option["label"], 1, 100, &format!("{path}.label"))?;
        length(&option["value"], 1, 100, &format!("{path}.value"))?;
        length(
            &option["description"],
            0,
            100,
            &format!("{path}.description"),
        )?;
        if options[..at]
            .iter()
            .any(|other| other["value"] == option["value"])
        {
            return Err(refused(&path, "The specified option value is already used"));
        }
    }
    Ok(())
}

/// How many values a select wants at least and at most.
pub(crate) fn range(component: &Value) -> (u64, u64) {
    let number = |key: &str| component[key].as_u64().unwrap_or(1);
    (number("min_values"), number("max_values"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_fine(component: Value) -> bool {
        let label = json!({ "type": 18, "label": "Which?", "component": component });
        check(&json!({ "custom_id": "f", "title": "A form", "components": [label] })).is_ok()
    }

    fn option(value: &str) -> Value {
        json!({ "label": "An option", "value": value })
    }

    #[test]
    fn a_form_is_labels_with_one_component_each() {
        let select = json!({ "type": 3, "custom_id": "s", "options": [option("a"), option("b")] });
        assert!(is_fine(select.clone()));
        assert!(is_fine(json!({ "type": 4, "custom_id": "t", "style": 1 })));
        assert!(!is_fine(json!({ "type": 2, "custom_id": "button" })));
        let row = json!({ "type": 1, "components": [select] });
        let form = |title: &str, components: Value| {
            check(&json!({ "custom_id": "f", "title": title, "components": components })).is_ok()
        };
        assert!(!form("A form", json!([row])));
        assert!(!form("A form", json!([])));
        let label = json!({ "type": 18, "label": "Which?", "component": select });
        assert!(form("A form", json!([label])));
        assert!(!form("A form", json!([label, label])), "the same id twice");
        assert!(!form(&"t".repeat(46), json!([label])));
    }

    #[test]
    fn a_select_may_be_left_empty_only_if_it_says_so() {
        let roles = |more: Value| {
            let mut select = json!({ "type": 6, "custom_id": "r" });
            select
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            is_fine(select)
        };
        assert!(roles(json!({})));
        assert!(roles(json!({ "min_values": 0, "required": false })));
        assert!(!roles(json!({ "min_values": 0 })));
        assert!(!roles(json!({ "min_values": 2 })));
        assert!(!roles(json!({ "disabled": true })), "not in a form");
        assert!(!roles(json!({ "options": [option("a")] })));
    }

    #[test]
    fn options_are_at_most_25_and_differ() {
        let select = |options: Vec<Value>| {
            is_fine(json!({ "type": 3, "custom_id": "s", "options": options }))
        };
        let many = |number: u64| (0..number).map(|at| option(&at.to_string())).collect();
        assert!(select(many(25)));
        assert!(!select(many(26)));
        assert!(!select(many(0)));
        assert!(!select(vec![option("a"), option("a")]));
        assert!(!select(vec![option(&"v".repeat(101))]));
    }
}
