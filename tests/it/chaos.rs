//! Every fault, switched on and off again under load, with reorganisations and modules that come and go: at the end the
//! store equals the chain.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use alloy::primitives::Address;
use amser_roles::domain::ModuleAddress;
use amser_roles::sandbox::chain::wallet;
use amser_roles::store::Store;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::following::{Following, config};
use crate::support::knob;
use crate::support::rpc_proxy::{Faults, Refusal, RpcProxy};
use crate::support::scene::{Scene, new_module};

/// How many faults to play.
fn rounds() -> u64 {
    knob("CHAOS", 30)
}

/// Added to each test's seed, for other courses.
fn other_seed() -> u64 {
    knob("SEED", 0)
}

/// One fault at random; those that wear off by themselves are short.
fn some_fault(dice: &mut StdRng, faults: &mut Faults) {
    match dice.random_range(0..14) {
        0 => faults.dead = true,
        1 => faults.status = Some([500, 502, 503][dice.random_range(0..3)]),
        2 => faults.chain_id = Some(9),
        3 => faults.range_limit = Some(Refusal::new(20, -32005, "block range is too wide")),
        4 => {
            faults.result_limit = Some(Refusal::new(
                3,
                -32005,
                "query returned more than 10000 results",
            ))
        }
        5 => {
            faults.too_many = dice.random_range(1..4);
            faults.retry_after = 1;
        }
        6 => faults.nulls = Some(("eth_getBlockByHash", dice.random_range(1..6))),
        7 => faults.nulls = Some(("eth_getBlockByNumber", dice.random_range(1..6))),
        8 => faults.nulls = Some(("eth_getLogs", dice.random_range(1..6))),
        9 => faults.without_logs = dice.random_range(1..8),
        10 => faults.lag = dice.random_range(1..30),
        11 => faults.silent = true,
        12 => faults.flaky = dice.random_range(2..6),
        _ => {
            faults.full_blooms = true;
            faults.without_logs = 1;
        }
    }
}

async fn live(scene: &mut Scene, dice: &mut StdRng) {
    for _ in 0..dice.random_range(1..4) {
        match dice.random_range(0..5) {
            0 | 1 => {
                // After a reorganisation a new member's subscription may not be where it was expected.
                scene.try_pay().await.ok();
            }
            2 => {
                let blocks = dice.random_range(1..8);
                scene.chain.mine(blocks).await.unwrap();
            }
            3 => {
                let depth = dice.random_range(1..24);
                scene.chain.reorg(depth, vec![]).await.unwrap();
            }
            _ => {
                let depth = dice.random_range(1..6);
                scene.chain.rollback(depth).await.unwrap();
                scene.chain.mine(depth + 1).await.unwrap();
            }
        }
    }
}

async fn survives(seed: u64, confirmations: u64, urls: [fn(&RpcProxy) -> String; 2]) {
    let mut dice = StdRng::seed_from_u64(seed + other_seed());
    let mut scene = Scene::new().await;
    let (other, plan) = new_module(&scene.chain, "other merchant").await;
    let member = wallet("other member").address();
    scene.chain.fund(member, 1_000).await.unwrap();
    scene.chain.subscribe(other, member, plan).await.unwrap();
    scene.history(4, 30).await;
    let proxies = [
        RpcProxy::start(&scene.chain).await,
        RpcProxy::start(&scene.chain).await,
    ];
    let urls = [urls[0](&proxies[0]), urls[1](&proxies[1])];
    let config = config(&scene.chain, &urls, confirmations);
    let store = Store::in_memory().unwrap();
    let modules: [Address; 2] = [scene.module, other];
    let mut following = Following::start(config.clone(), store.clone(), modules);
    for round in 0..rounds() {
        let faulty = &proxies[dice.random_range(0..2)];
        faulty.set(|faults| some_fault(&mut dice, faults));
        if dice.random_bool(0.5) {
            faulty.cut_websockets();
        }
        if dice.random_bool(0.2) {
            let wanted = dice.random_bool(0.5);
            following.modules.send_modify(|modules| {
                modules.remove(&ModuleAddress(other));
                if wanted {
                    modules.insert(ModuleAddress(other));
                }
            });
        }
        live(&mut scene, &mut dice).await;
        if dice.random_bool(0.1) {
            following.stop().await.unwrap();
            live(&mut scene, &mut dice).await;
            following = Following::start(config.clone(), store.clone(), modules);
        }
        // Not to hide a race: faults last for different times.
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..400))).await;
        live(&mut scene, &mut dice).await;
        if dice.random_bool(0.5) {
            for proxy in &proxies {
                proxy.set(|faults| *faults = Faults::default());
            }
        }
        if dice.random_bool(0.2) {
            for proxy in &proxies {
                proxy.set(|faults| *faults = Faults::default());
            }
            following
                .modules
                .send_modify(|wanted| wanted.extend(modules.map(ModuleAddress)));
            scene.chain.mine(2).await.unwrap();
            let events = following
                .eventually_equals_chain(&scene.chain, confirmations, &modules)
                .await;
            eprintln!(
                "round {round}: {} events, {} reorgs",
                events.len(),
                following.status.borrow().reorgs
            );
        }
    }
    for proxy in &proxies {
        proxy.set(|faults| *faults = Faults::default());
    }
    following
        .modules
        .send_modify(|wanted| wanted.extend(modules.map(ModuleAddress)));
    scene.chain.mine(2).await.unwrap();
    following
        .eventually_equals_chain(&scene.chain, confirmations, &modules)
        .await;
    following.stop().await.unwrap();
}

#[tokio::test]
async fn faults_under_load_lose_nothing_over_websockets() {
    survives(11, 0, [RpcProxy::ws_url, RpcProxy::ws_url]).await;
}

#[tokio::test]
async fn faults_under_load_lose_nothing_over_http() {
    survives(12, 2, [RpcProxy::http_url, RpcProxy::http_url]).await;
}

#[tokio::test]
async fn faults_under_load_lose_nothing_over_both() {
    survives(13, 1, [RpcProxy::ws_url, RpcProxy::http_url]).await;
}
