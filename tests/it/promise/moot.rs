//! Removals that were decided and are not wanted any more before they are sent: nothing of them stays behind.

use amser_roles::domain::{AppliedState, Cause, GateMatch, Outcome, RoleAction};
use amser_roles::sandbox::discord::{Fault, LocalDiscord, Route, Times};

use crate::support::stage::{DEADLINE, Person, Setting, Stage, new_guild, wait};

/// Keeps the server's worker busy for some ten seconds: Discord does not answer to the removal of somebody's role.
async fn busy(stage: &Stage) {
    let (grace, id) = stage.subscriber("grace").await;
    let route = Route::RemoveMemberRole;
    let before = stage.discord.count(route);
    stage
        .discord
        .inject(Some(route), Fault::Hang, Times::Next(1));
    stage.chain.cancel(stage.module, id).await.unwrap();
    let asked = |discord: &LocalDiscord| discord.count(route) == before + 1;
    let sent = stage
        .discord
        .wait_until("grace's removal hangs", DEADLINE, asked);
    sent.await.unwrap();
    assert!(stage.has_role(grace));
}

fn state(stage: &Stage, person: Person) -> Option<AppliedState> {
    let applied = stage
        .store
        .applied(stage.guild, person.user, stage.role)
        .unwrap();
    applied.map(|applied| applied.state)
}

#[tokio::test]
async fn a_member_who_resumes_before_the_role_is_taken_keeps_it_for_the_new_reason() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    busy(&stage).await;
    let removals = stage.discord.count(Route::RemoveMemberRole);
    stage.chain.pause(stage.module, id).await.unwrap();
    let decided = || state(&stage, ada) == Some(AppliedState::Revoking);
    wait("the removal is decided", decided).await;
    let resumed = stage.chain.resume(stage.module, id).await.unwrap();
    let kept = || state(&stage, ada) == Some(AppliedState::Granted);
    wait("the role counts as given again", kept).await;
    let receipt = stage
        .store
        .applied(stage.guild, ada.user, stage.role)
        .unwrap();
    let Some(Cause::Resumed { mark, .. }) = receipt.map(|receipt| receipt.cause) else {
        panic!("the receipt names another cause");
    };
    assert_eq!(mark.transaction, resumed.transaction_hash);
    assert!(stage.has_role(ada));
    assert_eq!(
        stage.discord.count(Route::RemoveMemberRole),
        removals,
        "no removal was sent meanwhile"
    );
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_role_given_by_hand_stays_so_when_its_claim_became_moot() {
    let mut stage = Stage::open_with(Setting {
        policy: "manual_roles = \"claim\"",
        ..Setting::default()
    })
    .await;
    let ada = stage.join("ada").await;
    busy(&stage).await;
    stage
        .discord
        .give_role(stage.guild, ada.user, stage.role)
        .unwrap();
    let decided = || state(&stage, ada) == Some(AppliedState::Claiming);
    wait("the claim is decided", decided).await;
    let id = stage.pay(ada).await;
    wait("the claim is forgotten", || state(&stage, ada).is_none()).await;
    assert!(stage.has_role(ada));
    stage.stop().await;
    stage.setting.policy = "manual_roles = \"leave\"";
    stage.start();
    stage.chain.cancel(stage.module, id).await.unwrap();
    stage.barrier().await;
    assert!(stage.has_role(ada), "it was never ours to take");
}

#[tokio::test]
async fn a_removal_without_an_answer_is_journaled_though_the_member_pays_again_at_once() {
    let mut stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    let (bob, _) = stage.subscriber("bob").await;
    let (other, roles) = new_guild(&stage.discord, "Another", &["Elsewhere"]);
    stage.gate(other, stage.module, &[stage.plan], GateMatch::Any, &roles);
    // What was acknowledged a moment ago is seen with doubt; not so after a restart.
    stage.stop().await;
    stage.start();
    stage.barrier().await;
    let route = Route::RemoveMemberRole;
    let before = stage.discord.count(route);
    stage
        .discord
        .inject(Some(route), Fault::Hang, Times::Next(1));
    stage.chain.cancel(stage.module, id).await.unwrap();
    let asked = |discord: &LocalDiscord| discord.count(route) == before + 1;
    let sent = stage
        .discord
        .wait_until("ada's removal hangs", DEADLINE, asked);
    sent.await.unwrap();
    // It takes effect all the same, and that is seen before what follows it.
    stage
        .discord
        .take_role(stage.guild, ada.user, stage.role)
        .unwrap();
    stage.discord.add_member(other, bob.user).unwrap();
    stage.until(bob, other, roles[0], true).await;
    stage.pay(ada).await;
    stage.until_role(ada, true).await;
    let (grant, revoke) = (RoleAction::Grant, RoleAction::Revoke);
    let done = || {
        let mut entries = stage.journal(ada);
        entries.retain(|entry| entry.outcome == Outcome::Done);
        entries
    };
    let grants = || {
        let entries = done().into_iter();
        entries.filter(|entry| entry.change.action == grant).count()
    };
    wait("the second grant is journaled", || grants() == 2).await;
    let actions: Vec<_> = done().iter().map(|entry| entry.change.action).collect();
    assert_eq!(actions, [grant, revoke, grant]);
    let cause = &done()[1].change.cause;
    assert!(matches!(cause, Cause::Cancelled { .. }), "{cause:?}");
}

#[tokio::test]
async fn a_grant_without_an_answer_that_is_not_wanted_any_more_is_taken_back_once() {
    let stage = Stage::open().await;
    let ada = stage.join("ada").await;
    stage.barrier().await;
    let (give, take) = (Route::AddMemberRole, Route::RemoveMemberRole);
    let (gifts, removals) = (stage.discord.count(give), stage.discord.count(take));
    stage
        .discord
        .inject(Some(give), Fault::Hang, Times::Next(1));
    let id = stage.pay(ada).await;
    let asked = move |discord: &LocalDiscord| discord.count(give) == gifts + 1;
    let sent = stage
        .discord
        .wait_until("ada's grant hangs", DEADLINE, asked);
    sent.await.unwrap();
    // Whether it takes effect, nobody tells while the gateway is away.
    stage.chain.cancel(stage.module, id).await.unwrap();
    stage.until_journaled(ada, RoleAction::Revoke).await;
    wait("nothing is remembered of it", || {
        state(&stage, ada).is_none()
    })
    .await;
    stage.barrier().await;
    let sent = stage.discord.count(take) - removals;
    assert_eq!(sent, 2, "ada's and the barrier's own");
}

#[tokio::test]
async fn a_grant_that_is_not_wanted_any_more_before_it_was_sent_costs_no_request() {
    let stage = Stage::open().await;
    let ada = stage.join("ada").await;
    busy(&stage).await;
    let id = stage.pay(ada).await;
    let decided = || state(&stage, ada) == Some(AppliedState::Granting);
    wait("the grant is decided", decided).await;
    stage.chain.cancel(stage.module, id).await.unwrap();
    wait("the grant is forgotten", || state(&stage, ada).is_none()).await;
    stage.barrier().await;
    assert_eq!(stage.journal(ada), [], "nothing was sent");
}
