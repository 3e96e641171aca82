//! Reorganisations of any depth: the store always equals an independent reading of the final chain.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use alloy::primitives::{Address, U256};
use amser_roles::abi::{PaymentProcessor, SubscriptionModule};
use amser_roles::sandbox::chain::{
    ChainOptions, LocalChain, PlanTerms, keeper, transaction, wallet,
};
use amser_roles::store::Store;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::following::{Following, config};
use crate::support::knob;
use crate::support::scene;

const TERMS: PlanTerms = PlanTerms {
    price: 5,
    interval: 3_600,
    grace_period: 600,
};

/// A module, its merchant's subscribers, and dice.
struct Scene {
    chain: LocalChain,
    module: Address,
    plan: U256,
    members: u64,
    dice: StdRng,
}

impl Scene {
    async fn new(seed: u64) -> Self {
        let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
        let module = chain
            .deploy_module(wallet("merchant").address())
            .await
            .unwrap();
        let plan = chain.create_plan(module, TERMS).await.unwrap();
        // The deepest reorganisation leaves the module and its plan alone.
        chain.mine(64).await.unwrap();
        Self {
            chain,
            module,
            plan,
            members: 0,
            dice: StdRng::seed_from_u64(seed),
        }
    }

    /// A few blocks in which things happen, and some in which nothing does.
    async fn live(&mut self) {
        for _ in 0..self.dice.random_range(1..6) {
            match self.dice.random_range(0..6) {
                4 | 5 => {
                    let subscription = self.some_subscription();
                    // Refused by the contract where it is paused, or not, already.
                    if self.dice.random_bool(0.5) {
                        self.chain.pause(self.module, subscription).await.ok();
                    } else {
                        self.chain.resume(self.module, subscription).await.ok();
                    }
                }
                0 => {
                    self.members += 1;
                    let member = wallet(&format!("member {}", self.members)).address();
                    self.chain.fund(member, 1_000).await.unwrap();
                    // A reorganised chain may hold this subscription already.
                    self.chain
                        .subscribe(self.module, member, self.plan)
                        .await
                        .ok();
                }
                1 | 2 => {
                    let subscription = self.some_subscription();
                    // The processor answers with a reason where it cannot charge.
                    self.chain.execute(self.module, subscription).await.ok();
                }
                _ => {
                    let blocks = self.dice.random_range(1..8);
                    self.chain.mine(blocks).await.unwrap();
                }
            }
        }
    }

    fn some_subscription(&mut self) -> U256 {
        U256::from(self.dice.random_range(1..self.members + 2))
    }

    /// Replaces up to `depth` blocks, with a few executions and a plan change in the new ones.
    async fn reorganise(&mut self, depth: u64) {
        let transactions = (0..self.dice.random_range(0..4))
            .map(|_| {
                let block = self.dice.random_range(0..depth);
                let request = if self.dice.random_bool(0.3) {
                    let call = SubscriptionModule::setPlanActiveCall {
                        planId: self.plan,
                        active: self.dice.random_bool(0.5),
                    };
                    transaction(wallet("merchant").address(), self.module, &call)
                } else {
                    let call = PaymentProcessor::executeCall {
                        module: self.module,
                        id: self.some_subscription(),
                    };
                    transaction(keeper(), self.chain.processor, &call)
                };
                (request, block)
            })
            .collect();
        self.chain.reorg(depth, transactions).await.unwrap();
    }
}

/// How many reorganisations to play.
fn rounds() -> u64 {
    knob("REORGS", 50)
}

async fn plays(seed: u64, rounds: u64, confirmations: u64, url: fn(&LocalChain) -> String) {
    let mut scene = Scene::new(seed).await;
    let config = config(&scene.chain, &[url(&scene.chain)], confirmations);
    let store = Store::in_memory().unwrap();
    let modules = [scene.module];
    let mut following = Following::start(config.clone(), store.clone(), modules);
    for round in 0..rounds {
        scene.live().await;
        let depth = scene.dice.random_range(1..65);
        // Half of the time the follower has seen the old chain to its end.
        if scene.dice.random_bool(0.5) {
            following.until_at_tip(&scene.chain, confirmations).await;
        }
        // Now and then the chain changes while nobody looks.
        let is_away = scene.dice.random_bool(0.2);
        if is_away {
            following.stop().await.unwrap();
            scene.reorganise(depth).await;
            following = Following::start(config.clone(), store.clone(), modules);
        } else {
            scene.reorganise(depth).await;
        }
        let compared = following
            .assert_equals_chain(&scene.chain, confirmations, &modules)
            .await;
        eprintln!("round {round}: depth {depth}, {} events", compared.len());
    }
    following.stop().await.unwrap();
}

#[tokio::test]
async fn reorganised_chains_leave_no_trace_over_a_websocket() {
    plays(1, rounds() / 2, 0, LocalChain::ws_url).await;
}

#[tokio::test]
async fn reorganised_chains_leave_no_trace_with_confirmations() {
    plays(2, rounds().div_ceil(4), 3, LocalChain::ws_url).await;
}

#[tokio::test]
async fn reorganised_chains_leave_no_trace_over_http() {
    plays(3, rounds().div_ceil(4), 1, LocalChain::http_url).await;
}

#[tokio::test]
async fn another_chain_with_the_same_id_is_read_from_the_beginning() {
    let mut scene = scene::Scene::new().await;
    scene.pay().await;
    let store = Store::in_memory().unwrap();
    let urls = [scene.chain.ws_url()];
    let mut following = Following::start(
        config(&scene.chain, &urls, 0),
        store.clone(),
        [scene.module],
    );
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    following.stop().await.unwrap();
    // The machine's clock is in the blocks of this one, so that not one of its hashes is the same.
    let options = ChainOptions {
        timestamp_step_seconds: None,
        ..ChainOptions::default()
    };
    let mut other = scene::Scene::on(LocalChain::start(options).await.unwrap()).await;
    assert_eq!(
        other.module, scene.module,
        "addresses depend on the order of deployments alone"
    );
    other.pay().await;
    other.pay().await;
    let urls = [other.chain.http_url()];
    let mut following = Following::start(config(&other.chain, &urls, 0), store, [other.module]);
    following
        .assert_equals_chain(&other.chain, 0, &[other.module])
        .await;
}

#[tokio::test]
async fn a_reorganisation_far_below_the_near_blocks_is_read_by_range() {
    let mut scene = Scene::new(9).await;
    let store = Store::in_memory().unwrap();
    let config = config(&scene.chain, &[scene.chain.ws_url()], 2);
    let mut following = Following::start(config.clone(), store.clone(), [scene.module]);
    scene.live().await;
    following
        .assert_equals_chain(&scene.chain, 2, &[scene.module])
        .await;
    for is_away in [false, true] {
        for _ in 0..40 {
            scene.live().await;
        }
        scene.chain.mine(400).await.unwrap();
        following
            .assert_equals_chain(&scene.chain, 2, &[scene.module])
            .await;
        if is_away {
            following.stop().await.unwrap();
            scene.reorganise(500).await;
            following = Following::start(config.clone(), store.clone(), [scene.module]);
        } else {
            scene.reorganise(500).await;
        }
        following
            .assert_equals_chain(&scene.chain, 2, &[scene.module])
            .await;
    }
}
