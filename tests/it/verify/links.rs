//! A link works once, for ten minutes, for the member who asked for it; a wallet belongs to one member.

use amser_roles::domain::Wallet;
use amser_roles::sandbox::chain::wallet;
use amser_roles::store::{Notice, Store};
use amser_roles::web::{LINK_SECONDS, ROLES_WITHIN, new_link};
use serde_json::json;
use std::sync::atomic::Ordering;
use url::Url;

use super::site::{PLAN, Setup, start};
use super::visitor::{Browser, code, sign};

#[tokio::test]
async fn a_paid_wallet_links_and_the_role_is_in_the_answer() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let signer = wallet("ada's");
    site.subscribe(signer.address());
    site.world.slow.store(true, Ordering::Relaxed);
    let link = site.verify(ada.id);
    let message = ada.browser.challenge(&link, signer.address()).await;
    for part in [
        "ada",
        &ada.id.to_string(),
        "Caf_ Club",
        &site.guild.to_string(),
    ] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    let token = link.strip_prefix("/verify/").unwrap();
    assert!(
        !message.contains(token),
        "the message is kept and shown around"
    );
    let signature = sign(&signer, &message);
    let answer = ada.browser.answer(&link, &message, &signature).await;
    let expected = json!({
        "address": signer.address().to_string(),
        "roles": [{
            "guild_id": site.guild.to_string(),
            "role_id": site.role.to_string(),
            "name": "Subscriber",
        }],
    });
    assert_eq!(answer, (200, expected));
    let stored = site
        .store
        .link_of(Wallet(signer.address()))
        .unwrap()
        .unwrap();
    assert_eq!((stored.user, stored.linked_at), (ada.id, site.now()));
    assert_eq!(stored.proof, Some((message, signature)));
    assert_eq!(site.store.links_of(ada.id).unwrap(), [stored]);
}

#[tokio::test]
async fn a_server_that_was_not_read_yet_is_said_to_be_until_it_is() {
    let setup = Setup {
        roles_within: ROLES_WITHIN,
        ..Setup::default()
    };
    let site = start(setup).await;
    site.add_gate();
    site.world.unread.store(true, Ordering::Relaxed);
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    assert_eq!(ada.browser.link(&link, &wallet("ada's")).await.0, 200);
    let path = format!("{link}/standing");
    let standing = super::visitor::answer(ada.browser.get(&path).await).await;
    let expected = json!({ "roles": [], "pending": [], "servers": {}, "subscribe": [], "trouble": [], "unread": true });
    assert_eq!(standing, (200, expected));
    site.world.unread.store(false, Ordering::Relaxed);
    let standing = super::visitor::answer(ada.browser.get(&path).await).await.1;
    assert_eq!(standing["unread"], false);
    assert_eq!(standing["subscribe"][0]["roles"], json!(["Subscriber"]));
}

#[tokio::test]
async fn nobody_is_sent_to_pay_while_the_servers_roles_are_in_trouble() {
    let site = start(Setup::default()).await;
    let trouble = "The payments are still being read".to_owned();
    *site.world.trouble.lock().unwrap() = Some(trouble.clone());
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    assert_eq!(ada.browser.link(&link, &wallet("ada's")).await.0, 200);
    let path = format!("{link}/standing");
    let standing = super::visitor::answer(ada.browser.get(&path).await).await;
    let expected = json!({ "roles": [], "pending": [], "servers": {}, "subscribe": [], "trouble": [trouble], "unread": false });
    assert_eq!(standing, (200, expected));
}

#[tokio::test]
async fn an_unpaid_wallet_links_and_the_page_learns_where_to_subscribe() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let path = format!("{link}/standing");
    let early = ada.browser.get(&path).await;
    assert_eq!(early.status(), 410);
    let (status, answer) = ada.browser.link(&link, &wallet("ada's")).await;
    assert_eq!((status, &answer["roles"]), (200, &json!([])));
    let standing = super::visitor::answer(ada.browser.get(&path).await).await;
    let checkout = format!("https://app.amser.io/subscribe/{}/{PLAN}", site.module);
    let mut checkout: Url = checkout.parse().unwrap();
    let token = link.strip_prefix("/verify/").unwrap();
    let back = format!("/paid/{}?link={token}", site.guild);
    let back = site.url.join(&back).unwrap();
    checkout
        .query_pairs_mut()
        .append_pair("redirect", back.as_str());
    let offer = json!({
        "roles": ["Subscriber"],
        "plan_id": PLAN.to_string(),
        "name": format!("plan {PLAN}"),
        "terms": null,
        "url": checkout.as_str(),
    });
    let expected = json!({ "roles": [], "pending": [], "servers": {}, "subscribe": [offer], "trouble": [], "unread": false });
    assert_eq!(standing, (200, expected));
    let mut stranger = site.member("eve").await;
    assert_eq!(stranger.browser.get(&path).await.status(), 403);
    site.pass(2 * LINK_SECONDS);
    ada.browser.sign_in(ada.id, None).await;
    assert_eq!(ada.browser.get(&path).await.status(), 410);
}

