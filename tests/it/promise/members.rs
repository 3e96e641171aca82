//! People come, go, move wallets and are given roles by hand.

use amser_roles::domain::{AppliedState, Cause, RoleAction};
use amser_roles::sandbox::chain::wallet;
use amser_roles::sandbox::discord::{Fault, LocalDiscord, Route, Times};

use crate::support::stage::{DEADLINE, Person, Setting, Stage, wait};

/// A subscriber who left the server and cancelled, and both has had its effect.
async fn left_and_lapsed(stage: &mut Stage) -> Person {
    let (ada, id) = stage.subscriber("ada").await;
    stage.until_journaled(ada, RoleAction::Grant).await;
    // What was done a moment ago is not settled yet; not so after a restart.
    stage.stop().await;
    let sessions = stage.discord.identified();
    stage.start();
    let anew = |discord: &LocalDiscord| discord.identified() > sessions;
    let anew = stage.discord.wait_until("a session", DEADLINE, anew);
    anew.await.unwrap();
    stage.discord.remove_member(stage.guild, ada.user).unwrap();
    stage.barrier().await;
    stage.chain.cancel(stage.module, id).await.unwrap();
    stage.barrier().await;
    ada
}

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
    let mut stage = Stage::open().await;
    let ada = left_and_lapsed(&mut stage).await;
    stage.discord.add_member(stage.guild, ada.user).unwrap();
    stage.barrier().await;
    let given = || {
        stage
            .store
            .applied(stage.guild, ada.user, stage.role)
            .unwrap()
    };
    assert!(given().is_some(), "the role may come after its member");
    let owner = stage.discord.owner(stage.guild).unwrap();
    let sync = stage
        .discord
        .run_command(stage.guild, owner, "amser sync", &[]);
    sync.await.unwrap();
    wait("nothing is remembered of it", || given().is_none()).await;
    assert!(!stage.has_role(ada));
    let entries = stage.journal(ada);
    assert_eq!(entries.len(), 1, "nothing was taken: {entries:?}");
}

