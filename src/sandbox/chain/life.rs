//! What subscribers and keepers do, one function each.

use alloy::primitives::{Address, Bytes, U256};
use alloy::providers::Provider as _;
use alloy::rpc::types::{Filter, TransactionReceipt};
use alloy::sol_types::{SolCall, SolEvent as _};
use anyhow::{Context as _, Result, ensure};

use super::module::logged;
use super::{LocalChain, keeper, protocol_owner};
use crate::abi::{Field, KnownEvent, PaymentProcessor, SubscriptionModule, TestToken};

/// What one `execute` came to. A payment that cannot be made is an answer, not an error.
#[derive(Clone, Debug)]
pub struct Execution {
    /// The failure reason of PROTOCOL.md; 0 means paid.
    pub reason: u8,
    /// The transaction.
    pub receipt: TransactionReceipt,
}

impl LocalChain {
    /// Gives a wallet tokens, and the first processor a Permit2 allowance without limit.
    ///
    /// # Errors
    /// Here as in every function below: when the contract reverts, with its error's name.
    pub async fn fund(&self, wallet: Address, amount: u64) -> Result<()> {
        self.mint(wallet, amount).await?;
        self.approve(wallet, self.processor, U256::MAX).await?;
        Ok(())
    }

    /// Gives a wallet tokens.
    pub async fn mint(&self, wallet: Address, amount: u64) -> Result<TransactionReceipt> {
        let call = TestToken::mintCall {
            to: wallet,
            amount: U256::from(amount),
        };
        self.send(protocol_owner(), self.token, &call).await
    }

    /// Takes all of a wallet's tokens away.
    pub async fn burn_all(&self, wallet: Address) -> Result<TransactionReceipt> {
        let amount = self
            .view(self.token, &TestToken::balanceOfCall { account: wallet })
            .await?;
        self.send(
            protocol_owner(),
            self.token,
            &TestToken::burnCall {
                from: wallet,
                amount,
            },
        )
        .await
    }

    /// Subscribes without limits; the first payment is a separate `execute`. Returns the subscription's id.
    pub async fn subscribe(&self, module: Address, wallet: Address, plan_id: U256) -> Result<U256> {
        self.subscribe_until(module, wallet, plan_id, U256::MAX, U256::MAX)
            .await
    }

    /// Subscribes for so many payments and until a moment (Unix seconds). Returns the subscription's id.
    pub async fn subscribe_until(
        &self,
        module: Address,
        wallet: Address,
        plan_id: U256,
        budget: U256,
        expiry: U256,
    ) -> Result<U256> {
        let call = SubscriptionModule::subscribeWithPermitCall {
            planId: plan_id,
            executionBudget: budget,
            allowanceExpiry: expiry,
            // What the wallet let Permit2 do before is what counts here.
            permit: Bytes::new(),
        };
        let receipt = self.send(wallet, module, &call).await?;
        let event = KnownEvent::SubscriptionCreated;
        self.new_id(&receipt, module, event, Field::Subscription)
    }

    /// Pauses, as the subscriber.
    pub async fn pause(&self, module: Address, subscription: U256) -> Result<TransactionReceipt> {
        let call = SubscriptionModule::pauseSubscriptionCall {
            subId: subscription,
        };
        self.send_as_subscriber(module, subscription, &call).await
    }

    /// Resumes, as the subscriber.
    pub async fn resume(&self, module: Address, subscription: U256) -> Result<TransactionReceipt> {
        let call = SubscriptionModule::resumeSubscriptionCall {
            subId: subscription,
        };
        self.send_as_subscriber(module, subscription, &call).await
    }

    /// Cancels, as the subscriber.
    pub async fn cancel(&self, module: Address, subscription: U256) -> Result<TransactionReceipt> {
        let call = SubscriptionModule::cancelSubscriptionCall {
            subId: subscription,
        };
        self.send_as_subscriber(module, subscription, &call).await
    }

    /// The last subscription that a wallet made with a module, on the present chain.
    pub async fn newest_subscription(
        &self,
        module: Address,
        wallet: Address,
    ) -> Result<Option<U256>> {
        let filter = Filter::new()
            .address(module)
            .event_signature(SubscriptionModule::SubscriptionCreated::SIGNATURE_HASH)
            .topic2(wallet.into_word())
            .from_block(self.factory_block);
        let logs = self.provider().get_logs(&filter).await;
        let logs = logs.context("read a wallet's subscriptions")?;
        let last = logs.last().map(|log| {
            SubscriptionModule::SubscriptionCreated::decode_log(&log.inner).map(|log| log.subId)
        });
        last.transpose().context("decode SubscriptionCreated")
    }

    /// Makes a subscription with a missed window due again, as the subscriber.
    pub async fn recover(&self, module: Address, subscription: U256) -> Result<TransactionReceipt> {
        let call = SubscriptionModule::recoverSubscriptionCall {
            subId: subscription,
        };
        self.send_as_subscriber(module, subscription, &call).await
    }

