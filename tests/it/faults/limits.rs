//! What providers allow: block ranges, result counts, rates.

use amser_roles::store::Store;

use super::{Case, Url};
use crate::support::following::{Following, config};
use crate::support::rpc_proxy::{Instead, Refusal, RpcProxy};
use crate::support::scene::Scene;

/// Payments over several hundred blocks, so that most of them are read by range.
async fn long_history() -> Scene {
    let mut scene = Scene::new().await;
    scene.history(12, 40).await;
    scene
}

async fn reads_all_under_range_limit(url: Url, refusal: Refusal) {
    let scene = long_history().await;
    let mut case = Case::from_start(scene, url, |faults| faults.range_limit = Some(refusal)).await;
    case.assert_complete().await;
    case.scene.pay().await;
    case.assert_complete().await;
}

async fn reads_all_under_result_limit(url: Url, refusal: Refusal) {
    let scene = long_history().await;
    let mut case = Case::from_start(scene, url, |faults| faults.result_limit = Some(refusal)).await;
    case.assert_complete().await;
}

#[tokio::test]
async fn alchemys_block_range_limit_loses_nothing() {
    let words = "You can make eth_getLogs requests with up to a 10 block range. Based on your parameters, this block range should work: [{from}, {to}].";
    reads_all_under_range_limit(RpcProxy::http_url, Refusal::new(10, -32600, words)).await;
}

#[tokio::test]
async fn quicknodes_block_range_limit_loses_nothing_over_a_websocket() {
    let words = "eth_getLogs is limited to a 50 range";
    reads_all_under_range_limit(RpcProxy::ws_url, Refusal::new(50, -32614, words)).await;
}

#[tokio::test]
async fn geths_block_range_limit_loses_nothing() {
    let words = "range exceeds limit of 100";
    reads_all_under_range_limit(RpcProxy::http_url, Refusal::new(100, -32602, words)).await;
}

#[tokio::test]
async fn erigons_block_range_limit_loses_nothing() {
    let words = "query block range exceeds server limit, narrow your filter: 64";
    reads_all_under_range_limit(RpcProxy::ws_url, Refusal::new(64, -32005, words)).await;
}

#[tokio::test]
async fn a_block_range_limit_in_words_nobody_has_seen_loses_nothing() {
    let refusal = Refusal::new(30, -32099, "please be more modest");
    reads_all_under_range_limit(RpcProxy::http_url, refusal).await;
}

/// Payments over nearly two thousand blocks, under this limit: it is learned, so that few ranges are refused and none is cut up
/// further than needed.
async fn learns_the_range(url: Url, refusal: Refusal) {
    let mut scene = Scene::new().await;
    scene.history(6, 300).await;
    let most = refusal.most;
    let mut case = Case::from_start(scene, url, |faults| faults.range_limit = Some(refusal)).await;
    case.assert_complete().await;
    let head = case.scene.chain.head().await.unwrap().number;
    let (asked, needed) = (case.proxy.faults().ranges, head / most);
    assert!(
        asked < 2 * needed + 60,
        "{asked} ranges asked, {needed} needed"
    );
}

#[tokio::test]
async fn a_range_limit_in_unknown_words_is_learned_from_what_is_answered() {
    for url in [RpcProxy::http_url as Url, RpcProxy::ws_url] {
        learns_the_range(url, Refusal::new(60, -32099, "please be more modest")).await;
    }
}

#[tokio::test]
async fn a_range_limit_without_words_is_learned_from_what_is_answered() {
    for instead in [
        Instead::Status(500),
        Instead::Status(400),
        Instead::Null,
        Instead::Close(0),
    ] {
        let refusal = Refusal::wordless(60, instead);
        learns_the_range(RpcProxy::http_url, refusal).await;
    }
}

#[tokio::test]
async fn a_range_limit_that_closes_the_websocket_is_learned_over_the_next_ones() {
    for code in [1009, 1011] {
        let refusal = Refusal::wordless(60, Instead::Close(code));
        learns_the_range(RpcProxy::ws_url, refusal).await;
    }
}

#[tokio::test]
async fn a_range_limit_in_the_words_of_a_quota_is_found_out() {
    let words = "please upgrade your plan";
    learns_the_range(RpcProxy::http_url, Refusal::new(300, -32005, words)).await;
}

#[tokio::test]
async fn infuras_result_limit_loses_nothing() {
    let words = "query returned more than 10000 results. Try with this block range [{from}, {to}].";
    reads_all_under_result_limit(RpcProxy::http_url, Refusal::new(4, -32005, words)).await;
}

