//! People come, go, move wallets and are given roles by hand.

use amser_roles::domain::{Cause, RoleAction};

use crate::support::stage::{Setting, Stage, wait};

#[tokio::test]
async fn a_member_who_rejoins_gets_the_role_back() {
    let stage = Stage::open().await;
    let (ada, _) = stage.subscriber("ada").await;
    stage.discord.remove_member(stage.guild, ada.user).unwrap();
    stage.barrier().await;
    stage.discord.add_member(stage.guild, ada.user).unwrap();
    stage.until_role(ada, true).await;
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_member_whose_subscription_ended_while_away_comes_back_without_the_role() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    stage.discord.remove_member(stage.guild, ada.user).unwrap();
    stage.chain.cancel(stage.module, id).await.unwrap();
    let given = || {
        stage
            .store
            .applied(stage.guild, ada.user, stage.role)
            .unwrap()
    };
    wait("nothing is remembered of it", || given().is_none()).await;
    stage.discord.add_member(stage.guild, ada.user).unwrap();
    stage.barrier().await;
    assert!(!stage.has_role(ada));
}

#[tokio::test]
async fn somebody_who_paid_before_joining_gets_the_role_on_joining() {
    let stage = Stage::open().await;
    let ada = stage.join("ada").await;
    stage.discord.remove_member(stage.guild, ada.user).unwrap();
    stage.pay(ada).await;
    stage.barrier().await;
    stage.discord.add_member(stage.guild, ada.user).unwrap();
    stage.until_role(ada, true).await;
}

#[tokio::test]
async fn a_role_of_ours_that_is_removed_by_hand_comes_back() {
    let stage = Stage::open().await;
    let (ada, _) = stage.subscriber("ada").await;
    stage
        .discord
        .take_role(stage.guild, ada.user, stage.role)
        .unwrap();
    stage.until_role(ada, true).await;
}

#[tokio::test]
async fn a_role_given_by_hand_is_left_alone() {
    let stage = Stage::open().await;
    let ada = stage.join("ada").await;
    let stranger = stage.newcomer("never linked");
    for person in [ada, stranger] {
        stage
            .discord
            .give_role(stage.guild, person.user, stage.role)
            .unwrap();
    }
    stage.barrier().await;
    assert!(stage.has_role(ada));
    assert!(stage.has_role(stranger));
}

#[tokio::test]
async fn a_role_given_by_hand_is_removed_where_gates_claim_their_roles() {
    let stage = Stage::open_with(Setting {
        policy: "manual_roles = \"claim\"",
        ..Setting::default()
    })
    .await;
    stage.barrier().await;
    let stranger = stage.newcomer("never linked");
    stage
        .discord
        .give_role(stage.guild, stranger.user, stage.role)
        .unwrap();
    stage.until_role(stranger, false).await;
    let entry = stage.until_journaled(stranger, RoleAction::Revoke).await;
    assert_eq!(entry.change.cause, Cause::ManualRole);
}

#[tokio::test]
async fn a_wallet_that_moves_takes_the_role_along_at_once() {
    let stage = Stage::open().await;
    let (ada, _) = stage.subscriber("ada").await;
    let grace = stage.newcomer("grace");
    stage.link(grace.user, ada.wallet);
    stage.until_role(grace, true).await;
    stage.until_role(ada, false).await;
    let entry = stage.until_journaled(ada, RoleAction::Revoke).await;
    assert_eq!(entry.change.cause, Cause::NoSubscription);
}

#[tokio::test]
async fn unlinking_a_wallet_takes_the_role() {
    let stage = Stage::open().await;
    let (ada, _) = stage.subscriber("ada").await;
    let wallet = amser_roles::domain::Wallet(ada.wallet);
    assert!(stage.store.unlink(ada.user, wallet).unwrap());
    stage.until_role(ada, false).await;
}
