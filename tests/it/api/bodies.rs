//! Bodies that scripts send: what does not fit is refused with the field's name, and nothing is taken for something else.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::shop::{Shop, ask, read};
use crate::verify::visitor::{Browser, code};

/// The sentence of a refusal with this status and code.
async fn refused(
    browser: &mut Browser,
    (method, path): (Method, &str),
    body: &Value,
    expected: (u16, &str),
) -> String {
    let answer = ask(browser, method, path, Some(body)).await;
    assert_eq!((answer.0, code(&answer).as_str()), expected, "{body}");
    answer.1["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_misspelt_setting_changes_nothing_and_is_named() {
    let shop = Shop::open().await;
    let mut browser = shop.merchant().await;
    let path = shop.path("/settings");
    let set = json!({ "guild_id": shop.guild, "cancelled": "keep_until_expiry" });
    let (status, _) = ask(&mut browser, Method::PUT, &path, Some(&set)).await;
    assert_eq!(status, 200);
    for (body, expected, named) in [
        (
            json!({ "canceled": "revoke" }),
            (400, "bad_request"),
            "canceled",
        ),
        (
            json!({ "max_revoke_share": 0.5 }),
            (400, "bad_request"),
            "max_revoke_share",
        ),
        (json!({ "paused": "maybe" }), (400, "bad_request"), "paused"),
        (
            json!({ "guild_id": "7" }),
            (422, "invalid"),
            "another server",
        ),
    ] {
        let told = refused(&mut browser, (Method::PUT, &path), &body, expected).await;
        assert!(told.contains(named), "{told}");
    }
    let settings = read(&mut browser, &path).await;
    assert_eq!(settings["cancelled"], "keep_until_expiry");
}

#[tokio::test]
async fn a_gate_can_be_sent_back_as_it_was_read_and_a_misspelt_field_is_named() {
    let shop = Shop::open().await;
    let mut browser = shop.merchant().await;
    let gates = shop.path("/gates");
    let mut draft = shop.draft(&[shop.roles[1]]);
    let made = ask(&mut browser, Method::POST, &gates, Some(&draft)).await;
    assert_eq!(made.0, 201, "{made:?}");
    let server = read(&mut browser, &shop.path("")).await;
    let gate = &server["gates"][0];
    let path = format!("{gates}/{}", gate["id"].as_str().unwrap());
    let changed = ask(&mut browser, Method::PUT, &path, Some(gate)).await;
    assert_eq!(changed, (200, json!({ "id": gate["id"] })));
    draft["matching"] = json!("all");
    for (method, path) in [
        (Method::POST, format!("{gates}/preview")),
        (Method::POST, gates.clone()),
        (Method::PUT, path),
    ] {
        let expected = (400, "bad_request");
        let told = refused(&mut browser, (method, &path), &draft, expected).await;
        assert!(told.contains("matching"), "{told}");
    }
    draft.as_object_mut().unwrap().remove("matching");
    draft["plan_ids"] = json!(["1", "x"]);
    let route = (Method::POST, gates.as_str());
    let told = refused(&mut browser, route, &draft, (400, "bad_request")).await;
    assert!(told.contains("plan_ids"), "{told}");
}

#[tokio::test]
async fn a_role_is_not_named_with_what_nobody_sees() {
    let shop = Shop::open().await;
    let mut browser = shop.merchant().await;
    let path = shop.path("/roles");
    for name in ["a\nb", "a\u{0}b", "\u{202e}dloG", "a\u{2066}b"] {
        let route = (Method::POST, path.as_str());
        let body = json!({ "name": name });
        refused(&mut browser, route, &body, (422, "invalid")).await;
    }
    let (status, made) = ask(
        &mut browser,
        Method::POST,
        &path,
        Some(&json!({ "name": "Gold 🥇" })),
    )
    .await;
    assert_eq!(status, 201, "{made}");
}

#[tokio::test]
async fn a_script_that_signs_in_by_the_plain_address_sees_its_servers() {
    let shop = Shop::open().await;
    let mut browser = Browser::new(&shop.url);
    browser.sign_in(shop.merchant, None).await;
    let me = read(&mut browser, "/api/v1/me").await;
    let guild = json!({ "guild_id": shop.guild, "name": "Café Club", "connected": false });
    assert_eq!(me["guilds"], json!([guild]));
    let eve = shop.discord.add_user("eve");
    shop.discord.add_member(shop.guild, eve).unwrap();
    let mut browser = Browser::new(&shop.url);
    browser.sign_in(eve, None).await;
    let me = read(&mut browser, "/api/v1/me").await;
    assert_eq!(me["guilds"], json!([]), "who manages none sees none");
}

#[tokio::test]
async fn a_merchant_sees_the_servers_to_which_the_bot_can_be_added() {
    let shop = Shop::open().await;
    let guild = shop.discord.add_guild("Second Club");
    shop.discord.set_owner(guild, shop.merchant).unwrap();
    let foreign = shop.discord.add_guild("Foreign");
    for guild in [guild, foreign] {
        shop.discord.kick_bot(guild).unwrap();
    }
    shop.discord.add_member(foreign, shop.merchant).unwrap();
    let mut browser = shop.signed_in(shop.merchant).await;
    let me = read(&mut browser, "/api/v1/me").await;
    let server = |guild, name| json!({ "guild_id": guild, "name": name, "connected": false });
    let expected = [
        server(shop.guild, "Café Club"),
        server(guild, "Second Club"),
    ];
    assert_eq!(me["guilds"], json!(expected));
    let path = format!("/api/v1/guilds/{guild}");
    let refused = ask(&mut browser, Method::GET, &path, None).await;
    assert_eq!((refused.0, code(&refused).as_str()), (404, "not_found"));
}

#[tokio::test]
async fn an_unknown_route_of_the_api_answers_json_to_a_browser_too() {
    let shop = Shop::open().await;
    let mut browser = Browser::new(&shop.url);
    let answer = browser.get("/api/v1/nothing").await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let answer = browser.get("/nothing").await;
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
}
