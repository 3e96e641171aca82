//! Only the exact text that was given out comes back, signed by the wallet it names; anything else has its own refusal.

use alloy::primitives::Address;
use amser_roles::domain::Wallet;
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, wallet};
use amser_roles::web::LINK_SECONDS;
use serde_json::json;

use super::site::{CHAIN_ID, Setup, code, sign, start};

#[tokio::test]
async fn every_edited_message_is_refused_by_name_even_when_signed() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let signer = wallet("ada's");
    let out = ada.browser.challenge(&link, signer.address()).await;
    let nonce = out
        .split("Nonce: ")
        .nth(1)
        .unwrap()
        .split('\n')
        .next()
        .unwrap();
    let host = out.split(' ').next().unwrap();
    let other = Address::repeat_byte(7).to_string();
    for (expected, status, edited) in [
        ("other_domain", 422, out.replacen(host, "evil.example", 1)),
        ("other_uri", 422, out.replace("/verify\n", "/elsewhere\n")),
        (
            "other_chain",
            422,
            out.replace(&format!("Chain ID: {CHAIN_ID}"), "Chain ID: 1"),
        ),
        (
            "other_address",
            422,
            out.replace(&signer.address().to_string(), &other),
        ),
        ("nonce_unknown", 422, out.replace(nonce, "abcdefgh12345678")),
        (
            "other_request",
            422,
            out.replace("Request ID: ", "Request ID: 0"),
        ),
        (
            "statement_edited",
            422,
            out.replace("moves nothing", "moves all"),
        ),
        (
            "message_edited",
            422,
            format!("{out}\nResources:\n- https://a.example/"),
        ),
        (
            "message_malformed",
            400,
            out.replace("Version: 1", "Version: 2"),
        ),
        (
            "message_too_long",
            413,
            out.replace("Signing", &"S".repeat(8192)),
        ),
    ] {
        let signature = sign(&signer, &edited);
        let answer = ada.browser.answer(&link, &edited, &signature).await;
        assert_eq!(
            (answer.0, code(&answer).as_str()),
            (status, expected),
            "{edited}"
        );
    }
    assert_eq!(site.store.link_count().unwrap(), 0);
    let answer = ada.browser.answer(&link, &out, &sign(&signer, &out)).await;
    assert_eq!(answer.0, 200, "{answer:?}");
}

#[tokio::test]
async fn a_text_that_had_its_turn_is_refused() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let signer = wallet("ada's");
    let link = site.verify(ada.id);
    let replaced = ada.browser.challenge(&link, signer.address()).await;
    let used = ada.browser.challenge(&link, signer.address()).await;
    let answer = ada
        .browser
        .answer(&link, &replaced, &sign(&signer, &replaced))
        .await;
    assert_eq!((answer.0, code(&answer).as_str()), (409, "nonce_used"));
    assert_eq!(
        ada.browser
            .answer(&link, &used, &sign(&signer, &used))
            .await
            .0,
        200
    );
    // On a newer link the same text is as useless.
    let link = site.verify(ada.id);
    let answer = ada
        .browser
        .answer(&link, &used, &sign(&signer, &used))
        .await;
    assert_eq!(code(&answer), "challenge_missing");
    ada.browser.challenge(&link, signer.address()).await;
    let answer = ada
        .browser
        .answer(&link, &used, &sign(&signer, &used))
        .await;
    assert_eq!(code(&answer), "nonce_used");
}

#[tokio::test]
async fn a_text_of_another_members_link_is_refused() {
    let site = start(Setup::default()).await;
    let (mut ada, mut eve) = (site.member("ada").await, site.member("eve").await);
    let signer = wallet("ada's");
    let (hers, his) = (site.verify(ada.id), site.verify(eve.id));
    let message = ada.browser.challenge(&hers, signer.address()).await;
    eve.browser.challenge(&his, signer.address()).await;
    let answer = eve
        .browser
        .answer(&his, &message, &sign(&signer, &message))
        .await;
    assert_eq!(code(&answer), "nonce_unknown");
}

#[tokio::test]
async fn an_expired_text_is_refused() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let signer = wallet("ada's");
    let link = site.verify(ada.id);
    let expired = ada.browser.challenge(&link, signer.address()).await;
    site.pass(LINK_SECONDS - 1);
    let link = site.verify(ada.id);
    ada.browser.challenge(&link, signer.address()).await;
    site.pass(1);
    let answer = ada
        .browser
        .answer(&link, &expired, &sign(&signer, &expired))
        .await;
    assert_eq!((answer.0, code(&answer).as_str()), (422, "message_expired"));
}

#[tokio::test]
async fn a_signature_of_another_key_is_refused_and_none_of_any_length_passes() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let setup = Setup {
        provider: Some(chain.provider().clone()),
        ..Setup::default()
    };
    let site = start(setup).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let signer = wallet("ada's");
    let message = ada.browser.challenge(&link, signer.address()).await;
    let answer = ada
        .browser
        .answer(&link, &message, &sign(&wallet("eve's"), &message))
        .await;
    assert_eq!(
        (answer.0, code(&answer).as_str()),
        (422, "signature_of_another_key")
    );
    let mut good = sign(&signer, &message);
    for length in 0..=200 {
        let bytes: Vec<u8> = good.iter().copied().cycle().take(length).collect();
        for bytes in [bytes, vec![0; length], vec![0xff; length]] {
            if bytes == good {
                continue;
            }
            let answer = ada.browser.answer(&link, &message, &bytes).await;
            assert_eq!(
                (answer.0, code(&answer).as_str()),
                (400, "signature_malformed"),
                "{length}"
            );
        }
    }
    for odd in ["", "0x", "0xzz", "0x123", "hello", &"ab".repeat(20_000)] {
        let body = json!({ "message": message, "signature": odd });
        let answer = ada.browser.post(&format!("{link}/signature"), &body).await;
        assert_eq!(code(&answer), "signature_malformed", "{odd}");
    }
    // Some wallets count the recovery id from 0.
    good[64] -= 27;
    assert_eq!(ada.browser.answer(&link, &message, &good).await.0, 200);
    assert!(
        site.store
            .link_of(Wallet(signer.address()))
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn addresses_that_are_none_are_refused() {
    let site = start(Setup::default()).await;
    let mut ada = site.member("ada").await;
    let link = site.verify(ada.id);
    let address = wallet("ada's").address().to_string();
    let long = format!("{address}00");
    for odd in ["", "0x", "vitalik.eth", &address[..41], &long] {
        let answer = ada
            .browser
            .post(&format!("{link}/challenge"), &json!({ "address": odd }))
            .await;
        assert_eq!(
            (answer.0, code(&answer).as_str()),
            (400, "bad_address"),
            "{odd}"
        );
    }
    let lower = json!({ "address": address.to_lowercase() });
    let (status, answer) = ada.browser.post(&format!("{link}/challenge"), &lower).await;
    assert_eq!(status, 200);
    assert!(
        answer["message"].as_str().unwrap().contains(&address),
        "EIP-55 in the text"
    );
}
