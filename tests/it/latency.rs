//! What it costs in calls that each block is in the store soon. How soon is the benchmark's: on a busy machine it says more of
//! the machine than of the program.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use alloy::providers::Provider as _;
use amser_roles::abi::SubscriptionModule::pauseSubscriptionCall;
use amser_roles::sandbox::chain::{transaction, wallet};
use amser_roles::store::Store;

use crate::support::following::{Following, config};
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::Scene;
use crate::support::stage::wait;

/// Blocks before the rhythm is learned, and blocks that are measured.
const BLOCKS: (usize, usize) = (6, 12);

/// Seconds between blocks.
const PERIOD: u64 = 1;

async fn follows_with_few_calls(url: fn(&RpcProxy) -> String) {
    let mut scene = Scene::new().await;
    let mut subscriptions = Vec::new();
    for _ in 0..BLOCKS.0 + BLOCKS.1 {
        subscriptions.push(scene.pay().await);
    }
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store.redb")).unwrap();
    let proxy = RpcProxy::start(&scene.chain).await;
    let config = config(&scene.chain, &[url(&proxy)], 0);
    let mut following = Following::start(config, store, [scene.module]);
    following.until_at_tip(&scene.chain, 0).await;
    scene.chain.set_block_time(PERIOD).await.unwrap();
    let mut calls_before = 0;
    let mut first = 0;
    for (index, subscription) in subscriptions.into_iter().enumerate() {
        if index == BLOCKS.0 {
            calls_before = proxy.calls().values().sum();
            first = following.status.borrow().head.unwrap().number;
        }
        // Waits in the pool for the next block; so does its receipt.
        let member = wallet(&format!("member {}", index + 1)).address();
        let call = pauseSubscriptionCall {
            subId: subscription,
        };
        let stored = following.events().len();
        let request = transaction(member, scene.module, &call);
        let sending = scene.chain.provider().send_transaction(request);
        let _pending = sending.await.unwrap();
        let is_stored = || following.events().len() > stored;
        wait("the block with it is stored", is_stored).await;
    }
    let calls: u64 = proxy.calls().values().sum::<u64>() - calls_before;
    let blocks = following.status.borrow().head.unwrap().number - first;
    // A few more than four for each block: a busy machine makes its blocks irregularly.
    assert!(calls <= 4 * blocks + 6, "{calls} calls in {blocks} blocks");
}

#[tokio::test]
async fn each_block_is_stored_with_few_calls_over_a_websocket() {
    follows_with_few_calls(RpcProxy::ws_url).await;
}

#[tokio::test]
async fn each_block_is_stored_with_few_calls_over_http() {
    follows_with_few_calls(RpcProxy::http_url).await;
}
