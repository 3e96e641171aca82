//! How soon a block is in the store, and what that costs in calls. The benchmark measures it; this only guards it, against
//! what a block costs by hand on the same machine at the same time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use alloy::primitives::Address;
use alloy::providers::{Provider, RootProvider};
use alloy::rpc::types::Filter;
use amser_roles::abi::SubscriptionModule::pauseSubscriptionCall;
use amser_roles::domain::{Gate, GateId, GateMatch, GateOrigin, GuildId, ModuleAddress, PlanId};
use amser_roles::sandbox::chain::{LocalChain, transaction, wallet};
use amser_roles::store::Store;

use crate::support::following::{Following, config};
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::Scene;

/// Blocks before the rhythm is learned, and blocks that are measured.
const BLOCKS: (usize, usize) = (6, 12);

/// Seconds between blocks.
const PERIOD: u64 = 1;
/// A block may take so many times as long as one that is read and stored by hand.
const TIMES: u32 = 10;

/// `waiting` is how long a block may be there before the node is asked or tells.
async fn follows_within(waiting: Duration, url: fn(&RpcProxy) -> String) {
    let mut scene = Scene::new().await;
    let mut subscriptions = Vec::new();
    for _ in 0..BLOCKS.0 + BLOCKS.1 {
        subscriptions.push(scene.pay().await);
    }
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("store.redb")).unwrap();
    let proxy = RpcProxy::start(&scene.chain).await;
    let by_hand = ByHand {
        provider: RootProvider::new_http(
            RpcProxy::start(&scene.chain)
                .await
                .http_url()
                .parse()
                .unwrap(),
        ),
        store: Store::open(&directory.path().join("by_hand.redb")).unwrap(),
    };
    let config = config(&scene.chain, &[url(&proxy)], 0);
    let mut following = Following::start(config, store, [scene.module]);
    following.until_at_tip(&scene.chain, 0).await;
    scene.chain.set_block_time(PERIOD).await.unwrap();
    let (mut delays, mut floors) = (Vec::new(), Vec::new());
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
            floors.push(by_hand.take_newest(scene.module).await);
        }
    }
    let calls: u64 = proxy.calls().values().sum::<u64>() - calls_before;
    let blocks = following.status.borrow().head.unwrap().number - first;
    delays.sort();
    floors.sort();
    eprintln!(
        "{delays:?}, by hand {floors:?}, {calls} calls in {blocks} blocks, {:?}",
        proxy.calls()
    );
    let limit = waiting + TIMES * floors[floors.len() / 2];
    assert!(
        delays[delays.len() / 2] < limit,
        "{delays:?}, limit {limit:?}"
    );
    // A few more than four for each block: a busy machine makes its blocks irregularly.
    assert!(calls <= 4 * blocks + 6, "{calls} calls in {blocks} blocks");
}

/// A reader and a store beside the follower's.
struct ByHand {
    provider: RootProvider,
    store: Store,
}

impl ByHand {
    /// How long the newest block takes: its header, its logs, and one commit.
    async fn take_newest(&self, module: Address) -> Duration {
        let begun = Instant::now();
        let newest = self.provider.get_block_by_number(Default::default()).await;
        let hash = newest.unwrap().unwrap().header.hash;
        let filter = Filter::new().at_block_hash(hash).address(module);
        let logs = self.provider.get_logs(&filter).await.unwrap();
        let gate = Gate {
            id: GateId(1),
            guild: GuildId(1),
            module: ModuleAddress(module),
            plans: [PlanId::from(logs.len() as u64)].into(),
            matching: GateMatch::Any,
            roles: [].into(),
            origin: GateOrigin::Config,
        };
        let store = self.store.clone();
        let commit = tokio::task::spawn_blocking(move || store.put_gate(&gate));
        commit.await.unwrap().unwrap();
        begun.elapsed()
    }
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
    follows_within(Duration::ZERO, RpcProxy::ws_url).await;
}

#[tokio::test]
async fn a_block_is_stored_soon_over_http_with_few_calls() {
    // A poll once per block would miss it by half the period on average.
    follows_within(Duration::from_secs(PERIOD) / 4, RpcProxy::http_url).await;
}
