//! `links export` and `links import`: members need not sign again, and nobody is believed without a signature.

use alloy::primitives::Address;
use alloy::signers::SignerSync as _;
use amser_roles::domain::{Link, Timestamp, UserId, Wallet};
use amser_roles::sandbox::chain::wallet;
use amser_roles::store::Store;
use serde_json::Value;

use super::{Club, payer, stop, until_said};

/// The text that the wallet page gives out.
fn message(address: Address, user: UserId) -> String {
    format!(
        "old.example wants you to sign in with your Ethereum account:\n{address}\n\n\
         Link this wallet to the Discord account ada (id {user}), asked for in the server Club (id 9). It counts in every server \
         that uses this bot. Signing is free and moves nothing.\n\n\
         URI: https://old.example/verify\nVersion: 1\nChain ID: 31337\nNonce: abcdefgh\n\
         Issued At: 2026-01-01T00:00:00Z\nExpiration Time: 2026-01-01T00:10:00Z\nRequest ID: 1"
    )
}

/// A link that the wallet of the scene's member with this number has signed.
pub(crate) fn signed(user: UserId, number: u64) -> Link {
    let key = wallet(&format!("member {number}"));
    let message = message(key.address(), user);
    let signature = key.sign_message_sync(message.as_bytes()).unwrap();
    Link {
        user,
        wallet: Wallet(key.address()),
        linked_at: Timestamp(1_767_225_600),
        proof: Some((message, signature.as_bytes().to_vec())),
    }
}

#[tokio::test]
async fn links_move_to_another_machine_with_their_proofs_and_give_the_roles_there() {
    let club = Club::new().await;
    let old = &club.installation;
    let store = Store::open(&old.store_path()).unwrap();
    for (index, user) in club.members.iter().enumerate() {
        store.link(&signed(*user, index as u64 + 1), 5).unwrap();
    }
    drop(store);
    let service = old.start();
    club.until_everyone_has_the_role().await;
    let file = old.beside("links.jsonl");
    let exported = old.run("links export", &[&file]).await;
    assert_eq!(exported.code, Some(0), "{exported:?}");
    stop(service).await;
    let running = std::fs::read_to_string(&file).unwrap();
    let exported = old.run("links export", &[&file]).await;
    assert_eq!(exported.code, Some(0), "{exported:?}");
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        running,
        "stopped or running"
    );
    for line in running.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(
            line["user_id"].is_string() && line["message"].is_string(),
            "{line}"
        );
    }
    let refused = old
        .run("links export", &[&old.config_path().display().to_string()])
        .await;
    assert_eq!(refused.code, Some(1), "{refused:?}");

    for user in &club.members {
        club.discord
            .take_role(club.guild, *user, club.role)
            .unwrap();
    }
    let new = club.another_machine();
    // One link is false: the signature is bob's, the wallet ada's.
    let forged = running
        .lines()
        .next()
        .unwrap()
        .replace(&club.members[0].to_string(), &club.members[1].to_string());
    let more = new.beside("more.jsonl");
    std::fs::write(&more, format!("{forged}\n{running}")).unwrap();
    let service = new.start();
    until_said(&new, "ready: the chain is followed").await;
    let imported = new.run("links import", &[&more]).await;
    assert_eq!(imported.code, Some(1), "{imported:?}");
    assert!(imported.output.starts_with("line 1: "), "{imported:?}");
    assert!(imported.output.contains("links: 2 new"), "{imported:?}");
    club.until_everyone_has_the_role().await;
    stop(service).await;
    let again = new.run("links import", &[&file]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(
        again.output.contains("links: 0 new, 2 here already"),
        "{again:?}"
    );
    let store = Store::open(&new.store_path()).unwrap();
    let kept = store.link_of(Wallet(payer(1))).unwrap();
    assert_eq!(kept, Some(signed(club.members[0], 1)));
}
