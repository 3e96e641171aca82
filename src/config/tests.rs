//! A bad file is one sentence that names key and line.

mod gates;

use alloy::primitives::keccak256;

use super::Config;
use crate::domain::{
    ChannelId, GateId, GuildId, ManualRoles, MembersIntent, OnLapse, ServerSettings,
};

const GOOD: &str = include_str!("../../config.toml");

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, "config.toml", []).map_err(|error| error.to_string())
}

#[test]
fn the_shipped_file_is_valid() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.chain.confirmations, 2);
    assert!(config.gates.is_empty());
}

#[test]
fn mistakes_name_the_line_and_the_key() {
    let table = [
        ("chain_id = 31337", "chain_id = \"x\"", "chain.chain_id"),
        ("chain_id = 31337", "chain_idd = 1", "chain_idd"),
        ("[\"ws://127.0.0.1:8545\"]", "[]", "chain.rpc_urls"),
        ("ws://127.0.0.1:8545", "ftp://x", "chain.rpc_urls"),
        ("ws://127.0.0.1:8545", "not a url", "chain.rpc_urls"),
        ("chain_id = 31337", "chain_id = 0", "chain.chain_id"),
        ("chain_id = 31337", "chain_id = -1", "a whole number"),
        ("data/amser-roles.redb", "", "store.path"),
        ("data/amser-roles.redb", "/tmp", "store.path"),
        ("address={address}", "address={wallet}", "{wallet}"),
        ("\"/v0/auth", "\"v0/auth", "amser.auth_check"),
        ("{plan_id}&", "{plan_id&", "amser.auth_check"),
        // Else every wallet had the same answer.
        ("address={address}&", "", "amser.auth_check"),
        (
            "\"https://app.amser.io",
            "\"javascript:app",
            "amser.checkout_url: must begin with",
        ),
        (
            "public_url = \"http://127.0.0.1:8787\"",
            "public_url = \"https://me:secret@roles.example\"",
            "web.public_url",
        ),
        (
            "listen = \"127.0.0.1:8787\"",
            "listen = \"localhost\"",
            "web.listen: must be an address and a port",
        ),
        (
            "links_per_member = 5",
            "monitor_listen = \"127.0.0.1:8787\"",
            "web.monitor_listen",
        ),
        (
            "# factory = \"0x…\"",
            "factory = \"0x0000000000000000000000000000000000000000\"",
            "amser.factory",
        ),
        (
            "max_revoke_share = 0.2",
            "max_revoke_share = 2.0",
            "policy.max_revoke_share",
        ),
        ("paused = \"revoke\"", "paused = \"maybe\"", "policy.paused"),
        (
            "application_id = \"1\"",
            "application_id = \"bot\"",
            "discord.application_id",
        ),
        (
            "members_intent = \"auto\"",
            "members_intent = \"always\"",
            "discord.members_intent",
        ),
        (
            "public_url = \"http://127.0.0.1:8787\"",
            "public_url = \"http://x/y\"",
            "web.public_url",
        ),
        (
            "links_per_member = 5",
            "links_per_member = 0",
            "web.links_per_member",
        ),
        (
            "behind_proxy = false",
            "proxy_hops = 0\nbehind_proxy = true",
            "web.proxy_hops",
        ),
        ("behind_proxy = false", "proxy_hops = 2", "web.proxy_hops"),
        (
            "public_url = \"http://127.0.0.1:8787\"",
            "public_url = \"http://roles.example\"",
            "web.public_url",
        ),
        (
            "api_url = \"https://discord.com\"",
            "api_url = \"http://discord.com\"",
            "discord.api_url",
        ),
        (
            "api_url = \"https://api.amser.io\"",
            "api_url = \"http://api.amser.io\"",
            "amser.api_url",
        ),
        (
            "links_per_member = 5",
            "trusted_proxies = [\"10.0.0.0/8\", \"nginx\"]",
            "web.trusted_proxies",
        ),
        ("sign_in = \"discord\"", "sign_in = \"name\"", "web.sign_in"),
        ("links_per_member = 5", "contact = \" \"", "web.contact"),
        (
            "links_per_member = 5",
            "privacy_url = \"javascript:alert(1)\"",
            "web.privacy_url",
        ),
        (
            "links_per_member = 5",
            "walletconnect_project_id = \"<script>\"",
            "web.walletconnect_project_id",
        ),
        (
            "links_per_member = 5",
            "walletconnect_relay_url = \"https://relay.example\"",
            "web.walletconnect_relay_url",
        ),
    ];
    for (good, bad, key) in table {
        let line = GOOD.lines().position(|line| line.contains(good)).unwrap() + 1;
        let told = parse(&GOOD.replace(good, bad)).unwrap_err();
        assert!(told.contains(key), "{told}");
        assert!(
            told.contains(&format!("line {line}:")),
            "{told} (expected line {line})"
        );
        assert!(!told.contains('\n'), "{told}");
    }
}

