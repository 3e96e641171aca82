//! In front of the service stands the sandbox: with a wallet that signs, and ways back to the local Discord.
use alloy::primitives::{Signature, hex};
use serde_json::{Value, json};

use super::Play;

fn client() -> reqwest::Client {
    crate::support::http::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

async fn wallet(play: &Play, cookie: &str, method: &str, params: Value) -> (u16, Value) {
    let url = play.world.public_url().join("/sandbox/wallet").unwrap();
    let request = client()
        .post(url)
        .header("cookie", cookie)
        .json(&json!({ "method": method, "params": params }));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn pages_of_the_service_have_a_wallet_and_everything_else_passes_unchanged() {
    let play = Play::start().await;
    let service = play.world.public_url();
    let front = client().get(service.clone()).header("accept", "text/html");
    let page = front.send().await.unwrap();
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(policy.contains("script-src 'self'"), "{policy}");
    let html = page.text().await.unwrap();
    assert!(html.contains("src=\"/sandbox/wallet.js\""), "{html}");
    assert!(
        !html.contains("discord.com"),
        "the way back is the local Discord: {html}"
    );
    assert!(html.contains(&play.url("/channels/")), "{html}");
    let back = client()
        .get(play.url("/channels/@me"))
        .send()
        .await
        .unwrap();
    assert_eq!(back.headers()["location"], "/");
    let status = reqwest::get(service.join("/readyz").unwrap())
        .await
        .unwrap();
    assert_eq!(status.json::<Value>().await.unwrap()["ready"], true);
    let missing = client()
        .get(service.join("/nothing").unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), 404);
    play.end().await;
}

#[tokio::test]
async fn the_wallet_signs_for_who_is_signed_in_to_the_local_discord() {
    let play = Play::start().await;
    let ada = play.world.members[0];
    let cookie = format!("local_discord_user={ada}");
    let account = play.world.wallet(ada).address();
    let (_, accounts) = wallet(&play, &cookie, "eth_requestAccounts", json!([])).await;
    assert_eq!(accounts["result"], json!([account]));
    let (_, chain) = wallet(&play, &cookie, "eth_chainId", json!([])).await;
    assert_eq!(chain["result"], "0x7a69");
    let text = "a text";
    let params = json!([hex::encode_prefixed(text), account]);
    let (_, signed) = wallet(&play, &cookie, "personal_sign", params).await;
    let signature: Signature = signed["result"].as_str().unwrap().parse().unwrap();
    assert_eq!(signature.recover_address_from_msg(text).unwrap(), account);
    let (status, _) = wallet(&play, "", "eth_requestAccounts", json!([])).await;
    assert_eq!(status, 400, "nobody is signed in");
    let merchant = format!("local_discord_user={}", play.world.merchant);
    let (_, accounts) = wallet(&play, &merchant, "eth_accounts", json!([])).await;
    let owner = play
        .world
        .chain
        .merchant_of(play.world.module)
        .await
        .unwrap();
    assert_eq!(
        accounts["result"],
        json!([owner]),
        "the merchant's wallet owns the module"
    );
    play.end().await;
}

#[tokio::test]
async fn going_on_as_somebody_else_ends_the_session_and_stays_on_the_service() {
    let play = Play::start().await;
    let ada = play.world.members[0];
    let go = async |to: &str, cookie: &str| {
        let path = format!("/sandbox/as/{ada}?to={to}");
        let url = play.world.public_url().join(&path).unwrap();
        let answer = client()
            .get(url)
            .header("cookie", cookie)
            .send()
            .await
            .unwrap();
        let set = answer.headers().get_all("set-cookie").iter();
        let set: Vec<_> = set.map(|one| one.to_str().unwrap().to_owned()).collect();
        let location = answer.headers().get("location");
        (location.map(|to| to.to_str().unwrap().to_owned()), set)
    };
    let (to, set) = go(
        "/dashboard",
        "local_discord_user=9; amser_roles_session=x; theme=y",
    )
    .await;
    assert_eq!(to.as_deref(), Some("/dashboard"));
    assert_eq!(set[0], "amser_roles_session=; Path=/; Max-Age=0");
    assert!(set[1].starts_with(&format!("local_discord_user={ada};")));
    assert_eq!(set.len(), 2, "other cookies are not its business");
    let same = format!("local_discord_user={ada}; amser_roles_session=x");
    assert_eq!(go("/dashboard", &same).await.1.len(), 1, "nobody changed");
    for elsewhere in ["https://evil.example", "//evil.example", "/%5Cevil.example"] {
        assert_eq!(
            go(elsewhere, "").await.0.as_deref(),
            Some("/"),
            "{elsewhere}"
        );
    }
    play.end().await;
}
