//! Where a module's history begins: what nodes answer about old state, and what the configuration says.

use amser_roles::domain::{ChainEvent, ModuleAddress};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain};
use amser_roles::store::Store;

use super::{Warnings, follow_with};
use crate::support::following::{Following, config};
use crate::support::oracle;
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::Scene;

/// How closely a deployment is searched for here.
const WITHIN: u64 = 20;
/// More blocks than that.
const MANY: u64 = 200;

fn start_block(following: &Following, scene: &Scene) -> u64 {
    following.store.modules().unwrap()[&ModuleAddress(scene.module)].start_block
}

#[tokio::test]
async fn code_that_a_pruned_node_denies_proves_nothing() {
    let mut scene = Scene::new().await;
    scene.pay().await;
    scene.chain.mine(2 * MANY).await.unwrap();
    scene.pay().await;
    let warnings = Warnings::listen();
    let proxy = RpcProxy::start(&scene.chain).await;
    proxy.set(|faults| {
        faults.code_since = [(scene.module, 0)].into();
        faults.no_code_below = MANY;
    });
    let mut config = config(&scene.chain, &[proxy.http_url()], 0);
    config.deployment_within = WITHIN;
    let mut following = follow_with(config, &scene);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    assert_eq!(start_block(&following, &scene), 0);
    let said = warnings.with("no code at old blocks");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("chain.start_block"), "{said:?}");
}

#[tokio::test]
async fn one_failed_look_for_the_deployment_is_not_answered_by_reading_everything() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    chain.mine(MANY).await.unwrap();
    let mut scene = Scene::on(chain).await;
    let deployed = scene.chain.head().await.unwrap().number - 1;
    scene.pay().await;
    scene.chain.mine(MANY).await.unwrap();
    for url in [RpcProxy::http_url, RpcProxy::ws_url] {
        let proxy = RpcProxy::start(&scene.chain).await;
        proxy.set(|faults| {
            faults.code_since = [(scene.module, deployed), (scene.chain.processor, 1)].into();
            faults.header_not_found = 1;
        });
        let mut config = config(&scene.chain, &[url(&proxy)], 0);
        config.deployment_within = WITHIN;
        let mut following = follow_with(config, &scene);
        following
            .eventually_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
        assert_eq!(proxy.faults().header_not_found, 0, "the fault was not met");
        let start = start_block(&following, &scene);
        assert!(
            start <= deployed && start + WITHIN >= deployed,
            "{start} of {deployed}"
        );
    }
}

/// The events from this block on.
async fn expected_from(scene: &Scene, start: u64) -> Vec<ChainEvent> {
    let modules = [(ModuleAddress(scene.module), scene.chain.processor)].into();
    let head = scene.chain.head().await.unwrap().number;
    let mut events = oracle::events(&scene.chain, &modules, head).await;
    events.retain(|event| event.position.block >= start);
    events
}

#[tokio::test]
async fn another_start_block_is_said_and_obeyed() {
    let mut scene = Scene::new().await;
    scene.history(6, 60).await;
    let warnings = Warnings::listen();
    let store = Store::in_memory().unwrap();
    for (said, start) in [100, 200, 40, 0].into_iter().enumerate() {
        let mut config = config(&scene.chain, &[scene.chain.http_url()], 0);
        config.start_block = Some(start);
        let mut following = Following::start(config, store.clone(), [scene.module]);
        let expected = expected_from(&scene, start).await;
        assert!(!expected.is_empty());
        following.until_stored(&expected).await;
        following.until_at_tip(&scene.chain, 0).await;
        assert_eq!(start_block(&following, &scene), start);
        scene.pay().await;
        let expected = expected_from(&scene, start).await;
        following.until_stored(&expected).await;
        following.stop().await.unwrap();
        let lines = warnings.with("chain.start_block differs");
        assert_eq!(lines.len(), said, "{lines:?}");
    }
}

#[tokio::test]
async fn the_same_start_block_after_a_restart_reads_nothing_again() {
    let mut scene = Scene::new().await;
    scene.history(3, 60).await;
    let warnings = Warnings::listen();
    let proxy = RpcProxy::start(&scene.chain).await;
    let mut config = config(&scene.chain, &[proxy.http_url()], 0);
    config.start_block = Some(100);
    let mut following = follow_with(config.clone(), &scene);
    following.until_at_tip(&scene.chain, 0).await;
    let store = following.store.clone();
    following.stop().await.unwrap();
    // What is read again would be missing now.
    let head = scene.chain.head().await.unwrap().number;
    proxy.set(|faults| faults.hidden = Some((0, head)));
    let mut following = Following::start(config, store, [scene.module]);
    following.until_at_tip(&scene.chain, 0).await;
    assert_eq!(following.events(), expected_from(&scene, 100).await);
    assert!(warnings.with("chain.start_block differs").is_empty());
}
