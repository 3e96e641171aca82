//! Changes that were decided and are not wanted any more: their opposite is made, whatever became of them.

use std::time::Duration;

use amser_roles::domain::{AppliedState, Cause, Outcome, RoleAction};
use amser_roles::sandbox::discord::{Fault, LocalDiscord, Route, Times};

use crate::support::stage::{DEADLINE, Person, Setting, Stage, wait};

/// How long the server's worker is kept waiting: longer than a busy machine needs to change its mind, and shorter than a story
/// waits.
const BUSY: Duration = Duration::from_secs(20);

/// Keeps the server's worker waiting: Discord tells it to, at the removal of somebody's role.
async fn busy(stage: &Stage) {
    let (grace, id) = stage.subscriber("grace").await;
    let route = Route::RemoveMemberRole;
    let before = stage.discord.count(route);
    stage
        .discord
        .inject(Some(route), Fault::RateLimited(BUSY), Times::Next(1));
    stage.chain.cancel(stage.module, id).await.unwrap();
    let asked = |discord: &LocalDiscord| discord.count(route) == before + 1;
    let sent = stage
        .discord
        .wait_until("grace's removal is put off", DEADLINE, asked);
    sent.await.unwrap();
    assert!(stage.has_role(grace));
}

/// How often the removal of the person's role was sent.
fn removals(stage: &Stage, person: Person) -> usize {
    let requests = stage.discord.requests().into_iter();
    let of_whom = format!("/members/{}/", person.user);
    let removals = requests.filter(|request| {
        request.route == Some(Route::RemoveMemberRole) && request.path.contains(&of_whom)
    });
    removals.count()
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
    assert_eq!(removals(&stage, ada), 0, "none was sent meanwhile");
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_claimed_role_stays_with_its_holder_who_pays_before_it_is_taken() {
    let stage = Stage::open_with(Setting {
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
    let given = || state(&stage, ada) == Some(AppliedState::Granted);
    wait("the role counts as given", given).await;
    assert!(stage.has_role(ada));
    assert_eq!(removals(&stage, ada), 0, "none was sent meanwhile");
    stage.chain.cancel(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
}

#[tokio::test]
async fn a_removal_without_an_answer_keeps_no_role_from_a_member_who_pays_again() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
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
    stage.pay(ada).await;
    // It takes effect all the same.
    stage
        .discord
        .take_role(stage.guild, ada.user, stage.role)
        .unwrap();
    stage.until_role(ada, true).await;
    let grants = || {
        let mut entries = stage.journal(ada);
        entries.retain(|entry| entry.outcome == Outcome::Done);
        entries.len()
    };
    wait("the second grant is journaled", || grants() == 2).await;
    stage.barrier().await;
    assert!(stage.has_role(ada));
    assert_eq!(
        stage.discord.count(route),
        before + 2,
        "ada's and the barrier's"
    );
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
async fn a_grant_that_is_not_wanted_any_more_before_it_was_sent_never_is() {
    let stage = Stage::open().await;
    let ada = stage.join("ada").await;
    busy(&stage).await;
    let gifts = stage.discord.count(Route::AddMemberRole);
    let id = stage.pay(ada).await;
    let decided = || state(&stage, ada) == Some(AppliedState::Granting);
    wait("the grant is decided", decided).await;
    stage.chain.cancel(stage.module, id).await.unwrap();
    wait("nothing is left of it", || state(&stage, ada).is_none()).await;
    assert_eq!(stage.discord.count(Route::AddMemberRole), gifts);
}
