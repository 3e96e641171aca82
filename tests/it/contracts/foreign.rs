//! Logs that must not count: look-alikes from other addresses, and topics that the ABI does not know.

use alloy::primitives::{Address, U256};
use alloy::sol_types::SolCall;
use amser_roles::abi::{DriftedModule, Layouts, LookAlike, PaymentProcessor, SubscriptionModule};
use amser_roles::sandbox::chain::{DRIFTED_MODULE_ID, LocalChain, logged, protocol_owner};
use anyhow::Result;

use super::{Fixture, INTERVAL, PRICE};

fn payment(
    chain: &LocalChain,
    module: Address,
    payer: Address,
    time: u64,
) -> PaymentProcessor::ExecutionExecuted {
    PaymentProcessor::ExecutionExecuted {
        module,
        id: U256::ONE,
        payer,
        token: chain.token,
        amount: U256::from(PRICE),
        protocolFee: U256::ZERO,
        keeper: payer,
        executionTime: U256::from(time),
        windowId: U256::ONE,
    }
}

#[tokio::test]
async fn a_look_alike_log_is_the_same_but_for_its_address_and_changes_nothing() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let look_alike = story.chain.deploy_look_alike().await?;
    let time = story.chain.head().await?.timestamp;
    let fake = payment(&story.chain, story.module, story.member, time);
    let receipt = story.chain.emit(look_alike, &fake).await?;
    assert_eq!(
        logged::<PaymentProcessor::ExecutionExecuted>(&receipt, look_alike)?,
        fake
    );
    assert!(
        logged::<PaymentProcessor::ExecutionExecuted>(&receipt, story.chain.processor).is_err()
    );
    assert!(!story.is_active().await?);
    for topics in 0..=4 {
        let call = LookAlike::emitLogCall {
            topics: vec![story.member.into_word(); topics],
            data: vec![7; 40].into(),
        };
        let receipt = story.chain.send(story.member, look_alike, &call).await?;
        let log = &receipt.logs()[0];
        assert_eq!((log.topics().len(), log.data().data.len()), (topics, 40));
    }
    Ok(())
}

#[tokio::test]
async fn a_look_alike_can_be_the_processor_for_a_while() -> Result<()> {
    let story = Fixture::paid().await?;
    let (chain, module) = (&story.chain, story.module);
    let look_alike = chain.deploy_look_alike().await?;
    chain.migrate_processor_to(module, look_alike).await?;
    assert_eq!(chain.processor_of(module).await?, look_alike);
    let failed = PaymentProcessor::ExecutionFailed {
        module,
        id: story.subscription,
        reason: 200,
    };
    let receipt = chain.emit(look_alike, &failed).await?;
    assert_eq!(
        logged::<PaymentProcessor::ExecutionFailed>(&receipt, look_alike)?.reason,
        200
    );
    let hand_on = SubscriptionModule::setPaymentProcessorCall {
        newProcessor: chain.processor,
    };
    let forward = LookAlike::forwardCall {
        target: module,
        data: hand_on.abi_encode().into(),
    };
    chain.send(protocol_owner(), look_alike, &forward).await?;
    story.advance_since_payment(INTERVAL).await?;
    story.expect_execution(0).await?;
    Ok(())
}

#[tokio::test]
async fn a_drifted_module_emits_a_topic_that_is_not_watched() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let module = story
        .chain
        .deploy_module_kind(story.merchant, DRIFTED_MODULE_ID)
        .await?;
    let call = DriftedModule::changeTierCall {
        subId: U256::ONE,
        tier: U256::from(3),
    };
    let receipt = story.chain.send(story.merchant, module, &call).await?;
    let changed: DriftedModule::TierChanged = logged(&receipt, module)?;
    assert_eq!(changed.tier, U256::from(3));
    let topic = receipt.logs()[0].topic0().copied().unwrap_or_default();
    assert!(!Layouts::built_in().topics().contains(&topic));
    Ok(())
}
