//! The values in force, each with where it comes from, as a configuration that can be read again (but for what is masked).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};
use url::Url;

use super::environment::{self, Override};
use super::raw::{self, Lines};
use super::{Config, ConfigError, secrets};

/// What is not shown of a URL: providers put their keys there.
const MASKED: &str = "***";

/// The configuration in the file and the environment.
///
/// # Errors
/// As [`Config::load`].
pub fn dump(path: &Path) -> Result<String, ConfigError> {
    // What is not valid has no effective values.
    Config::load(path)?;
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("cannot read {name}: {error}")))?;
    let mut shown = dump_of(&text, &name, environment::variables()?)?;
    shown.push_str(
        "\n# Secrets; each may also come from a file, named by the variable with _FILE, or in the folder secrets beside the configuration:\n",
    );
    for (variable, source) in secrets::sources(path) {
        // Writing to a string never fails.
        let _ = writeln!(shown, "#   {variable}: {source}");
    }
    Ok(shown)
}

fn dump_of(
    text: &str,
    name: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<String, ConfigError> {
    let overrides = environment::overrides(variables)?;
    let merged = environment::merge(text, &overrides)?;
    let raw = raw::parse(&merged, name, Lines::OfText)?;
    let values = Table::try_from(&raw).map_err(|error| ConfigError(error.to_string()))?;
    let sources = Sources {
        name,
        lines: lines(text),
        overrides: &overrides,
    };
    let mut shown = String::new();
    for (section, value) in &values {
        match value {
            Value::Table(keys) => {
                let path = section.clone();
                block(&mut shown, &format!("[{section}]"), keys, &path, &sources);
            }
            Value::Array(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    if let Value::Table(keys) = entry {
                        let path = format!("{section}[{index}]");
                        block(&mut shown, &format!("[[{section}]]"), keys, &path, &sources);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(shown)
}

fn block(shown: &mut String, heading: &str, keys: &Table, path: &str, sources: &Sources<'_>) {
    if !shown.is_empty() {
        shown.push('\n');
    }
    shown.push_str(heading);
    shown.push('\n');
    for (key, value) in keys {
        let path = format!("{path}.{key}");
        let value = masked(value, path == "chain.rpc_urls");
        // Writing to a string never fails.
        let _ = writeln!(shown, "{key} = {value} # {}", sources.of(&path));
    }
}

/// Where values come from.
struct Sources<'a> {
    name: &'a str,
    lines: BTreeMap<String, usize>,
    overrides: &'a [Override],
}

impl Sources<'_> {
    fn of(&self, path: &str) -> String {
        let mut named = self.overrides.iter().filter(|one| {
            let key = one.path.join(".");
            // A whole list can be set by one variable.
            path == key || path.starts_with(&format!("{key}["))
        });
        match (named.next_back(), self.lines.get(path)) {
            (Some(variable), _) => variable.variable.clone(),
            (None, Some(line)) => format!("{}, line {line}", self.name),
            (None, None) => "default".to_owned(),
        }
    }
}

/// The line of each key of the file, by the path that an error would name.
pub(super) fn lines(text: &str) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    // It was parsed before.
    if let Ok(table) = DeTable::parse(text) {
        collect(text, "", table.get_ref(), &mut lines);
    }
    lines
}

/// The lines of the file's keys that none of the overrides sets, nor a part of them or what they are a part of.
pub(super) fn lines_of_file(text: &str, overrides: &[Override]) -> BTreeMap<String, usize> {
    let is_within = |path: &str, other: &str| {
        let rest = path.strip_prefix(other);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let mut lines = lines(text);
    lines.retain(|path, _| {
        overrides.iter().all(|one| {
            let key = one.path.join(".");
            !is_within(path, &key) && !is_within(&key, path)
        })
    });
    lines
}

fn collect(text: &str, path: &str, table: &DeTable<'_>, lines: &mut BTreeMap<String, usize>) {
    for (key, value) in table {
        let name = key.get_ref();
        let path = match path {
            "" => name.to_string(),
            section => format!("{section}.{name}"),
        };
        lines.insert(path.clone(), raw::line(text, &key.span()));
        inside(text, &path, value, lines);
    }
}

fn inside(
    text: &str,
    path: &str,
    value: &Spanned<DeValue<'_>>,
    lines: &mut BTreeMap<String, usize>,
) {
    match value.get_ref() {
        DeValue::Table(table) => collect(text, path, table, lines),
        DeValue::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                inside(text, &format!("{path}[{index}]"), entry, lines);
            }
        }
        _ => {}
    }
}

/// The value without what a URL may hide: user and password, a query, and of a node's the path.
fn masked(value: &Value, is_node: bool) -> Value {
    match value {
        Value::String(text) => Value::String(masked_url(text, is_node)),
        Value::Array(values) => {
            Value::Array(values.iter().map(|value| masked(value, is_node)).collect())
        }
        other => other.clone(),
    }
}

fn masked_url(text: &str, is_node: bool) -> String {
    let Some(mut url) = Url::parse(text).ok().filter(Url::has_host) else {
        return text.to_owned();
    };
    let mut is_masked = false;
    if !url.username().is_empty() || url.password().is_some() {
        // Both only fail for URLs without a host.
        is_masked |= url.set_username(MASKED).is_ok() && url.set_password(None).is_ok();
    }
    if url.query().is_some() {
        url.set_query(Some(MASKED));
        is_masked = true;
    }
    if is_node && url.path() != "/" {
        url.set_path(MASKED);
        is_masked = true;
    }
    match is_masked {
        true => url.into(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"[chain]
rpc_urls = ["wss://base.example/v2/SECRET1", "https://user:SECRET2@b.example?key=SECRET3"]
chain_id = 8453

[discord]
application_id = "1"

[[gates]]
guild_id = "11"
module = "0x00000000000000000000000000000000000000AA"
plan_ids = [2, 1]
role_ids = ["22"]
"#;

    fn shown(variables: &[(&str, &str)]) -> String {
        let owned = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        dump_of(FILE, "config.toml", owned).unwrap()
    }

    #[test]
    fn each_value_in_force_says_where_it_comes_from() {
        let shown = shown(&[
            ("AMSER_ROLES__CHAIN__CONFIRMATIONS", "7"),
            ("AMSER_ROLES__STORE__PATH", "/srv/x.redb"),
        ]);
        for line in [
            "chain_id = 8453 # config.toml, line 3",
            "confirmations = 7 # AMSER_ROLES__CHAIN__CONFIRMATIONS",
            "path = \"/srv/x.redb\" # AMSER_ROLES__STORE__PATH",
            "api_url = \"https://discord.com/\" # default",
            "paused = \"revoke\" # default",
            "plan_ids = [1, 2] # config.toml, line 11",
            "match = \"any\" # default",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
        }
    }

    #[test]
    fn what_a_url_may_hide_is_masked() {
        let shown = shown(&[(
            "AMSER_ROLES__AMSER__API_URL",
            "https://a.example/?key=SECRET4",
        )]);
        assert!(!shown.contains("SECRET"), "{shown}");
        assert!(
            shown.contains("wss://base.example/***") && shown.contains("b.example"),
            "{shown}"
        );
    }

    #[test]
    fn a_dump_can_be_read_again() {
        let again = Config::parse(&shown(&[]), "dump", []).unwrap();
        let first = Config::parse(FILE, "config.toml", []).unwrap();
        assert_eq!(again.gates, first.gates);
        assert_eq!(again.policy.max_revoke_floor, first.policy.max_revoke_floor);
        assert_eq!(again.web.listen, first.web.listen);
    }
}
