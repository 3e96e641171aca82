//! Nodes that are not anvil, driven with the methods that they have: each sender is unlocked and given ether first, blocks
//! are made one by one, and time passes by running their clock ahead.

use std::path::PathBuf;
use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::providers::Provider;
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::transports::{TransportErrorKind, TransportResult};
use anyhow::{Context, Result};
use serde_json::Value;

use super::LocalChain;
use super::time::Head;

/// Below the smallest block gas limit of these nodes and the most that newer EVMs allow one transaction, 2^24.
const GAS_LIMIT: u64 = 16_000_000;
/// These nodes mine a transaction before they answer; only a hang reaches this.
const RECEIPT_DEADLINE: Duration = Duration::from_secs(30);

/// Which methods a node has for what every story needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// An anvil that impersonates everyone and lets them act for free.
    Anvil,
    /// Hardhat's methods, which a plain anvil has as well.
    Hardhat,
    /// Ganache's methods.
    Ganache,
}

/// How a node is started. It must say on its output where it listens, and mine each transaction at once.
#[derive(Clone, Debug)]
pub struct NodeProgram {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The folder that it runs in.
    pub folder: PathBuf,
    /// Its methods.
    pub kind: NodeKind,
}

impl LocalChain {
    /// Starts a node and deploys the same contracts as `start`. Of the functions of `LocalChain`, those that replace blocks
    /// or change how blocks are made are anvil's alone.
    ///
    /// # Errors
    /// When the node does not start, or refuses a contract.
    pub async fn start_other(node: NodeProgram) -> Result<Self> {
        let mut chain = Self::without_contracts(node).await?;
        chain.deploy_protocol().await?;
        Ok(chain)
    }

    /// Sends a transaction of an account whose key nobody has, and waits until it is mined.
    pub(super) async fn submit_to_other(
        &self,
        request: TransactionRequest,
    ) -> TransportResult<TransactionReceipt> {
        if let Some(from) = request.from {
            self.unlock(from).await?;
        }
        let sent = self
            .provider
            .send_transaction(self.with_gas(request))
            .await?;
        let deadline = tokio::time::Instant::now() + RECEIPT_DEADLINE;
        loop {
            let receipt = self
                .provider
                .get_transaction_receipt(*sent.tx_hash())
                .await?;
            if let Some(receipt) = receipt {
                return Ok(receipt);
            }
            if tokio::time::Instant::now() > deadline {
                return Err(TransportErrorKind::custom_str("it was never mined"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The request at a price that the node accepts.
    pub(super) fn with_gas(&self, mut request: TransactionRequest) -> TransactionRequest {
        if self.kind != NodeKind::Anvil {
            request.gas_price = None;
            request.gas = Some(GAS_LIMIT);
        }
        request
    }

    async fn unlock(&self, account: Address) -> TransportResult<()> {
        // More than any story spends.
        let ether = U256::from(1_u128 << 100);
        match self.kind {
            NodeKind::Anvil => {}
            NodeKind::Hardhat => {
                self.ask("hardhat_impersonateAccount", (account,)).await?;
                self.ask("hardhat_setBalance", (account, ether)).await?;
            }
            NodeKind::Ganache => {
                // One that is known already is answered with `false`.
                self.ask("evm_addAccount", (account, "")).await?;
                self.ask("personal_unlockAccount", (account, "", 0)).await?;
                self.ask("evm_setAccountBalance", (account, ether)).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn mine_on_other(&self, blocks: u64) -> Result<Head> {
        for _ in 0..blocks {
            self.ask("evm_mine", [(); 0])
                .await
                .context("mine a block")?;
        }
        self.head().await
    }

    /// Runs the clock ahead until a block is as late as this.
    pub(super) async fn advance_other_to(&self, timestamp: u64) -> Result<Head> {
        let mut head = self.head().await?;
        loop {
            let seconds = timestamp.saturating_sub(head.timestamp);
            self.ask("evm_increaseTime", (seconds,))
                .await
                .context("run the clock ahead")?;
            head = self.mine_on_other(1).await?;
            if head.timestamp >= timestamp {
                return Ok(head);
            }
        }
    }

    /// Calls a method whose answer is of no use.
    pub(super) async fn ask(
        &self,
        method: &'static str,
        parameters: impl alloy::rpc::json_rpc::RpcSend,
    ) -> TransportResult<Value> {
        self.provider.raw_request(method.into(), parameters).await
    }
}