#[test]
fn one_proxy_is_in_front_unless_more_are_named() {
    let proxies = |text: &str| {
        let config = parse(&GOOD.replace("behind_proxy = false", text)).unwrap();
        config.web.proxies
    };
    assert_eq!(proxies("behind_proxy = false"), 0);
    assert_eq!(proxies("behind_proxy = true"), 1);
    assert_eq!(proxies("behind_proxy = true\nproxy_hops = 3"), 3);
}

#[test]
fn what_the_web_part_believes_by_default_is_this_machine() {
    let web = parse(GOOD).unwrap().web;
    let ranges = |web: &super::Web| {
        web.trusted_proxies
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(ranges(&web), ["127.0.0.0/8", "::1/128"]);
    assert!(web.signs_in && web.monitor_listen.is_none() && web.contact.is_none());
    let set = [
        ("AMSER_ROLES__WEB__TRUSTED_PROXIES", "10.0.0.0/8, fd00::1"),
        ("AMSER_ROLES__WEB__SIGN_IN", "none"),
        ("AMSER_ROLES__WEB__MONITOR_LISTEN", "127.0.0.1:9090"),
        ("AMSER_ROLES__WEB__CONTACT", "help@club.example"),
        (
            "AMSER_ROLES__WEB__PRIVACY_URL",
            "https://club.example/privacy",
        ),
        ("AMSER_ROLES__WEB__PUBLIC_URL", "http://[::1]:8787"),
        ("AMSER_ROLES__DISCORD__API_URL", "http://localhost:1"),
    ];
    let set = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let web = Config::parse(GOOD, "config.toml", set).unwrap().web;
    assert_eq!(ranges(&web), ["10.0.0.0/8", "fd00::1/128"]);
    assert!(!web.signs_in && web.monitor_listen.is_some());
}

#[test]
fn abi_files_are_read_from_the_configuration_s_folder_and_a_bad_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("good.json", include_str!("../../abi/PaymentProcessor.json"));
    write("bad.json", "<html>");
    write(
        "half.json",
        r#"[{"type":"event","name":"ExecutionFailed","inputs":[],"anonymous":false}]"#,
    );
    let line = GOOD
        .lines()
        .position(|line| line.starts_with("# abi ="))
        .unwrap()
        + 1;
    let load = |list: &str| {
        let text = GOOD.replace(
            "# abi = [\"abi/real-module.json\"]",
            &format!("abi = {list}"),
        );
        write("config.toml", &text);
        Config::load(&path).map_err(|error| error.to_string())
    };
    let topic = keccak256("ExecutionFailed(address,uint256,uint8)");
    assert!(
        load("[\"good.json\"]")
            .unwrap()
            .chain
            .layouts
            .topics()
            .contains(&topic)
    );
    for (list, words) in [
        (
            "[\"good.json\", \"none.json\"]",
            ["none.json", "cannot read"],
        ),
        ("[\"bad.json\"]", ["bad.json", "is not an ABI file"]),
        ("[\"half.json\"]", ["half.json", "ExecutionExecuted"]),
        ("[\"bad.json\", 5]", ["chain.abi", "string"]),
    ] {
        let told = load(list).unwrap_err();
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
        let place = format!("config.toml, line {line}: chain.abi");
        assert!(told.contains(&place) && !told.contains('\n'), "{told}");
    }
}

