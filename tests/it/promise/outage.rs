//! Restarts, a chain that is away, and a chain that changes its mind: nothing is revoked on old news.

use amser_roles::domain::{Cause, RoleAction};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain};
use amser_roles::sandbox::discord::{LocalDiscord, Route};

use crate::support::rpc_proxy::RpcProxy;
use crate::support::stage::{DEADLINE, Setting, Stage, wait};

/// A stage whose service reads the chain through a node that can fail.
async fn behind_a_proxy() -> (Stage, RpcProxy) {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let proxy = RpcProxy::start(&chain).await;
    let setting = Setting {
        rpc_urls: vec![proxy.ws_url()],
        ..Setting::default()
    };
    let mut stage = Stage::build(chain, setting).await;
    stage.start();
    (stage, proxy)
}

#[tokio::test]
async fn a_paid_wallet_that_is_linked_while_the_chain_is_away_gets_its_role() {
    let (stage, proxy) = behind_a_proxy().await;
    let ada = stage.newcomer("ada");
    stage.pay(ada).await;
    let (grace, _) = stage.subscriber("grace").await;
    proxy.set(|faults| faults.dead = true);
    proxy.cut_websockets();
    stage.link(ada.user, ada.wallet);
    stage.until_role(ada, true).await;
    assert!(stage.has_role(grace));
}

#[tokio::test]
async fn nothing_is_revoked_before_the_tip_is_reached_after_a_restart() {
    let (mut stage, proxy) = behind_a_proxy().await;
    let (ada, id) = stage.subscriber("ada").await;
    stage.stop().await;
    // What the store knows of ada ends while nobody looks, and is renewed.
    stage.chain.advance_time(3_500).await.unwrap();
    let paid_until = |state: amser_roles::sandbox::chain::SubscriptionState| state.lastPaidAt;
    let before = paid_until(stage.chain.subscription(stage.module, id).await.unwrap());
    stage.chain.pay_when_due(stage.module, id).await.unwrap();
    assert!(paid_until(stage.chain.subscription(stage.module, id).await.unwrap()) > before);
    stage.chain.advance_time(3_000).await.unwrap();
    // The wallet is not ada's any more, but nobody is to be told from a store that may be behind.
    let grace = stage.newcomer("grace");
    stage.link(grace.user, ada.wallet);
    proxy.set(|faults| faults.dead = true);
    let requests = stage.role_requests();
    let calls = proxy.calls().values().sum::<u64>();
    let sessions = stage.discord.identified();
    stage.start();
    let is_read = move |discord: &LocalDiscord| {
        discord.identified() > sessions && discord.count(Route::GetMember) > 0
    };
    let read = stage
        .discord
        .wait_until("the server is read", DEADLINE, is_read);
    read.await.unwrap();
    assert_eq!(
        proxy.calls().values().sum::<u64>(),
        calls,
        "the node is dead"
    );
    assert_eq!(stage.role_requests(), requests);
    assert!(stage.has_role(ada));
    proxy.set(|faults| faults.dead = false);
    stage.until_role(grace, true).await;
    stage.until_role(ada, false).await;
    let entry = stage.until_journaled(ada, RoleAction::Revoke).await;
    assert_eq!(entry.change.cause, Cause::WalletMoved);
}

#[tokio::test]
async fn a_payment_that_a_reorganisation_takes_back_takes_the_role_back() {
    let stage = Stage::open().await;
    let ada = stage.join("ada").await;
    stage.chain.mine(3).await.unwrap();
    stage.pay(ada).await;
    stage.until_role(ada, true).await;
    stage.chain.reorg(6, vec![]).await.unwrap();
    stage.until_role(ada, false).await;
    let entry = stage.until_journaled(ada, RoleAction::Revoke).await;
    assert!(
        matches!(entry.change.cause, Cause::Reorganised { .. }),
        "{entry:?}"
    );
}

#[tokio::test]
async fn a_window_that_a_reorganisation_opens_again_ends_a_second_time_at_once() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    let state = stage.chain.subscription(stage.module, id).await.unwrap();
    let end = state.lastPaidAt + 3_600 + 600;
    stage.chain.mine(3).await.unwrap();
    stage.chain.advance_to(end + 1).await.unwrap();
    stage.until_role(ada, false).await;
    let head = stage.chain.reorg(1, vec![]).await.unwrap();
    assert!(head.timestamp <= end, "the clock went back");
    stage.until_role(ada, true).await;
    stage.until_journaled(ada, RoleAction::Grant).await;
    // Nobody looks at ada for another reason any more.
    stage.barrier_without_a_block().await;
    stage.chain.advance_to(end + 1).await.unwrap();
    stage.until_role(ada, false).await;
}

#[tokio::test]
async fn what_happened_while_the_service_was_away_is_caught_up_with() {
    let mut stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    let grace = stage.join("grace").await;
    stage.stop().await;
    stage.chain.cancel(stage.module, id).await.unwrap();
    stage.pay(grace).await;
    stage.start();
    stage.until_role(grace, true).await;
    stage.until_role(ada, false).await;
}

#[tokio::test]
async fn roles_taken_by_hand_while_the_service_was_away_come_back() {
    let mut stage = Stage::open().await;
    let (ada, _) = stage.subscriber("ada").await;
    stage.stop().await;
    stage
        .discord
        .take_role(stage.guild, ada.user, stage.role)
        .unwrap();
    stage.start();
    stage.until_role(ada, true).await;
}
