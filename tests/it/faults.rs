//! Each oddity of real providers, in front of a real anvil: whatever the node does, the store equals the chain.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod connection;
mod joining;
mod limits;
mod single;
mod tip;

use amser_roles::domain::{ChainEvent, ModuleAddress};
use amser_roles::store::Store;

use crate::support::following::{Following, config};
use crate::support::oracle;
use crate::support::rpc_proxy::{Faults, RpcProxy};
use crate::support::scene::Scene;

/// How the follower reaches the faulty node.
type Url = fn(&RpcProxy) -> String;

/// A scene, a faulty node in front of it, and a follower that has come to the tip through it.
struct Case {
    scene: Scene,
    proxy: RpcProxy,
    following: Following,
}

impl Case {
    async fn at_tip(url: Url) -> Self {
        let mut scene = Scene::new().await;
        scene.pay().await;
        let mut case = Self::from_start(scene, url, |_| {}).await;
        case.assert_complete().await;
        case
    }

    /// The same, with a fault from the start and not at the tip yet.
    async fn from_start(scene: Scene, url: Url, fault: impl FnOnce(&mut Faults)) -> Self {
        let proxy = RpcProxy::start(&scene.chain).await;
        proxy.set(fault);
        let config = config(&scene.chain, &[url(&proxy)], 0);
        let following = Following::start(config, Store::in_memory().unwrap(), [scene.module]);
        Self {
            scene,
            proxy,
            following,
        }
    }

    /// What an independent reading of the chain finds up to this block.
    async fn expected(&self, to: u64) -> Vec<ChainEvent> {
        let modules = [(ModuleAddress(self.scene.module), self.scene.chain.processor)];
        oracle::events(&self.scene.chain, &modules.into(), to).await
    }

    /// Somebody pays. Returns the block's number once it is followed, whatever the node let be seen of it.
    async fn pay_and_follow(&mut self) -> u64 {
        self.scene.pay().await;
        let paid = self.scene.chain.head().await.unwrap().number;
        self.following
            .until("followed", |status| {
                status.confirmed.is_some_and(|at| at.number >= paid)
            })
            .await;
        paid
    }

    /// The same once the second look has found what the node did not tell at first.
    async fn assert_complete_soon(&mut self) {
        let modules = [self.scene.module];
        self.following
            .eventually_equals_chain(&self.scene.chain, 0, &modules)
            .await;
        assert_eq!(self.following.status.borrow().reorgs, 0);
    }

    /// The store equals the chain, and no fault was taken for a reorganisation.
    async fn assert_complete(&mut self) {
        let modules = [self.scene.module];
        self.following
            .assert_equals_chain(&self.scene.chain, 0, &modules)
            .await;
        assert_eq!(self.following.status.borrow().reorgs, 0);
    }
}