#[tokio::test]
async fn alchemys_result_limit_loses_nothing_over_a_websocket() {
    let words = "Log response size exceeded. Please reduce query block range.";
    reads_all_under_result_limit(RpcProxy::ws_url, Refusal::new(4, -32602, words)).await;
}

#[tokio::test]
async fn nethermind_and_reth_result_limits_lose_nothing() {
    let words = "query exceeds max results 20000, retry with the range 1-2";
    reads_all_under_result_limit(RpcProxy::http_url, Refusal::new(3, -32602, words)).await;
}

async fn waits_as_told(url: Url, at_tip: bool) {
    let mut case = if at_tip {
        Case::at_tip(url).await
    } else {
        Case::from_start(long_history().await, url, |_| {}).await
    };
    case.proxy.set(|faults| {
        faults.too_many = 1;
        // What comes in its second half was sent before the refusal on no machine.
        faults.retry_after = 8;
    });
    case.scene.pay().await;
    case.assert_complete().await;
    case.following
        .until("the rate limit was met", |status| status.at_tip)
        .await;
    let faults = case.proxy.faults();
    assert_eq!(faults.too_many, 0, "the fault was not met");
    assert_eq!(
        faults.impatient_calls, 0,
        "a call came before Retry-After had passed"
    );
}

#[tokio::test]
async fn retry_after_is_honoured_while_reading_history() {
    waits_as_told(RpcProxy::http_url, false).await;
}

#[tokio::test]
async fn retry_after_is_honoured_at_the_tip() {
    waits_as_told(RpcProxy::http_url, true).await;
}

#[tokio::test]
async fn rate_limits_over_a_websocket_are_waited_out() {
    let mut case = Case::at_tip(RpcProxy::ws_url).await;
    case.proxy.set(|faults| faults.too_many = 5);
    case.scene.pay().await;
    case.assert_complete().await;
    assert_eq!(case.proxy.faults().too_many, 0);
}

#[tokio::test]
async fn history_is_read_from_another_node_where_one_asks_for_a_long_wait() {
    for url in [RpcProxy::http_url as Url, RpcProxy::ws_url] {
        let scene = long_history().await;
        let (limited, free) = (
            RpcProxy::start(&scene.chain).await,
            RpcProxy::start(&scene.chain).await,
        );
        limited.set(|faults| {
            faults.too_many = u64::MAX;
            faults.too_many_of = Some("eth_getLogs");
            faults.retry_after = 3_600;
        });
        let config = config(&scene.chain, &[url(&limited), url(&free)], 0);
        let mut following = Following::start(config, Store::in_memory().unwrap(), [scene.module]);
        following
            .assert_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
        assert_eq!(following.status.borrow().rpc, Some(free.host()));
        assert!(limited.calls_of("eth_getLogs") > 0, "the limit was not met");
    }
}

#[tokio::test]
async fn a_node_without_old_state_is_read_from_the_beginning() {
    let scene = long_history().await;
    let mut case = Case::from_start(scene, RpcProxy::http_url, |faults| {
        faults.no_old_state = true
    })
    .await;
    case.assert_complete().await;
}

#[tokio::test]
async fn a_rate_limit_in_unknown_words_is_waited_out() {
    for url in [RpcProxy::http_url as Url, RpcProxy::ws_url] {
        let mut case = Case::at_tip(url).await;
        let connected = case.proxy.calls_of("eth_chainId");
        case.proxy
            .set(|faults| faults.per_second = Some((6, "not so much, please")));
        for _ in 0..2 {
            case.scene.pay().await;
            case.assert_complete().await;
        }
        assert_eq!(
            case.proxy.calls_of("eth_chainId"),
            connected,
            "the session went on"
        );
    }
}

#[tokio::test]
async fn a_rate_limit_that_refuses_a_blocks_logs_does_not_end_the_session() {
    for url in [RpcProxy::http_url as Url, RpcProxy::ws_url] {
        let mut case = Case::at_tip(url).await;
        let connected = case.proxy.calls_of("eth_chainId");
        case.proxy.set(|faults| {
            faults.too_many = 3;
            faults.too_many_of = Some("eth_getLogs");
        });
        case.scene.pay().await;
        case.assert_complete().await;
        assert_eq!(case.proxy.faults().too_many, 0, "the limit was not met");
        assert_eq!(case.proxy.calls_of("eth_chainId"), connected);
    }
}
