//! The follower against a real anvil: the tip, its confirmations, several modules, restarts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use alloy::primitives::{Address, U256};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, PlanTerms, wallet};
use amser_roles::store::Store;

use crate::support::following::{Following, config};

const TERMS: PlanTerms = PlanTerms {
    price: 5_000_000,
    interval: 3_600,
    grace_period: 600,
};

async fn chain() -> LocalChain {
    LocalChain::start(ChainOptions::default()).await.unwrap()
}

/// A module with a plan and a subscriber who has paid once.
async fn paid_module(chain: &LocalChain, name: &str) -> (Address, U256) {
    let module = chain.deploy_module(wallet(name).address()).await.unwrap();
    let plan = chain.create_plan(module, TERMS).await.unwrap();
    let member = wallet(&format!("{name}'s member")).address();
    chain.fund(member, 100_000_000).await.unwrap();
    let subscription = chain.subscribe(module, member, plan).await.unwrap();
    chain.execute(module, subscription).await.unwrap();
    (module, subscription)
}

async fn follows_what_was_and_what_comes(url: fn(&LocalChain) -> String, confirmations: u64) {
    let chain = chain().await;
    let (module, subscription) = paid_module(&chain, "merchant").await;
    let config = config(&chain, &[url(&chain)], confirmations);
    let mut following = Following::start(config, Store::in_memory().unwrap(), [module]);
    following
        .assert_equals_chain(&chain, confirmations, &[module])
        .await;
    chain.pause(module, subscription).await.unwrap();
    chain.resume(module, subscription).await.unwrap();
    chain.pay_when_due(module, subscription).await.unwrap();
    chain.mine(confirmations).await.unwrap();
    let events = following
        .assert_equals_chain(&chain, confirmations, &[module])
        .await;
    assert!(events.len() >= 6, "{events:?}");
    following.stop().await.unwrap();
}

#[tokio::test]
async fn the_tip_is_followed_over_a_websocket() {
    follows_what_was_and_what_comes(LocalChain::ws_url, 0).await;
}

#[tokio::test]
async fn the_tip_is_followed_over_http() {
    follows_what_was_and_what_comes(LocalChain::http_url, 0).await;
}

#[tokio::test]
async fn events_count_only_once_they_are_confirmed() {
    follows_what_was_and_what_comes(LocalChain::ws_url, 3).await;
}
