//! Nodes whose newest blocks are not what they seem.

use std::time::Duration;

use amser_roles::store::Store;

use super::{Case, Url};
use crate::support::following::{Following, config, stored_events};
use crate::support::rpc_proxy::{Faults, Refusal, RpcProxy};
use crate::support::scene::Scene;
use crate::support::stage::wait;

/// How long the first session lasts, and how much longer each one after it, for machines that take long to connect: all are
/// shorter than the time between two looks.
const FIRST_SESSION: Duration = Duration::from_millis(700);
const LONGER: Duration = Duration::from_millis(100);
const LAST_SESSION: Duration = Duration::from_millis(1_900);

/// Switches a fault on, lets things happen, and expects all of it in the store while the fault lasts or wears off.
async fn sees_all_despite(url: Url, fault: impl Fn(&mut Faults)) -> Case {
    let mut case = Case::at_tip(url).await;
    for _ in 0..3 {
        case.proxy.set(&fault);
        case.scene.pay().await;
        case.assert_complete_soon().await;
        let is_met = || case.proxy.faults().nulls.is_none_or(|(_, left)| left == 0);
        wait("the fault is met", is_met).await;
    }
    case
}

#[tokio::test]
async fn a_tip_block_without_its_logs_yet_is_read_again() {
    let case = sees_all_despite(RpcProxy::ws_url, |faults| faults.without_logs = 2).await;
    assert_eq!(case.proxy.faults().without_logs, 0);
}

#[tokio::test]
async fn late_logs_are_waited_for() {
    sees_all_despite(RpcProxy::ws_url, |faults| faults.without_logs = 4).await;
}

#[tokio::test]
async fn late_logs_are_found_where_blooms_are_full() {
    for url in [RpcProxy::http_url, RpcProxy::ws_url] {
        let mut case = Case::at_tip(url).await;
        for _ in 0..3 {
            case.proxy.set(|faults| {
                faults.full_blooms = true;
                faults.without_logs = 1;
            });
            // Without evidence, a block is looked at once more when the next one is there.
            case.pay_and_follow().await;
            case.scene.chain.mine(1).await.unwrap();
            let last = case.scene.chain.head().await.unwrap();
            let expected = case.expected(last.number).await;
            case.following.until_stored(&expected).await;
        }
        case.assert_complete().await;
    }
}

#[tokio::test]
async fn null_for_a_block_by_hash_loses_nothing() {
    const CONFIRMATIONS: u64 = 8;
    let mut scene = Scene::new().await;
    scene.chain.mine(CONFIRMATIONS).await.unwrap();
    // What is undone must not be empty blocks alone, or the same ones are made anew.
    scene.pay().await;
    let proxy = RpcProxy::start(&scene.chain).await;
    let config = config(&scene.chain, &[proxy.http_url()], CONFIRMATIONS);
    let mut following = Following::start(config, Store::in_memory().unwrap(), [scene.module]);
    let modules = [scene.module];
    following
        .assert_equals_chain(&scene.chain, CONFIRMATIONS, &modules)
        .await;
    proxy.set(|faults| faults.nulls = Some(("eth_getBlockByHash", 9)));
    let left = || proxy.faults().nulls.map_or(0, |(_, left)| left);
    // The blocks between a new head and a fork among the unconfirmed ones are asked for by their hashes. How many of them
    // there are depends on when the follower looks, so there are reorganisations until there were enough.
    for round in 0.. {
        assert!(round < 50, "{} nulls were never given", left());
        scene.chain.reorg(4, vec![]).await.unwrap();
        scene.pay().await;
        following
            .assert_equals_chain(&scene.chain, CONFIRMATIONS, &modules)
            .await;
        if left() == 0 {
            break;
        }
    }
    assert_eq!(following.status.borrow().reorgs, 0);
}

#[tokio::test]
async fn null_for_a_block_by_number_loses_nothing() {
    let nulls = |faults: &mut Faults| faults.nulls = Some(("eth_getBlockByNumber", 3));
    sees_all_despite(RpcProxy::http_url, nulls).await;
    // Over a websocket blocks are asked for by number only at the start.
    let mut scene = Scene::new().await;
    scene.pay().await;
    let mut case = Case::from_start(scene, RpcProxy::ws_url, nulls).await;
    case.assert_complete().await;
    assert_eq!(
        case.proxy.faults().nulls,
        Some(("eth_getBlockByNumber", 0)),
        "the fault was met"
    );
}

