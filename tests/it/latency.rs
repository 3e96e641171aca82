//! How soon a block is in the store, and what that costs in calls. The benchmark measures it; this only guards it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use alloy::providers::Provider;
use amser_roles::abi::SubscriptionModule::pauseSubscriptionCall;
use amser_roles::sandbox::chain::{LocalChain, transaction, wallet};
use amser_roles::store::Store;

use crate::support::following::{Following, config};
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::Scene;

/// Blocks before the rhythm is learned, and blocks that are measured.
const BLOCKS: (usize, usize) = (6, 12);

async fn follows_within(limit: Duration, url: fn(&RpcProxy) -> String) {
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
    scene.chain.set_block_time(1).await.unwrap();
    let mut delays = Vec::new();
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
        let appeared = next_block(&scene.chain).await;
        while following.events().len() == stored {
            assert!(appeared.elapsed() < Duration::from_secs(30), "never stored");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if index >= BLOCKS.0 {
            delays.push(appeared.elapsed());
        }
    }
    let calls: u64 = proxy.calls().values().sum::<u64>() - calls_before;
    let blocks = following.status.borrow().head.unwrap().number - first;
    delays.sort();
    eprintln!(
        "{delays:?}, {calls} calls in {blocks} blocks, {:?}",
        proxy.calls()
    );
    assert!(delays[delays.len() / 2] < limit, "{delays:?}");
    // A few more than four for each block: a busy machine makes its blocks irregularly.
    assert!(calls <= 4 * blocks + 6, "{calls} calls in {blocks} blocks");
}

/// Returns when there is a new block.
async fn next_block(chain: &LocalChain) -> Instant {
    let before = chain.provider().get_block_number().await.unwrap();
    loop {
        if chain.provider().get_block_number().await.unwrap() > before {
            return Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_block_is_stored_at_once_over_a_websocket() {
    follows_within(Duration::from_millis(100), RpcProxy::ws_url).await;
}

#[tokio::test]
async fn a_block_is_stored_soon_over_http_with_few_calls() {
    follows_within(Duration::from_millis(300), RpcProxy::http_url).await;
}
