//! Many modules at once, and one that is hostile.

use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::providers::Provider as _;
use amser_roles::abi::SubscriptionModule;
use amser_roles::domain::{ChainStatus, ModuleAddress};
use amser_roles::sandbox::chain::{LocalChain, transaction};
use amser_roles::store::Store;

use super::follow_with;
use crate::support::following::{DEADLINE, Following, config};
use crate::support::rpc_proxy::{Refusal, RpcProxy};
use crate::support::scene::{Scene, TERMS, new_module};

/// Logs that the node serves at once, in the stories of a crowded block.
const SERVED: u64 = 5;
/// What is said of a module that changes its processor, and of one that crowds a block.
const CHANGES: &str = "payment processor too often";
const EVENTS: &str = "more events in one block";

async fn modules(chain: &LocalChain, count: usize) -> Vec<Address> {
    let mut modules = Vec::new();
    for number in 0..count {
        modules.push(new_module(chain, &format!("merchant {number}")).await.0);
    }
    modules
}

#[tokio::test]
async fn very_many_modules_cost_one_call_per_block() {
    let scene = Scene::new().await;
    let many = modules(&scene.chain, 250).await;
    scene.chain.mine(140).await.unwrap();
    let proxy = RpcProxy::start(&scene.chain).await;
    proxy.set(|faults| faults.full_blooms = true);
    let mut config = config(&scene.chain, &[proxy.ws_url()], 0);
    config.second_look_every = Duration::from_secs(3_600);
    let mut following = Following::start(config, Store::in_memory().unwrap(), many.iter().copied());
    following.assert_equals_chain(&scene.chain, 0, &many).await;
    let before = proxy.calls_of("eth_getLogs");
    let start = scene.chain.head().await.unwrap().number;
    for module in many.iter().step_by(12) {
        let plan = U256::from(1);
        scene
            .chain
            .set_plan_active(*module, plan, false)
            .await
            .unwrap();
        following.until_at_tip(&scene.chain, 0).await;
    }
    let events = following.assert_equals_chain(&scene.chain, 0, &many).await;
    let blocks = scene.chain.head().await.unwrap().number - start;
    let calls = proxy.calls_of("eth_getLogs") - before;
    assert!(events.len() as u64 >= 250 + blocks, "{}", events.len());
    assert_eq!(calls, blocks);
}

