//! Modules: several at once, added while running, unreadable ones, and their processors.

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256};
use alloy::sol_types::SolEvent;
use amser_roles::abi::{DriftedModule, PaymentProcessor, SubscriptionModule};
use amser_roles::domain::{ModuleAddress, PlanId, UnknownLogs};
use amser_roles::sandbox::chain::{DRIFTED_MODULE_ID, LocalChain, wallet};
use amser_roles::store::Store;

use crate::support::following::{Following, config};
use crate::support::oracle;
use crate::support::scene::{Scene, new_module};

fn start(chain: &LocalChain, store: &Store, modules: &[Address]) -> Following {
    let config = config(chain, &[chain.ws_url()], 0);
    Following::start(config, store.clone(), modules.iter().copied())
}

#[tokio::test]
async fn a_module_added_while_running_joins_without_a_gap() {
    let mut scene = Scene::new().await;
    let (late, plan) = new_module(&scene.chain, "late merchant").await;
    let member = wallet("late member").address();
    scene.chain.fund(member, 1_000).await.unwrap();
    let subscription = scene.chain.subscribe(late, member, plan).await.unwrap();
    scene.chain.execute(late, subscription).await.unwrap();
    scene.history(10, 30).await;
    let store = Store::in_memory().unwrap();
    let mut following = start(&scene.chain, &store, &[scene.module]);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    following.modules.send_modify(|modules| {
        modules.insert(ModuleAddress(late));
    });
    // The chain goes on while the module is read.
    for _ in 0..10 {
        scene.pay().await;
        scene.chain.pause(late, subscription).await.unwrap();
        scene.chain.resume(late, subscription).await.unwrap();
    }
    let mut stored = following.status.clone();
    stored
        .wait_for(|status| {
            let modules = store.modules().unwrap();
            let cursor = status.confirmed.map(|confirmed| confirmed.number);
            modules.len() == 2 && status.at_tip && cursor.is_some()
        })
        .await
        .unwrap();
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module, late])
        .await;
}

#[tokio::test]
async fn a_module_without_a_contract_is_reported_and_the_others_go_on() {
    let mut scene = Scene::new().await;
    let nobody = wallet("nobody").address();
    let store = Store::in_memory().unwrap();
    let mut following = start(&scene.chain, &store, &[scene.module, nobody]);
    scene.pay().await;
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    let status = following
        .until("reported", |status| !status.unread_modules.is_empty())
        .await;
    let modules: Vec<_> = status.unread_modules.keys().collect();
    assert_eq!(modules, [&ModuleAddress(nobody)]);
    let sentence = &status.unread_modules[&ModuleAddress(nobody)];
    assert!(
        sentence.contains("correct the module's address"),
        "{sentence}"
    );
    // That is the gate's trouble and not the chain's.
    assert!(status.at_tip && status.trouble.is_none());
}

#[tokio::test]
async fn a_replaced_processor_is_followed_from_its_first_log() {
    let mut scene = Scene::new().await;
    let subscription = scene.pay().await;
    let store = Store::in_memory().unwrap();
    let mut following = start(&scene.chain, &store, &[scene.module]);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    for _ in 0..2 {
        scene.chain.migrate_processor(scene.module).await.unwrap();
        scene
            .chain
            .pay_when_due(scene.module, subscription)
            .await
            .unwrap();
        following
            .assert_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
    }
    // What was learned at the tip is the same when it is read as history.
    scene.chain.mine(300).await.unwrap();
    let afresh = Store::in_memory().unwrap();
    let mut following = start(&scene.chain, &afresh, &[scene.module]);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
}

#[tokio::test]
async fn an_undone_processor_update_is_forgotten() {
    let mut scene = Scene::new().await;
    let subscription = scene.pay().await;
    scene.chain.mine(10).await.unwrap();
    let store = Store::in_memory().unwrap();
    let mut following = start(&scene.chain, &store, &[scene.module]);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    let before = scene.chain.head().await.unwrap().number;
    scene.chain.migrate_processor(scene.module).await.unwrap();
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    let depth = scene.chain.head().await.unwrap().number - before;
    scene.chain.reorg(depth, vec![]).await.unwrap();
    scene
        .chain
        .pay_when_due(scene.module, subscription)
        .await
        .unwrap();
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
}

