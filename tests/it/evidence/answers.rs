//! Logs whose fields contradict each other, or the block they stand in.

use super::follow;
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::Scene;

type Url = fn(&RpcProxy) -> String;

#[tokio::test]
async fn a_log_without_a_time_has_its_blocks_time() {
    let mut scene = Scene::new().await;
    let subscription = scene.pay().await;
    // When a payment failed decides how long access lasts.
    scene
        .chain
        .fail_when_due(scene.module, subscription)
        .await
        .unwrap();
    scene.chain.mine(150).await.unwrap();
    for url in [RpcProxy::http_url as Url, RpcProxy::ws_url] {
        let proxy = RpcProxy::start(&scene.chain).await;
        proxy.set(|faults| faults.no_times = true);
        let mut following = follow(&scene, &[url(&proxy)]);
        let events = following
            .assert_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
        let times = events.iter().filter_map(|event| event.timestamp);
        assert_eq!(times.count(), 1, "the payment that failed: {events:?}");
    }
}

#[tokio::test]
async fn two_logs_at_one_place_are_said_and_not_stored() {
    let mut scene = Scene::new().await;
    scene.pay().await;
    scene.chain.mine(150).await.unwrap();
    for url in [RpcProxy::http_url as Url, RpcProxy::ws_url] {
        let proxy = RpcProxy::start(&scene.chain).await;
        proxy.set(|faults| faults.twins = true);
        let mut following = follow(&scene, &[url(&proxy)]);
        let status = following
            .until("it is said", |status| status.trouble.is_some())
            .await;
        let trouble = status.trouble.unwrap_or_default();
        assert!(trouble.contains("two different logs"), "{trouble}");
        proxy.set(|faults| faults.twins = false);
        following
            .eventually_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
    }
}