#[tokio::test]
async fn null_for_logs_loses_nothing() {
    for url in [RpcProxy::http_url, RpcProxy::ws_url] {
        sees_all_despite(url, |faults| faults.nulls = Some(("eth_getLogs", 3))).await;
    }
}

#[tokio::test]
async fn null_for_logs_in_history_loses_nothing() {
    for url in [RpcProxy::http_url, RpcProxy::ws_url] {
        let mut scene = Scene::new().await;
        scene.history(6, 60).await;
        let nulls = |faults: &mut Faults| faults.nulls = Some(("eth_getLogs", 5));
        let mut case = Case::from_start(scene, url, nulls).await;
        case.assert_complete().await;
    }
}

async fn heads_that_jump_back(url: Url) {
    let mut case = Case::at_tip(url).await;
    for lag in [1, 3, 8] {
        case.scene.chain.mine(10).await.unwrap();
        case.assert_complete().await;
        case.proxy.set(|faults| {
            faults.lag = lag;
            faults.lagged = 0;
        });
        case.scene.pay().await;
        case.scene.chain.mine(1).await.unwrap();
        let was_shown = || case.proxy.faults().lagged > 0;
        wait("the head has jumped back", was_shown).await;
        case.proxy.set(|faults| faults.lag = 0);
        case.scene.pay().await;
        case.assert_complete().await;
    }
}

#[tokio::test]
async fn a_head_that_jumps_back_undoes_nothing_over_a_websocket() {
    heads_that_jump_back(RpcProxy::ws_url).await;
}

#[tokio::test]
async fn a_head_that_jumps_back_undoes_nothing_over_http() {
    heads_that_jump_back(RpcProxy::http_url).await;
}

#[tokio::test]
async fn a_lagging_node_is_left_for_one_that_is_further() {
    for (url, direct) in [
        (RpcProxy::ws_url as Url, RpcProxy::http_url as Url),
        (RpcProxy::http_url, RpcProxy::ws_url),
    ] {
        let mut scene = Scene::new().await;
        let (lagging, good) = (
            RpcProxy::start(&scene.chain).await,
            RpcProxy::start(&scene.chain).await,
        );
        let config = config(&scene.chain, &[url(&lagging), direct(&good)], 0);
        let mut following = Following::start(config, Store::in_memory().unwrap(), [scene.module]);
        following
            .assert_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
        lagging.set(|faults| faults.lag = 1_000);
        scene.pay().await;
        scene.chain.mine(5).await.unwrap();
        following
            .assert_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
        assert_eq!(following.status.borrow().rpc, Some(good.host()));
        assert_eq!(following.status.borrow().reorgs, 0);
    }
}

#[tokio::test]
async fn backends_of_one_url_that_are_blocks_apart_undo_nothing_and_lose_nothing() {
    for apart in [1, 4, 40] {
        let mut case = Case::at_tip(RpcProxy::http_url).await;
        case.scene.chain.mine(apart).await.unwrap();
        case.proxy.set(|faults| faults.apart = apart);
        for _ in 0..3 {
            let lagged = case.proxy.faults().lagged;
            case.scene.pay().await;
            case.assert_complete_soon().await;
            wait("the slower backend was asked", || {
                case.proxy.faults().lagged > lagged
            })
            .await;
        }
    }
}

#[tokio::test]
async fn backends_that_are_blocks_apart_are_looked_at_to_the_end_one_block_at_a_time() {
    let mut case = Case::at_tip(RpcProxy::http_url).await;
    case.scene.chain.mine(40).await.unwrap();
    case.proxy.set(|faults| {
        faults.apart = 40;
        faults.range_limit = Some(Refusal::new(1, -32_005, "max block range is 1"));
    });
    for _ in 0..3 {
        case.scene.pay().await;
        case.assert_complete_soon().await;
    }
}

