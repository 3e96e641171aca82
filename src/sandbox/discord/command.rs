//! What Discord accepts as an application command. Pure.
//!
//! <https://discord.com/developers/docs/interactions/application-commands#application-command-object>
use serde_json::Value;

use super::error::ApiError;

/// The fields a command may be registered with.
const COMMAND_KEYS: &[&str] = &[
    "name",
    "name_localizations",
    "description",
    "description_localizations",
    "options",
    "default_member_permissions",
    "dm_permission",
    "default_permission",
    "integration_types",
    "contexts",
    "type",
    "nsfw",
    "handler",
    "id",
];
/// The fields an option may have.
const OPTION_KEYS: &[&str] = &[
    "type",
    "name",
    "name_localizations",
    "description",
    "description_localizations",
    "required",
    "choices",
    "options",
    "channel_types",
    "min_value",
    "max_value",
    "min_length",
    "max_length",
    "autocomplete",
];

const SUB_COMMAND: u64 = 1;
const SUB_COMMAND_GROUP: u64 = 2;

/// Checks a command's registration body.
pub(crate) fn check(command: &Value, path: &str) -> Result<(), ApiError> {
    known_keys(command, COMMAND_KEYS, path)?;
    let kind = command["type"].as_u64().unwrap_or(1);
    check_name(&command["name"], kind == 1, &join(path, "name"))?;
    if kind == 1 {
        check_length(&command["description"], 1, 100, &join(path, "description"))?;
    } else if command["description"]
        .as_str()
        .is_some_and(|text| !text.is_empty())
    {
        let message = "Context menu commands cannot have description";
        return Err(ApiError::invalid_form(
            &join(path, "description"),
            "APPLICATION_COMMAND_INVALID_DESCRIPTION",
            message,
        ));
    }
    check_options(&command["options"], &join(path, "options"), 0)?;
    if characters(command) > 8000 {
        let message = "Command exceeds maximum size (8000)";
        return Err(ApiError::invalid_form(
            path,
            "APPLICATION_COMMAND_TOO_LARGE",
            message,
        ));
    }
    match &command["default_member_permissions"] {
        Value::Null => Ok(()),
        Value::String(bits) if bits.parse::<u64>().is_ok() => Ok(()),
        _ => Err(ApiError::invalid_form(
            &join(path, "default_member_permissions"),
            "BITFIELD_TYPE_CONVERT",
            "Not a permissions number in a string.",
        )),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn known_keys(value: &Value, known: &[&str], path: &str) -> Result<(), ApiError> {
    let Some(object) = value.as_object() else {
        return Err(ApiError::invalid_form(
            path,
            "DICT_TYPE_CONVERT",
            "Only dictionaries are allowed",
        ));
    };
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(ApiError::invalid_form(
            &join(path, key),
            "UNKNOWN_FIELD",
            "Unknown field.",
        )),
        None => Ok(()),
    }
}

fn check_length(value: &Value, least: usize, most: usize, path: &str) -> Result<(), ApiError> {
    let length = value.as_str().map_or(0, |text| text.chars().count());
    if (least..=most).contains(&length) {
        return Ok(());
    }
    let message = format!("Must be between {least} and {most} in length.");
    Err(ApiError::invalid_form(
        path,
        "BASE_TYPE_BAD_LENGTH",
        message,
    ))
}

/// `^[-_'\p{L}\p{N}\p{sc=Deva}\p{sc=Thai}]{1,32}$`, lower case where the script has it.
fn check_name(value: &Value, chat_input: bool, path: &str) -> Result<(), ApiError> {
    check_length(value, 1, 32, path)?;
    let name = value.as_str().unwrap_or_default();
    let allowed = |c: char| (c.is_alphanumeric() || "-_'".contains(c)) && !c.is_uppercase();
    if chat_input && !name.chars().all(allowed) {
        let message = "Command name is invalid";
        return Err(ApiError::invalid_form(
            path,
            "APPLICATION_COMMAND_INVALID_NAME",
            message,
        ));
    }
    Ok(())
}

fn check_options(options: &Value, path: &str, depth: usize) -> Result<(), ApiError> {
    let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
    let invalid = |path: &str, message: &str| {
        Err(ApiError::invalid_form(
            path,
            "APPLICATION_COMMAND_OPTIONS_INVALID",
            message,
        ))
    };
    if options.len() > 25 {
        return invalid(path, "Must be 25 or fewer in length.");
    }
    let nests = |option: &Value| {
        matches!(
            option["type"].as_u64(),
            Some(SUB_COMMAND | SUB_COMMAND_GROUP)
        )
    };
    if options.iter().any(nests) && !options.iter().all(nests) {
        return invalid(
            path,
            "Sub-command and sub-command group option types are mutually exclusive to all other types",
        );
    }
    let mut optional_seen = false;
    for (at, option) in options.iter().enumerate() {
        let path = join(path, &at.to_string());
        known_keys(option, OPTION_KEYS, &path)?;
        check_name(&option["name"], true, &join(&path, "name"))?;
        check_length(&option["description"], 1, 100, &join(&path, "description"))?;
        if options[..at]
            .iter()
            .any(|other| other["name"] == option["name"])
        {
            return invalid(&path, "Option name is duplicated");
        }
        let kind = option["type"].as_u64().unwrap_or(0);
        match kind {
            SUB_COMMAND_GROUP if depth == 0 => {}
            SUB_COMMAND if depth <= 1 => {}
            3..=11 => {}
            _ => return invalid(&join(&path, "type"), "This option type cannot stand here"),
        }
        let inner = &option["options"];
        if nests(option) {
            check_options(inner, &join(&path, "options"), depth + 1)?;
        } else if inner.as_array().is_some_and(|inner| !inner.is_empty()) {
            return invalid(&path, "Only sub-commands have options");
        }
        let required = option["required"] == true;
        if required && optional_seen {
            return invalid(
                &path,
                "Required options must be placed before non-required options",
            );
        }
        optional_seen |= !required;
        let choices = option["choices"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        if choices.len() > 25 {
            return invalid(&join(&path, "choices"), "Must be 25 or fewer in length.");
        }
        for choice in choices {
            check_length(&choice["name"], 1, 100, &join(&path, "choices"))?;
        }
    }
    Ok(())
}

/// Characters that count towards the 8,000 of one command: names, descriptions and values.
fn characters(value: &Value) -> usize {
    let own: usize = ["name", "description", "value"]
        .iter()
        .filter_map(|key| value[*key].as_str())
        .map(|text| text.chars().count())
        .sum();
    let inner = ["options", "choices"]
        .iter()
        .filter_map(|key| value[*key].as_array())
        .flatten();
    own + inner.map(characters).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn accepted(command: Value) -> bool {
        check(&command, "").is_ok()
    }

    fn with_options(options: Value) -> Value {
        json!({ "name": "why", "description": "Says why", "options": options })
    }

    #[test]
    fn names_and_descriptions_have_their_limits() {
        assert!(accepted(
            json!({ "name": "why", "description": "Says why" })
        ));
        assert!(!accepted(
            json!({ "name": "Why", "description": "Says why" })
        ));
        assert!(!accepted(
            json!({ "name": "two words", "description": "Says why" })
        ));
        assert!(!accepted(json!({ "name": "why", "description": "" })));
        assert!(!accepted(
            json!({ "name": "why", "description": "d".repeat(101) })
        ));
        assert!(!accepted(
            json!({ "name": "why", "description": "d", "surprise": 1 })
        ));
        assert!(
            accepted(json!({ "name": "Look Up", "type": 2 })),
            "a user command"
        );
    }

    #[test]
    fn options_have_an_order_unique_names_and_a_depth() {
        let option = |name: &str, required: bool| json!({ "type": 3, "name": name, "description": "d", "required": required });
        assert!(accepted(with_options(json!([
            option("a", true),
            option("b", false)
        ]))));
        assert!(!accepted(with_options(json!([
            option("a", false),
            option("b", true)
        ]))));
        assert!(!accepted(with_options(json!([
            option("a", true),
            option("a", true)
        ]))));
        let sub =
            |inner: Value| json!({ "type": 1, "name": "s", "description": "d", "options": inner });
        assert!(accepted(with_options(json!([sub(json!([option(
            "a", true
        )]))]))));
        assert!(!accepted(with_options(json!([
            sub(json!([])),
            option("a", true)
        ]))));
        assert!(!accepted(with_options(json!([sub(json!([sub(json!(
            [sub(json!([]))]
        ))]))]))));
        let many: Vec<_> = (0..26).map(|at| option(&format!("o{at}"), true)).collect();
        assert!(!accepted(with_options(json!(many))));
    }
}
