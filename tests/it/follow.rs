//! The follower against a real anvil: the tip, its confirmations, several modules, restarts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy::primitives::{Address, U256};
use amser_roles::chain::{Progress, index};
use amser_roles::domain::ModuleAddress;
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, PlanTerms, wallet};
use amser_roles::store::Store;

use tokio_util::sync::CancellationToken;

use crate::support::following::{Following, config, stored_events};
use crate::support::oracle;

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

#[tokio::test]
async fn unconfirmed_events_are_shown_as_pending() {
    let chain = chain().await;
    let (module, subscription) = paid_module(&chain, "merchant").await;
    let config = config(&chain, &[chain.ws_url()], 3);
    let mut following = Following::start(config, Store::in_memory().unwrap(), [module]);
    chain.mine(3).await.unwrap();
    following.assert_equals_chain(&chain, 3, &[module]).await;
    chain.pause(module, subscription).await.unwrap();
    let stored = following.events().len();
    let status = following
        .until("pending", |status| !status.pending.is_empty())
        .await;
    assert_eq!(status.pending.len(), 1);
    assert_eq!(following.events().len(), stored);
    chain.mine(3).await.unwrap();
    following
        .until("confirmed", |status| status.pending.is_empty())
        .await;
    assert_eq!(following.events().len(), stored + 1);
}

#[tokio::test]
async fn a_restart_goes_on_where_it_stopped() {
    let chain = chain().await;
    let (module, subscription) = paid_module(&chain, "merchant").await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    let config = config(&chain, &[chain.http_url()], 1);
    for round in 0..4 {
        let store = Store::open(&path).unwrap();
        let before = store.cursor().unwrap();
        let mut following = Following::start(config.clone(), store.clone(), [module]);
        chain.pause(module, subscription).await.unwrap();
        chain.resume(module, subscription).await.unwrap();
        // Many enough to be read by range every other time.
        chain.mine(5 + 200 * (round % 2)).await.unwrap();
        following.assert_equals_chain(&chain, 1, &[module]).await;
        let head = chain.head().await.unwrap().number;
        following.stop().await.unwrap();
        let after = store.cursor().unwrap().unwrap();
        assert_eq!(
            after.number,
            head - 1,
            "eventless blocks are saved at the stop"
        );
        assert!(before.is_none_or(|before| before.number < after.number));
    }
}

#[tokio::test]
async fn an_index_stops_at_its_block() {
    let chain = chain().await;
    let (module, subscription) = paid_module(&chain, "merchant").await;
    for _ in 0..10 {
        chain.pause(module, subscription).await.unwrap();
        chain.resume(module, subscription).await.unwrap();
        chain.mine(40).await.unwrap();
    }
    let config = config(&chain, &[chain.http_url()], 2);
    let store = Store::in_memory().unwrap();
    let modules = BTreeMap::from([(ModuleAddress(module), chain.processor)]);
    let head = chain.head().await.unwrap().number;
    for (to, expected) in [
        (Some(150), 150),
        (Some(160), 160),
        (None, head - 2),
        (Some(10), head - 2),
    ] {
        let report = index(
            config.clone(),
            store.clone(),
            modules.keys().copied().collect(),
            to,
            Arc::new(|progress: Progress| assert!(progress.at <= progress.to)),
            CancellationToken::new(),
        )
        .await
        .unwrap();
        assert_eq!(report.cursor.number, expected);
        assert_eq!(
            stored_events(&store),
            oracle::events(&chain, &modules, expected).await
        );
    }
}
