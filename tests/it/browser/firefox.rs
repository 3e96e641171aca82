//! The same page in Firefox.

use super::{Kind, Stage, text};

async fn stage(browser: Kind) -> Stage {
    Stage {
        browser,
        ..Stage::new(true).await
    }
}

#[tokio::test]
async fn a_member_links_a_wallet_in_firefox() {
    links_a_wallet(Kind::Firefox).await;
}

#[tokio::test]
async fn a_member_links_a_wallet_in_a_dark_firefox() {
    links_a_wallet(Kind::DarkFirefox).await;
}

async fn links_a_wallet(browser: Kind) {
    let stage = stage(browser).await;
    stage.site.subscribe(stage.account);
    let link = stage.site.verify(stage.user);
    let seen = stage.play("member", "ada", &link).await;
    assert_eq!(text(&seen, "focused"), "done-title");
    assert!(text(&seen, "outcome").contains("You hold this role now"));
}

/// Some wallets insert an inline script, which Firefox holds to the page's policy (MetaMask/metamask-extension#3133).
#[tokio::test]
async fn firefox_without_a_reachable_wallet_is_told_why_that_may_be() {
    let stage = stage(Kind::Firefox).await;
    let link = stage.site.verify(stage.user);
    let seen = stage.play("none", "ada", &link).await;
    let searching = text(&seen, "searching");
    assert!(
        searching.contains("in this Firefox") && searching.contains("Open this page in Chrome")
    );
}
