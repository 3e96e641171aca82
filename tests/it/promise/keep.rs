//! `keep_until_expiry`: the role stays through a lapse until the paid window and its grace end.

use crate::support::stage::{Setting, Stage};

async fn kept(policy: &'static str) -> Stage {
    Stage::open_with(Setting {
        policy,
        ..Setting::default()
    })
    .await
}

#[tokio::test]
async fn a_failed_payment_can_keep_the_role_until_the_window_ends() {
    let stage = kept("payment_failed = \"keep_until_expiry\"").await;
    let (ada, id) = stage.subscriber("ada").await;
    stage.chain.fail_when_due(stage.module, id).await.unwrap();
    stage.barrier().await;
    assert!(stage.has_role(ada), "the grace period is not over");
    stage.chain.let_lapse(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
}

#[tokio::test]
async fn a_pause_can_keep_the_role_until_the_window_ends() {
    let stage = kept("paused = \"keep_until_expiry\"").await;
    let (ada, id) = stage.subscriber("ada").await;
    stage.chain.pause(stage.module, id).await.unwrap();
    stage.barrier().await;
    assert!(stage.has_role(ada));
    stage.chain.let_lapse(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
}

#[tokio::test]
async fn a_cancellation_can_keep_the_role_until_the_window_ends() {
    let stage = kept("cancelled = \"keep_until_expiry\"").await;
    let (ada, id) = stage.subscriber("ada").await;
    stage.chain.cancel(stage.module, id).await.unwrap();
    stage.barrier().await;
    assert!(stage.has_role(ada));
    stage.chain.let_lapse(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
}

#[tokio::test]
async fn each_lapse_has_a_policy_of_its_own() {
    let stage = kept("paused = \"keep_until_expiry\"").await;
    let (ada, id) = stage.subscriber("ada").await;
    stage.chain.cancel(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
}
