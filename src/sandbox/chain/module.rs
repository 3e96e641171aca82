//! A merchant's module: what the merchant and the protocol's owner do with it, and what it answers.

use alloy::primitives::{Address, U256};
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::SolEvent;
use anyhow::{Context, Result};

use super::{LocalChain, SUBSCRIPTION_MODULE_ID, protocol_owner};
use crate::abi::{Field, KnownEvent, PaymentProcessor, RAIModuleFactory, SubscriptionModule};
use crate::domain::Plan;

/// What a plan costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanTerms {
    /// Price of one interval, in the token's smallest unit (a millionth of a dollar).
    pub price: u64,
    /// Seconds; at least an hour.
    pub interval: u64,
    /// Seconds of access after the interval.
    pub grace_period: u64,
}

/// A subscription as the module stores it.
pub type SubscriptionState = SubscriptionModule::getSubscriptionReturn;

impl LocalChain {
    /// Deploys the merchant's module through the factory. One merchant has one.
    ///
    /// # Errors
    /// Here as in every function below: when the contract reverts, with its error's name.
    pub async fn deploy_module(&self, merchant: Address) -> Result<Address> {
        self.deploy_module_kind(merchant, SUBSCRIPTION_MODULE_ID)
            .await
    }

    /// Deploys a module of any kind that the factory knows.
    pub async fn deploy_module_kind(&self, merchant: Address, module_id: u64) -> Result<Address> {
        let call = RAIModuleFactory::deployModuleCall {
            moduleId: U256::from(module_id),
        };
        let receipt = self.send(merchant, self.factory, &call).await?;
        Ok(logged::<RAIModuleFactory::ModuleDeployed>(&receipt, self.factory)?.module)
    }

    /// Creates a plan in this chain's token and returns its id.
    pub async fn create_plan(&self, module: Address, terms: PlanTerms) -> Result<U256> {
        let call = SubscriptionModule::createPlanCall {
            token: self.token,
            price: U256::from(terms.price),
            interval: terms.interval,
            gracePeriod: terms.grace_period,
        };
        let receipt = self
            .send(self.merchant_of(module).await?, module, &call)
            .await?;
        self.new_id(&receipt, module, KnownEvent::PlanCreated, Field::Plan)
    }

    /// Opens a plan to new subscriptions, or closes it.
    pub async fn set_plan_active(
        &self,
        module: Address,
        plan_id: U256,
        active: bool,
    ) -> Result<TransactionReceipt> {
        let call = SubscriptionModule::setPlanActiveCall {
            planId: plan_id,
            active,
        };
        self.send(self.merchant_of(module).await?, module, &call)
            .await
    }

    /// Blocks a subscriber, as the merchant.
    pub async fn block_subscriber(
        &self,
        module: Address,
        subscriber: Address,
    ) -> Result<TransactionReceipt> {
        let call = SubscriptionModule::blockSubscriberCall { subscriber };
        self.send(self.merchant_of(module).await?, module, &call)
            .await
    }

    /// Unblocks a subscriber, as the merchant.
    pub async fn unblock_subscriber(
        &self,
        module: Address,
        subscriber: Address,
    ) -> Result<TransactionReceipt> {
        let call = SubscriptionModule::unblockSubscriberCall { subscriber };
        self.send(self.merchant_of(module).await?, module, &call)
            .await
    }

    /// Hands the module to a new processor and returns that one. Allowances stay with the old one.
    pub async fn migrate_processor(&self, module: Address) -> Result<Address> {
        let new = self.deploy_processor().await?;
        self.migrate_processor_to(module, new).await?;
        Ok(new)
    }

    /// Hands the module to any address as its processor. Works while its processor is one of ours.
    pub async fn migrate_processor_to(
        &self,
        module: Address,
        new: Address,
    ) -> Result<TransactionReceipt> {
        let old = self.processor_of(module).await?;
        let call = PaymentProcessor::migrateModuleCall {
            module,
            newProcessor: new,
        };
        self.send(protocol_owner(), old, &call).await
    }

    /// What the contract says about access now.
    pub async fn is_active(&self, module: Address, wallet: Address, plan_id: U256) -> Result<bool> {
        self.view(
            module,
            &SubscriptionModule::isActiveCall {
                subject: wallet,
                scope: plan_id,
            },
        )
        .await
    }

    /// The subscription as stored.
    pub async fn subscription(
        &self,
        module: Address,
        subscription: U256,
    ) -> Result<SubscriptionState> {
        self.view(
            module,
            &SubscriptionModule::getSubscriptionCall {
                subId: subscription,
            },
        )
        .await
    }

    /// The plan as stored.
    pub async fn plan(&self, module: Address, plan_id: U256) -> Result<Plan> {
        let call = SubscriptionModule::getPlanCall { planId: plan_id };
        let answer = self.answer(module, &call).await?;
        self.layouts.plan(&answer).context("getPlan")
    }

    /// The id that a module gave to what it made in a transaction.
    pub(super) fn new_id(
        &self,
        receipt: &TransactionReceipt,
        module: Address,
        event: KnownEvent,
        field: Field,
    ) -> Result<U256> {
        let logs = receipt.logs().iter();
        logs.filter(|log| log.address() == module)
            .filter_map(|log| self.layouts.read(log.topics(), &log.data().data))
            .find(|fields| fields.event() == event)
            .and_then(|fields| fields.uint(field))
            .with_context(|| format!("{event:?} was not logged by {module}"))
    }

    /// The module's present processor.
    pub async fn processor_of(&self, module: Address) -> Result<Address> {
        self.view(module, &SubscriptionModule::paymentProcessorCall {})
            .await
    }

    /// The module's merchant.
    pub async fn merchant_of(&self, module: Address) -> Result<Address> {
        self.view(module, &SubscriptionModule::merchantCall {})
            .await
    }
}

/// The first event `E` that `emitter` logged in a transaction.
pub fn logged<E: SolEvent>(receipt: &TransactionReceipt, emitter: Address) -> Result<E> {
    receipt
        .logs()
        .iter()
        .filter(|log| log.address() == emitter)
        .find_map(|log| E::decode_log(&log.inner).ok())
        .map(|log| log.data)
        .with_context(|| format!("{} was not logged by {emitter}", E::SIGNATURE))
}