#[tokio::test]
async fn a_used_link_is_refused() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let signer = wallet("ada's");
    let message = ada.browser.challenge(&link, signer.address()).await;
    let signature = sign(&signer, &message);
    assert_eq!(ada.browser.answer(&link, &message, &signature).await.0, 200);
    let again = ada.browser.answer(&link, &message, &signature).await;
    assert_eq!((again.0, code(&again).as_str()), (410, "link_used"));
    let body = json!({ "address": signer.address().to_string() });
    let challenge = ada.browser.post(&format!("{link}/challenge"), &body).await;
    assert_eq!(code(&challenge), "link_used");
    let page = ada.browser.get(&link).await;
    assert_eq!(page.status(), 410);
    assert!(page.text().await.unwrap().contains("already"));
}

#[tokio::test]
async fn an_expired_link_is_refused() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let signer = wallet("ada's");
    let message = ada.browser.challenge(&link, signer.address()).await;
    // Opened, it would last longer (`longer`).
    site.pass(LINK_SECONDS);
    let late = ada
        .browser
        .answer(&link, &message, &sign(&signer, &message))
        .await;
    assert_eq!((late.0, code(&late).as_str()), (410, "link_expired"));
    assert_eq!(ada.browser.get(&link).await.status(), 410);
    assert_eq!(site.store.link_count().unwrap(), 0);
}

#[tokio::test]
async fn running_verify_again_replaces_the_older_link_in_that_server_alone() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let older = site.verify(ada.id);
    let elsewhere = site.discord.add_guild("Elsewhere");
    let other = new_link(&site.store, ada.id, elsewhere, &site.url, site.now()).unwrap();
    let newer = site.verify(ada.id);
    let answer = ada.browser.link_refused(&older).await;
    assert_eq!((answer.0, code(&answer).as_str()), (410, "link_replaced"));
    assert_eq!(ada.browser.get(&newer).await.status(), 200);
    assert_eq!(ada.browser.get(other.path()).await.status(), 200);
}

#[tokio::test]
async fn a_link_that_was_never_given_out_is_refused() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    site.verify(ada.id);
    for odd in [
        "A".repeat(43),
        "a".to_owned(),
        "%2e%2e%2f".to_owned(),
        "é".repeat(20),
    ] {
        let answer = ada.browser.link_refused(&format!("/verify/{odd}")).await;
        assert_eq!(
            (answer.0, code(&answer).as_str()),
            (404, "link_unknown"),
            "{odd}"
        );
    }
}

#[tokio::test]
async fn another_members_link_is_refused_and_a_forwarded_one_too() {
    // No part of an address or a token, as "ada" now and then is.
    const NAME: &str = "lovelace";
    let site = start(Setup::default()).await;
    let ada = site.member(NAME).await;
    let mut eve = site.member("eve").await;
    let link = site.verify(ada.id);
    let signer = wallet("eve's");
    let answer = eve.browser.link_refused(&link).await;
    assert_eq!((answer.0, code(&answer).as_str()), (403, "other_member"));
    let body = json!({ "message": "", "signature": "0x" });
    let answer = eve.browser.post(&format!("{link}/signature"), &body).await;
    assert_eq!(code(&answer), "other_member");
    let page = eve.browser.get(&link).await;
    assert_eq!(page.status(), 403);
    let text = page.text().await.unwrap();
    assert!(text.contains("not yours") && !text.contains(NAME), "{text}");
    // Whoever opens a forwarded link is asked who they are before anything of the member is shown.
    let mut victim = Browser::new(&site.url);
    let page = victim.get(&link).await;
    assert_eq!(page.status(), 200);
    let text = page.text().await.unwrap();
    assert!(
        text.contains("Sign in with Discord") && !text.contains(NAME),
        "{text}"
    );
    let answer = victim.link_refused(&link).await;
    assert_eq!(
        (answer.0, code(&answer).as_str()),
        (401, "sign_in_required")
    );
    assert_eq!(site.store.link_of(Wallet(signer.address())).unwrap(), None);
}

