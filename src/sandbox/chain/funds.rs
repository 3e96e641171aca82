//! What lets a payment be pulled or not: Permit2, what wallets let it do, and the registry of tokens.

use alloy::primitives::{Address, Bytes, U256};
use alloy::rpc::types::TransactionReceipt;
use anyhow::{Context as _, Result};

use super::{LocalChain, NodeKind, protocol_owner};
use crate::abi::{PERMIT2, PaymentProcessor, Permit2, TestToken, TokenRegistry};

impl LocalChain {
    /// Sets the Permit2 allowance of a processor over a wallet's tokens, without an end; zero takes it away. Permit2 itself
    /// may move the tokens of [`LocalChain::token`] until [`LocalChain::approve_permit2`] says otherwise.
    ///
    /// # Errors
    /// Here as in every function below: when the contract reverts, with its error's name.
    pub async fn approve(
        &self,
        wallet: Address,
        processor: Address,
        amount: U256,
    ) -> Result<TransactionReceipt> {
        self.permit(wallet, processor, amount, u64::MAX).await
    }

    /// Sets the Permit2 allowance of a processor over a wallet's tokens until a moment (Unix seconds), inclusive.
    pub async fn permit(
        &self,
        wallet: Address,
        processor: Address,
        amount: U256,
        until: u64,
    ) -> Result<TransactionReceipt> {
        let call = Permit2::approveCall {
            token: self.token,
            spender: processor,
            // Amounts and times that do not fit stand for no limit.
            amount: amount.saturating_to(),
            expiration: U256::from(until).saturating_to(),
        };
        self.send(wallet, PERMIT2, &call).await
    }

    /// Sets how much of a wallet's tokens Permit2 may move.
    pub async fn approve_permit2(
        &self,
        wallet: Address,
        amount: U256,
    ) -> Result<TransactionReceipt> {
        let call = TestToken::approveCall {
            spender: PERMIT2,
            amount,
        };
        self.send(wallet, self.token, &call).await
    }

    /// Switches a token on or off for the charges of a processor.
    pub async fn set_token_enabled(
        &self,
        processor: Address,
        token: Address,
        enabled: bool,
    ) -> Result<TransactionReceipt> {
        let registry = self
            .view(processor, &PaymentProcessor::tokenRegistryCall {})
            .await?;
        let call = TokenRegistry::setEnabledCall { token, enabled };
        self.send(protocol_owner(), registry, &call).await
    }

    /// Puts Permit2 where it is on public chains.
    pub(super) async fn place_permit2(&self) -> Result<()> {
        self.place(PERMIT2, &Permit2::DEPLOYED_BYTECODE)
            .await
            .context("put Permit2 on the local chain")
    }

    /// Makes this the code of an address.
    pub(super) async fn place(&self, at: Address, code: &Bytes) -> Result<()> {
        let method = match self.kind {
            NodeKind::Anvil => "anvil_setCode",
            NodeKind::Hardhat => "hardhat_setCode",
            NodeKind::Ganache => "evm_setAccountCode",
        };
        self.ask(method, (at, code)).await?;
        Ok(())
    }
}
