//! Nodes of other chains with the same id, clocks that are wrong, and which of several nodes is used.

use alloy::primitives::Address;
use amser_roles::sandbox::chain::{ChainOptions, LocalChain};

use super::{Warnings, follow, public_chain};
use crate::support::following::Following;
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::Scene;
use crate::support::stage::wait;

/// A chain with an honest node in front, and its fork behind another one: it lacks those who paid last, and is higher.
struct Forked {
    scene: Scene,
    fork: LocalChain,
    honest: RpcProxy,
    other: RpcProxy,
}

impl Forked {
    async fn new() -> Self {
        Self::higher_by(40).await
    }

    /// The fork has so many blocks of its own.
    async fn higher_by(blocks: u64) -> Self {
        let mut scene = Scene::on(public_chain().await).await;
        scene.pay().await;
        let block = scene.chain.head().await.unwrap().number;
        let fork = scene.chain.fork(block).await.unwrap();
        scene.pay().await;
        scene.pay().await;
        fork.mine(blocks).await.unwrap();
        let (honest, other) = (
            RpcProxy::start(&scene.chain).await,
            RpcProxy::start(&fork).await,
        );
        Self {
            scene,
            fork,
            honest,
            other,
        }
    }

    fn follow(&self) -> Following {
        follow(&self.scene, &[self.honest.ws_url(), self.other.http_url()])
    }

    fn modules(&self) -> [Address; 1] {
        [self.scene.module]
    }

    fn fail(&self) {
        self.honest.set(|faults| faults.dead = true);
        self.honest.cut_websockets();
    }
}

/// Waits until this node is the one in use.
async fn until_on(following: &mut Following, node: &RpcProxy) {
    let host = node.host();
    following
        .until("on that node", |status| status.rpc.as_ref() == Some(&host))
        .await;
}

#[tokio::test]
async fn a_fork_that_lacks_a_finalized_block_undoes_nothing() {
    let mut case = Forked::new().await;
    let finalized = case.scene.chain.head().await.unwrap().number;
    case.honest.set(|faults| faults.finalized = Some(finalized));
    let mut following = case.follow();
    let modules = case.modules();
    following
        .assert_equals_chain(&case.scene.chain, 0, &modules)
        .await;
    wait("the finalized block was asked for", || {
        case.honest.faults().finalized_asked > 0
    })
    .await;
    case.scene.pay().await;
    let before = following
        .assert_equals_chain(&case.scene.chain, 0, &modules)
        .await;
    case.fail();
    let status = following
        .until("it is said", |status| {
            let trouble = status.trouble.as_deref().unwrap_or_default();
            trouble.contains("as it was finalized")
        })
        .await;
    let trouble = status.trouble.unwrap_or_default();
    assert!(trouble.contains(&case.other.host()), "{trouble}");
    assert!(!status.at_tip);
    assert_eq!((following.events(), status.reorgs), (before, 0));
    case.honest.set(|faults| faults.dead = false);
    until_on(&mut following, &case.honest).await;
    case.scene.pay().await;
    following
        .assert_equals_chain(&case.scene.chain, 0, &modules)
        .await;
    assert_eq!(following.status.borrow().reorgs, 0);
}

#[tokio::test]
async fn the_preferred_node_is_gone_back_to_though_it_is_lower_and_contradicts() {
    goes_back_to_a_lower_node(Forked::new().await).await;
}

#[tokio::test]
async fn the_preferred_node_is_gone_back_to_also_after_the_other_chain_was_read_by_range() {
    // Of such blocks few headers are stored, and none of them as low as the preferred node.
    goes_back_to_a_lower_node(Forked::higher_by(200).await).await;
}

async fn goes_back_to_a_lower_node(mut case: Forked) {
    // The fork has its own idea of what is final.
    let head = case.fork.head().await.unwrap().number;
    case.other.set(|faults| faults.finalized = Some(head));
    let mut following = case.follow();
    let modules = case.modules();
    following
        .assert_equals_chain(&case.scene.chain, 0, &modules)
        .await;
    case.fail();
    // No finalized block speaks against the fork: it is followed. Nothing is concluded from it, for the preferred node may be
    // right.
    let there = expected_on(&case.fork, &case.scene).await;
    following.until_stored(&there).await;
    let status = following
        .until("at its head", |status| {
            status.confirmed.is_some_and(|at| at.number >= head)
        })
        .await;
    assert_eq!((status.reorgs, status.at_tip), (1, false));
    assert!(case.scene.chain.head().await.unwrap().number < head);
    // What it says is final has been heard, if it was asked for.
    super::two_looks(&case.other).await;
    case.honest.set(|faults| faults.dead = false);
    until_on(&mut following, &case.honest).await;
    case.scene.pay().await;
    following.until_stored(&expected(&case.scene).await).await;
    // Its tip counts at once, though it is lower than the fork's.
    let status = following.until("at the tip", |status| status.at_tip).await;
    assert_eq!(status.rpc, Some(case.honest.host()));
}

async fn expected(scene: &Scene) -> Vec<amser_roles::domain::ChainEvent> {
    expected_on(&scene.chain, scene).await
}

/// What this chain, perhaps a fork of the scene's, tells of the scene's module.
async fn expected_on(chain: &LocalChain, scene: &Scene) -> Vec<amser_roles::domain::ChainEvent> {
    let head = chain.head().await.unwrap().number;
    let module = amser_roles::domain::ModuleAddress(scene.module);
    let modules = [(module, scene.chain.processor)].into();
    crate::support::oracle::events(chain, &modules, head).await
}

