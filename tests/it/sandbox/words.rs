//! What the page says is true, once, and in words.
use serde_json::json;

use super::{Play, said};

fn count(page: &str, text: &str) -> usize {
    page.matches(text).count()
}

#[tokio::test]
async fn each_event_stands_once_on_the_time_line_with_its_confirmations() {
    let play = Play::start().await;
    let ada = play.world.members[0];
    play.done("link_wallet", ada).await;
    play.done("subscribe", ada).await;
    play.done("pay", ada).await;
    play.role(ada, true).await;
    let page = play.shows("/", "<strong>ada</strong> paid $5.00.").await;
    assert_eq!(count(&page, "<strong>ada</strong> paid $5.00."), 1);
    assert_eq!(count(&page, "<strong>ada</strong> subscribed to plan"), 1);
    assert_eq!(count(&page, "<strong>ada</strong> linked the wallet"), 1);
    assert_eq!(
        count(
            &page,
            "The bot gave <strong>ada</strong> the role <strong>Subscriber</strong>"
        ),
        1
    );
    play.shows("/", "confirmed").await;
    play.end().await;
}

#[tokio::test]
async fn paying_moves_no_clock_and_says_when_something_is_due() {
    let play = Play::start().await;
    let ada = play.world.members[0];
    let (status, said) = play.act("pay", ada).await;
    assert_eq!(
        (status, said.as_str()),
        (409, "ada has no subscription yet; subscribe first.")
    );
    play.done("link_wallet", ada).await;
    play.done("subscribe", ada).await;
    play.done("pay", ada).await;
    let before = play.world.chain.head().await.unwrap().timestamp;
    for action in ["pay", "fail_payment"] {
        let (status, said) = play.act(action, ada).await;
        assert_eq!(status, 409);
        assert!(
            said.starts_with("ada's next payment is due in 23 hours and"),
            "{said}"
        );
    }
    let after = play.world.chain.head().await.unwrap().timestamp;
    assert!(
        after < before + 60,
        "nothing moved the clock: {before} {after}"
    );
    let passed = play.done("pass_until_due", ada).await;
    assert!(passed.starts_with("23 hours and "), "{passed}");
    let failed = play.done("fail_payment", ada).await;
    assert!(
        failed.contains("the wallet no longer allows the payment"),
        "{failed}"
    );
    play.role(ada, false).await;
    play.shows("/member", "<strong>payment failed</strong>: the wallet")
        .await;
    play.end().await;
}

#[tokio::test]
async fn what_a_contract_refuses_is_told_with_the_members_name_and_no_signature() {
    let play = Play::start().await;
    let ada = play.world.members[0];
    play.done("link_wallet", ada).await;
    play.done("subscribe", ada).await;
    let (status, twice) = play.act("subscribe", ada).await;
    assert_eq!(status, 409);
    assert!(
        twice.starts_with("ada is subscribed to this plan already"),
        "{twice}"
    );
    play.done("pause", ada).await;
    let (_, paused) = play.act("pause", ada).await;
    assert_eq!(paused, "ada's subscription is paused: resume it first.");
    play.shows("/member", "<strong>paused</strong>").await;
    play.end().await;
}

#[tokio::test]
async fn a_reorganisation_changes_blocks_that_were_empty_and_strikes_out_what_it_undid() {
    let play = Play::start().await;
    let ada = play.world.members[0];
    let chain = &play.world.chain;
    chain.mine(5).await.unwrap();
    let head = chain.head().await.unwrap().number;
    let before = chain.block(head - 4).await.unwrap().hash;
    let reorganise = async || {
        let body = json!({ "action": "reorganise", "depth": 5 });
        said(play.post("/sandbox/actions", &body).await)
    };
    let (status, text) = reorganise().await;
    assert_eq!(status, 200, "{text}");
    assert!(
        text.contains("Nothing of the protocol was in them"),
        "{text}"
    );
    assert_ne!(chain.block(head - 4).await.unwrap().hash, before);
    play.done("link_wallet", ada).await;
    play.done("subscribe", ada).await;
    play.done("pay", ada).await;
    play.role(ada, true).await;
    play.shows("/", "<strong>ada</strong> paid $5.00.").await;
    let (_, text) = reorganise().await;
    assert!(text.contains("never happened after all"), "{text}");
    play.world.confirm().await.unwrap();
    play.role(ada, false).await;
    play.shows("/", "undone by the reorganisation").await;
    play.end().await;
}

#[tokio::test]
async fn letting_time_pass_says_beforehand_whose_access_it_ends() {
    let play = Play::start().await;
    let (ada, grace) = (play.world.members[0], play.world.members[1]);
    for user in [ada, grace] {
        play.done("link_wallet", user).await;
        play.done("subscribe", user).await;
        play.done("pay", user).await;
    }
    play.role(grace, true).await;
    let page = play.shows("/", "ends the access of ada and grace").await;
    assert_eq!(
        count(&page, "ends nobody&#39;s access") + count(&page, "ends nobody's access"),
        2
    );
    let (status, passed) = play.pass(31 * 86_400).await;
    assert_eq!(status, 200);
    assert!(passed.starts_with("31 days passed"), "{passed}");
    play.world.confirm().await.unwrap();
    play.role(ada, false).await;
    play.role(grace, false).await;
    play.shows("/member", "<strong>lapsed</strong>").await;
    play.shows("/member", "Ahead of your clock by").await;
    play.end().await;
}
