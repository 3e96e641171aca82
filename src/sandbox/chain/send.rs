//! Transactions of anyone, awaited until mined, with the contract's own word for a revert.

use alloy::eips::BlockId;
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, Bytes, TxKind};
use alloy::providers::Provider;
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::sol_types::{SolCall, SolConstructor, SolInterface};
use anyhow::{Context, Result, bail};

use super::{LocalChain, NodeKind, protocol_owner};
use crate::abi::{LookAlike, PaymentProcessor, RAIModuleFactory, SubscriptionModule, TestToken};

/// Enough for a batch of hundreds; gas is free here, and naming it saves an estimate per transaction.
const GAS_LIMIT: u64 = 100_000_000;

/// A contract refused, by the name of its error.
#[derive(Debug, thiserror::Error)]
#[error("reverted with {0}")]
pub struct Reverted(pub String);

/// A transaction of anyone on the local chain, also for `LocalChain::reorg`.
pub fn transaction<C: SolCall>(from: Address, to: Address, call: &C) -> TransactionRequest {
    request(from, TxKind::Call(to), call.abi_encode().into())
}

impl LocalChain {
    /// Sends a call as `from` and waits until it is mined.
    ///
    /// # Errors
    /// When it reverts; the message names the contract's error.
    pub async fn send<C: SolCall>(
        &self,
        from: Address,
        to: Address,
        call: &C,
    ) -> Result<TransactionReceipt> {
        self.submit(transaction(from, to, call))
            .await
            .with_context(|| format!("{} on {to}", C::SIGNATURE))
    }

    /// Reads a view at the newest block.
    ///
    /// # Errors
    /// When it reverts; the message names the contract's error.
    pub async fn view<C: SolCall>(&self, to: Address, call: &C) -> Result<C::Return> {
        let answer = self.answer(to, call).await?;
        C::abi_decode_returns(&answer)
            .with_context(|| format!("decode the answer of {}", C::SIGNATURE))
    }

    /// The same before it is decoded.
    pub(super) async fn answer<C: SolCall>(&self, to: Address, call: &C) -> Result<Bytes> {
        let request = transaction(protocol_owner(), to, call);
        self.call(request)
            .await
            .with_context(|| format!("{} on {to}", C::SIGNATURE))
    }

    pub(super) async fn deploy(&self, code: &Bytes, arguments: &[u8]) -> Result<Address> {
        let data = Bytes::from([code, arguments].concat());
        let receipt = self
            .submit(request(protocol_owner(), TxKind::Create, data))
            .await?;
        receipt
            .contract_address
            .context("the deployment's receipt names no contract")
    }

    pub(super) async fn deploy_with<C: SolConstructor>(
        &self,
        code: &Bytes,
        arguments: &C,
    ) -> Result<TransactionReceipt> {
        let data = Bytes::from([code.as_ref(), &arguments.abi_encode()].concat());
        self.submit(request(protocol_owner(), TxKind::Create, data))
            .await
            .context("deploy a contract")
    }

    /// Sends any transaction and waits until it is mined.
    ///
    /// # Errors
    /// When it is refused or reverts.
    pub async fn submit(&self, request: TransactionRequest) -> Result<TransactionReceipt> {
        let sent = match self.kind {
            // Waits inside anvil, so that nothing here polls.
            NodeKind::Anvil => self.provider.send_transaction_sync(request.clone()).await,
            _ => self.submit_to_other(request.clone()).await,
        };
        let receipt = sent.context("send a transaction")?;
        if receipt.status() {
            return Ok(receipt);
        }
        // The state is as before the failed transaction, so a call fails for the same reason and tells it.
        self.call(request).await?;
        bail!(
            "reverted in block {:?}, but would pass now",
            receipt.block_number
        )
    }

    async fn call(&self, request: TransactionRequest) -> Result<Bytes> {
        self.provider
            .call(self.with_gas(request))
            .block(BlockId::latest())
            .await
            .map_err(|error| {
                let payload = error.as_error_resp();
                match payload
                    .and_then(|payload| payload.as_revert_data())
                    .and_then(|data| error_name(&data))
                {
                    Some(name) => anyhow::Error::new(Reverted(name)),
                    None => anyhow::Error::new(error).context("the call failed"),
                }
            })
    }
}

fn request(from: Address, to: TxKind, data: Bytes) -> TransactionRequest {
    TransactionRequest::default()
        .with_from(from)
        .with_kind(to)
        .with_input(data)
        .with_gas_limit(GAS_LIMIT)
        .with_gas_price(0)
}

/// The name of one of our contracts' errors.
fn error_name(data: &Bytes) -> Option<String> {
    fn named<E: SolInterface + std::fmt::Debug>(data: &[u8]) -> Option<String> {
        E::abi_decode(data)
            .ok()
            .map(|error| format!("{error:?}"))
            // Variant(Struct { fields }): the variant is the error's name.
            .map(|text| text.split('(').next().unwrap_or(&text).to_owned())
    }
    named::<SubscriptionModule::SubscriptionModuleErrors>(data)
        .or_else(|| named::<PaymentProcessor::PaymentProcessorErrors>(data))
        .or_else(|| named::<RAIModuleFactory::RAIModuleFactoryErrors>(data))
        .or_else(|| named::<TestToken::TestTokenErrors>(data))
        .or_else(|| named::<LookAlike::LookAlikeErrors>(data))
}