    /// Changes until when (Unix seconds) payments may be taken, as the subscriber.
    pub async fn update_expiry(
        &self,
        module: Address,
        subscription: U256,
        expiry: u64,
    ) -> Result<TransactionReceipt> {
        let call = SubscriptionModule::updateExpiryCall {
            subId: subscription,
            expiry: U256::from(expiry),
        };
        self.send_as_subscriber(module, subscription, &call).await
    }

    /// Calls `execute` of the module's present processor, now, as the keeper.
    pub async fn execute(&self, module: Address, subscription: U256) -> Result<Execution> {
        let processor = self.processor_of(module).await?;
        self.execute_by(keeper(), processor, module, subscription)
            .await
    }

    /// Calls `execute` of any processor as anyone.
    pub async fn execute_by(
        &self,
        caller: Address,
        processor: Address,
        module: Address,
        subscription: U256,
    ) -> Result<Execution> {
        let receipt = self
            .send(
                caller,
                processor,
                &PaymentProcessor::executeCall {
                    module,
                    id: subscription,
                },
            )
            .await?;
        let reason = match logged::<PaymentProcessor::ExecutionFailed>(&receipt, processor) {
            Ok(failed) => failed.reason,
            Err(_) => {
                logged::<PaymentProcessor::ExecutionExecuted>(&receipt, processor)?;
                0
            }
        };
        Ok(Execution { reason, receipt })
    }

    /// Calls `batchExecute` of the first processor, as the keeper.
    pub async fn execute_batch(&self, entries: &[(Address, U256)]) -> Result<TransactionReceipt> {
        let (modules, ids) = entries.iter().copied().unzip();
        self.send(
            keeper(),
            self.processor,
            &PaymentProcessor::batchExecuteCall { modules, ids },
        )
        .await
    }

    /// Lets time pass until the next charge is due if it is not, and pays.
    pub async fn pay_when_due(
        &self,
        module: Address,
        subscription: U256,
    ) -> Result<TransactionReceipt> {
        self.wait_until_due(module, subscription).await?;
        let execution = self.pay(module, subscription).await?;
        ensure!(
            execution.reason == 0,
            "the payment failed with reason {}",
            execution.reason
        );
        Ok(execution.receipt)
    }

    /// Recovers a missed window, gives the wallet the money and lets a keeper take it. The clock stays where it is, so
    /// nothing is paid before it is due.
    pub async fn pay(&self, module: Address, subscription: U256) -> Result<Execution> {
        let state = self.subscription(module, subscription).await?;
        let plan = self.plan(module, state.planId).await?;
        if state.lastPaidAt != 0
            && self.head().await?.timestamp > state.nextChargeAt + plan.interval
        {
            self.recover(module, subscription).await?;
        }
        let call = TestToken::mintCall {
            to: state.subscriber,
            amount: plan.price,
        };
        self.send(protocol_owner(), self.token, &call).await?;
        self.approve(
            state.subscriber,
            self.processor_of(module).await?,
            U256::MAX,
        )
        .await?;
        self.execute(module, subscription).await
    }

    /// Lets time pass until the next charge is due if it is not, and lets the payment fail.
    pub async fn fail_when_due(&self, module: Address, subscription: U256) -> Result<Execution> {
        self.wait_until_due(module, subscription).await?;
        let execution = self.fail(module, subscription).await?;
        ensure!(
            execution.reason != 0,
            "the payment went through without an allowance"
        );
        Ok(execution)
    }

    /// Takes the Permit2 allowance away and lets a keeper try.
    pub async fn fail(&self, module: Address, subscription: U256) -> Result<Execution> {
        let subscriber = self.subscriber_of(module, subscription).await?;
        self.approve(subscriber, self.processor_of(module).await?, U256::ZERO)
            .await?;
        self.execute(module, subscription).await
    }

    /// Lets time pass, with no transaction, until the paid window and its grace are over.
    pub async fn let_lapse(&self, module: Address, subscription: U256) -> Result<()> {
        let state = self.subscription(module, subscription).await?;
        let plan = self.plan(module, state.planId).await?;
        let end = state.lastPaidAt + plan.interval + plan.grace_period;
        if self.head().await?.timestamp <= end {
            self.advance_to(end + 1).await?;
        }
        Ok(())
    }

    /// Sends a call to the module, as the owner of the subscription.
    async fn send_as_subscriber<C: SolCall>(
        &self,
        module: Address,
        subscription: U256,
        call: &C,
    ) -> Result<TransactionReceipt> {
        let subscriber = self.subscriber_of(module, subscription).await?;
        self.send(subscriber, module, call).await
    }

    async fn subscriber_of(&self, module: Address, subscription: U256) -> Result<Address> {
        Ok(self.subscription(module, subscription).await?.subscriber)
    }

    /// Lets time pass until the next charge is due, if it is not.
    pub async fn wait_until_due(&self, module: Address, subscription: U256) -> Result<()> {
        let due = self.subscription(module, subscription).await?.nextChargeAt;
        if self.head().await?.timestamp < due {
            self.advance_to(due).await?;
        }
        Ok(())
    }
}
