//! The wallet, or the sign-in, is in another browser or on another device.

use std::time::Duration;

use amser_roles::domain::Wallet;
use serde_json::json;
use url::Url;

use super::{Stage, text};
use crate::support::relay::{self, Relay};

#[tokio::test]
async fn a_wallet_on_another_device_links_over_walletconnect() {
    let relay = Relay::start().await;
    let stage = Stage::with_relay(true, Some(relay.url()), relay::PROJECT).await;
    stage.site.subscribe(stage.account);
    let link = stage.site.verify(stage.user);
    let seen = stage.play("remote", "ada", &link).await;
    assert_eq!(text(&seen, "name"), "Pocket Wallet");
    assert_eq!(text(&seen, "address"), stage.account.to_string());
    assert!(text(&seen, "outcome").contains("Subscriber"));
    assert_eq!(seen["app"], true, "{seen}");
    let seconds = seen["seconds"].as_f64().unwrap();
    assert!(
        seconds > 600.0,
        "the wallet may take as long as the text lives: {seen}"
    );
    let origin = stage.site.url.origin().ascii_serialization();
    let told = json!([origin, "personal_sign", "session_delete"]);
    assert_eq!(
        seen["seen"], told,
        "the wallet learns the site, not the link"
    );
    let stored = stage.site.store.link_of(Wallet(stage.account)).unwrap();
    assert_eq!(stored.unwrap().user, stage.user);
    let token = link.rsplit('/').next().unwrap();
    let signed = text(&seen, "message").lines().next().unwrap();
    for message in relay.passed() {
        assert!(!message.contains(token) && !message.contains(signed));
    }
}

#[tokio::test]
async fn a_remote_wallet_that_declines_or_leaves_is_told_of() {
    let relay = Relay::start().await;
    let stage = Stage::with_relay(true, Some(relay.url()), relay::PROJECT).await;
    let link = stage.site.verify(stage.user);
    let seen = stage.play("remoteDeclined", "ada", &link).await;
    assert!(text(&seen, "declined").contains("nothing was linked"));
    assert!(text(&seen, "disconnected").contains("Choose it again"));
    assert_eq!(seen["chooses"], true);
    assert_eq!(stage.site.store.link_count().unwrap(), 0);
    relay.passed();
}

#[tokio::test]
async fn a_wallet_pairs_again_after_both_sides_left_at_once() {
    // Each leaves before it hears of the other.
    let relay = Relay::at(Duration::from_millis(200)).await;
    let stage = Stage::with_relay(true, Some(relay.url()), relay::PROJECT).await;
    let link = stage.site.verify(stage.user);
    let seen = stage.play("remoteBothLeave", "ada", &link).await;
    assert_eq!(text(&seen, "name"), "Pocket Wallet");
    relay.passed();
}

#[tokio::test]
async fn a_relay_that_refuses_or_is_away_leaves_the_other_ways_open() {
    let relay = Relay::start().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = Url::parse(&format!("ws://{}", closed.local_addr().unwrap())).unwrap();
    drop(closed);
    let visit = async |url, project| {
        let stage = Stage::with_relay(true, Some(url), project).await;
        let link = stage.site.verify(stage.user);
        let seen = stage.play("remoteUnreachable", "ada", &link).await;
        assert!(text(&seen, "problem").contains("in your wallet’s own browser"));
        assert_eq!(seen["chooses"], true);
    };
    tokio::join!(visit(relay.url(), "unknown"), visit(nobody, relay::PROJECT));
}

#[tokio::test]
async fn no_button_can_be_pressed_before_its_script_has_come() {
    let relay = Relay::start().await;
    let stage = Stage::with_relay(true, Some(relay.url()), "unknown").await;
    let link = stage.site.verify(stage.user);
    let seen = stage.play("lateScripts", "ada", &link).await;
    assert_eq!(seen["pressable"], json!([]), "a press would be lost");
}

#[tokio::test]
async fn a_member_continues_in_the_wallets_browser_without_signing_in_there() {
    let stage = Stage::new(true).await;
    stage.site.subscribe(stage.account);
    let link = stage.site.verify(stage.user);
    let seen = stage.play("handover", "ada", &link).await;
    assert!(text(&seen, "app").starts_with("trust://open_url?coin_id=60&url="));
    assert!(text(&seen, "asks").contains("The membership goes to ada the First (@ada)"));
    assert_eq!(seen["dashboard"], 401, "signed in for this link alone");
    assert_eq!(text(&seen, "again"), "This link was already used");
    assert!(text(&seen, "outcome").contains("Subscriber"));
    let stored = stage.site.store.link_of(Wallet(stage.account)).unwrap();
    assert_eq!(stored.unwrap().user, stage.user);
}

#[tokio::test]
async fn a_sign_in_that_ends_in_another_browser_goes_on_there() {
    let stage = Stage::new(true).await;
    let link = stage.site.verify(stage.user);
    let seen = stage.play("inApp", "ada", &link).await;
    assert!(text(&seen, "said").contains("began in another browser"));
}
