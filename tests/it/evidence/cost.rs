//! What following costs: calls per block where blooms are full, as on Base.

use std::time::{Duration, Instant};

use super::follow_with;
use crate::support::following::{Following, config};
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::Scene;

const BLOCKS: u64 = 60;
const BLOCK_TIME: Duration = Duration::from_millis(250);

/// Calls per block, beside the looks.
const MOST: f64 = 1.15;

/// One look at the newest blocks for ten of them, as on Base.
const LOOK_EVERY: Duration = Duration::from_millis(2_500);

/// Calls per block of the methods that are counted, over blocks that come regularly; without the looks, of which there are more
/// where a busy machine takes longer for the blocks.
async fn calls_per_block(url: fn(&RpcProxy) -> String, is_counted: fn(&str) -> bool) -> f64 {
    let mut scene = Scene::new().await;
    scene.pay().await;
    let proxy = RpcProxy::start(&scene.chain).await;
    proxy.set(|faults| faults.full_blooms = true);
    let mut config = config(&scene.chain, &[url(&proxy)], 0);
    config.second_look_every = LOOK_EVERY;
    let mut following = follow_with(config, &scene);
    following.until_at_tip(&scene.chain, 0).await;
    // It learns the rhythm.
    mine(&scene, &mut following, 15).await;
    let calls = || {
        let counted = proxy.calls().into_iter();
        let counted = counted.filter(|(method, _)| is_counted(method));
        counted.map(|(_, times)| times).sum::<u64>()
    };
    let (before, begun) = (calls(), Instant::now());
    mine(&scene, &mut following, BLOCKS).await;
    let took = begun.elapsed();
    // Two calls each.
    let looks = took.div_duration_f64(LOOK_EVERY).ceil();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let per_block = ((calls() - before) as f64 - 2.0 * looks) / BLOCKS as f64;
    eprintln!(
        "{per_block:.2} calls per block, in {took:?}: {:?}",
        proxy.calls()
    );
    per_block
}

async fn mine(scene: &Scene, following: &mut Following, blocks: u64) {
    let mut clock = tokio::time::interval(BLOCK_TIME);
    for _ in 0..blocks {
        clock.tick().await;
        scene.chain.mine(1).await.unwrap();
    }
    following.until_at_tip(&scene.chain, 0).await;
}

#[tokio::test]
async fn a_block_costs_little_more_than_one_call_over_a_websocket() {
    let calls = calls_per_block(RpcProxy::ws_url, |_| true).await;
    assert!(calls <= MOST, "{calls}");
}

#[tokio::test]
async fn a_block_costs_little_more_than_one_read_over_http() {
    // A busy machine makes blocks irregular, and polls for them miss: the benchmark counts those.
    let is_read = |method: &str| method != "eth_getBlockByNumber";
    let calls = calls_per_block(RpcProxy::http_url, is_read).await;
    assert!(calls <= MOST, "{calls}");
}
