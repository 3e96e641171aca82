//! Overrides from the environment: `AMSER_ROLES__SECTION__KEY`.

use toml::{Table, Value};

use super::ConfigError;
use super::raw::keyed_message;

const PREFIX: &str = "AMSER_ROLES__";

/// Keys whose values are not strings; everything else is taken literally.
const TYPED: [&str; 15] = [
    "chain.rpc_urls",
    "chain.abi",
    "chain.failure_reasons",
    "chain.chain_id",
    "chain.confirmations",
    "chain.start_block",
    "web.rate_limit_per_minute",
    "web.links_per_member",
    "web.behind_proxy",
    "web.proxy_hops",
    "web.trusted_proxies",
    "policy.max_revoke_share",
    "policy.max_revoke_floor",
    "policy.expiry_leeway",
    "gates",
];

/// One override: the variable, the path of its key, and its value.
pub(super) struct Override {
    variable: String,
    path: Vec<String>,
    value: Value,
}

/// The process's own overrides. Other variables are nobody's business here, whatever they hold.
pub(super) fn variables() -> Result<Vec<(String, String)>, ConfigError> {
    std::env::vars_os()
        .filter_map(|(name, value)| {
            let name = name
                .into_string()
                .ok()
                .filter(|name| name.starts_with(PREFIX))?;
            let value = value.into_string();
            let wrong = ConfigError(format!("{name}: is not UTF-8"));
            Some(value.map(|value| (name, value)).map_err(|_| wrong))
        })
        .collect()
}

/// The overrides among `variables`.
pub(super) fn overrides(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<Override>, ConfigError> {
    variables
        .into_iter()
        .filter_map(|(variable, text)| {
            let path: Vec<_> = variable
                .strip_prefix(PREFIX)?
                .split("__")
                .map(str::to_ascii_lowercase)
                .collect();
            Some(
                value(&path.join("."), &text, &variable).map(|value| Override {
                    variable,
                    path,
                    value,
                }),
            )
        })
        .collect()
}

fn value(key: &str, text: &str, variable: &str) -> Result<Value, ConfigError> {
    if !TYPED.contains(&key) {
        return Ok(Value::String(text.to_owned()));
    }
    let is_bare = !text.trim_start().starts_with('[');
    let is_list = matches!(key, "chain.rpc_urls" | "chain.abi" | "web.trusted_proxies");
    if is_list && is_bare {
        let items = text
            .split(',')
            .map(|item| Value::String(item.trim().to_owned()));
        return Ok(Value::Array(items.collect()));
    }
    let list = match key {
        "chain.failure_reasons" if is_bare => format!("[{text}]"),
        _ => text.to_owned(),
    };
    let parsed: Result<Table, _> = toml::from_str(&format!("value = {list}"));
    parsed
        .ok()
        .and_then(|mut table| table.remove("value"))
        .ok_or_else(|| {
            // Never the value itself: it may hold a provider's key.
            ConfigError(format!("{variable}: is not a TOML value for {key}"))
        })
}

/// The file's text with the overrides in place. Its lines are not the file's any more.
pub(super) fn merge(text: &str, overrides: &[Override]) -> Result<String, ConfigError> {
    let mut table: Table =
        toml::from_str(text).map_err(|error| ConfigError(keyed_message(error)))?;
    for one in overrides {
        set(&mut table, &one.path, &one.value)
            .ok_or_else(|| ConfigError(format!("{}: there is no such key", one.variable)))?;
    }
    toml::to_string(&table).map_err(|error| ConfigError(error.to_string()))
}

/// The names of the variables, to blame in an error.
pub(super) fn names(overrides: &[Override]) -> String {
    let names: Vec<_> = overrides.iter().map(|one| one.variable.as_str()).collect();
    names.join(", ")
}

fn set(table: &mut Table, path: &[String], value: &Value) -> Option<()> {
    match path {
        [] => None,
        [key] => {
            table.insert(key.clone(), value.clone());
            Some(())
        }
        [section, rest @ ..] => {
            let inner = table
                .entry(section.clone())
                .or_insert_with(|| Value::Table(Table::new()));
            set(inner.as_table_mut()?, rest, value)
        }
    }
}