#[tokio::test]
async fn more_wallets_than_the_limit_are_refused() {
    let setup = Setup {
        links_per_member: 2,
        ..Setup::default()
    };
    let site = start(setup).await;
    let mut ada = site.member("ada").await;
    for name in ["first", "second"] {
        let link = site.verify(ada.id);
        assert_eq!(ada.browser.link(&link, &wallet(name)).await.0, 200);
    }
    let link = site.verify(ada.id);
    let body = json!({ "address": wallet("third").address().to_string() });
    let answer = ada.browser.post(&format!("{link}/challenge"), &body).await;
    assert_eq!(
        (answer.0, code(&answer).as_str()),
        (409, "too_many_wallets")
    );
    assert!(answer.1.to_string().contains("2 wallets"));
    // The same wallet again is none too many, and the link is still good for it.
    assert_eq!(ada.browser.link(&link, &wallet("first")).await.0, 200);
}

#[tokio::test]
async fn the_limit_holds_when_the_last_place_is_taken_meanwhile() {
    let setup = Setup {
        links_per_member: 1,
        ..Setup::default()
    };
    let site = start(setup).await;
    let mut ada = site.member("ada").await;
    let elsewhere = site.discord.add_guild("Elsewhere");
    let here = site.verify(ada.id);
    let there = new_link(&site.store, ada.id, elsewhere, &site.url, site.now()).unwrap();
    let signer = wallet("here");
    let message = ada.browser.challenge(&here, signer.address()).await;
    assert_eq!(
        ada.browser.link(there.path(), &wallet("there")).await.0,
        200
    );
    let answer = ada
        .browser
        .answer(&here, &message, &sign(&signer, &message))
        .await;
    assert_eq!(code(&answer), "too_many_wallets");
    assert_eq!(site.store.link_of(Wallet(signer.address())).unwrap(), None);
}

#[tokio::test]
async fn a_wallet_moves_to_the_member_who_signs_and_the_former_one_is_to_be_told() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let mut eve = site.member("eve").await;
    let signer = wallet("shared");
    let link = site.verify(ada.id);
    assert_eq!(ada.browser.link(&link, &signer).await.0, 200);
    let link = site.verify(eve.id);
    assert_eq!(eve.browser.link(&link, &signer).await.0, 200);
    let expected = Notice {
        former: ada.id,
        wallet: Wallet(signer.address()),
        moved_at: site.now(),
    };
    assert_eq!(site.store.notices().unwrap(), [expected]);
    assert_eq!(site.store.wallets_of(ada.id).unwrap(), []);
    assert_eq!(site.store.wallets_of(eve.id).unwrap(), [expected.wallet]);
}

#[tokio::test]
async fn two_answers_at_the_same_moment_link_once() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let signer = wallet("ada's");
    let message = ada.browser.challenge(&link, signer.address()).await;
    let signature = sign(&signer, &message);
    let answers = (0..8).map(|_| {
        let mut browser = ada.browser.clone();
        let (link, message, signature) = (link.clone(), message.clone(), signature.clone());
        tokio::spawn(async move { browser.answer(&link, &message, &signature).await.0 })
    });
    let mut linked = 0;
    for answer in answers.collect::<Vec<_>>() {
        linked += u32::from(answer.await.unwrap() == 200);
    }
    assert_eq!(linked, 1);
}

#[tokio::test]
async fn the_store_holds_no_token_and_forgets_what_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let setup = Setup {
        store: Store::open(&path).unwrap(),
        ..Setup::default()
    };
    let site = start(setup).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let message = ada
        .browser
        .challenge(&link, wallet("ada's").address())
        .await;
    let nonce = message
        .split("Nonce: ")
        .nth(1)
        .unwrap()
        .split('\n')
        .next()
        .unwrap();
    let token = link.strip_prefix("/verify/").unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    assert!(holds(nonce.as_bytes()) && !holds(token.as_bytes()));
    site.store.forget_requests(ada.id).unwrap();
    assert_eq!(site.store.challenge(nonce).unwrap(), None);
    assert_eq!(code(&ada.browser.link_refused(&link).await), "link_unknown");
}

impl Browser {
    /// Asks for a text to sign where none should be given.
    async fn link_refused(&mut self, link: &str) -> super::visitor::Answer {
        let body = json!({ "address": wallet("any").address().to_string() });
        self.post(&format!("{link}/challenge"), &body).await
    }
}