#[tokio::test]
async fn a_preferred_node_that_only_lags_is_waited_for() {
    let mut scene = Scene::new().await;
    scene.pay().await;
    let (preferred, second) = (
        RpcProxy::start(&scene.chain).await,
        RpcProxy::start(&scene.chain).await,
    );
    let mut following = follow(&scene, &[preferred.ws_url(), second.ws_url()]);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    preferred.set(|faults| faults.dead = true);
    preferred.cut_websockets();
    scene.chain.mine(10).await.unwrap();
    until_on(&mut following, &second).await;
    following.until_at_tip(&scene.chain, 0).await;
    preferred.set(|faults| {
        faults.lag = 8;
        faults.dead = false;
    });
    let asked = || preferred.calls_of("eth_chainId");
    let before = asked() + 3;
    wait("it was looked at", || asked() >= before).await;
    assert_eq!(following.status.borrow().rpc, Some(second.host()));
    assert!(following.status.borrow().at_tip);
    preferred.set(|faults| faults.lag = 0);
    until_on(&mut following, &preferred).await;
    scene.pay().await;
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    assert_eq!(following.status.borrow().reorgs, 0);
}

#[tokio::test]
async fn a_foreign_chain_with_the_right_id_undoes_nothing() {
    for (ours, theirs) in [(30, 0), (0, 60)] {
        let mut scene = Scene::on(public_chain().await).await;
        scene.pay().await;
        scene.chain.mine(ours).await.unwrap();
        // Other times, so that not one of its blocks is the same.
        let options = ChainOptions {
            chain_id: scene.chain.chain_id,
            timestamp_step_seconds: Some(3),
            ..ChainOptions::default()
        };
        let foreign = LocalChain::start(options).await.unwrap();
        foreign.mine(theirs).await.unwrap();
        let proxy = RpcProxy::start(&scene.chain).await;
        let mut following = follow(&scene, &[proxy.http_url()]);
        let before = following
            .assert_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
        proxy.point_at(&foreign);
        let status = following
            .until("it is said", |status| {
                let trouble = status.trouble.as_deref().unwrap_or_default();
                trouble.contains("none of the blocks")
            })
            .await;
        assert!(!status.at_tip && status.behind_since.is_some());
        assert_eq!((following.events(), status.reorgs), (before, 0));
        proxy.point_at(&scene.chain);
        scene.pay().await;
        following
            .assert_equals_chain(&scene.chain, 0, &[scene.module])
            .await;
    }
}

#[tokio::test]
async fn a_head_far_ahead_of_the_machines_clock_is_not_followed() {
    let mut scene = Scene::on(public_chain().await).await;
    scene.pay().await;
    let proxy = RpcProxy::start(&scene.chain).await;
    let mut following = follow(&scene, &[proxy.ws_url()]);
    let confirmed = following.until_at_tip(&scene.chain, 0).await;
    let status = following.status.borrow().clone();
    assert!(status.reached_tip && status.block_time.is_some() && status.behind_since.is_none());
    scene.chain.advance_time(3_600).await.unwrap();
    let status = following
        .until("it is said", |status| status.trouble.is_some())
        .await;
    let trouble = status.trouble.unwrap_or_default();
    assert!(
        trouble.contains("ahead of this machine's clock"),
        "{trouble}"
    );
    assert!(status.reached_tip && status.behind_since.is_some() && !status.at_tip);
    // Time ends access: the block counts for nothing.
    assert_eq!(status.confirmed.map(|at| at.number), Some(confirmed));
}

#[tokio::test]
async fn a_node_from_the_future_is_judged_before_its_history_is_read() {
    let mut scene = Scene::on(public_chain().await).await;
    scene.history(2, 60).await;
    let mut future = Scene::on(public_chain().await).await;
    future.history(3, 60).await;
    future.chain.advance_time(3_600).await.unwrap();
    let proxy = RpcProxy::start(&future.chain).await;
    let mut following = follow(&scene, &[proxy.http_url()]);
    following
        .until("it is said", |status| {
            let trouble = status.trouble.as_deref().unwrap_or_default();
            trouble.contains("ahead of this machine's clock")
        })
        .await;
    assert_eq!(proxy.calls_of("eth_getLogs"), 0);
    assert_eq!(following.store.cursor().unwrap(), None);
    // Another backend answers at the same URL.
    proxy.point_at(&scene.chain);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    assert_eq!(following.status.borrow().reorgs, 0);
}

#[tokio::test]
async fn a_local_chain_that_was_started_over_is_announced_and_read_again() {
    let mut scene = Scene::new().await;
    scene.pay().await;
    let proxy = RpcProxy::start(&scene.chain).await;
    let warnings = Warnings::listen();
    let mut following = follow(&scene, &[proxy.http_url()]);
    following
        .assert_equals_chain(&scene.chain, 0, &[scene.module])
        .await;
    let options = ChainOptions {
        timestamp_step_seconds: Some(3),
        ..ChainOptions::default()
    };
    let mut other = Scene::on(LocalChain::start(options).await.unwrap()).await;
    other.history(3, 5).await;
    assert_eq!(other.module, scene.module, "the same deployments");
    proxy.point_at(&other.chain);
    following
        .eventually_equals_chain(&other.chain, 0, &[other.module])
        .await;
    let said = warnings.with("started over");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("wait for approval"), "{said:?}");
    assert_eq!(following.status.borrow().reorgs, 1);
}
