//! Gates and servers.

use super::*;

#[test]
fn the_same_gate_twice_is_a_mistake() {
    let told = parse(&format!("{GOOD}{GATE}{GATE}")).unwrap_err();
    assert!(
        told.contains("gates[1]: says the same as gates[0]"),
        "{told}"
    );
}

#[test]
fn capitals_are_checked_where_there_are_both_kinds() {
    for address in [
        "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045",
        "0xd8da6bf26964af9d7eed9e03e53415d37aa96045",
        "0xD8DA6BF26964AF9D7EED9E03E53415D37AA96045",
    ] {
        let gate = GATE.replace("0x00000000000000000000000000000000000000AA", address);
        assert!(parse(&format!("{GOOD}{gate}")).is_ok(), "{address}");
    }
}

const GATE: &str = r#"
[[gates]]
guild_id = "11"
module = "0x00000000000000000000000000000000000000AA"
plan_ids = [2, 1]
match = "all"
role_ids = ["22", "21"]
"#;

#[test]
fn gates_keep_their_id_when_the_file_is_read_again() {
    let read = || parse(&format!("{GOOD}{GATE}")).unwrap().gates.remove(0);
    assert_eq!(read(), read());
    let other = parse(&format!("{GOOD}{}", GATE.replace("\"21\"", "\"23\""))).unwrap();
    assert_ne!(read().id, other.gates[0].id);
}

#[test]
fn gates_without_plans_or_roles_or_with_bad_ids_are_refused() {
    for (good, bad, key) in [
        ("[2, 1]", "[]", "plan_ids"),
        ("[\"22\", \"21\"]", "[]", "role_ids"),
        ("\"11\"", "\"eleven\"", "guild_id"),
        ("00AA", "00A", "module"),
        ("00AA", "00AAx", "module"),
        ("0x00", "00", "module"),
        (
            "0x00000000000000000000000000000000000000AA",
            "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96046",
            "EIP-55",
        ),
        (
            "0x00000000000000000000000000000000000000AA",
            "0x0000000000000000000000000000000000000000",
            "zero address",
        ),
        ("match", "matches", "matches"),
    ] {
        let told = parse(&format!("{GOOD}{}", GATE.replace(good, bad))).unwrap_err();
        assert!(told.contains(key) && told.contains("line "), "{told}");
    }
}

fn servers(entries: &str) -> Result<Config, String> {
    parse(&format!("{GOOD}\n{entries}"))
}

#[test]
fn a_servers_own_settings_are_read() {
    let entry = "[[servers]]\nguild_id = \"7\"\nlog_channel = \"8\"\nmember_notices = true\n\
        payment_failed = \"keep_until_expiry\"\nmanual_roles = \"claim\"\nexpiry_leeway = 60\n";
    let config = servers(entry).unwrap();
    let expected = ServerSettings {
        log_channel: Some(ChannelId(8)),
        member_notices: Some(true),
        payment_failed: Some(OnLapse::KeepUntilExpiry),
        manual_roles: Some(ManualRoles::Claim),
        expiry_leeway: Some(60),
        ..ServerSettings::default()
    };
    assert_eq!(config.servers, [(GuildId(7), expected)].into());
    assert!(parse(GOOD).unwrap().servers.is_empty());
    let twice = servers(&format!("{entry}{entry}")).unwrap_err();
    assert!(
        twice.contains("servers[1].guild_id") && twice.contains("line"),
        "{twice}"
    );
    for (bad, blamed) in [
        ("guild_id = \"x\"", "not a Discord id"),
        ("log_channel = \"8\"", "guild_id"),
        ("guild_id = \"7\"\ncolour = 1", "colour"),
    ] {
        let error = servers(&format!("[[servers]]\n{bad}\n")).unwrap_err();
        assert!(error.contains(blamed), "{error}");
    }
}

#[test]
fn a_gate_of_the_file_has_no_id_that_the_dashboard_could_give() {
    let gate = "[[gates]]\nguild_id = \"7\"\nmodule = \"0x0000000000000000000000000000000000000001\"\n\
        plan_ids = [1]\nrole_ids = [\"9\"]\n";
    let config = servers(gate).unwrap();
    assert!(config.gates[0].id.0 >= GateId::FIRST_OF_CONFIG);
    assert_eq!(servers(gate).unwrap().gates, config.gates);
}