#[tokio::test]
async fn logs_that_hang_at_the_tip_are_asked_for_again_and_the_node_stays() {
    for url in [RpcProxy::http_url, RpcProxy::ws_url] {
        let mut case = Case::at_tip(url).await;
        let connected = case.proxy.calls_of("eth_chainId");
        case.proxy
            .set(|faults| faults.never = Some(("eth_getLogs", 1)));
        case.scene.pay().await;
        case.assert_complete().await;
        let left = case.proxy.faults().never.map(|(_, left)| left);
        assert_eq!(left, Some(0), "the fault was not met");
        assert_eq!(case.proxy.calls_of("eth_chainId"), connected);
    }
}

#[tokio::test]
async fn a_node_whose_logs_hang_at_the_tip_is_left_for_another() {
    let mut scene = Scene::new().await;
    let (hangs, good) = (
        RpcProxy::start(&scene.chain).await,
        RpcProxy::start(&scene.chain).await,
    );
    let config = config(&scene.chain, &[hangs.http_url(), good.http_url()], 0);
    let mut following = Following::start(config, Store::in_memory().unwrap(), [scene.module]);
    following.until_at_tip(&scene.chain, 0).await;
    assert_eq!(following.status.borrow().rpc, Some(hangs.host()));
    hangs.set(|faults| faults.never = Some(("eth_getLogs", u64::MAX)));
    scene.pay().await;
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    assert_eq!(following.status.borrow().rpc, Some(good.host()));
}

#[tokio::test]
async fn a_chain_that_was_rolled_back_is_followed_once_it_grows_again() {
    for (url, polls) in [(RpcProxy::http_url as Url, true), (RpcProxy::ws_url, false)] {
        let mut case = Case::at_tip(url).await;
        case.scene.pay().await;
        case.assert_complete().await;
        case.scene.chain.rollback(4).await.unwrap();
        // A shorter chain alone is no evidence: nothing is undone for it. Over a websocket no head tells of it at all.
        let before = case.following.events();
        if polls {
            let looks = || {
                case.proxy.calls_of("eth_blockNumber") + case.proxy.calls_of("eth_getBlockByNumber")
            };
            let seen = looks() + 3;
            wait("the shorter chain was looked at", || looks() >= seen).await;
        }
        assert_eq!(case.following.events(), before);
        case.scene.chain.mine(1).await.unwrap();
        let head = case.scene.chain.head().await.unwrap().number;
        let expected = case.expected(head).await;
        case.following.until_stored(&expected).await;
        // A payment may still be included again: until the new chain is as high as the old one, nothing is taken.
        assert!(!case.following.status.borrow().at_tip);
        case.scene.chain.mine(4).await.unwrap();
        let modules = [case.scene.module];
        case.following
            .assert_equals_chain(&case.scene.chain, 0, &modules)
            .await;
        assert_eq!(case.following.status.borrow().reorgs, 1);
    }
}

#[tokio::test]
async fn a_node_that_serves_no_logs_by_hash_is_asked_by_ranges_of_one_block() {
    for url in [RpcProxy::http_url, RpcProxy::ws_url] {
        let mut case = Case::at_tip(url).await;
        case.proxy.set(|faults| faults.no_block_hash = true);
        let connected = case.proxy.calls_of("eth_chainId");
        for _ in 0..3 {
            case.scene.pay().await;
            case.assert_complete().await;
        }
        assert_eq!(case.proxy.calls_of("eth_chainId"), connected);
    }
}

#[tokio::test]
async fn a_node_whose_sessions_end_every_moment_gets_its_second_look() {
    let mut case = Case::at_tip(RpcProxy::ws_url).await;
    case.proxy.set(|faults| faults.without_logs = u64::MAX);
    let paid = case.pay_and_follow().await;
    let left = case.proxy.faults().without_logs;
    assert!(left < u64::MAX, "the fault was not met");
    let expected = case.expected(paid).await;
    let is_complete = || stored_events(&case.following.store) == expected;
    assert!(!is_complete(), "the logs were seen");
    let cutting = async {
        let mut session = FIRST_SESSION;
        loop {
            tokio::time::sleep(session).await;
            case.proxy.cut_websockets();
            session = LAST_SESSION.min(session + LONGER);
        }
    };
    case.proxy.set(|faults| faults.without_logs = 0);
    tokio::select! {
        () = wait("the second look", is_complete) => {}
        () = cutting => {}
    }
}
