//! The checkout link leads to a checkout; wallets that were linked anywhere are the ones that act.
use alloy::signers::local::PrivateKeySigner;
use amser_roles::domain::{Link, Timestamp, Wallet};

use super::Play;

fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

async fn buy(play: &Play, fields: &[(&str, &str)]) -> reqwest::Response {
    let client = crate::support::http::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    client
        .post(play.url("/checkout"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("origin", play.world.discord.base_url())
        .body(form(fields))
        .send()
        .await
        .unwrap()
}

#[tokio::test]
async fn the_checkout_subscribes_pays_and_leads_back() {
    let play = Play::start().await;
    let ada = play.world.members[0];
    let (module, plan) = (play.world.module.to_string(), play.world.plan.to_string());
    let page = play
        .page(&format!("/checkout?module={module}&plan={plan}&as={ada}"))
        .await;
    assert!(
        page.contains("$5.00 every day, with 2 hours of grace"),
        "{page}"
    );
    play.done("link_wallet", ada).await;
    let user = ada.to_string();
    let order = [
        ("module", module.as_str()),
        ("plan", plan.as_str()),
        ("as", user.as_str()),
    ];
    let service = play
        .world
        .public_url()
        .join("/verify/x")
        .unwrap()
        .to_string();
    let back = [&order[..], &[("redirect", service.as_str())]].concat();
    let answer = buy(&play, &back).await;
    assert_eq!(answer.status(), 303);
    let to = answer.headers()["location"].to_str().unwrap();
    assert!(
        to.starts_with(&format!("{service}?subscription_id=")),
        "{to}"
    );
    assert!(to.contains("&tx_hash=0x"), "{to}");
    play.world.confirm().await.unwrap();
    play.role(ada, true).await;
    let again = buy(&play, &order).await;
    assert_eq!(again.status(), 409);
    assert!(
        again
            .text()
            .await
            .unwrap()
            .contains("ada is subscribed to this plan already")
    );
    play.end().await;
}

#[tokio::test]
async fn the_checkout_leads_nowhere_else_and_takes_no_foreign_forms() {
    let play = Play::start().await;
    let user = play.world.members[1].to_string();
    let (module, plan) = (play.world.module.to_string(), play.world.plan.to_string());
    let order = [
        ("module", module.as_str()),
        ("plan", plan.as_str()),
        ("as", user.as_str()),
        ("redirect", "https://evil.example/"),
    ];
    let answer = buy(&play, &order).await;
    let to = answer.headers()["location"].to_str().unwrap();
    assert_eq!(to, format!("/member?as={user}"));
    let foreign = crate::support::http::client()
        .post(play.url("/checkout"))
        .header("origin", "https://evil.example")
        .body(form(&order));
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    play.end().await;
}

#[tokio::test]
async fn the_buttons_act_for_the_wallet_that_was_linked_on_the_wallet_page() {
    let play = Play::start().await;
    let grace = play.world.members[1];
    let own = Wallet(PrivateKeySigner::random().address());
    let link = Link {
        user: grace,
        wallet: own,
        linked_at: Timestamp(1_700_000_000),
        proof: None,
    };
    play.world.store.link(&link, 5).unwrap();
    play.done("subscribe", grace).await;
    play.done("pay", grace).await;
    play.role(grace, true).await;
    let active = play
        .world
        .chain
        .is_active(play.world.module, own.0, play.world.plan);
    assert!(active.await.unwrap());
    let address = own.to_string();
    let short = format!("{}…{}", &address[..6], &address[address.len() - 4..]);
    play.shows(&format!("/member?as={grace}"), &short).await;
    play.shows("/", "<strong>grace</strong> paid $5.00.").await;
    play.end().await;
}