#[tokio::test]
async fn look_alikes_count_for_nothing() {
    let mut scene = Scene::new().await;
    let subscription = scene.pay().await;
    let store = Store::in_memory().unwrap();
    let mut following = start(&scene.chain, &store, &[scene.module]);
    let look_alike = scene.chain.deploy_look_alike().await.unwrap();
    let event = PaymentProcessor::ExecutionFailed {
        module: scene.module,
        id: subscription,
        reason: 8,
    };
    scene.chain.emit(look_alike, &event).await.unwrap();
    let event = SubscriptionModule::SubscriptionCancelled {
        subId: subscription,
        subscriber: wallet("member 1").address(),
    };
    scene.chain.emit(look_alike, &event).await.unwrap();
    let events = following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    assert_eq!(
        events.len(),
        3,
        "created plan, subscription and payment: {events:?}"
    );
}

#[tokio::test]
async fn plans_from_before_the_start_block_are_read_from_the_module() {
    let mut scene = Scene::new().await;
    scene.chain.mine(5).await.unwrap();
    let start_block = scene.chain.head().await.unwrap().number;
    scene.pay().await;
    let store = Store::in_memory().unwrap();
    let mut config = config(&scene.chain, &[scene.chain.ws_url()], 0);
    config.start_block = Some(start_block);
    let mut following = Following::start(config, store.clone(), [scene.module]);
    following.until_at_tip(&scene.chain, 0).await;
    let plan = store
        .plan(ModuleAddress(scene.module), PlanId(scene.plan))
        .unwrap();
    let terms = plan.map(|plan| (plan.token, plan.interval, plan.grace_period));
    assert_eq!(terms, Some((scene.chain.token, 3_600, 600)));
}

#[tokio::test]
async fn topics_that_the_abi_does_not_know_are_counted() {
    let scene = Scene::new().await;
    let merchant = wallet("drifted merchant").address();
    let drifted = scene
        .chain
        .deploy_module_kind(merchant, DRIFTED_MODULE_ID)
        .await
        .unwrap();
    let call = DriftedModule::changeTierCall {
        subId: U256::from(1),
        tier: U256::from(2),
    };
    for _ in 0..3 {
        scene.chain.send(merchant, drifted, &call).await.unwrap();
    }
    let store = Store::in_memory().unwrap();
    let mut following = start(&scene.chain, &store, &[drifted]);
    following.until_at_tip(&scene.chain, 0).await;
    let unknown = store.unknown_logs().unwrap();
    let counted = UnknownLogs {
        address: drifted,
        topic: DriftedModule::TierChanged::SIGNATURE_HASH,
        count: 3,
    };
    assert_eq!(unknown, [counted]);
    let modules = BTreeMap::from([(ModuleAddress(drifted), scene.chain.processor)]);
    let head = scene.chain.head().await.unwrap().number;
    assert_eq!(
        following.events(),
        oracle::events(&scene.chain, &modules, head).await
    );
}

#[tokio::test]
async fn a_module_with_a_replaced_processor_joins_whole() {
    let mut scene = Scene::new().await;
    let (late, plan) = new_module(&scene.chain, "late merchant").await;
    let member = wallet("late member").address();
    scene.chain.fund(member, 1_000).await.unwrap();
    let subscription = scene.chain.subscribe(late, member, plan).await.unwrap();
    for _ in 0..2 {
        scene.chain.pay_when_due(late, subscription).await.unwrap();
        scene.chain.migrate_processor(late).await.unwrap();
        scene.history(2, 60).await;
    }
    scene.chain.pay_when_due(late, subscription).await.unwrap();
    let store = Store::in_memory().unwrap();
    let mut following = start(&scene.chain, &store, &[scene.module]);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    following.modules.send_modify(|modules| {
        modules.insert(ModuleAddress(late));
    });
    scene.pay().await;
    following
        .eventually_equals_chain(&scene.chain, 0, &[scene.module, late])
        .await;
}

#[tokio::test]
async fn a_module_that_was_left_and_taken_up_again_has_no_gap() {
    let mut scene = Scene::new().await;
    let (other, _) = new_module(&scene.chain, "other merchant").await;
    let both = [scene.module, other];
    let store = Store::in_memory().unwrap();
    let mut following = start(&scene.chain, &store, &both);
    let plan = U256::from(1);
    for _ in 0..2 {
        scene
            .chain
            .set_plan_active(other, plan, false)
            .await
            .unwrap();
        following.assert_equals_chain(&scene.chain, 0, &both).await;
        following.modules.send_modify(|modules| {
            modules.remove(&ModuleAddress(other));
        });
        scene.history(2, 80).await;
        following.until_at_tip(&scene.chain, 0).await;
        scene
            .chain
            .set_plan_active(other, plan, true)
            .await
            .unwrap();
        scene.pay().await;
        following.until_at_tip(&scene.chain, 0).await;
        following.modules.send_modify(|modules| {
            modules.insert(ModuleAddress(other));
        });
        following
            .eventually_equals_chain(&scene.chain, 0, &both)
            .await;
    }
}