#[tokio::test]
async fn a_role_that_comes_back_with_a_member_who_lapsed_while_away_is_taken() {
    let mut stage = Stage::open().await;
    let ada = left_and_lapsed(&mut stage).await;
    // As a bot does that gives returning members their roles back, a while after they came.
    stage.discord.add_member(stage.guild, ada.user).unwrap();
    stage.barrier().await;
    stage
        .discord
        .give_role(stage.guild, ada.user, stage.role)
        .unwrap();
    stage.until_role(ada, false).await;
    let entry = stage.until_journaled(ada, RoleAction::Revoke).await;
    assert!(
        matches!(entry.change.cause, Cause::Cancelled { .. }),
        "{entry:?}"
    );
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

/// Not every part of Discord knows at once who joined.
#[tokio::test]
async fn a_member_whom_discord_does_not_know_at_first_gets_the_role_and_loses_it_again_by_itself() {
    let stage = Stage::open().await;
    let ada = stage.join("ada").await;
    let unknown_user = Fault::Refused {
        status: 404,
        code: 10_013,
        message: "Unknown User",
    };
    let faults = [unknown_user, Fault::UNKNOWN_MEMBER];
    let inject = |route| {
        for fault in &faults {
            stage
                .discord
                .inject(Some(route), fault.clone(), Times::Next(1));
        }
    };
    stage.barrier().await;
    inject(Route::AddMemberRole);
    let id = stage.pay(ada).await;
    stage.until_role(ada, true).await;
    // And on joining.
    stage.discord.remove_member(stage.guild, ada.user).unwrap();
    stage.barrier().await;
    inject(Route::AddMemberRole);
    stage.discord.add_member(stage.guild, ada.user).unwrap();
    stage.until_role(ada, true).await;
    stage.barrier().await;
    inject(Route::RemoveMemberRole);
    stage.chain.cancel(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_payer_who_is_not_in_the_server_is_not_asked_for_again_and_again() {
    let stage = Stage::open().await;
    let ada = Person {
        user: stage.discord.add_user("ada"),
        wallet: wallet("ada").address(),
    };
    stage.pay(ada).await;
    // Before the tip is reached nobody counts as one who linked just now.
    stage.barrier().await;
    stage.link(ada.user, ada.wallet);
    let requests = || {
        let path = format!("/members/{}/roles/", ada.user);
        let all = stage.discord.requests().into_iter();
        all.filter(|request| request.path.contains(&path)).count()
    };
    wait("the role is sent", || requests() > 0).await;
    stage.barrier().await;
    let before = requests();
    for _ in 0..3 {
        stage.barrier().await;
    }
    assert_eq!(requests(), before);
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
    assert_eq!(entry.change.cause, Cause::WalletMoved);
}

#[tokio::test]
async fn unlinking_a_wallet_takes_the_role() {
    let stage = Stage::open().await;
    let (ada, _) = stage.subscriber("ada").await;
    let wallet = amser_roles::domain::Wallet(ada.wallet);
    assert!(stage.store.unlink(ada.user, wallet).unwrap());
    stage.until_role(ada, false).await;
}

#[tokio::test]
async fn what_happens_before_a_new_session_is_noticed() {
    let stage = Stage::open().await;
    let (ada, _) = stage.subscriber("ada").await;
    stage.barrier().await;
    stage.discord.invalidate_sessions();
    stage
        .discord
        .take_role(stage.guild, ada.user, stage.role)
        .unwrap();
    stage.until_role(ada, true).await;
}

#[tokio::test]
async fn edits_of_roles_read_no_member() {
    let stage = Stage::open().await;
    let (ada, _) = stage.subscriber("ada").await;
    stage.barrier().await;
    let hers = format!("/members/{}", ada.user);
    let reads = || {
        let requests = stage.discord.requests();
        let by_rest = requests.iter().filter(|request| match request.route {
            Some(Route::GetMember) => request.path.ends_with(&hers),
            Some(Route::ListMembers) => true,
            _ => false,
        });
        by_rest.count() as u64 + stage.discord.member_requests_for(ada.user)
    };
    let (before, role_reads) = (reads(), stage.discord.count(Route::GetGuild));
    for number in 0..100 {
        let name = format!("Rainbow {number}");
        stage
            .discord
            .rename_role(stage.guild, stage.role, &name)
            .unwrap();
    }
    let reads_roles = move |discord: &LocalDiscord| discord.count(Route::GetGuild) > role_reads;
    let read = stage
        .discord
        .wait_until("the roles are read", DEADLINE, reads_roles);
    read.await.unwrap();
    stage.barrier().await;
    assert_eq!(reads(), before);
    assert!(stage.has_role(ada));
}

#[tokio::test]
async fn a_role_that_a_subscriber_held_before_goes_with_the_subscription() {
    let stage = Stage::open().await;
    let ada = stage.join("ada").await;
    stage
        .discord
        .give_role(stage.guild, ada.user, stage.role)
        .unwrap();
    stage.barrier().await;
    let requests = stage.role_requests();
    let id = stage.pay(ada).await;
    let applied = || {
        let applied = stage.store.applied(stage.guild, ada.user, stage.role);
        applied.unwrap().map(|applied| applied.state)
    };
    wait("the role is ours", || {
        applied() == Some(AppliedState::Granted)
    })
    .await;
    assert_eq!(stage.role_requests(), requests, "it was adopted as it is");
    assert_eq!(stage.journal(ada), []);
    stage.chain.cancel(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
}

#[tokio::test]
async fn who_has_not_accepted_the_rules_gets_the_role_on_accepting_them() {
    let stage = Stage::open().await;
    let ada = stage.join("ada").await;
    stage
        .discord
        .set_pending(stage.guild, ada.user, true)
        .unwrap();
    stage.barrier().await;
    stage.pay(ada).await;
    stage.barrier().await;
    assert!(!stage.has_role(ada), "a role would skip the screening");
    stage
        .discord
        .set_pending(stage.guild, ada.user, false)
        .unwrap();
    stage.until_role(ada, true).await;
}
