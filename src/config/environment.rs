//! Overrides from the environment: `AMSER_ROLES__SECTION__KEY`.

use toml::{Table, Value};

use super::ConfigError;
use super::raw::keyed_message;
use super::secrets::SECRETS;

const PREFIX: &str = "AMSER_ROLES__";

/// Keys whose values are not strings; everything else is taken literally.
const TYPED: [&str; 17] = [
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
    "store.journal_months",
    "gates",
    "servers",
];

/// One override: the variable, the path of its key, and its value.
pub(super) struct Override {
    pub(super) variable: String,
    pub(super) path: Vec<String>,
    value: Value,
}

/// The process's own overrides. A variable that looks like one of ours and is none would be ignored in silence, so it is
/// refused; others do not matter here, whatever they hold.
pub(super) fn variables() -> Result<Vec<(String, String)>, ConfigError> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names {
        if let Some(message) = misspelt(&name) {
            return Err(ConfigError(format!("{name}: {message}")));
        }
    }
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

/// Variables of the sandbox, the tests and the benchmark.
const OTHERS: [&str; 3] = [
    "AMSER_ROLES_ANVIL",
    "AMSER_ROLES_TEST_",
    "AMSER_ROLES_BENCH_",
];

/// What is wrong with a variable's name, if it looks like one of ours and is none.
fn misspelt(name: &str) -> Option<String> {
    let is_other = OTHERS.iter().any(|other| name.starts_with(other));
    if !name.starts_with("AMSER_ROLES_") || is_other {
        return None;
    }
    let known = SECRETS
        .iter()
        .flat_map(|secret| [(*secret).to_owned(), format!("{secret}_FILE")]);
    let known: Vec<_> = known.collect();
    if name.starts_with(PREFIX) {
        // The other keys are checked with the file's. A secret is no key.
        let secret = name.replace("__", "_");
        return known
            .contains(&secret)
            .then(|| format!("a secret is no key of the configuration; set {secret}"));
    }
    if known.iter().any(|known| known == name) {
        return None;
    }
    if let Some((section, key)) = name.trim_start_matches("AMSER_ROLES_").split_once("__") {
        return Some(format!(
            "there is no such variable; a key of the configuration is {PREFIX}{section}__{key}, with two underscores each time"
        ));
    }
    let distance = |known: &String| strsim::damerau_levenshtein(known, name);
    let nearest = known.iter().min_by_key(|known| distance(known));
    let nearest = nearest.filter(|nearest| distance(nearest) <= 6);
    // A part that was left out makes a name short, not another one.
    let end = name.trim_start_matches("AMSER_ROLES");
    let longer = known
        .iter()
        .find(|known| end.len() > 1 && known.ends_with(end));
    Some(match longer.or(nearest) {
        Some(nearest) => format!("there is no such variable; did you mean {nearest}?"),
        None => "there is no such variable; `amser-roles check-config --dump` names those that there are".to_owned(),
    })
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

#[cfg(test)]
mod tests {
    use super::misspelt;
    use crate::config::Config;
    use crate::domain::{ChannelId, GuildId};

    const GOOD: &str = include_str!("../../config.toml");

    #[test]
    fn a_name_that_looks_like_ours_and_is_none_gets_a_suggestion() {
        for (name, suggestion) in [
            (
                "AMSER_ROLES_DISCORD_CLIENT_SECERT",
                "did you mean AMSER_ROLES_DISCORD_CLIENT_SECRET?",
            ),
            (
                "AMSER_ROLES_DISCORD_TOKEN_FIL",
                "did you mean AMSER_ROLES_DISCORD_TOKEN_FILE?",
            ),
            (
                "AMSER_ROLES_CHAIN__CONFIRMATIONS",
                "AMSER_ROLES__CHAIN__CONFIRMATIONS",
            ),
            (
                "AMSER_ROLES_TOKEN",
                "did you mean AMSER_ROLES_DISCORD_TOKEN?",
            ),
            (
                "AMSER_ROLES__DISCORD__TOKEN",
                "set AMSER_ROLES_DISCORD_TOKEN",
            ),
            ("AMSER_ROLES__API_KEY", "set AMSER_ROLES_API_KEY"),
            (
                "AMSER_ROLES_SOMETHING_ELSE_ALTOGETHER",
                "there is no such variable",
            ),
        ] {
            let told = misspelt(name).unwrap_or_default();
            assert!(told.contains(suggestion), "{name}: {told}");
        }
        for name in [
            "AMSER_ROLES_DISCORD_TOKEN",
            "AMSER_ROLES_COOKIE_KEY_FILE",
            "AMSER_ROLES__CHAIN__CONFIRMATION",
            "AMSER_ROLES_TEST_CRASHES",
            "AMSER_ROLES_ANVIL",
            "PATH",
        ] {
            assert_eq!(misspelt(name), None, "{name}");
        }
    }

    fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let owned = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::parse(text, "config.toml", owned).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_that_stands_in_the_environment_alone_is_not_missing() {
        let text = "[discord]\napplication_id = \"1\"\n";
        let config = with(
            text,
            &[
                ("AMSER_ROLES__CHAIN__RPC_URLS", "http://a.example"),
                ("AMSER_ROLES__CHAIN__CHAIN_ID", "8453"),
            ],
        );
        assert_eq!(config.unwrap().chain.chain_id, 8453);
        // What the environment corrects is no mistake.
        let text = GOOD.replace("chain_id = 31337", "chain_id = \"Base\"");
        let config = with(&text, &[("AMSER_ROLES__CHAIN__CHAIN_ID", "8453")]);
        assert_eq!(config.unwrap().chain.chain_id, 8453);
        let told = with("", &[("AMSER_ROLES__CHAIN__CHAIN_ID", "8453")]).unwrap_err();
        assert!(told.contains("rpc_urls"), "{told}");
    }

    #[test]
    fn a_mistake_of_the_file_has_its_line_whatever_the_environment_sets() {
        let other = [("AMSER_ROLES__WEB__LISTEN", "127.0.0.1:9999")];
        let gate = "[[gates]]\nguild_id = \"11\"\nmodule = \"0x12\"\nplan_ids = [1]\nrole_ids = [\"22\"]\n";
        for (text, part) in [
            (
                GOOD.replace("chain_id = 31337", "chain_id = 0"),
                "chain_id = 0",
            ),
            (
                GOOD.replace("chain_id = 31337", "chain_id = \"x\""),
                "chain_id = \"x\"",
            ),
            (
                GOOD.replace("chain_id = 31337", "chain_idd = 1"),
                "chain_idd",
            ),
            (format!("{GOOD}\n{gate}"), "0x12"),
            (
                format!("{GOOD}\n{}", gate.replace("\"11\"", "11")),
                "guild_id = 11",
            ),
            (format!("{GOOD}\nx ="), "x ="),
        ] {
            let of_part = |line: &&str| line.contains(part) && !line.starts_with('#');
            let line = text.lines().position(|line| of_part(&line)).unwrap() + 1;
            let told = with(&text, &other).unwrap_err();
            let place = format!("config.toml, line {line}: ");
            assert!(told.starts_with(&place), "{told} (expected line {line})");
        }
    }

    #[test]
    fn a_mistake_of_a_variable_names_the_variable_and_no_line() {
        for (variable, value) in [
            ("AMSER_ROLES__CHAIN__CONFIRMATIONS", "99999"),
            ("AMSER_ROLES__CHAIN__CONFIRMATION", "9"),
            ("AMSER_ROLES__CHAIN", "9"),
            ("AMSER_ROLES__GATES", "[{}]"),
        ] {
            let told = with(GOOD, &[(variable, value)]).unwrap_err();
            assert!(told.contains(variable) && !told.contains("line "), "{told}");
        }
    }

    #[test]
    fn the_settings_of_servers_can_be_set_by_the_environment() {
        let config = with(
            GOOD,
            &[(
                "AMSER_ROLES__SERVERS",
                "[{ guild_id = \"11\", log_channel = \"5\" }]",
            )],
        );
        let settings = &config.unwrap().servers[&GuildId(11)];
        assert_eq!(settings.log_channel, Some(ChannelId(5)));
    }
}
