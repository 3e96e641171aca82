//! A merchant with a plan and paying members on a local chain, for stories that need things to happen.

use std::time::Duration;

use alloy::primitives::{Address, U256};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, PlanTerms, wallet};
use amser_roles::sandbox::discord::Options;

/// The plan of every module here.
pub(crate) const TERMS: PlanTerms = PlanTerms {
    price: 5,
    interval: 3_600,
    grace_period: 600,
};

/// A chain with one module and one plan.
pub(crate) struct Scene {
    pub(crate) chain: LocalChain,
    pub(crate) module: Address,
    pub(crate) plan: U256,
    members: u64,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::on(LocalChain::start(ChainOptions::default()).await.unwrap()).await
    }

    /// The same on this chain.
    pub(crate) async fn on(chain: LocalChain) -> Self {
        let (module, plan) = new_module(&chain, "merchant").await;
        Self {
            chain,
            module,
            plan,
            members: 0,
        }
    }

    /// A new member subscribes and pays; the subscription's id.
    pub(crate) async fn pay(&mut self) -> U256 {
        self.try_pay().await.unwrap()
    }

    /// The same on a chain that changes its mind now and then.
    pub(crate) async fn try_pay(&mut self) -> anyhow::Result<U256> {
        self.members += 1;
        let member = wallet(&format!("member {}", self.members)).address();
        self.chain.fund(member, 1_000).await?;
        let subscription = self.chain.subscribe(self.module, member, self.plan).await?;
        self.chain.execute(self.module, subscription).await?;
        Ok(subscription)
    }

    /// A history of `payments` new members, each followed by this many empty blocks.
    pub(crate) async fn history(&mut self, payments: u64, blocks_between: u64) {
        for _ in 0..payments {
            self.pay().await;
            self.chain.mine(blocks_between).await.unwrap();
        }
    }
}

/// One more module with a plan.
pub(crate) async fn new_module(chain: &LocalChain, merchant: &str) -> (Address, U256) {
    let module = chain
        .deploy_module(wallet(merchant).address())
        .await
        .unwrap();
    let plan = chain.create_plan(module, TERMS).await.unwrap();
    (module, plan)
}

/// How long an answer to a command is waited for where the real Discord's three seconds are not what is tested: a busy machine
/// may need more.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// A Discord to which a bot may come back at once: stories stop the service and start it again, which the real one would
/// answer with five seconds' wait each time. What it is like is told by the gateway's own stories. It waits longer for the
/// answers to commands, too.
pub(crate) fn patient() -> Options {
    Options {
        identify_gap: Duration::ZERO,
        interaction_deadline: ANSWER_WITHIN,
        ..Options::default()
    }
}
