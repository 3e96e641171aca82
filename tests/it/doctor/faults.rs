//! Faults of the configuration, Discord, the contracts, the API and the files, before the first start.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{SystemTime, UNIX_EPOCH};

use alloy::primitives::{Address, address};
use amser_roles::domain::{Level, Link, Timestamp, UserId, Wallet};
use amser_roles::sandbox::chain::wallet;
use amser_roles::sandbox::discord::{NewRole, Options, RoleTag};
use amser_roles::store::Store;
use serde_json::json;
use serenity::model::Permissions;
use serenity::model::gateway::GatewayIntents;

use super::{Ward, examined};
use crate::support::installation::{end, gate};
use crate::support::scene::{new_module, patient};

const FAILURE: Level = Level::Failure;
const WARNING: Level = Level::Warning;
/// The key that the API knows, and one that it does not.
const KEY: &str = "amsr_test_1";
const OLD_KEY: &str = "amsr_live_old";
/// Nobody's.
const NOWHERE: Address = address!("0x00000000000000000000000000000000000000A1");

#[tokio::test]
async fn a_gates_mistakes_are_told_apart() {
    let ward = Ward::new().await;
    let text = ward.text();
    ward.edit("plan_ids = [1]", "plan_ids = [7]");
    ward.assert_finds(&[("module.plan", FAILURE)]).await;
    ward.installation.configure(&text);
    ward.gate_on(NOWHERE);
    ward.assert_finds(&[("module.code", FAILURE)]).await;
    ward.installation.configure(&text);
    ward.gate_on(ward.scene.chain.processor);
    ward.assert_finds(&[("module.merchant", FAILURE)]).await;
    ward.installation.configure(&text);
    let role = ward.role.to_string();
    ward.edit(&format!("role_ids = [\"{role}\"]"), "role_ids = [\"9\"]");
    ward.assert_finds(&[("server.role_gone", FAILURE)]).await;
    ward.installation.configure(&text);
    let guild = ward.guild;
    ward.edit(&format!("guild_id = \"{guild}\""), "guild_id = \"5\"");
    ward.assert_finds(&[("server.bot", FAILURE)]).await;
}

#[tokio::test]
async fn what_a_server_forbids_is_found() {
    let ward = Ward::new().await;
    let (discord, guild, role) = (&ward.discord, ward.guild, ward.role);
    let bot = discord.bot_role(guild).unwrap();
    discord.set_role_order(guild, &[bot, role]).unwrap();
    ward.assert_finds(&[("server.role_order", FAILURE)]).await;
    discord.set_role_order(guild, &[role, bot]).unwrap();
    let nothing = Permissions::empty();
    discord.set_role_permissions(guild, bot, nothing).unwrap();
    ward.assert_finds(&[("server.manage_roles", FAILURE)]).await;
    let all = Permissions::MANAGE_ROLES | Permissions::MANAGE_GUILD;
    discord.set_role_permissions(guild, bot, all).unwrap();
    ward.assert_finds(&[]).await;
    discord.create_invite(guild, &[role]).unwrap();
    ward.assert_finds(&[("server.invites", WARNING)]).await;
    discord.set_demands_two_factor(guild, true);
    let power = Permissions::ADMINISTRATOR;
    discord.set_role_permissions(guild, role, power).unwrap();
    ward.assert_finds(&[
        ("server.role_power", WARNING),
        ("server.two_factor", FAILURE),
        ("server.invites", WARNING),
    ])
    .await;
    let boosts = NewRole {
        tag: Some(RoleTag::Booster),
        ..NewRole::named("Boosts")
    };
    let boosts = discord.add_role_with(guild, boosts).unwrap();
    discord.set_demands_two_factor(guild, false);
    ward.edit(&role.to_string(), &boosts.to_string());
    ward.edit(
        "[[gates]]",
        &format!("[[servers]]\nguild_id = \"{guild}\"\nlog_channel = \"5\"\n[[gates]]"),
    );
    ward.assert_finds(&[("server.role_kind", FAILURE), ("server.channel", WARNING)])
        .await;
    assert_eq!(discord.violations(), []);
}

