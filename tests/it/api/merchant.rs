//! A merchant's life by script: connect, show the wallet, map, preview, test, undo, members, journal, settings, end.

use std::collections::BTreeSet;

use alloy::primitives::Address;
use alloy::signers::local::PrivateKeySigner;
use amser_roles::sandbox::chain::wallet;
use amser_roles::sandbox::discord::NewRole;
use reqwest::Method;
use serde_json::{Value, json};
use serenity::model::Permissions;

use crate::support::scene::new_module;
use crate::support::shop::{DEADLINE, Shop, ask, read};
use crate::support::stage::wait;
use crate::verify::visitor::{Browser, code, sign};

fn keys(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn signed(key: &PrivateKeySigner, text: &str) -> Value {
    json!({ "message": text, "signature": format!("0x{}", hex::encode(sign(key, text))) })
}

#[tokio::test]
async fn a_merchant_shows_the_wallet_and_sees_the_modules_that_are_its() {
    let shop = Shop::open().await;
    let mut browser = shop.signed_in(shop.merchant).await;
    let me = read(&mut browser, "/api/v1/me").await;
    assert_eq!(keys(&me), ["guilds", "modules", "user_id", "wallet"].into());
    assert_eq!(me["user_id"], shop.merchant.to_string());
    assert_eq!((&me["wallet"], &me["modules"]), (&Value::Null, &json!([])));
    let guild = json!({ "guild_id": shop.guild, "name": "Café Club", "connected": false });
    assert_eq!(me["guilds"], json!([guild]));
    let said = shop.show_wallet(&mut browser, &shop.merchant_key).await;
    let address = shop.merchant_key.address().to_string();
    assert_eq!(
        said,
        json!({ "address": address, "modules": [shop.module.to_string()] })
    );
    let me = read(&mut browser, "/api/v1/me").await;
    assert_eq!(
        (&me["wallet"], &me["modules"]),
        (&json!(address), &said["modules"])
    );
}

#[tokio::test]
async fn a_merchants_text_works_once_and_only_with_the_wallets_own_signature() {
    let shop = Shop::open().await;
    let mut browser = shop.signed_in(shop.merchant).await;
    let odd = browser
        .post("/api/v1/me/wallet/challenge", &json!({ "address": "0x12" }))
        .await;
    assert_eq!((odd.0, code(&odd).as_str()), (422, "not_an_address"));
    let key = &shop.merchant_key;
    let body = json!({ "address": key.address().to_string() });
    let (_, said) = browser.post("/api/v1/me/wallet/challenge", &body).await;
    let message = said["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("Manage Discord roles") && message.contains(&shop.merchant.to_string())
    );
    let path = "/api/v1/me/wallet/signature";
    let foreign = browser
        .post(path, &signed(&wallet("a stranger"), &message))
        .await;
    assert_eq!(code(&foreign), "signature_of_another_key");
    // Nobody else can use the text.
    let eve = shop.discord.add_user("eve");
    let mut other = shop.signed_in(eve).await;
    let stolen = other.post(path, &signed(key, &message)).await;
    assert_eq!(code(&stolen), "challenge_missing");
    assert_eq!(browser.post(path, &signed(key, &message)).await.0, 200);
    let again = browser.post(path, &signed(key, &message)).await;
    assert_eq!(code(&again), "nonce_used");
}

#[tokio::test]
async fn a_plan_is_mapped_previewed_tested_and_taken_back() {
    let shop = Shop::open().await;
    let mut browser = shop.merchant().await;
    let server = read(&mut browser, &shop.path("")).await;
    assert_eq!(
        keys(&server),
        ["gates", "name", "plans", "roles", "status"].into()
    );
    assert_eq!(
        (&server["name"], &server["gates"]),
        (&json!("Café Club"), &json!([]))
    );
    let plan = &server["plans"][0];
    assert_eq!(plan["module"], shop.module.to_string());
    assert_eq!(
        (&plan["plan_id"], &plan["price"]),
        (&json!(shop.plan.to_string()), &json!("5"))
    );
    assert_eq!(
        (&plan["interval"], &plan["active"]),
        (&json!(3_600), &json!(true))
    );
    let names: Vec<_> = server["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| &role["name"])
        .collect();
    assert!(names.contains(&&json!("Gold")), "{names:?}");
    // A role of the bot's own making.
    let body = json!({ "name": "Subscriber" });
    let (status, made) = ask(
        &mut browser,
        Method::POST,
        &shop.path("/roles"),
        Some(&body),
    )
    .await;
    assert_eq!(status, 201, "{made}");
    let role = made["role_id"].as_str().unwrap().parse().unwrap();
    let draft = shop.draft(&[role]);
    let (status, gate) = ask(
        &mut browser,
        Method::POST,
        &shop.path("/gates"),
        Some(&draft),
    )
    .await;
    assert_eq!(status, 201, "{gate}");
    let id = gate["id"].as_str().unwrap().to_owned();
    let ada = shop.subscriber("ada").await;
    shop.until(ada, role, true).await;
    // What another role would change, which changes nothing.
    let mut other = shop.draft(&[shop.roles[1]]);
    other["replaces"] = json!(id);
    let path = shop.path("/gates/preview");
    let (status, preview) = ask(&mut browser, Method::POST, &path, Some(&other)).await;
    assert_eq!(status, 200, "{preview}");
    let change = |role| json!({ "user_id": ada, "name": "ada", "role_id": role });
    assert_eq!(preview["grants"], json!([change(shop.roles[1])]));
    assert_eq!(preview["revokes"], json!([change(role)]));
    assert_eq!(preview["held_already"], 0);
    assert!(shop.discord.has_role(shop.guild, ada, role));
    // Tested on the merchant.
    let body = json!({ "gate_id": id });
    let (status, outcome) = ask(&mut browser, Method::POST, &shop.path("/test"), Some(&body)).await;
    assert_eq!((status, &outcome["ok"]), (200, &json!(true)), "{outcome}");
    assert!(!shop.discord.has_role(shop.guild, shop.merchant, role));
    // Changed, then taken back: the gate keeps its id.
    let path = shop.path(&format!("/gates/{id}"));
    let changed = ask(
        &mut browser,
        Method::PUT,
        &path,
        Some(&shop.draft(&[shop.roles[1]])),
    )
    .await;
    assert_eq!(changed, (200, json!({ "id": id })));
    shop.until(ada, shop.roles[1], true).await;
    shop.until(ada, role, false).await;
    let (status, undone) = ask(&mut browser, Method::POST, &shop.path("/undo"), None).await;
    assert_eq!(
        (status, &undone["gates"][0]["id"]),
        (200, &json!(id)),
        "{undone}"
    );
    shop.until(ada, role, true).await;
    let again = ask(&mut browser, Method::POST, &shop.path("/undo"), None).await;
    assert_eq!((again.0, code(&again).as_str()), (409, "nothing_to_undo"));
    let (status, _) = ask(&mut browser, Method::DELETE, &path, None).await;
    assert_eq!(status, 200);
    shop.until(ada, role, false).await;
}

#[tokio::test]
async fn what_must_not_be_mapped_is_refused_with_its_reason() {
    let shop = Shop::open().await;
    let mut browser = shop.merchant().await;
    let gates = shop.path("/gates");
    let (foreign, _) = new_module(&shop.chain, "another merchant").await;
    let mut draft = shop.draft(&shop.roles[1..]);
    draft["module"] = json!(foreign.to_string());
    let refused = ask(&mut browser, Method::POST, &gates, Some(&draft)).await;
    assert_eq!(
        (refused.0, code(&refused).as_str()),
        (422, "foreign_module")
    );
    draft["module"] = json!("0x12");
    let refused = ask(&mut browser, Method::POST, &gates, Some(&draft)).await;
    assert_eq!(
        (refused.0, code(&refused).as_str()),
        (422, "not_an_address")
    );
    // A role that carries a lot is meant, or it is not taken.
    let shop_role = NewRole {
        permissions: Permissions::BAN_MEMBERS,
        ..NewRole::named("Judge")
    };
    let judge = shop.discord.add_role_with(shop.guild, shop_role).unwrap();
    let mut draft = shop.draft(&[judge]);
    let path = gates.clone();
    let refused = ask(&mut browser, Method::POST, &path, Some(&draft)).await;
    assert_eq!(
        (refused.0, code(&refused).as_str()),
        (409, "dangerous_role")
    );
    draft["confirm"] = json!(true);
    let (status, made) = ask(&mut browser, Method::POST, &path, Some(&draft)).await;
    assert_eq!(status, 201, "{made}");
    let bot = shop.discord.bot_role(shop.guild).unwrap();
    let refused = ask(&mut browser, Method::POST, &path, Some(&shop.draft(&[bot]))).await;
    assert_eq!(refused.0, 422, "{refused:?}");
}

#[tokio::test]
async fn members_and_journal_tell_who_why_and_by_which_transaction() {
    let shop = Shop::open().await;
    let mut browser = shop.merchant().await;
    let draft = shop.draft(&shop.roles[1..]);
    let (status, _) = ask(
        &mut browser,
        Method::POST,
        &shop.path("/gates"),
        Some(&draft),
    )
    .await;
    assert_eq!(status, 201);
    let ada = shop.subscriber("=ada").await;
    shop.until(ada, shop.roles[1], true).await;
    let nobody: Address = wallet("nobody").address();
    shop.pay(nobody).await;
    let path = shop.path("/members?filter=not_linked");
    let only = until(&mut browser, &path, |page| page["members"] != json!([])).await;
    assert_eq!(only["members"].as_array().unwrap().len(), 1);
    let all = read(&mut browser, &shop.path("/members")).await;
    assert_eq!(keys(&all), ["members", "next"].into());
    let row = |state: &str| {
        let rows = all["members"].as_array().unwrap();
        rows.iter()
            .find(|row| row["state"] == state)
            .unwrap_or_else(|| panic!("{state}: {all}"))
            .clone()
    };
    let active = row("active");
    assert_eq!(
        keys(&active),
        [
            "cause",
            "name",
            "role_ids",
            "state",
            "transaction",
            "user_id"
        ]
        .into()
    );
    assert_eq!(
        (&active["user_id"], &active["name"]),
        (&json!(ada), &json!("=ada"))
    );
    assert_eq!(active["role_ids"], json!([shop.roles[1]]));
    assert!(active["transaction"].as_str().unwrap().starts_with("0x"));
    assert_eq!(row("not_linked")["user_id"], Value::Null);
    let whole = all.to_string();
    assert!(
        !whole.contains(&nobody.to_string()[2..]),
        "no wallet is told: {whole}"
    );
    let odd = ask(
        &mut browser,
        Method::GET,
        &shop.path("/members?filter=odd"),
        None,
    )
    .await;
    assert_eq!(odd.0, 422);
    let csv = browser.get(&shop.path("/members.csv")).await;
    assert_eq!(csv.headers()["content-type"], "text/csv; charset=utf-8");
    let csv = csv.text().await.unwrap();
    let lines: Vec<_> = csv.split("\r\n").collect();
    assert_eq!(
        (lines.len(), lines[0]),
        (4, "user_id,name,state,role_ids,cause,transaction")
    );
    assert!(csv.contains("\"'=ada\""), "no formula: {csv}");
    // The newest first: the role, then what the merchant did.
    let path = shop.path("/journal");
    let is_told = |page: &Value| page["entries"][0]["kind"] == "role";
    let journal = until(&mut browser, &path, is_told).await;
    let kinds: Vec<_> = journal["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["kind"].clone())
        .collect();
    assert_eq!(kinds[0], "role", "{journal}");
    assert!(kinds.contains(&json!("act")), "{journal}");
    let series = read(&mut browser, &shop.path("/series?days=7")).await;
    let days = series["days"].as_array().unwrap();
    assert_eq!(days.len(), 7);
    assert_eq!(days[6]["grants"], 1, "{series}");
}

/// Asks until the answer is as wanted: what the chain and Discord did is known a moment later.
async fn until(browser: &mut Browser, path: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let answer = read(browser, path).await;
        if is_wanted(&answer) {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "{answer}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn settings_hold_for_the_server_and_a_disconnect_ends_it_all() {
    let shop = Shop::open().await;
    let mut browser = shop.merchant().await;
    let settings = json!({ "cancelled": "keep_until_expiry", "expiry_leeway": 60 });
    let path = shop.path("/settings");
    let (status, set) = ask(&mut browser, Method::PUT, &path, Some(&settings)).await;
    assert_eq!(
        (status, &set["cancelled"]),
        (200, &json!("keep_until_expiry")),
        "{set}"
    );
    assert_eq!(
        (&set["expiry_leeway"], &set["paused"]),
        (&json!(60), &Value::Null)
    );
    let draft = shop.draft(&shop.roles[1..]);
    ask(
        &mut browser,
        Method::POST,
        &shop.path("/gates"),
        Some(&draft),
    )
    .await;
    let ada = shop.subscriber("ada").await;
    shop.until(ada, shop.roles[1], true).await;
    let body = json!({ "remove_roles": true });
    let (status, _) = ask(&mut browser, Method::DELETE, &shop.path(""), Some(&body)).await;
    assert_eq!(status, 200);
    shop.until(ada, shop.roles[1], false).await;
    let me = read(&mut browser, "/api/v1/me").await;
    assert_eq!(me["guilds"][0]["connected"], false, "{me}");
    wait("the gate is gone", || {
        shop.store.gates().unwrap().is_empty()
    })
    .await;
    let (status, _) = ask(
        &mut browser,
        Method::POST,
        "/api/v1/logout",
        Some(&json!({})),
    )
    .await;
    assert_eq!(status, 200);
    let after = ask(&mut browser, Method::GET, "/api/v1/me", None).await;
    assert_eq!(after.0, 401);
}