#[test]
fn the_codes_that_count_as_a_failed_payment_can_be_set() {
    let codes = |text: &str| {
        let config = parse(&GOOD.replace("# failure_reasons = [4, 5, 7, 8, 9, 11]", text));
        config.map(|config| config.chain.failure_reasons.into_iter().collect::<Vec<_>>())
    };
    assert_eq!(codes(""), Ok(vec![4, 5, 7, 8, 9, 11]));
    assert_eq!(codes("failure_reasons = [7, 3]"), Ok(vec![3, 7]));
    let told = codes("failure_reasons = [256]").unwrap_err();
    assert!(
        told.contains("chain.failure_reasons") && told.contains("0 to 255"),
        "{told}"
    );
}

#[test]
fn a_provider_s_key_is_never_part_of_an_error() {
    for bad in [
        "eth.example.com/v2/SECRET",
        "https://x:99999/SECRET",
        "ftp://x/SECRET",
    ] {
        let told = parse(&GOOD.replace("ws://127.0.0.1:8545", bad)).unwrap_err();
        assert!(
            told.contains("chain.rpc_urls") && !told.contains("SECRET"),
            "{told}"
        );
        let variable = ("AMSER_ROLES__CHAIN__RPC_URLS".to_owned(), bad.to_owned());
        let told = Config::parse(GOOD, "config.toml", [variable]).unwrap_err();
        assert!(!told.to_string().contains("SECRET"), "{told}");
    }
    // A list without its brackets, a value in another's place, and what is no URL.
    let (amser, discord) = ("\"https://api.amser.io\"", "\"https://discord.com\"");
    let (public, node) = ("\"http://127.0.0.1:8787\"", "[\"ws://127.0.0.1:8545\"]");
    let more = "links_per_member = 5";
    for (good, bad, told_of) in [
        (
            node,
            "\"wss://x/SECRET\"",
            "chain.rpc_urls: invalid type: string, expected a list",
        ),
        (
            "= 31337",
            "= \"wss://x/\\\"SECRET\"",
            "chain.chain_id: invalid type: string",
        ),
        (
            amser,
            "\"api.amser.io/SECRET\"",
            "amser.api_url: must be a whole address",
        ),
        (
            discord,
            "\"https://x:99999/SECRET\"",
            "discord.api_url: invalid port number",
        ),
        (public, "\"https:///?SECRET\"", "web.public_url: empty host"),
        (
            more,
            "privacy_url = \"club.example/SECRET\"",
            "web.privacy_url: must be a whole address",
        ),
        (
            more,
            "walletconnect_relay_url = \"relay.example?key=SECRET\"",
            "web.walletconnect_relay_url: must be a whole address",
        ),
    ] {
        let told = parse(&GOOD.replace(good, bad)).unwrap_err();
        assert!(told.contains(told_of) && !told.contains("SECRET"), "{told}");
    }
    let variable = ("AMSER_ROLES__CHAIN".to_owned(), "wss://x/SECRET".to_owned());
    let told = Config::parse(GOOD, "config.toml", [variable]).unwrap_err();
    assert!(!told.to_string().contains("SECRET"), "{told}");
}

#[test]
fn a_shape_that_does_not_fit_is_told_in_plain_words() {
    for (text, words) in [
        ("chain = 5\n", "[chain]"),
        (&format!("{GOOD}[gates]\n"), "a list"),
        (&format!("{GOOD}[store]\n"), "store"),
    ] {
        let told = parse(text).unwrap_err();
        assert!(told.contains(words) && !told.contains("Raw"), "{told}");
    }
}

#[test]
fn every_kind_of_key_can_be_overridden_by_the_environment() {
    let set = |variables: &[(&str, &str)]| {
        let owned = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::parse(GOOD, "config.toml", owned).map_err(|error| error.to_string())
    };
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
fn the_mistakes_that_many_make_are_told_with_what_to_do() {
    let id = "application_id = \"1\"";
    for (bad, advice) in [
        (
            "application_id = 1",
            "discord.application_id: must be in quotes: \"1\"",
        ),
        (
            "application_id = \"1\"\ntoken = \"x\"",
            "`token` is a secret, which this file does not hold",
        ),
    ] {
        let told = parse(&GOOD.replace(id, bad)).unwrap_err();
        assert!(told.contains(advice), "{told}");
    }
    let told = parse("[web]\n").unwrap_err();
    assert!(told.contains("the section [chain] is missing"), "{told}");
}