#[tokio::test]
async fn what_is_wrong_in_the_developer_portal_is_found() {
    let options = Options {
        public_bot: true,
        privileged_intents: GatewayIntents::empty(),
        ..patient()
    };
    let ward = Ward::with(options, &[]).await;
    let expected = [("discord.intent", WARNING), ("discord.public_bot", WARNING)];
    ward.assert_finds(&expected).await;
    ward.edit("[discord]", "[discord]\nmembers_intent = \"never\"");
    ward.assert_finds(&expected[1..]).await;
    let id = ward.discord.options().application_id.to_string();
    ward.edit(
        &format!("application_id = \"{id}\""),
        "application_id = \"8\"",
    );
    let findings = ward.examine().await;
    let faults = findings.faults();
    for name in ["discord.application", "discord.commands", "discord.secret"] {
        assert!(faults.contains(&(name, FAILURE)), "{name}: {findings:#?}");
    }
}

#[tokio::test]
async fn a_missing_or_wrong_secret_is_found_and_never_shown() {
    let ward = Ward::new().await;
    let doctor = || {
        let mut command = ward.installation.command("doctor");
        command.arg("--json");
        command
    };
    let mut without = doctor();
    without.env_remove("AMSER_ROLES_DISCORD_TOKEN");
    let found = examined(end(&mut without).await);
    let faults = found.faults();
    assert!(faults.contains(&("discord.token", FAILURE)), "{found:#?}");
    let mut wrong = doctor();
    wrong.env("AMSER_ROLES_DISCORD_TOKEN", "MTE.wrong-secret.x");
    let found = examined(end(&mut wrong).await);
    let faults = found.faults();
    assert!(faults.contains(&("discord.token", FAILURE)), "{found:#?}");
    assert!(!format!("{found:?}").contains("wrong-secret"));
    let mut wrong = doctor();
    wrong.env("AMSER_ROLES_DISCORD_CLIENT_SECRET", "wrong-secret");
    let found = examined(end(&mut wrong).await);
    assert_eq!(found.faults(), [("discord.secret", FAILURE)]);
    assert!(!format!("{found:?}").contains("wrong-secret"));
    let mut without = doctor();
    without.env_remove("AMSER_ROLES_DISCORD_CLIENT_SECRET");
    let found = examined(end(&mut without).await);
    assert_eq!(found.faults(), [("discord.secret", FAILURE)]);
}

#[tokio::test]
async fn a_redirect_that_is_not_registered_and_an_address_that_leads_elsewhere_are_found() {
    let ward = Ward::new().await;
    let text = ward.text();
    let elsewhere = ward.discord.base_url();
    let line = text
        .lines()
        .find(|line| line.starts_with("public_url"))
        .unwrap();
    ward.edit(line, &format!("public_url = \"{elsewhere}\""));
    ward.assert_finds(&[("discord.redirect", FAILURE), ("web.reach", FAILURE)])
        .await;
    ward.installation.configure(&text);
    ward.edit("[web]", "[web]\nbehind_proxy = true");
    ward.assert_finds(&[("web.proxy", WARNING)]).await;
    ward.installation.configure(&text);
    let line = text
        .lines()
        .find(|line| line.starts_with("listen"))
        .unwrap();
    let taken = elsewhere.trim_start_matches("http://");
    ward.edit(line, &format!("listen = \"{taken}\""));
    ward.assert_finds(&[("web.listen", FAILURE)]).await;
}

