//! Discord withdraws the privileged intent: member events stop, and nothing else does.

use std::time::Duration;

use amser_roles::sandbox::discord::LocalDiscord;

use crate::support::stage::{DEADLINE, Stage};

/// What was promised, and not a second more.
const TWO_MINUTES: Duration = Duration::from_secs(120);
/// A round of the sweep comes a minute after the session began.
const BEFORE_THE_SWEEP: Duration = Duration::from_secs(40);

/// Returns when the service goes on in a session without the intent.
async fn withdraw_the_intent(stage: &Stage) {
    let sessions = stage.discord.identified();
    stage.discord.withdraw_members_intent();
    let anew = move |discord: &LocalDiscord| discord.identified() > sessions;
    let anew = stage.discord.wait_until("a new session", DEADLINE, anew);
    anew.await.unwrap();
    stage.barrier().await;
}

#[tokio::test]
async fn without_member_events_payments_act_at_once_and_who_comes_back_is_found_within_two_minutes()
{
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    let (grace, _) = stage.subscriber("grace").await;
    withdraw_the_intent(&stage).await;
    stage.chain.cancel(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
    stage.pay(ada).await;
    stage.until_role(ada, true).await;
    assert!(stage.has_role(grace), "nobody lost it meanwhile");
    stage
        .discord
        .remove_member(stage.guild, grace.user)
        .unwrap();
    stage.discord.add_member(stage.guild, grace.user).unwrap();
    stage
        .discord
        .take_role(stage.guild, ada.user, stage.role)
        .unwrap();
    let (guild, role) = (stage.guild, stage.role);
    let have_it = move |discord: &LocalDiscord| {
        discord.has_role(guild, grace.user, role) && discord.has_role(guild, ada.user, role)
    };
    stage
        .discord
        .wait_until("the sweep finds both", TWO_MINUTES, have_it)
        .await
        .unwrap();
    stage.assert_no_violations();
}

#[tokio::test]
async fn without_member_events_who_uses_a_command_is_seen_at_once() {
    let stage = Stage::open().await;
    let (ada, _) = stage.subscriber("ada").await;
    withdraw_the_intent(&stage).await;
    stage.discord.remove_member(stage.guild, ada.user).unwrap();
    stage.discord.add_member(stage.guild, ada.user).unwrap();
    let status = stage
        .discord
        .run_command(stage.guild, ada.user, "status", &[]);
    status.await.unwrap();
    let (guild, role) = (stage.guild, stage.role);
    let has_it = move |discord: &LocalDiscord| discord.has_role(guild, ada.user, role);
    stage
        .discord
        .wait_until("the role is back", BEFORE_THE_SWEEP, has_it)
        .await
        .unwrap();
    stage.assert_no_violations();
}

#[tokio::test]
async fn an_intent_that_is_refused_at_the_start_costs_nobody_a_role_and_payments_and_failures_act()
{
    let mut stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    let (grace, _) = stage.subscriber("grace").await;
    stage.stop().await;
    stage.discord.withdraw_members_intent();
    stage.start();
    stage.barrier_without_a_block().await;
    assert!(stage.has_role(ada) && stage.has_role(grace));
    let chain = &stage.chain;
    chain.fail_when_due(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
    let (linus, _) = stage.subscriber("linus").await;
    stage.barrier().await;
    assert!(stage.has_role(linus));
    assert_eq!(stage.journal(grace).len(), 1, "nobody lost it meanwhile");
    stage.assert_no_violations();
}
