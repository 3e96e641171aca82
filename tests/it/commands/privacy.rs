//! `/privacy`.

use std::collections::BTreeSet;
use std::time::Duration;

use amser_roles::domain::Timestamp;
use amser_roles::sandbox::discord::Reply;
use amser_roles::store::{MerchantWallet, ServerRecord};
use serde_json::Value;

use super::{DEADLINE, GENESIS, Story, module, wallet};

/// The attached export: one file in one message.
fn exported(reply: &Reply) -> Value {
    assert_eq!(reply.followups, []);
    let [(name, content)] = reply.message.files.as_slice() else {
        panic!("one file: {reply:?}");
    };
    assert_eq!(name, "export.json");
    serde_json::from_slice(content).unwrap()
}

/// Waits for the store, which tells nobody here when it changes.
async fn eventually(what: &str, reached: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !reached() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_export_is_one_file_that_holds_everything() {
    let mut story = Story::begin().await;
    let stranger = story.local.add_user("bob");
    story.link(stranger, wallet(9));
    for n in 1..=5 {
        story.link(story.user, wallet(n));
        story.pay(u64::from(n), wallet(n));
    }
    story.until_role(story.club, story.paid, true).await;
    story
        .until_role(story.pub_, story.role(story.pub_), true)
        .await;
    story.run("verify", &[]).await;
    story.ask_to_sign(&["older", "newer"]);
    let (store, user) = (story.store.clone(), story.user);
    let at = Timestamp(GENESIS);
    let shown = MerchantWallet {
        wallet: wallet(7),
        at,
        message: "a merchant's text".to_owned(),
        signature: vec![0xcd],
    };
    store.set_merchant_wallet(user, &shown).unwrap();
    let added = store.add_merchant_modules(user, wallet(7), &[module()]);
    assert!(added.unwrap());
    let record = ServerRecord { by: user, at };
    store.connect_server(story.club, record).unwrap();
    eventually("the grants are journalled", || {
        store.journal_of(user, 10).unwrap().len() == 2
    })
    .await;
    let reply = story.run("privacy export", &[]).await;
    let all = exported(&reply);
    assert!(all.to_string().len() > 2_000, "more than a message holds");
    assert_eq!(all["user_id"], story.user.to_string());
    assert_eq!(all["wallets"].as_array().unwrap().len(), 5);
    assert_eq!(all["wallets"][0]["message"], "the signed text");
    assert_eq!(
        all["wallets"][0]["signature"],
        format!("0x{}", "ab".repeat(65))
    );
    assert_eq!(all["roles"].as_array().unwrap().len(), 2);
    assert_eq!(all["journal"].as_array().unwrap().len(), 2);
    assert_eq!(all["verify_links"][0]["state"], "Open");
    assert_eq!(all["direct_messages"]["opted_out"], false);
    assert_eq!(all["merchant_wallet"]["message"], "a merchant's text");
    assert_eq!(all["merchant_wallet"]["signature"], "0xcd");
    assert_eq!(all["merchant_modules"].as_array().unwrap().len(), 1);
    assert_eq!(
        all["connected_servers"][0]["guild_id"],
        story.club.to_string()
    );
    let texts: Vec<_> = all["texts_to_sign"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| (text["state"].as_str().unwrap(), text["message"].as_str()))
        .collect();
    assert_eq!(
        BTreeSet::from_iter(texts),
        [("Open", None), ("Replaced", Some("text older"))].into(),
        "an open text holds a nonce that still works"
    );
    assert!(!all.to_string().contains("newer"));
    assert!(
        !all.to_string()
            .contains(&wallet(9).to_string().to_lowercase())
    );
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_asks_first_then_takes_the_roles_and_leaves_nothing() {
    let mut story = Story::begin().await;
    let stranger = story.local.add_user("bob");
    story.link(stranger, wallet(9));
    story.link(story.user, wallet(1));
    story.pay(1, wallet(1));
    story.until_role(story.club, story.paid, true).await;
    story
        .until_role(story.pub_, story.role(story.pub_), true)
        .await;
    story.run("verify", &[]).await;
    story.ask_to_sign(&["older", "newer"]);

    let asked = story.run("privacy delete", &[]).await;
    assert_eq!(story.store.wallets_of(story.user).unwrap(), [wallet(1)]);
    let done = story
        .press(story.club, story.user, &asked, "Delete everything")
        .await;
    assert!(done.text().contains("One wallet was unlinked"), "{done:?}");
    story.until_role(story.club, story.paid, false).await;
    story
        .until_role(story.pub_, story.role(story.pub_), false)
        .await;
    let (store, user) = (story.store.clone(), story.user);
    eventually("nothing is stored any more", || {
        store.applied_of(user).unwrap().is_empty()
            && store.journal_of(user, 9).unwrap().is_empty()
            && store.requests_of(user).unwrap().is_empty()
            && store.challenges_of(user).unwrap().is_empty()
            && store.links_of(user).unwrap().is_empty()
    })
    .await;
    let reply = story.run("privacy export", &[]).await;
    let all = exported(&reply);
    for kind in [
        "wallets",
        "verify_links",
        "texts_to_sign",
        "sign_ins",
        "moved_wallets_to_tell",
        "checks",
        "ended_links",
        "seen_in",
        "acts",
        "given_for_a_time",
        "merchant_modules",
        "connected_servers",
        "roles",
        "journal",
    ] {
        assert_eq!(all[kind], serde_json::json!([]), "{kind}");
    }
    assert_eq!(story.store.wallets_of(stranger).unwrap(), [wallet(9)]);
    assert_eq!(
        store.journal(100).unwrap(),
        [],
        "not in the whole journal either"
    );

    // Whoever comes back is journalled again.
    story.link(story.user, wallet(1));
    story.until_role(story.club, story.paid, true).await;
    eventually("the grant is journalled", || {
        !store.journal_of(user, 9).unwrap().is_empty()
    })
    .await;
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_member_who_left_a_server_before_deleting() {
    let mut story = Story::begin().await;
    story.link(story.user, wallet(1));
    story.pay(1, wallet(1));
    story.until_role(story.club, story.paid, true).await;
    story
        .until_role(story.pub_, story.role(story.pub_), true)
        .await;
    story.local.remove_member(story.pub_, story.user).unwrap();
    let asked = story.run("privacy delete", &[]).await;
    story
        .press(story.club, story.user, &asked, "Delete everything")
        .await;
    story.until_role(story.club, story.paid, false).await;
    let (store, user) = (story.store.clone(), story.user);
    eventually("nothing is stored any more", || {
        store.applied_of(user).unwrap().is_empty() && store.journal_of(user, 9).unwrap().is_empty()
    })
    .await;
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_export_has_a_button_that_switches_direct_messages() {
    let story = Story::begin().await;
    let user = story.user;
    let wants_none = || story.store.direct_messages(user).unwrap().opted_out;
    let shown = story.run("privacy export", &[]).await;
    let off = story
        .press(story.club, user, &shown, "Stop these messages")
        .await;
    assert!(wants_none());
    let on = story
        .press(story.club, user, &off, "Send me messages again")
        .await;
    assert!(on.text().contains("again"), "{}", on.text());
    assert!(!wants_none());
    story.end();
}
