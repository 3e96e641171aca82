//! Single answers that are wrong at the wrong moment: what they concern is asked for again, and nothing else suffers.

use alloy::primitives::Address;
use amser_roles::domain::{ModuleAddress, PlanId};
use amser_roles::store::Store;

use super::Case;
use crate::support::following::{Following, config};
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::{Scene, new_module};
use crate::support::stage::wait;

/// A follower at the tip of a chain whose plan is older than what is read.
async fn with_an_older_plan() -> Case {
    let scene = Scene::new().await;
    scene.chain.mine(5).await.unwrap();
    let proxy = RpcProxy::start(&scene.chain).await;
    let mut config = config(&scene.chain, &[proxy.http_url()], 0);
    config.start_block = Some(scene.chain.head().await.unwrap().number);
    let following = Following::start(config, Store::in_memory().unwrap(), [scene.module]);
    let mut case = Case {
        scene,
        proxy,
        following,
    };
    case.following.until_at_tip(&case.scene.chain, 0).await;
    case
}

fn plan_is_read(case: &Case) -> bool {
    let (module, plan) = (ModuleAddress(case.scene.module), PlanId(case.scene.plan));
    let plan = case.following.store.plan(module, plan).unwrap();
    plan.is_some_and(|plan| plan.interval == 3_600)
}

#[tokio::test]
async fn a_plan_that_could_not_be_read_is_read_without_waiting_for_a_block() {
    let mut case = with_an_older_plan().await;
    case.proxy
        .set(|faults| faults.broken = Some(("eth_call", 1)));
    case.scene.pay().await;
    wait("reading has failed", || case.proxy.faults().broke > 0).await;
    case.following.until_at_tip(&case.scene.chain, 0).await;
    assert!(plan_is_read(&case));
}

#[tokio::test]
async fn a_plan_that_cannot_be_read_holds_nobody_up_and_is_read_later() {
    let mut case = with_an_older_plan().await;
    case.proxy
        .set(|faults| faults.broken = Some(("eth_call", u64::MAX)));
    case.scene.pay().await;
    case.following.until_at_tip(&case.scene.chain, 0).await;
    assert!(case.proxy.faults().broke > 0, "the fault was not met");
    case.proxy.set(|faults| faults.broken = None);
    wait("the plan is read", || plan_is_read(&case)).await;
}

#[tokio::test]
async fn a_second_look_that_fails_is_taken_again() {
    let mut case = Case::at_tip(RpcProxy::http_url).await;
    case.proxy.set(|faults| {
        faults.full_blooms = true;
        faults.without_logs = 1;
    });
    let paid = case.pay_and_follow().await;
    assert_eq!(case.proxy.faults().without_logs, 0, "the fault was not met");
    case.proxy
        .set(|faults| faults.broken = Some(("eth_getLogs", 1)));
    case.scene.chain.mine(1).await.unwrap();
    wait("a look has failed", || case.proxy.faults().broke > 0).await;
    let connected = case.proxy.calls_of("eth_chainId");
    let expected = case.expected(paid).await;
    case.following.until_stored(&expected).await;
    assert_eq!(
        case.proxy.calls_of("eth_chainId"),
        connected,
        "one failed look is no reason to leave a node"
    );
}

#[tokio::test]
async fn a_block_that_had_no_logs_yet_at_the_stop_is_looked_at_after_the_start() {
    let mut case = Case::at_tip(RpcProxy::http_url).await;
    case.proxy.set(|faults| {
        faults.full_blooms = true;
        faults.without_logs = u64::MAX;
    });
    let paid = case.pay_and_follow().await;
    let store = case.following.store.clone();
    case.following.stop().await.unwrap();
    let expected = {
        let modules = [(ModuleAddress(case.scene.module), case.scene.chain.processor)];
        crate::support::oracle::events(&case.scene.chain, &modules.into(), paid).await
    };
    assert_ne!(
        crate::support::following::stored_events(&store),
        expected,
        "the fault was not met"
    );
    // No block comes any more.
    case.proxy.set(|faults| faults.without_logs = 0);
    let config = config(&case.scene.chain, &[case.proxy.http_url()], 0);
    let following = Following::start(config, store, [case.scene.module]);
    following.until_stored(&expected).await;
}

#[tokio::test]
async fn an_empty_answer_is_not_taken_for_a_module_without_a_processor() {
    let mut scene = Scene::new().await;
    scene.pay().await;
    let lags = |faults: &mut crate::support::rpc_proxy::Faults| faults.empty_views = 2;
    let mut case = Case::from_start(scene, RpcProxy::http_url, lags).await;
    case.following
        .eventually_equals_chain(&case.scene.chain, 0, &[case.scene.module])
        .await;
    assert_eq!(case.proxy.faults().empty_views, 0, "the fault was not met");
}

#[tokio::test]
async fn a_module_that_was_stored_without_a_processor_is_asked_for_it_again() {
    let mut scene = Scene::new().await;
    scene.pay().await;
    let store = Store::in_memory().unwrap();
    let urls = [scene.chain.http_url()];
    let module = ModuleAddress(scene.module);
    store.add_module(module, 0, Address::ZERO).unwrap();
    for _ in 0..2 {
        let config = config(&scene.chain, &urls, 0);
        let mut following = Following::start(config, store.clone(), [scene.module]);
        following
            .eventually_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
        following.stop().await.unwrap();
        scene.pay().await;
    }
}

#[tokio::test]
async fn a_module_that_cannot_be_read_does_not_stop_the_others() {
    let mut case = Case::at_tip(RpcProxy::ws_url).await;
    let (late, _) = new_module(&case.scene.chain, "late merchant").await;
    case.assert_complete().await;
    let subscribed = case.proxy.calls_of("eth_subscribe");
    case.proxy.set(|faults| faults.broken_about = Some(late));
    case.following.modules.send_modify(|modules| {
        modules.insert(ModuleAddress(late));
    });
    wait("it was asked for", || case.proxy.faults().broke > 8).await;
    let status = case
        .following
        .until("said", |status| !status.unread_modules.is_empty())
        .await;
    let sentence = &status.unread_modules[&ModuleAddress(late)];
    assert!(sentence.contains(&late.to_string()), "{sentence}");
    // That is not the chain's trouble.
    assert!(status.at_tip && status.trouble.is_none());
    case.scene.pay().await;
    let paid = case.scene.chain.head().await.unwrap();
    let expected = case.expected(paid.number).await;
    case.following.until_stored(&expected).await;
    case.proxy.set(|faults| faults.broken_about = None);
    let both = [case.scene.module, late];
    case.following
        .eventually_equals_chain(&case.scene.chain, 0, &both)
        .await;
    case.following
        .until("unsaid", |status| status.unread_modules.is_empty())
        .await;
    assert_eq!(
        case.proxy.calls_of("eth_subscribe"),
        subscribed,
        "the connection stayed"
    );
}
