use std::sync::Arc;

use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use url::Url;

use super::*;
use crate::wallet::signature::{SignedText, is_signed_by_key};
use crate::web::proof;
use crate::web::siwe::{self, Terms};

/// Believes keys alone; a contract's signature cannot be asked about.
fn by_key() -> SignatureCheck {
    Arc::new(|wallet, message: String, signature: Vec<u8>| {
        Box::pin(async move {
            let text = SignedText {
                wallet,
                message: &message,
                signature: &signature,
            };
            match is_signed_by_key(text) {
                true => SignatureVerdict::Valid,
                false => SignatureVerdict::OtherKey,
            }
        })
    })
}

/// A link with a real proof.
fn signed(user: u64) -> Link {
    let key = PrivateKeySigner::from_slice(&[u8::try_from(user).unwrap(); 32]).unwrap();
    let public_url: Url = "https://old.example".parse().unwrap();
    let wallet = Wallet(key.address());
    let message = siwe::write(&Terms {
        public_url: &public_url,
        wallet,
        statement: proof::statement(("ada", UserId(user)), ("Club", GuildId(9)), false),
        chain_id: 8453,
        nonce: "abcdefgh",
        request_id: "1".to_owned(),
        issued_at: Timestamp(1_700_000_000),
        expires_at: Timestamp(1_700_000_600),
    })
    .unwrap();
    let signature = key.sign_message_sync(message.as_bytes()).unwrap();
    Link {
        user: UserId(user),
        wallet,
        linked_at: Timestamp(1_700_000_100),
        proof: Some((message, signature.as_bytes().to_vec())),
    }
}

async fn import(store: &Store, lines: &str) -> ImportReport {
    let mut import = Import::new(store.clone(), by_key(), 5);
    for line in lines.split('\n') {
        import.take(vec![line.as_bytes().to_vec()]).await.unwrap();
    }
    import.finish()
}

#[tokio::test]
async fn links_with_their_proofs_come_into_another_store_as_they_were() {
    let (old, new) = (Store::in_memory().unwrap(), Store::in_memory().unwrap());
    for user in 1..=3 {
        old.link(&signed(user), 5).unwrap();
        old.saw(&[(UserId(user), GuildId(9))]).unwrap();
    }
    let mut file = Vec::new();
    assert_eq!(export_links(&old, &mut file).unwrap(), 3);
    let file = String::from_utf8(file).unwrap();
    let report = import(&new, &file).await;
    assert_eq!((report.imported, report.known), (3, 0));
    assert_eq!(report.refused, []);
    for user in 1..=3 {
        let link = signed(user);
        assert_eq!(new.link_of(link.wallet).unwrap(), Some(link));
        assert_eq!(new.seen_in(UserId(user)).unwrap(), [GuildId(9)]);
    }
    let again = import(&new, &file).await;
    assert_eq!((again.imported, again.known), (0, 3));
    let mut back = Vec::new();
    export_links(&new, &mut back).unwrap();
    assert_eq!(String::from_utf8(back).unwrap(), file);
}

#[tokio::test]
async fn a_line_that_proves_nothing_is_refused_by_its_number() {
    let old = Store::in_memory().unwrap();
    old.link(&signed(1), 5).unwrap();
    let mut file = Vec::new();
    export_links(&old, &mut file).unwrap();
    let good: LinkLine = serde_json::from_slice(&file).unwrap();
    let line = |change: fn(&mut LinkLine)| {
        let mut line = good.clone();
        change(&mut line);
        serde_json::to_string(&line).unwrap()
    };
    let lines = [
        "{".to_owned(),
        line(|line| line.user_id = UserId(2)),
        line(|line| line.wallet = Wallet(alloy::primitives::Address::repeat_byte(5))),
        line(|line| line.message = None),
        line(|line| line.signature = Some("0xzz".to_owned())),
        line(|line| {
            let signature = line.signature.as_mut().unwrap();
            signature.replace_range(10..12, "00");
        }),
        String::new(),
        line(|_| ()),
    ];
    let new = Store::in_memory().unwrap();
    let report = import(&new, &lines.join("\n")).await;
    assert_eq!((report.imported, report.known), (1, 0));
    let numbers: Vec<_> = report.refused.iter().map(|refused| refused.line).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    for (refused, words) in report.refused.iter().zip([
        "not the line of a link",
        "another Discord account",
        "another wallet",
        "no signed message",
        "not hexadecimal",
        "signature",
    ]) {
        assert!(refused.reason.contains(words), "{refused:?}");
    }
    assert_eq!(new.link_count().unwrap(), 1);
}
