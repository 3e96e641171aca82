//! What was decided and not acknowledged before a restart.

use amser_roles::domain::{AppliedState, RoleAction};
use amser_roles::sandbox::discord::{Fault, Route, Times};

use crate::support::stage::{Person, Stage, wait};

fn state(stage: &Stage, person: Person) -> Option<AppliedState> {
    let applied = stage
        .store
        .applied(stage.guild, person.user, stage.role)
        .unwrap();
    applied.map(|applied| applied.state)
}

#[tokio::test]
async fn a_grant_without_an_answer_is_sent_again_after_a_restart() {
    let mut stage = Stage::open().await;
    let ada = stage.join("ada").await;
    let route = Some(Route::AddMemberRole);
    stage
        .discord
        .inject(route, Fault::Reset, Times::UntilCleared);
    stage.pay(ada).await;
    let decided = || state(&stage, ada) == Some(AppliedState::Granting);
    wait("the grant is decided", decided).await;
    stage.stop().await;
    stage.discord.clear_faults(None);
    stage.start();
    stage.until_role(ada, true).await;
    let entry = stage.until_journaled(ada, RoleAction::Grant).await;
    assert!(entry.block > 0);
}

#[tokio::test]
async fn a_removal_without_an_answer_is_not_made_when_the_member_pays_before_the_restart() {
    let mut stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    stage.until_journaled(ada, RoleAction::Grant).await;
    let route = Some(Route::RemoveMemberRole);
    stage
        .discord
        .inject(route, Fault::ServerError(503), Times::UntilCleared);
    stage.chain.pause(stage.module, id).await.unwrap();
    let decided = || state(&stage, ada) == Some(AppliedState::Revoking);
    wait("the removal is decided", decided).await;
    stage.stop().await;
    stage.chain.resume(stage.module, id).await.unwrap();
    stage.discord.clear_faults(None);
    let removals = stage.discord.count(Route::RemoveMemberRole);
    stage.start();
    let given = || state(&stage, ada) == Some(AppliedState::Granted);
    wait("the role counts as given", given).await;
    assert!(stage.has_role(ada));
    assert_eq!(stage.discord.count(Route::RemoveMemberRole), removals);
}
