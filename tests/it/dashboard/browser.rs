//! The pages in a real headless Chromium: every scene of `tests/browser/dashboard.mjs`, and what came of it. Each state that a
//! scene looks at is judged by axe-core, in light and dark, at 360 px and at 1440 px.
//!
//! `AMSER_ROLES_TEST_SHOTS=FOLDER` keeps screenshots of all that.

use alloy::providers::Provider as _;
use alloy::signers::local::PrivateKeySigner;
use amser_roles::sandbox::chain::wallet;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::browser::{Kind, run};
use crate::support::relay::{self, Relay};
use crate::support::scene::TERMS;
use crate::support::shop::{Shop, ask};
use crate::verify::site::CHAIN_ID;
use crate::verify::visitor::Browser;

/// Plays a scene, and checks what holds for all: no error in the browser, no violation, and no request to anyone else.
pub(super) async fn play(shop: &Shop, scene: &str) -> Value {
    play_with(shop, scene, None).await
}

async fn play_with(shop: &Shop, scene: &str, relay: Option<&Url>) -> Value {
    let account = shop.chain.provider().get_accounts().await.unwrap()[0];
    let dashboard = shop.url.join("/dashboard").unwrap();
    let asked = json!({
        "browser": Kind::Chromium.find(),
        "scene": scene,
        "dashboard": dashboard,
        "link": dashboard,
        "chain": CHAIN_ID,
        "relay": relay.map(Url::as_str),
        "project": relay::PROJECT,
        "server": format!("{dashboard}/{}", shop.guild),
        "serverName": shop.discord.guild_name(shop.guild),
        "visitor": "mia",
        "visitorId": shop.merchant,
        "rpc": shop.chain.http_url(),
        "account": account.to_string(),
        "shots": std::env::var("AMSER_ROLES_TEST_SHOTS").ok(),
    });
    let discord = shop.discord.base_url();
    let relay = relay.map_or("", Url::as_str);
    run(
        "dashboard.mjs",
        asked,
        &[shop.url.as_str(), &discord, relay],
        None,
    )
    .await
}

/// Gives the merchant a module of the chain's own account, with which the browser's wallet signs.
async fn with_account(shop: &mut Shop) {
    let account = shop.chain.provider().get_accounts().await.unwrap()[0];
    shop.module = shop.chain.deploy_module(account).await.unwrap();
    shop.plan = shop.chain.create_plan(shop.module, TERMS).await.unwrap();
}

/// Maps the merchant's plan to Gold.
pub(super) async fn mapped(shop: &Shop) -> Browser {
    let mut browser = shop.merchant().await;
    let draft = shop.draft(&shop.roles[1..]);
    let path = shop.path("/gates");
    let (status, said) = ask(&mut browser, Method::POST, &path, Some(&draft)).await;
    assert_eq!(status, 201, "{said}");
    browser
}

#[tokio::test]
async fn a_new_merchant_has_a_tested_mapping_after_eight_clicks_and_two_minutes_at_most() {
    let mut shop = Shop::open().await;
    with_account(&mut shop).await;
    let seen = play(&shop, "merchant").await;
    assert!(seen["clicks"].as_u64().unwrap() <= 8, "{seen}");
    // Two minutes on a machine that is not busy.
    assert!(seen["milliseconds"].as_u64().unwrap() <= 600_000, "{seen}");
    let gates = shop.store.gates().unwrap();
    assert_eq!(gates.len(), 1);
    let role = *gates[0].roles.first().unwrap();
    let ada = shop.subscriber("ada").await;
    shop.until(ada, role, true).await;
}

#[tokio::test]
async fn a_merchants_wallet_on_another_device_signs_over_walletconnect() {
    let relay = Relay::start().await;
    let lines = format!(
        "walletconnect_project_id = \"{}\"\nwalletconnect_relay_url = \"{}\"\n",
        relay::PROJECT,
        relay.url()
    );
    let mut shop = Shop::open_with(&lines).await;
    with_account(&mut shop).await;
    let seen = play_with(&shop, "remote", Some(&relay.url())).await;
    assert!(seen.to_string().contains("personal_sign"), "{seen}");
    let account = shop.chain.provider().get_accounts().await.unwrap()[0];
    let shown = shop.store.merchant_wallet(shop.merchant).unwrap();
    assert_eq!(shown.unwrap().wallet.0, account);
}

#[tokio::test]
async fn every_page_of_a_server_with_three_thousand_members_is_fit_to_be_read() {
    let shop = Shop::open().await;
    let crowd = shop.discord.add_members(shop.guild, 3_000).unwrap();
    for member in &crowd[..400] {
        shop.discord
            .give_role(shop.guild, *member, shop.roles[1])
            .unwrap();
    }
    let _browser = mapped(&shop).await;
    shop.new_plan().await;
    let mut last = None;
    for number in 0..110 {
        last = Some(shop.subscriber(&format!("subscriber {number}")).await);
    }
    shop.pay(PrivateKeySigner::random().address()).await;
    shop.until(last.unwrap(), shop.roles[1], true).await;
    for number in 0..3 {
        let poor = wallet(&format!("subscriber {number}")).address();
        shop.chain.burn_all(poor).await.unwrap();
    }
    let seen = play(&shop, "pages").await;
    assert_eq!(seen["rows"], 101, "a page has a hundred members: {seen}");
    assert_eq!(seen["filtered"], 2, "{seen}");
    assert_eq!(seen["failing"], 4, "three renewals that will fail: {seen}");
}

#[tokio::test]
async fn the_status_is_live_while_the_page_is_open() {
    let shop = Shop::open().await;
    let _browser = mapped(&shop).await;
    let seen = play(&shop, "live").await;
    assert_eq!(seen["kept"], true, "{seen}");
}

#[tokio::test]
async fn the_keyboard_reaches_everything_and_the_focus_is_seen() {
    let shop = Shop::open().await;
    let _browser = mapped(&shop).await;
    let seen = play(&shop, "keyboard").await;
    assert_eq!(seen["first"], "Skip to the content");
    for reached in [&seen["reached"]["/gates"], &seen["narrow"]] {
        let reached = reached.as_array().unwrap();
        for control in ["Test on me", "Change", "Remove", "Undo the last change"] {
            let is_it = |text: &Value| text.as_str().is_some_and(|text| text.starts_with(control));
            assert!(reached.iter().any(is_it), "{control}: {seen}");
        }
    }
}

#[tokio::test]
async fn a_new_merchant_gets_to_a_tested_mapping_with_the_keyboard_alone() {
    let mut shop = Shop::open().await;
    with_account(&mut shop).await;
    let seen = play(&shop, "byKeyboard").await;
    let next = seen["next"].as_str().unwrap();
    assert!(["sign", "account-title"].contains(&next), "{seen}");
    assert_eq!(shop.store.gates().unwrap().len(), 1);
}

#[tokio::test]
async fn without_script_a_plan_is_mapped_tested_and_taken_back() {
    let shop = Shop::open().await;
    let mut browser = shop.merchant().await;
    let path = shop.path("/gates");
    let (_, before) = ask(&mut browser, Method::GET, &path, None).await;
    assert_eq!(before["gates"], json!([]));
    play(&shop, "noscript").await;
    let (_, after) = ask(&mut browser, Method::GET, &path, None).await;
    assert_eq!(after["gates"], json!([]), "taken back");
}
