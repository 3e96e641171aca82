//! A link that its member opened, signed in, works for an hour; what came of it is shown again; what will be lost is said first.

use amser_roles::domain::Wallet;
use amser_roles::sandbox::chain::wallet;
use amser_roles::web::LINK_SECONDS;
use serde_json::json;

use super::site::{Setup, start};
use super::visitor::{Browser, code, sign};

const HOUR: u64 = 3600;

#[tokio::test]
async fn a_link_that_its_member_opened_works_for_an_hour() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let page = ada.browser.get(&link).await.text().await.unwrap();
    assert!(page.contains("This link works until") && page.contains("<time datetime="));
    site.pass(HOUR - 1);
    assert_eq!(ada.browser.link(&link, &wallet("ada's")).await.0, 200);
}

#[tokio::test]
async fn a_link_that_somebody_else_opened_or_without_a_sign_in_works_for_ten_minutes() {
    for sign_in in [true, false] {
        let site = start(Setup {
            sign_in,
            ..Setup::default()
        })
        .await;
        let mut ada = site.member("ada").await;
        let link = site.verify(ada.id);
        let mut opens = Browser::new(&site.url);
        assert_eq!(opens.get(&link).await.status(), 200);
        site.pass(LINK_SECONDS);
        let body =
            json!({ "address": wallet("ada's").address().to_string(), "discord_name": "ada" });
        let refused = ada.browser.post(&format!("{link}/challenge"), &body).await;
        assert_eq!(code(&refused), "link_expired", "{sign_in}");
    }
}

#[tokio::test]
async fn a_text_lives_ten_minutes_and_for_a_contract_as_long_as_the_link() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    ada.browser.get(&link).await;
    let signer = wallet("ada's");
    let path = format!("{link}/challenge");
    let mut body = json!({ "address": signer.address().to_string() });
    let (_, short) = ada.browser.post(&path, &body).await;
    assert_eq!(
        (&short["valid_seconds"], &short["moves"]),
        (&json!(LINK_SECONDS), &json!(false))
    );
    body["for_contract"] = json!(true);
    let (_, long) = ada.browser.post(&path, &body).await;
    assert_eq!(long["valid_seconds"], HOUR);
    site.pass(HOUR - 1);
    let message = long["message"].as_str().unwrap();
    let signature = sign(&signer, message);
    assert_eq!(ada.browser.answer(&link, message, &signature).await.0, 200);
}

#[tokio::test]
async fn a_wallet_of_somebody_else_is_said_to_move() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let grace = site.discord.add_user("grace");
    let signer = wallet("ada's");
    site.link(grace, Wallet(signer.address()));
    let link = site.verify(ada.id);
    let body = json!({ "address": signer.address().to_string() });
    let path = format!("{link}/challenge");
    let (_, answer) = ada.browser.post(&path, &body).await;
    assert_eq!(answer["moves"], true);
    let message = answer["message"].as_str().unwrap();
    assert!(
        message.contains("It leaves the Discord account"),
        "{message}"
    );
    assert!(
        message.contains("in every server that uses this bot"),
        "{message}"
    );
    // Not whose it is now.
    assert!(!message.contains("grace") && !message.contains(&grace.to_string()));
    let signature = sign(&signer, message);
    assert_eq!(ada.browser.answer(&link, message, &signature).await.0, 200);
    let newer = site.verify(ada.id);
    let (_, own) = ada.browser.post(&format!("{newer}/challenge"), &body).await;
    assert_eq!(own["moves"], false);
}

#[tokio::test]
async fn the_page_of_a_used_link_shows_its_member_what_came_of_it() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let mut eve = site.member("eve").await;
    let link = site.verify(ada.id);
    assert_eq!(ada.browser.link(&link, &wallet("ada's")).await.0, 200);
    let back = format!("{link}?outcome=1&subscription_id=1&tx_hash=0x00");
    let page = ada.browser.get(&back).await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("data-used"));
    for stranger in [&mut eve.browser, &mut Browser::new(&site.url)] {
        assert_eq!(stranger.get(&back).await.status(), 410);
    }
    site.pass(2 * LINK_SECONDS);
    assert_eq!(ada.browser.get(&back).await.status(), 410);
}
