//! Histories with holes: what a node has dropped it does not have any more, and answers as if nothing had happened.

use std::sync::Arc;

use amser_roles::chain::index;
use amser_roles::domain::ModuleAddress;
use amser_roles::store::Store;
use tokio_util::sync::CancellationToken;

use super::{Warnings, follow, follow_with, two_looks};
use crate::support::following::{Following, config};
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::{Scene, new_module};
use crate::support::stage::wait;

/// A chain of some 400 blocks, most of which are read by range; the first payer is the first subscription.
async fn long_history() -> Scene {
    let mut scene = Scene::new().await;
    scene.history(6, 60).await;
    scene
}

/// The last block of the first half, and so of what is dropped.
async fn middle(scene: &Scene) -> u64 {
    scene.chain.head().await.unwrap().number / 2
}

#[tokio::test]
async fn what_a_pruned_node_does_not_tell_is_taken_from_another_one() {
    let scene = long_history().await;
    let warnings = Warnings::listen();
    let (pruned, whole) = (
        RpcProxy::start(&scene.chain).await,
        RpcProxy::start(&scene.chain).await,
    );
    let dropped = middle(&scene).await;
    pruned.set(|faults| faults.hidden = Some((0, dropped)));
    let mut following = follow(&scene, &[pruned.http_url(), whole.ws_url()]);
    following
        .eventually_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    assert!(pruned.faults().hid > 0, "the fault was not met");
    assert_eq!(following.store.orphans().unwrap(), 0);
    let said = || warnings.with("holes");
    wait("it was said", || !said().is_empty()).await;
    assert!(said()[0].contains(&pruned.host()), "{:?}", said());
    assert_eq!(following.status.borrow().rpc, Some(pruned.host()));
    two_looks(&pruned).await;
    assert!(warnings.with("archive node").is_empty(), "all was found");
}

#[tokio::test]
async fn what_a_pruned_node_does_not_tell_of_a_module_that_joins_is_taken_from_another_one() {
    let mut scene = Scene::new().await;
    let (late, plan) = new_module(&scene.chain, "late merchant").await;
    scene
        .chain
        .set_plan_active(late, plan, false)
        .await
        .unwrap();
    scene.history(4, 60).await;
    let (pruned, whole) = (
        RpcProxy::start(&scene.chain).await,
        RpcProxy::start(&scene.chain).await,
    );
    let mut following = follow(&scene, &[pruned.http_url(), whole.http_url()]);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    let dropped = middle(&scene).await;
    pruned.set(|faults| faults.hidden = Some((0, dropped)));
    following.modules.send_modify(|modules| {
        modules.insert(ModuleAddress(late));
    });
    following
        .eventually_equals_chain(&scene.chain, 0, &[scene.module, late])
        .await;
    assert!(pruned.faults().hid > 0, "the fault was not met");
}

#[tokio::test]
async fn a_comparison_that_was_broken_off_is_made_again() {
    let scene = long_history().await;
    let (pruned, whole) = (
        RpcProxy::start(&scene.chain).await,
        RpcProxy::start(&scene.chain).await,
    );
    let dropped = middle(&scene).await;
    pruned.set(|faults| faults.hidden = Some((0, dropped)));
    whole.set(|faults| faults.never = Some(("eth_getLogs", 1)));
    let mut following = follow(&scene, &[pruned.ws_url(), whole.http_url()]);
    wait("the comparison has begun", || {
        whole.faults().never == Some(("eth_getLogs", 0))
    })
    .await;
    pruned.cut_websockets();
    following
        .eventually_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
}

/// Expects exactly one warning about orphans, with what to do, also after more looks.
async fn is_warned_of_once(warnings: &Warnings, proxy: &RpcProxy, following: &Following) {
    let said = || warnings.with("archive node");
    wait("it was said", || !said().is_empty()).await;
    assert!(said()[0].contains("chain.start_block"), "{:?}", said());
    two_looks(proxy).await;
    assert_eq!(said().len(), 1, "{:?}", said());
    assert!(following.store.orphans().unwrap() > 0);
}

