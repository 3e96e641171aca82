//! What the merchant is promised (PROTOCOL.md), row by row: a real chain, the whole service, the local Discord.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod brake;
mod cost;
mod fair;
mod gates;
mod keep;
mod members;
mod moot;
mod outage;
mod restart;
mod strangers;
mod withdrawn;

use std::time::Duration;

use amser_roles::domain::{Cause, Mark, RoleAction};

use amser_roles::sandbox::discord::{Fault, LocalDiscord, Route, Times};

use crate::support::stage::{DEADLINE, Stage, wait};

/// Which transaction of the chain a cause names.
fn mark(cause: &Cause) -> Mark {
    match cause {
        Cause::Paid { mark, .. }
        | Cause::Resumed { mark, .. }
        | Cause::PaymentFailed { mark, .. }
        | Cause::Paused { mark, .. }
        | Cause::Cancelled { mark, .. }
        | Cause::Blocked { mark, .. } => *mark,
        other => panic!("no event is the cause: {other:?}"),
    }
}

#[tokio::test]
async fn a_payment_grants_the_role_with_its_receipt() {
    let stage = Stage::open().await;
    let ada = stage.join("ada").await;
    stage.chain.fund(ada.wallet, 1_000).await.unwrap();
    let id = stage
        .chain
        .subscribe(stage.module, ada.wallet, stage.plan)
        .await
        .unwrap();
    stage.barrier().await;
    assert!(!stage.has_role(ada), "a subscription alone opens nothing");
    let paid = stage.chain.execute(stage.module, id).await.unwrap().receipt;
    stage.until_role(ada, true).await;
    let entry = stage.until_journaled(ada, RoleAction::Grant).await;
    let Cause::Paid { until, .. } = entry.change.cause else {
        panic!("{entry:?}");
    };
    let mark = mark(&entry.change.cause);
    assert_eq!(mark.transaction, paid.transaction_hash);
    assert_eq!(Some(mark.position.block), paid.block_number);
    let log_index = paid
        .logs()
        .iter()
        .find(|log| log.address() == stage.chain.processor);
    assert_eq!(
        Some(u64::from(mark.position.log_index)),
        log_index.unwrap().log_index
    );
    let state = stage.chain.subscription(stage.module, id).await.unwrap();
    assert_eq!(until.0, state.lastPaidAt + 3_600 + 600);
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_failed_payment_revokes_and_the_next_payment_grants_again() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    let failed = stage.chain.fail_when_due(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
    let entry = stage.until_journaled(ada, RoleAction::Revoke).await;
    let Cause::PaymentFailed { reason, .. } = entry.change.cause else {
        panic!("{entry:?}");
    };
    assert_eq!(reason.0, failed.reason);
    assert_eq!(
        mark(&entry.change.cause).transaction,
        failed.receipt.transaction_hash
    );
    stage.chain.pay_when_due(stage.module, id).await.unwrap();
    stage.until_role(ada, true).await;
    stage.assert_no_violations();
}

#[tokio::test]
async fn a_pause_revokes_and_resuming_within_the_window_grants_again() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    let paused = stage.chain.pause(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
    let entry = stage.until_journaled(ada, RoleAction::Revoke).await;
    assert!(
        matches!(entry.change.cause, Cause::Paused { .. }),
        "{entry:?}"
    );
    assert_eq!(
        mark(&entry.change.cause).transaction,
        paused.transaction_hash
    );
    let resumed = stage.chain.resume(stage.module, id).await.unwrap();
    stage.until_role(ada, true).await;
    let entry = stage.until_journaled(ada, RoleAction::Grant).await;
    assert!(
        matches!(entry.change.cause, Cause::Resumed { .. }),
        "{entry:?}"
    );
    assert_eq!(
        mark(&entry.change.cause).transaction,
        resumed.transaction_hash
    );
}

#[tokio::test]
async fn resuming_after_the_window_grants_nothing() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    stage.chain.pause(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
    stage.chain.let_lapse(stage.module, id).await.unwrap();
    stage.chain.resume(stage.module, id).await.unwrap();
    stage.barrier().await;
    assert!(!stage.has_role(ada));
}

#[tokio::test]
async fn a_cancellation_revokes_and_a_new_subscription_grants_again() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    stage.chain.cancel(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
    let entry = stage.until_journaled(ada, RoleAction::Revoke).await;
    assert!(
        matches!(entry.change.cause, Cause::Cancelled { .. }),
        "{entry:?}"
    );
    stage.pay(ada).await;
    stage.until_role(ada, true).await;
}

#[tokio::test]
async fn the_window_passes_with_no_event_and_the_role_goes() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    let state = stage.chain.subscription(stage.module, id).await.unwrap();
    let end = state.lastPaidAt + 3_600 + 600;
    stage.chain.advance_to(end).await.unwrap();
    stage.barrier_without_a_block().await;
    assert!(stage.has_role(ada), "the last second belongs to the window");
    stage.chain.advance_to(end + 1).await.unwrap();
    stage.until_role(ada, false).await;
    let entry = stage.until_journaled(ada, RoleAction::Revoke).await;
    let Cause::ExpiredAt { at, .. } = entry.change.cause else {
        panic!("{entry:?}");
    };
    assert_eq!(at.0, end);
}

