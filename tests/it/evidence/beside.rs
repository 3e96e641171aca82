//! What goes on beside the tip never stops it.

use std::time::Duration;

use amser_roles::domain::{ModuleAddress, PlanId};

use super::follow_with;
use crate::support::following::config;
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::{Scene, new_module};
use crate::support::stage::wait;

#[tokio::test]
async fn late_plans_and_joining_modules_do_not_stop_the_tip() {
    let mut scene = Scene::new().await;
    let (late, _) = new_module(&scene.chain, "late merchant").await;
    scene.chain.mine(200).await.unwrap();
    let proxy = RpcProxy::start(&scene.chain).await;
    let mut config = config(&scene.chain, &[proxy.ws_url()], 0);
    // Only plans of the past have to be asked for.
    config.start_block = Some(scene.chain.head().await.unwrap().number);
    let mut following = follow_with(config, &scene);
    following.until_at_tip(&scene.chain, 0).await;
    proxy.set(|faults| faults.broken = Some(("eth_call", u64::MAX)));
    scene.pay().await;
    following.until_at_tip(&scene.chain, 0).await;
    following.modules.send_modify(|modules| {
        modules.insert(ModuleAddress(late));
    });
    for slow in [
        Duration::ZERO,
        Duration::from_secs(1),
        Duration::from_secs(3),
    ] {
        proxy.set(|faults| faults.slow = Some(("eth_call", slow)));
        for _ in 0..3 {
            scene.pay().await;
            let head = scene.chain.head().await.unwrap();
            following
                .until("followed", |status| {
                    status.confirmed.is_some_and(|at| at.hash == head.hash)
                })
                .await;
        }
    }
    assert!(proxy.faults().broke > 0, "the fault was not met");
    // Now views are answered, slowly, while heads go on coming.
    proxy.set(|faults| faults.broken = None);
    let (module, plan) = (ModuleAddress(scene.module), PlanId(scene.plan));
    let store = following.store.clone();
    let is_done = || {
        let has_plan = store.plan(module, plan).unwrap();
        has_plan.is_some_and(|plan| plan.interval == 3_600)
            && store
                .complete_modules()
                .unwrap()
                .contains(&ModuleAddress(late))
    };
    for _ in 0..5 {
        scene.pay().await;
    }
    wait("the plan is known and the module has joined", is_done).await;
    following.until_at_tip(&scene.chain, 0).await;
    let paid = following.events().len();
    assert!(paid >= 15, "{paid}");
}