#[tokio::test]
async fn a_hundred_modules_join_at_once_while_the_tip_goes_on() {
    let mut scene = Scene::new().await;
    let many = modules(&scene.chain, 100).await;
    scene.history(3, 100).await;
    let proxy = RpcProxy::start(&scene.chain).await;
    let mut config = config(&scene.chain, &[proxy.ws_url()], 0);
    // Second looks are counted with the ranges.
    config.second_look_every = Duration::from_secs(3_600);
    let mut following = follow_with(config, &scene);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    // A node at some distance.
    proxy.set(|faults| faults.slow = Some(("eth_call", Duration::from_millis(200))));
    let ranges = proxy.faults().ranges;
    scene.chain.set_block_time(1).await.unwrap();
    let wanted = many.iter().copied().map(ModuleAddress);
    following
        .modules
        .send_modify(|modules| modules.extend(wanted));
    // Blocks that came and were followed before the last one has joined.
    let (mut followed, mut seen) = (0, 0);
    let store = following.store.clone();
    let joined = || store.complete_modules().unwrap().len() == 101;
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !joined() {
        assert!(tokio::time::Instant::now() < deadline, "they never join");
        let head = scene.chain.head().await.unwrap().number;
        if head > seen {
            seen = head;
            let is_there =
                |status: &ChainStatus| status.confirmed.is_some_and(|at| at.number >= head);
            following.until("the tip goes on", is_there).await;
            followed += u64::from(!joined());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ranges = proxy.faults().ranges - ranges;
    scene.chain.set_block_time(0).await.unwrap();
    let all: Vec<_> = many.iter().copied().chain([scene.module]).collect();
    following
        .eventually_equals_chain(&scene.chain, 0, &all)
        .await;
    eprintln!("{followed} blocks followed meanwhile, {ranges} calls for ranges");
    assert!(followed >= 3, "only {followed} blocks meanwhile");
    assert!(ranges <= 30, "{ranges} calls for ranges");
    assert!(following.status.borrow().unread_modules.is_empty());
}

/// Names ever new processors.
async fn is_hostile(chain: &LocalChain, module: Address) {
    for _ in 0..17 {
        chain.migrate_processor(module).await.unwrap();
    }
}

/// Expects the module to be dropped with a sentence that has these words, and the scene's to be followed on.
async fn is_dropped(scene: &mut Scene, following: &mut Following, hostile: Address, words: &str) {
    let status = following
        .until("it is said", |status| !status.unread_modules.is_empty())
        .await;
    let sentence = &status.unread_modules[&ModuleAddress(hostile)];
    assert!(sentence.contains(words), "{sentence}");
    assert!(
        !following
            .store
            .complete_modules()
            .unwrap()
            .contains(&ModuleAddress(hostile))
    );
    for _ in 0..2 {
        scene.pay().await;
        following.until_at_tip(&scene.chain, 0).await;
        let head = scene.chain.head().await.unwrap().number;
        let module = ModuleAddress(scene.module);
        let modules = [(module, scene.chain.processor)].into();
        let expected = crate::support::oracle::events(&scene.chain, &modules, head).await;
        let mut stored = following.events();
        stored.retain(|event| event.module == module);
        assert_eq!(stored, expected);
    }
    assert_eq!(following.status.borrow().trouble, None);
}

#[tokio::test]
async fn a_hostile_module_is_dropped_at_the_tip_and_the_others_go_on() {
    let mut scene = Scene::new().await;
    let (hostile, _) = new_module(&scene.chain, "hostile merchant").await;
    let config = config(&scene.chain, &[scene.chain.ws_url()], 0);
    let store = Store::in_memory().unwrap();
    let mut following = Following::start(config, store, [scene.module, hostile]);
    following.until_at_tip(&scene.chain, 0).await;
    is_hostile(&scene.chain, hostile).await;
    is_dropped(&mut scene, &mut following, hostile, CHANGES).await;
}

#[tokio::test]
async fn a_hostile_module_is_dropped_from_history_and_the_others_go_on() {
    let mut scene = Scene::new().await;
    let (hostile, _) = new_module(&scene.chain, "hostile merchant").await;
    is_hostile(&scene.chain, hostile).await;
    scene.history(3, 60).await;
    let config = config(&scene.chain, &[scene.chain.ws_url()], 0);
    let store = Store::in_memory().unwrap();
    for _ in 0..2 {
        let both = [scene.module, hostile];
        let mut following = Following::start(config.clone(), store.clone(), both);
        is_dropped(&mut scene, &mut following, hostile, CHANGES).await;
        following.stop().await.unwrap();
    }
}

/// Makes one plan more in one block than the node serves logs.
async fn crowds_a_block(chain: &LocalChain, module: Address) {
    chain.stop_mining().await.unwrap();
    let call = SubscriptionModule::createPlanCall {
        token: chain.token,
        price: U256::from(TERMS.price),
        interval: TERMS.interval,
        gracePeriod: TERMS.grace_period,
    };
    let merchant = chain.merchant_of(module).await.unwrap();
    for _ in 0..=SERVED {
        // It waits in the pool, where the next one finds its nonce.
        let sent = transaction(merchant, module, &call);
        let _pending = chain.provider().send_transaction(sent).await.unwrap();
    }
    chain.mine(1).await.unwrap();
    chain.set_block_time(0).await.unwrap();
}

#[tokio::test]
async fn a_module_with_more_events_in_a_block_than_the_node_serves_is_set_aside_and_the_others_go_on()
 {
    for url in [RpcProxy::http_url, RpcProxy::ws_url] {
        let mut scene = Scene::new().await;
        let (hostile, _) = new_module(&scene.chain, "hostile merchant").await;
        let both = [scene.module, hostile];
        let proxy = RpcProxy::start(&scene.chain).await;
        let words = "query returned more than 10000 results";
        proxy.set(|faults| faults.result_limit = Some(Refusal::new(SERVED, -32005, words)));
        let config = config(&scene.chain, &[url(&proxy)], 0);
        let store = Store::in_memory().unwrap();
        // At the tip.
        let mut following = Following::start(config.clone(), store.clone(), both);
        following.until_at_tip(&scene.chain, 0).await;
        crowds_a_block(&scene.chain, hostile).await;
        is_dropped(&mut scene, &mut following, hostile, EVENTS).await;
        following.stop().await.unwrap();
        // In the history of a module that joins, and in that of those that are followed.
        scene.history(3, 60).await;
        let mut following = Following::start(config.clone(), store.clone(), both);
        is_dropped(&mut scene, &mut following, hostile, EVENTS).await;
        following.stop().await.unwrap();
        // A node that serves them reads what is missing.
        proxy.set(|faults| faults.result_limit = None);
        let mut following = Following::start(config.clone(), store.clone(), both);
        following
            .eventually_equals_chain(&scene.chain, 0, &both)
            .await;
        following.stop().await.unwrap();
        proxy.set(|faults| faults.result_limit = Some(Refusal::new(SERVED, -32005, words)));
        crowds_a_block(&scene.chain, hostile).await;
        scene.history(3, 60).await;
        let mut following = Following::start(config, store, both);
        is_dropped(&mut scene, &mut following, hostile, EVENTS).await;
        following.stop().await.unwrap();
    }
}

#[tokio::test]
async fn no_module_is_blamed_for_a_node_that_refuses_everything_in_those_words() {
    let mut scene = Scene::new().await;
    scene.history(3, 60).await;
    let proxy = RpcProxy::start(&scene.chain).await;
    let words = "query returned more than 10000 results";
    proxy.set(|faults| faults.range_limit = Some(Refusal::new(0, -32005, words)));
    let config = config(&scene.chain, &[proxy.http_url()], 0);
    let store = Store::in_memory().unwrap();
    let mut following = Following::start(config, store, [scene.module]);
    let is_told = |status: &ChainStatus| status.trouble.is_some();
    let status = following.until("the node is blamed", is_told).await;
    assert!(status.unread_modules.is_empty());
    proxy.set(|faults| faults.range_limit = None);
    let module = [scene.module];
    following
        .assert_equals_chain(&scene.chain, 0, &module)
        .await;
}
