//! Logs that a node hides for a while, whatever it is asked by.

use std::time::Duration;

use amser_roles::domain::{ModuleAddress, PlanId, SubscriptionId};
use amser_roles::store::Store;

use super::follow;
use crate::support::following::{Following, config};
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::{Scene, new_module};

type Url = fn(&RpcProxy) -> String;

/// A follower at the tip, whose node hides the logs of all blocks from the next one on.
async fn hiding(scene: &mut Scene, url: Url) -> (RpcProxy, Following) {
    scene.pay().await;
    let proxy = RpcProxy::start(&scene.chain).await;
    let mut following = follow(scene, &[url(&proxy)]);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    hide(scene, &proxy).await;
    (proxy, following)
}

async fn hide(scene: &Scene, proxy: &RpcProxy) {
    let next = scene.chain.head().await.unwrap().number + 1;
    proxy.set(|faults| faults.hidden = Some((next, u64::MAX)));
}

fn show(proxy: &RpcProxy) {
    assert!(proxy.faults().hid > 0, "the fault was not met");
    proxy.set(|faults| faults.hidden = None);
}

#[tokio::test]
async fn a_hidden_event_is_found() {
    for url in [RpcProxy::http_url as Url, RpcProxy::ws_url] {
        let mut scene = Scene::new().await;
        let (proxy, mut following) = hiding(&mut scene, url).await;
        let before = following.events();
        scene.pay().await;
        following.until_at_tip(&scene.chain, 0).await;
        assert_eq!(following.events(), before);
        show(&proxy);
        following
            .eventually_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
        assert_eq!(following.status.borrow().reorgs, 0);
    }
}

#[tokio::test]
async fn a_hidden_new_processor_is_found_with_what_it_did() {
    for url in [RpcProxy::http_url as Url, RpcProxy::ws_url] {
        let mut scene = Scene::new().await;
        let (proxy, mut following) = hiding(&mut scene, url).await;
        scene.chain.migrate_processor(scene.module).await.unwrap();
        let first = alloy::primitives::U256::from(1);
        scene.chain.pay_when_due(scene.module, first).await.unwrap();
        following.until_at_tip(&scene.chain, 0).await;
        show(&proxy);
        following
            .eventually_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
        // Nothing is in the way of what comes next.
        scene.chain.pay_when_due(scene.module, first).await.unwrap();
        following
            .eventually_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
        assert_eq!(following.status.borrow().reorgs, 0);
    }
}

#[tokio::test]
async fn a_hidden_event_of_a_joining_module_is_found() {
    let mut scene = Scene::new().await;
    let (late, plan) = new_module(&scene.chain, "late merchant").await;
    scene.chain.mine(300).await.unwrap();
    let (proxy, mut following) = hiding(&mut scene, RpcProxy::http_url).await;
    // Its past takes longer to read than the next look.
    proxy.set(|faults| faults.slow = Some(("eth_getLogs", Duration::from_secs(3))));
    following.modules.send_modify(|modules| {
        modules.insert(ModuleAddress(late));
    });
    for active in [false, true, false] {
        scene
            .chain
            .set_plan_active(late, plan, active)
            .await
            .unwrap();
        following.until("followed", |_| true).await;
    }
    crate::support::stage::wait("hidden", || proxy.faults().hid > 0).await;
    show(&proxy);
    following
        .eventually_equals_chain(&scene.chain, 0, &[scene.module, late])
        .await;
}

#[tokio::test]
async fn an_event_hidden_until_after_a_restart_is_found() {
    let mut scene = Scene::new().await;
    let (proxy, mut following) = hiding(&mut scene, RpcProxy::http_url).await;
    scene.pay().await;
    // So many that a look at the newest ones alone would not see it.
    scene.chain.mine(100).await.unwrap();
    following.until_at_tip(&scene.chain, 0).await;
    let store = following.store.clone();
    following.stop().await.unwrap();
    show(&proxy);
    let config = config(&scene.chain, &[proxy.http_url()], 0);
    let mut following = Following::start(config, store, [scene.module]);
    following
        .eventually_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
}

#[tokio::test]
async fn logs_of_a_backend_that_is_minutes_behind_are_found() {
    let mut scene = Scene::new().await;
    scene.pay().await;
    let proxy = RpcProxy::start(&scene.chain).await;
    let mut following = follow(&scene, &[proxy.ws_url()]);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    proxy.set(|faults| faults.logs_lag = 90);
    for _ in 0..4 {
        scene.pay().await;
        scene.chain.mine(20).await.unwrap();
        following.until_at_tip(&scene.chain, 0).await;
        super::two_looks(&proxy).await;
    }
    assert!(proxy.faults().hid > 0, "the fault was not met");
    proxy.set(|faults| faults.logs_lag = 0);
    following
        .eventually_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
}

#[tokio::test]
async fn the_terms_of_an_older_plan_are_read_for_a_subscription_that_was_hidden() {
    let mut scene = Scene::new().await;
    let proxy = RpcProxy::start(&scene.chain).await;
    let mut config = config(&scene.chain, &[proxy.http_url()], 0);
    config.start_block = Some(scene.chain.mine(1).await.unwrap().number);
    let mut following = Following::start(config, Store::in_memory().unwrap(), [scene.module]);
    following.until_at_tip(&scene.chain, 0).await;
    hide(&scene, &proxy).await;
    let id = SubscriptionId(scene.pay().await);
    following.until_at_tip(&scene.chain, 0).await;
    show(&proxy);
    let (store, module) = (&following.store, ModuleAddress(scene.module));
    let is_found = || store.subscription(module, id).unwrap().is_some();
    crate::support::stage::wait("the subscription was found", is_found).await;
    let is_read = || store.plan(module, PlanId(scene.plan)).unwrap().is_some();
    crate::support::stage::wait("the plan's terms were read", is_read).await;
}