#[tokio::test]
async fn a_history_with_a_hole_is_warned_of_where_there_is_no_other_node() {
    let scene = long_history().await;
    // The subscription whose creation is dropped is paid again.
    let first = alloy::primitives::U256::from(1);
    scene.chain.pay_when_due(scene.module, first).await.unwrap();
    scene.chain.mine(70).await.unwrap();
    let warnings = Warnings::listen();
    let pruned = RpcProxy::start(&scene.chain).await;
    let dropped = middle(&scene).await;
    pruned.set(|faults| faults.hidden = Some((0, dropped)));
    let mut following = follow(&scene, &[pruned.http_url()]);
    following.until_at_tip(&scene.chain, 0).await;
    assert!(pruned.faults().hid > 0, "the fault was not met");
    is_warned_of_once(&warnings, &pruned, &following).await;
}

#[tokio::test]
async fn an_empty_history_of_a_module_with_plans_is_warned_of() {
    let scene = long_history().await;
    let warnings = Warnings::listen();
    let pruned = RpcProxy::start(&scene.chain).await;
    let head = scene.chain.head().await.unwrap().number;
    pruned.set(|faults| faults.hidden = Some((0, head)));
    let mut following = follow(&scene, &[pruned.http_url()]);
    following.until_at_tip(&scene.chain, 0).await;
    assert!(following.events().is_empty(), "the fault was not met");
    is_warned_of_once(&warnings, &pruned, &following).await;
}

#[tokio::test]
async fn an_index_warns_of_an_empty_history_too() {
    let scene = long_history().await;
    let warnings = Warnings::listen();
    let pruned = RpcProxy::start(&scene.chain).await;
    pruned.set(|faults| faults.hidden = Some((0, u64::MAX)));
    let config = config(&scene.chain, &[pruned.http_url()], 0);
    let store = Store::in_memory().unwrap();
    let modules = [ModuleAddress(scene.module)].into();
    let stop = CancellationToken::new();
    let indexed = index(config, store.clone(), modules, None, Arc::new(|_| {}), stop);
    assert_eq!(indexed.await.unwrap().events, 0, "the fault was not met");
    assert_eq!(warnings.with("archive node").len(), 1);
    assert_eq!(store.orphans().unwrap(), 1);
}

#[tokio::test]
async fn a_new_module_without_a_plan_is_not_warned_of() {
    let scene = Scene::new().await;
    let merchant = amser_roles::sandbox::chain::wallet("new merchant").address();
    let new = scene.chain.deploy_module(merchant).await.unwrap();
    let warnings = Warnings::listen();
    let proxy = RpcProxy::start(&scene.chain).await;
    let config = config(&scene.chain, &[proxy.http_url()], 0);
    let mut following = Following::start(config, Store::in_memory().unwrap(), [scene.module, new]);
    following.until_at_tip(&scene.chain, 0).await;
    two_looks(&proxy).await;
    assert_eq!(following.store.orphans().unwrap(), 0);
    assert!(warnings.with("archive node").is_empty());
}

#[tokio::test]
async fn subscriptions_older_than_the_start_block_are_counted_and_warned_of() {
    let mut scene = Scene::new().await;
    let subscription = scene.pay().await;
    scene.chain.mine(5).await.unwrap();
    let warnings = Warnings::listen();
    let proxy = RpcProxy::start(&scene.chain).await;
    let mut config = config(&scene.chain, &[proxy.http_url()], 0);
    config.start_block = Some(scene.chain.head().await.unwrap().number);
    let mut following = follow_with(config, &scene);
    following.until_at_tip(&scene.chain, 0).await;
    let module = scene.module;
    scene
        .chain
        .pay_when_due(module, subscription)
        .await
        .unwrap();
    is_warned_of_once(&warnings, &proxy, &following).await;
}

#[tokio::test]
async fn a_backend_that_is_behind_loses_nothing_of_the_history() {
    for url in [RpcProxy::http_url, RpcProxy::ws_url] {
        let mut scene = Scene::new().await;
        scene.history(12, 40).await;
        let proxy = RpcProxy::start(&scene.chain).await;
        // Five minutes of Base.
        proxy.set(|faults| faults.logs_lag = 150);
        let mut following = follow(&scene, &[url(&proxy)]);
        following.until_at_tip(&scene.chain, 0).await;
        assert!(proxy.faults().hid > 0, "the fault was not met");
        proxy.set(|faults| faults.logs_lag = 0);
        following
            .eventually_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
    }
}
