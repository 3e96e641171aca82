//! Modules that join while a node, or the module itself, makes it hard: nobody else is held up.

use std::collections::BTreeSet;

use alloy::primitives::Address;
use amser_roles::abi::SubscriptionModule;
use amser_roles::domain::{ChainStatus, ModuleAddress};
use amser_roles::sandbox::chain::wallet;
use amser_roles::store::Store;

use super::Case;
use crate::support::following::{Following, config};
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::{Scene, new_module};
use crate::support::stage::wait;

fn want(following: &Following, module: Address) {
    following.modules.send_modify(|modules| {
        modules.insert(ModuleAddress(module));
    });
}

#[tokio::test]
async fn while_a_module_is_tried_again_the_newest_block_is_asked_for_at_the_usual_pace() {
    let mut case = Case::at_tip(RpcProxy::http_url).await;
    let (late, _) = new_module(&case.scene.chain, "late merchant").await;
    // The first try fails at once, the second one hangs.
    case.proxy.set(|faults| {
        faults.broken = Some(("eth_call", 1));
        faults.never = Some(("eth_getCode", u64::MAX));
        faults.slow = Some(("eth_getBlockByNumber", std::time::Duration::from_millis(50)));
    });
    let tried = case.proxy.calls_of("eth_getCode");
    want(&case.following, late);
    wait("it is tried again", || {
        case.proxy.calls_of("eth_getCode") >= tried + 2
    })
    .await;
    let asked = case.proxy.calls_of("eth_getBlockByNumber");
    case.pay_and_follow().await;
    let asked = case.proxy.calls_of("eth_getBlockByNumber") - asked;
    // At 50 ms a call that is 30 s of nothing else.
    assert!(asked < 600, "the newest block was asked for {asked} times");
    case.proxy.set(|faults| faults.never = None);
    case.following
        .eventually_equals_chain(&case.scene.chain, 0, &[case.scene.module, late])
        .await;
}

#[tokio::test]
async fn a_module_that_is_wanted_no_more_is_not_tried_again() {
    let mut case = Case::at_tip(RpcProxy::http_url).await;
    let nobody = wallet("nobody").address();
    want(&case.following, nobody);
    let unread =
        |is_any: bool| move |status: &ChainStatus| status.unread_modules.is_empty() != is_any;
    case.following.until("it is told", unread(true)).await;
    let module = case.scene.module;
    case.following
        .modules
        .send_replace(BTreeSet::from([ModuleAddress(module)]));
    case.following.until("it is forgotten", unread(false)).await;
    case.assert_complete().await;
}

#[tokio::test]
async fn a_module_joins_though_its_processor_has_just_changed() {
    let scene = Scene::new().await;
    let (late, plan) = new_module(&scene.chain, "late merchant").await;
    let member = wallet("late member").address();
    scene.chain.fund(member, 1_000).await.unwrap();
    let subscription = scene.chain.subscribe(late, member, plan).await.unwrap();
    scene.chain.mine(5).await.unwrap();
    let proxy = RpcProxy::start(&scene.chain).await;
    let config = config(&scene.chain, &[proxy.ws_url()], 4);
    let mut following = Following::start(config, Store::in_memory().unwrap(), [scene.module]);
    following.until_at_tip(&scene.chain, 4).await;
    scene.chain.migrate_processor(late).await.unwrap();
    let subscribed = proxy.calls_of("eth_subscribe");
    want(&following, late);
    wait("it has joined", || {
        let complete = following.store.complete_modules().unwrap();
        complete.contains(&ModuleAddress(late))
    })
    .await;
    assert_eq!(
        proxy.calls_of("eth_subscribe"),
        subscribed,
        "in one session"
    );
    scene.chain.pay_when_due(late, subscription).await.unwrap();
    scene.chain.mine(4).await.unwrap();
    following
        .assert_equals_chain(&scene.chain, 4, &[scene.module, late])
        .await;
}

/// Says that the processor was replaced, whatever it was.
async fn claim_an_update(scene: &Scene, module: Address, from: u8) {
    let event = SubscriptionModule::PaymentProcessorUpdated {
        previous: Address::repeat_byte(from),
        current: Address::repeat_byte(from + 1),
    };
    scene.chain.emit(module, &event).await.unwrap();
}

#[tokio::test]
async fn a_module_that_contradicts_itself_holds_up_nobody() {
    let mut case = Case::at_tip(RpcProxy::ws_url).await;
    let liar = case.scene.chain.deploy_look_alike().await.unwrap();
    claim_an_update(&case.scene, liar, 0x40).await;
    let subscribed = case.proxy.calls_of("eth_subscribe");
    want(&case.following, liar);
    case.following
        .until("it is told", |status| !status.unread_modules.is_empty())
        .await;
    for from in [0x50, 0x60, 0x70] {
        claim_an_update(&case.scene, liar, from).await;
        case.pay_and_follow().await;
    }
    assert!(case.following.status.borrow().at_tip);
    assert_eq!(
        case.proxy.calls_of("eth_subscribe"),
        subscribed,
        "in one session"
    );
}

#[tokio::test]
async fn a_change_of_processor_that_one_node_hides_is_learned_from_another() {
    let mut scene = Scene::new().await;
    let subscription = scene.pay().await;
    scene.chain.migrate_processor(scene.module).await.unwrap();
    let changed = scene.chain.head().await.unwrap().number;
    scene
        .chain
        .pay_when_due(scene.module, subscription)
        .await
        .unwrap();
    scene.chain.mine(200).await.unwrap();
    let (hides, tells) = (
        RpcProxy::start(&scene.chain).await,
        RpcProxy::start(&scene.chain).await,
    );
    hides.set(|faults| faults.hidden = Some((changed, changed)));
    let config = config(&scene.chain, &[hides.http_url(), tells.http_url()], 0);
    let mut following = Following::start(config, Store::in_memory().unwrap(), [scene.module]);
    following
        .eventually_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    assert!(hides.faults().hid > 0, "the fault was not met");
}
