//! Variables of the environment in the place of keys of the file.

use super::{Config, GOOD};
use crate::domain::{ChannelId, GuildId, MembersIntent};

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let owned = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse(text, "config.toml", owned).map_err(|error| error.to_string())
}

#[test]
fn every_kind_of_key_can_be_overridden_by_the_environment() {
    let set = |variables: &[(&str, &str)]| with(GOOD, variables);
    let config = set(&[
        (
            "AMSER_ROLES__CHAIN__RPC_URLS",
            "http://a.example, ws://b.example",
        ),
        ("AMSER_ROLES__CHAIN__CONFIRMATIONS", "7"),
        ("AMSER_ROLES__DISCORD__APPLICATION_ID", "42"),
        ("AMSER_ROLES__STORE__PATH", "/elsewhere"),
        ("AMSER_ROLES__CHAIN__START_BLOCK", "9"),
        ("AMSER_ROLES__WEB__BEHIND_PROXY", "true"),
        ("AMSER_ROLES__WEB__PROXY_HOPS", "2"),
        ("AMSER_ROLES__CHAIN__FAILURE_REASONS", "3, 4"),
        (
            "AMSER_ROLES__CHAIN__ABI",
            concat!(env!("CARGO_MANIFEST_DIR"), "/abi/PaymentProcessor.json"),
        ),
        ("AMSER_ROLES__DISCORD__MEMBERS_INTENT", "never"),
        ("OTHER", "ignored"),
    ])
    .unwrap();
    assert_eq!(config.chain.rpc_urls.len(), 2);
    assert_eq!(config.chain.confirmations, 7);
    assert_eq!(config.chain.failure_reasons, [3, 4].into());
    assert_eq!(config.discord.application_id.get(), 42);
    assert_eq!(config.discord.members_intent, MembersIntent::Never);
    assert_eq!(config.store_path.to_str(), Some("/elsewhere"));
    assert_eq!(config.chain.start_block, Some(9));
    assert_eq!(config.web.proxies, 2);
    for (variable, value) in [
        ("AMSER_ROLES__CHAIN__CONFIRMATIONS", "many"),
        ("AMSER_ROLES__CHAIN__ABI", "nowhere.json"),
        ("AMSER_ROLES__CHAIN__CONFIRMATION", "7"),
        ("AMSER_ROLES__POLICY__PAUSED", "maybe"),
    ] {
        let told = set(&[(variable, value)]).unwrap_err();
        assert!(told.contains(variable), "{told}");
    }
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
    let gate =
        "[[gates]]\nguild_id = \"11\"\nmodule = \"0x12\"\nplan_ids = [1]\nrole_ids = [\"22\"]\n";
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