#[tokio::test]
async fn a_blocked_subscriber_loses_the_role_until_unblocked() {
    let stage = Stage::open().await;
    let (ada, _) = stage.subscriber("ada").await;
    let block = stage.chain.block_subscriber(stage.module, ada.wallet);
    block.await.unwrap();
    stage.until_role(ada, false).await;
    let entry = stage.until_journaled(ada, RoleAction::Revoke).await;
    assert!(
        matches!(entry.change.cause, Cause::Blocked { .. }),
        "{entry:?}"
    );
    let unblock = stage.chain.unblock_subscriber(stage.module, ada.wallet);
    unblock.await.unwrap();
    stage.until_role(ada, true).await;
}

#[tokio::test]
async fn linking_a_wallet_that_has_paid_grants_at_once() {
    let stage = Stage::open().await;
    let ada = stage.newcomer("ada");
    stage.pay(ada).await;
    stage.barrier().await;
    assert!(!stage.has_role(ada), "nobody knows whose wallet it is");
    stage.link(ada.user, ada.wallet);
    stage.until_role(ada, true).await;
}

#[tokio::test]
async fn an_event_counts_when_enough_blocks_are_on_top_of_it() {
    let setting = crate::support::stage::Setting {
        confirmations: 3,
        ..Default::default()
    };
    let stage = Stage::open_with(setting).await;
    let (ada, grace) = (stage.join("ada").await, stage.join("grace").await);
    stage.pay(ada).await;
    stage.confirm().await;
    stage.until_role(ada, true).await;
    // One block short of what it takes.
    stage.pay(grace).await;
    stage.chain.mine(2).await.unwrap();
    // A link is acted upon after whatever was confirmed before it.
    let linus = stage.newcomer("linus");
    stage.link(linus.user, ada.wallet);
    stage.until_role(linus, true).await;
    assert!(!stage.has_role(grace));
    stage.chain.mine(1).await.unwrap();
    stage.until_role(grace, true).await;
}

#[tokio::test]
async fn the_journal_names_the_block_of_the_decision_however_long_discord_takes() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    let slow = Fault::Slow(Duration::from_secs(1));
    stage
        .discord
        .inject(Some(Route::RemoveMemberRole), slow, Times::Next(1));
    let paused = stage.chain.pause(stage.module, id).await.unwrap();
    let asked = |discord: &LocalDiscord| discord.count(Route::RemoveMemberRole) > 0;
    let sent = stage
        .discord
        .wait_until("the revoke is sent", DEADLINE, asked);
    sent.await.unwrap();
    let decided = paused.block_number.unwrap();
    stage.chain.resume(stage.module, id).await.unwrap();
    stage.chain.mine(3).await.unwrap();
    let is_journaled = || {
        let entries = stage.journal(ada);
        entries
            .iter()
            .any(|entry| entry.change.action == RoleAction::Revoke)
    };
    wait("the revoke is journaled", is_journaled).await;
    stage.until_role(ada, true).await;
    let entries = stage.journal(ada);
    let revoke = entries
        .iter()
        .find(|entry| entry.change.action == RoleAction::Revoke);
    // The clock of a decision may be a block behind its events.
    assert!(
        (decided - 1..=decided).contains(&revoke.unwrap().block),
        "{revoke:?}"
    );
}
