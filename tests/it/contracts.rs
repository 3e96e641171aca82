//! Every contract rule of PROTOCOL.md, against a real anvil.

mod access;
mod billing;
mod foreign;
mod merchant;
mod processor;
mod subscriber;

use alloy::primitives::{Address, U256};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, PlanTerms, wallet};
use anyhow::{Result, ensure};

const PRICE: u64 = 5_000_000;
const INTERVAL: u64 = 30 * 24 * 3600;
const GRACE: u64 = 3 * 24 * 3600;
const TERMS: PlanTerms = PlanTerms {
    price: PRICE,
    interval: INTERVAL,
    grace_period: GRACE,
};

/// One merchant with one plan, and one member who subscribed to it and has money for many payments.
struct Fixture {
    chain: LocalChain,
    merchant: Address,
    module: Address,
    plan: U256,
    member: Address,
    subscription: U256,
}

impl Fixture {
    /// Nothing is paid yet.
    async fn subscribed() -> Result<Self> {
        let chain = LocalChain::start(ChainOptions::default()).await?;
        let merchant = wallet("merchant").address();
        let module = chain.deploy_module(merchant).await?;
        let plan = chain.create_plan(module, TERMS).await?;
        let member = wallet("member").address();
        chain.fund(member, 100 * PRICE).await?;
        let subscription = chain.subscribe(module, member, plan).await?;
        Ok(Self {
            chain,
            merchant,
            module,
            plan,
            member,
            subscription,
        })
    }

    /// The first window is paid.
    async fn paid() -> Result<Self> {
        let fixture = Self::subscribed().await?;
        fixture.expect_execution(0).await?;
        Ok(fixture)
    }

    /// Executes now and checks the failure reason (0: paid).
    async fn expect_execution(&self, reason: u8) -> Result<()> {
        let execution = self.chain.execute(self.module, self.subscription).await?;
        ensure!(
            execution.reason == reason,
            "expected reason {reason}, got {}",
            execution.reason
        );
        Ok(())
    }

    async fn is_active(&self) -> Result<bool> {
        self.chain
            .is_active(self.module, self.member, self.plan)
            .await
    }

    async fn last_paid_at(&self) -> Result<u64> {
        let state = self
            .chain
            .subscription(self.module, self.subscription)
            .await?;
        Ok(state.lastPaidAt)
    }

    /// Makes one empty block `seconds` after the last payment.
    async fn advance_since_payment(&self, seconds: u64) -> Result<()> {
        self.chain
            .advance_to(self.last_paid_at().await? + seconds)
            .await?;
        Ok(())
    }
}

/// Checks that a transaction or a read reverts with this error of the contract.
fn assert_reverts<T>(result: Result<T>, name: &str) {
    let Err(error) = result else {
        panic!("expected a revert with {name}, but it passed");
    };
    let text = format!("{error:#}");
    assert!(
        text.ends_with(&format!("reverted with {name}")),
        "expected {name}, got: {text}"
    );
}
