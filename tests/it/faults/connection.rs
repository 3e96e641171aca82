//! Connections that break, go silent, answer for the wrong chain, or not at all.

use std::time::Duration;

use amser_roles::sandbox::chain::{ChainOptions, LocalChain};
use amser_roles::store::Store;
use tokio::io::AsyncReadExt as _;

use super::{Case, Url};
use crate::support::following::{DEADLINE, Following, config};
use crate::support::knob;
use crate::support::rpc_proxy::{Faults, RpcProxy};
use crate::support::scene::Scene;
use crate::support::stage::wait;

/// How long a cut lasts.
fn cut() -> Duration {
    Duration::from_secs(knob("CUT_SECONDS", 3))
}

async fn survives_a_cut(url: Url) {
    let mut case = Case::at_tip(url).await;
    case.proxy.set(|faults| faults.dead = true);
    case.proxy.cut_websockets();
    let until = tokio::time::Instant::now() + cut();
    while tokio::time::Instant::now() < until {
        case.scene.pay().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    case.following
        .until("in trouble", |status| {
            status.trouble.is_some() && !status.at_tip
        })
        .await;
    case.proxy.set(|faults| faults.dead = false);
    case.assert_complete().await;
    assert_eq!(case.following.status.borrow().trouble, None);
}

#[tokio::test]
async fn a_cut_websocket_loses_nothing() {
    survives_a_cut(RpcProxy::ws_url).await;
}

#[tokio::test]
async fn a_cut_http_node_loses_nothing() {
    survives_a_cut(RpcProxy::http_url).await;
}

#[tokio::test]
async fn a_websocket_that_falls_silent_is_polled_until_it_pushes_again() {
    let mut case = Case::at_tip(RpcProxy::ws_url).await;
    let subscribed = case.proxy.calls_of("eth_subscribe");
    for silent in [true, false, true] {
        case.proxy.set(|faults| faults.silent = silent);
        for _ in 0..3 {
            case.scene.pay().await;
            case.assert_complete().await;
        }
    }
    assert_eq!(case.proxy.calls_of("eth_subscribe"), subscribed);
    assert_eq!(case.following.status.borrow().trouble, None);
}

#[tokio::test]
async fn a_websocket_that_does_not_answer_at_all_is_replaced() {
    let mut case = Case::at_tip(RpcProxy::ws_url).await;
    let subscribed = case.proxy.calls_of("eth_subscribe");
    case.proxy.set(|faults| faults.deaf = true);
    case.scene.pay().await;
    // The new websocket works, the old one stays as it is.
    wait("it subscribed again", || {
        if case.following.status.borrow().trouble.is_some() {
            case.proxy.set(|faults| faults.deaf = false);
        }
        case.proxy.calls_of("eth_subscribe") > subscribed
    })
    .await;
    case.assert_complete().await;
}

#[tokio::test]
async fn server_errors_are_waited_out() {
    for url in [RpcProxy::http_url, RpcProxy::ws_url] {
        for status in [500, 502, 503] {
            let mut case = Case::at_tip(url).await;
            case.proxy.set(|faults| faults.status = Some(status));
            case.scene.pay().await;
            case.following
                .until("in trouble", |status| status.trouble.is_some())
                .await;
            case.proxy.set(|faults| faults.status = None);
            case.assert_complete().await;
        }
    }
}

#[tokio::test]
async fn a_node_that_fails_now_and_then_is_read_to_the_end() {
    let mut scene = Scene::new().await;
    scene.history(12, 40).await;
    let flaky = |faults: &mut Faults| faults.flaky = 4;
    let mut case = Case::from_start(scene, RpcProxy::http_url, flaky).await;
    case.assert_complete().await;
    case.scene.pay().await;
    case.assert_complete().await;
}

#[tokio::test]
async fn a_call_that_is_never_answered_is_made_again() {
    let mut case = Case::at_tip(RpcProxy::ws_url).await;
    case.proxy
        .set(|faults| faults.never = Some(("eth_getLogs", 1)));
    case.scene.pay().await;
    case.assert_complete().await;
}

#[tokio::test]
async fn a_node_of_another_chain_is_refused_at_the_start() {
    let scene = Scene::new().await;
    let proxy = RpcProxy::start(&scene.chain).await;
    proxy.set(|faults| faults.chain_id = Some(1));
    let key = format!("{}/v2/secret-key", proxy.http_url());
    let config = config(&scene.chain, &[key, proxy.ws_url()], 0);
    let following = Following::start(config, Store::in_memory().unwrap(), [scene.module]);
    let error = format!("{:#}", following.failure().await);
    assert!(
        error.contains("is on chain 1, but chain_id is 31337"),
        "{error}"
    );
    assert!(!error.contains("secret"), "{error}");
}

#[tokio::test]
async fn a_node_that_changes_its_chain_is_not_used() {
    let mut scene = Scene::new().await;
    let (first, second) = (
        RpcProxy::start(&scene.chain).await,
        RpcProxy::start(&scene.chain).await,
    );
    let config = config(&scene.chain, &[first.ws_url(), second.ws_url()], 0);
    let mut following = Following::start(config, Store::in_memory().unwrap(), [scene.module]);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    assert_eq!(following.status.borrow().rpc, Some(first.host()));
    first.set(|faults| faults.chain_id = Some(5));
    first.cut_websockets();
    scene.pay().await;
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    assert_eq!(following.status.borrow().rpc, Some(second.host()));
}

async fn fails_over_and_back(first: Url, second: Url) {
    let mut scene = Scene::new().await;
    let (one, two) = (
        RpcProxy::start(&scene.chain).await,
        RpcProxy::start(&scene.chain).await,
    );
    let config = config(&scene.chain, &[first(&one), second(&two)], 0);
    let mut following = Following::start(config, Store::in_memory().unwrap(), [scene.module]);
    for _ in 0..2 {
        scene.pay().await;
        following
            .assert_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
        let preferred = one.host();
        following
            .until("on the preferred node", |status| {
                status.rpc.as_ref() == Some(&preferred)
            })
            .await;
        one.set(|faults| faults.dead = true);
        one.cut_websockets();
        scene.pay().await;
        following
            .assert_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
        assert_eq!(following.status.borrow().rpc, Some(two.host()));
        one.set(|faults| faults.dead = false);
    }
    let preferred = one.host();
    following
        .until("back", |status| status.rpc.as_ref() == Some(&preferred))
        .await;
    scene.pay().await;
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    assert_eq!(following.status.borrow().reorgs, 0);
}

#[tokio::test]
async fn a_dead_node_is_left_and_gone_back_to() {
    fails_over_and_back(RpcProxy::ws_url, RpcProxy::http_url).await;
    fails_over_and_back(RpcProxy::http_url, RpcProxy::ws_url).await;
}

#[tokio::test]
async fn a_node_that_is_dead_at_the_start_is_skipped() {
    let mut scene = Scene::new().await;
    let (dead, good) = (
        RpcProxy::start(&scene.chain).await,
        RpcProxy::start(&scene.chain).await,
    );
    dead.set(|faults| faults.dead = true);
    let config = config(&scene.chain, &[dead.ws_url(), good.http_url()], 0);
    let mut following = Following::start(config, Store::in_memory().unwrap(), [scene.module]);
    scene.pay().await;
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    dead.set(|faults| faults.dead = false);
    let preferred = dead.host();
    following
        .until("on the preferred node", |status| {
            status.rpc.as_ref() == Some(&preferred)
        })
        .await;
}

#[tokio::test]
async fn a_node_that_is_pointed_at_another_chain_undoes_nothing() {
    let other = LocalChain::start(ChainOptions {
        chain_id: 5,
        ..ChainOptions::default()
    })
    .await
    .unwrap();
    other.mine(40).await.unwrap();
    let mut case = Case::at_tip(RpcProxy::http_url).await;
    let before = case.following.events();
    case.proxy.point_at(&other);
    let status = case
        .following
        .until("in trouble", |status| status.trouble.is_some())
        .await;
    let trouble = status.trouble.unwrap_or_default();
    assert!(
        trouble.contains("on chain 5, not on chain 31337"),
        "{trouble}"
    );
    assert_eq!(case.following.events(), before);
    case.proxy.point_at(&case.scene.chain);
    case.scene.pay().await;
    case.assert_complete().await;
}

/// Follows over a websocket that cannot push heads, for the reason that is switched on.
async fn polls_over_a_websocket(fault: impl FnOnce(&mut Faults)) -> Case {
    let scene = Scene::new().await;
    let mut case = Case::from_start(scene, RpcProxy::ws_url, fault).await;
    for _ in 0..3 {
        case.scene.pay().await;
        case.assert_complete().await;
    }
    assert_eq!(case.following.status.borrow().trouble, None);
    case
}

#[tokio::test]
async fn a_websocket_without_subscriptions_is_polled() {
    let case = polls_over_a_websocket(|faults| faults.no_subscriptions = true).await;
    assert!(
        case.proxy.calls_of("eth_subscribe") > 0,
        "the fault was not met"
    );
}

#[tokio::test]
async fn a_node_that_allows_one_websocket_is_polled_over_it() {
    let case = polls_over_a_websocket(|faults| faults.most_websockets = Some(1)).await;
    assert!(
        case.proxy.faults().websockets_refused > 0,
        "the fault was not met"
    );
}

#[tokio::test]
async fn a_websocket_that_never_pushes_is_polled() {
    let case = polls_over_a_websocket(|faults| faults.silent = true).await;
    assert!(
        case.proxy.calls_of("eth_subscribe") > 0,
        "the fault was not met"
    );
}

#[tokio::test]
async fn a_second_node_that_hangs_holds_up_nothing() {
    let mut scene = Scene::new().await;
    let good = RpcProxy::start(&scene.chain).await;
    let black_hole = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = black_hole.local_addr().unwrap();
    let urls = [good.http_url(), format!("http://{address}")];
    let config = config(&scene.chain, &urls, 0);
    let mut following = Following::start(config, Store::in_memory().unwrap(), [scene.module]);
    scene.pay().await;
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    // A busy machine may take as long for a block as it takes to give the question up; who waits for it does each time.
    for _ in 0..5 {
        // The chain stands still, so the other node is asked whether it is further.
        let asked = tokio::time::timeout(DEADLINE, black_hole.accept()).await;
        let (mut unanswered, _) = asked.expect("it is asked").unwrap();
        scene.pay().await;
        let head = scene.chain.head().await.unwrap();
        let followed = following.until("followed", |status| {
            status.confirmed.is_some_and(|at| at.hash == head.hash)
        });
        let mut question = Vec::new();
        tokio::select! {
            biased;
            _ = followed => return,
            _given_up = unanswered.read_to_end(&mut question) => {}
        }
        following
            .assert_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
    }
    panic!("it waits for the node that hangs");
}