#[tokio::test]
async fn what_the_api_says_otherwise_is_found() {
    let ward = Ward::new().await;
    ward.api.set(|api| api.parameter = "user_address");
    ward.assert_finds(&[("api.parameter", FAILURE)]).await;
    ward.api.set(|api| {
        api.parameter = "address";
        api.access = json!({ "is_active": true });
    });
    ward.assert_finds(&[("api.pointer", FAILURE)]).await;
    ward.edit("[amser]", "[amser]\nactive_pointer = \"/is_active\"");
    ward.assert_finds(&[]).await;
    ward.api.set(|api| {
        api.plans = json!([{
            "plan_id_on_chain": "1", "price": "4.99", "token_decimals": 6, "billing_interval": "3600",
        }]);
    });
    // Plans are for who has a key.
    ward.assert_finds(&[]).await;
    let found = ward.examine_with_key(KEY).await;
    assert_eq!(found.faults(), [("module.api_terms", WARNING)]);
    let found = ward.examine_with_key(OLD_KEY).await;
    assert_eq!(found.faults(), [("api.key", FAILURE)]);
    assert!(!format!("{found:?}").contains(OLD_KEY));
    ward.api.stop();
    ward.assert_finds(&[("api.reach", WARNING)]).await;
}

#[tokio::test]
async fn a_key_that_opens_one_of_several_merchants_is_no_fault() {
    let ward = Ward::new().await;
    let (module, plan) = new_module(&ward.scene.chain, "another merchant").await;
    let another = gate(ward.guild, module, plan, ward.role);
    ward.installation
        .configure(&format!("{}{another}", ward.text()));
    for merchant in ["merchant", "another merchant"] {
        let merchant = wallet(merchant).address();
        ward.api.set(|api| api.merchant = Some(merchant));
        let found = ward.examine_with_key(KEY).await;
        assert_eq!(found.faults(), [], "{found:#?}");
    }
    ward.api.set(|api| api.merchant = Some(NOWHERE));
    let found = ward.examine_with_key(KEY).await;
    assert_eq!(found.faults(), [("api.key", FAILURE)]);
}

#[tokio::test]
async fn a_damaged_store_and_files_that_others_may_read_are_found() {
    let ward = Ward::new().await;
    let store = ward.installation.store_path();
    std::fs::write(&store, "no store of ours").unwrap();
    std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(store.with_extension("cookie-key"), "short").unwrap();
    let key = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(store.with_extension("cookie-key"), key).unwrap();
    ward.assert_finds(&[
        ("files.mode", WARNING),
        ("files.cookie_key", FAILURE),
        ("store.open", FAILURE),
    ])
    .await;
    let text = std::fs::read_to_string(&store).unwrap();
    assert_eq!(text, "no store of ours", "it is left as it is");
}

#[tokio::test]
async fn a_store_whose_pages_changed_on_the_disk_is_found() {
    let ward = Ward::new().await;
    let path = ward.installation.store_path();
    let text = "a signed text that stands in the file";
    let link = Link {
        user: UserId(1),
        wallet: Wallet(NOWHERE),
        linked_at: Timestamp(1),
        proof: Some((text.to_owned(), vec![1; 65])),
    };
    let store = Store::open(&path).unwrap();
    store.link(&link, 5).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    store.note_backup(Timestamp(now.as_secs())).unwrap();
    drop(store);
    let examined = ward.examine().await;
    assert_eq!(examined.faults(), [], "{examined:#?}");
    let mut findings = examined.findings.iter();
    let health = findings.find(|finding| finding.name == "store.health");
    let sentence = &health.unwrap().sentence;
    assert!(
        sentence.starts_with("every page is as it was"),
        "{sentence}"
    );
    let mut bytes = std::fs::read(&path).unwrap();
    let places: Vec<_> = (0..bytes.len() - text.len())
        .filter(|at| bytes[*at..].starts_with(text.as_bytes()))
        .collect();
    for at in places {
        bytes[at] ^= 1;
    }
    std::fs::write(&path, bytes).unwrap();
    ward.assert_finds(&[("store.open", FAILURE)]).await;
}
