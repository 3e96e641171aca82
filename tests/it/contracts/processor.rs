//! The shared processor: batches, windows paid once, and migrations to another processor.

use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::SolEvent;
use amser_roles::abi::{DriftedModule, PaymentProcessor, SubscriptionModule};
use amser_roles::sandbox::chain::{
    DRIFTED_MODULE_ID, PlanTerms, keeper, logged, protocol_owner, wallet,
};
use anyhow::Result;

use super::{Fixture, INTERVAL, PRICE, TERMS, assert_reverts};

const NOT_FOUND: u8 = 1;
const NOT_DUE: u8 = 2;
const INSUFFICIENT_ALLOWANCE: u8 = 7;
const ALREADY_EXECUTED: u8 = 10;

#[tokio::test]
async fn a_batch_goes_on_after_entries_that_fail() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let chain = &story.chain;
    let other = wallet("other").address();
    chain.fund(other, PRICE).await?;
    let others = chain.subscribe(story.module, other, story.plan).await?;
    let entries = [
        (story.module, story.subscription),
        (story.module, story.subscription),
        (chain.token, U256::ONE),
        (story.module, U256::from(99)),
        (story.module, others),
    ];
    let receipt = chain.execute_batch(&entries).await?;
    let outcomes: Vec<Option<u8>> = receipt
        .logs()
        .iter()
        .filter(|log| log.address() == chain.processor)
        .map(|log| {
            PaymentProcessor::ExecutionFailed::decode_log(&log.inner)
                .ok()
                .map(|log| log.reason)
        })
        .collect();
    assert_eq!(
        outcomes,
        [None, Some(NOT_DUE), Some(NOT_FOUND), Some(NOT_FOUND), None]
    );
    assert!(story.is_active().await?);
    assert!(chain.is_active(story.module, other, story.plan).await?);
    let uneven = PaymentProcessor::batchExecuteCall {
        modules: vec![story.module],
        ids: vec![],
    };
    assert_reverts(
        chain.send(keeper(), chain.processor, &uneven).await,
        "LengthMismatch",
    );
    Ok(())
}

#[tokio::test]
async fn a_plan_that_is_paid_for_ever_holds_up_no_batch() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let chain = &story.chain;
    let for_ever = PlanTerms {
        interval: u64::MAX,
        ..TERMS
    };
    let plan = chain.create_plan(story.module, for_ever).await?;
    let id = chain.subscribe(story.module, story.member, plan).await?;
    let entries = [(story.module, id), (story.module, story.subscription)];
    chain.execute_batch(&entries).await?;
    for scope in [plan, story.plan] {
        assert!(chain.is_active(story.module, story.member, scope).await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_window_is_paid_at_most_once_even_if_the_module_offers_it_again() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let chain = &story.chain;
    let module = chain
        .deploy_module_kind(story.merchant, DRIFTED_MODULE_ID)
        .await?;
    let plan = chain.create_plan(module, TERMS).await?;
    let id = chain.subscribe(module, story.member, plan).await?;
    assert_eq!(chain.execute(module, id).await?.reason, 0);
    chain
        .send(
            keeper(),
            module,
            &DriftedModule::reopenWindowCall { subId: id },
        )
        .await?;
    assert_eq!(chain.execute(module, id).await?.reason, ALREADY_EXECUTED);
    Ok(())
}

#[tokio::test]
async fn a_migrated_module_obeys_the_new_processor_alone() -> Result<()> {
    let story = Fixture::paid().await?;
    let (chain, module, old) = (&story.chain, story.module, story.chain.processor);
    let new = chain.deploy_processor().await?;
    let receipt = chain.migrate_processor_to(module, new).await?;
    let updated: SubscriptionModule::PaymentProcessorUpdated = logged(&receipt, module)?;
    assert_eq!((updated.previous, updated.current), (old, new));
    assert_eq!(chain.processor_of(module).await?, new);
    assert!(story.is_active().await?);
    story.advance_since_payment(INTERVAL).await?;
    let by_old = chain
        .execute_by(keeper(), old, module, story.subscription)
        .await?;
    assert_eq!(by_old.reason, NOT_FOUND);
    // Allowances do not move with the module.
    story.expect_execution(INSUFFICIENT_ALLOWANCE).await?;
    chain.approve(story.member, new, U256::MAX).await?;
    story.expect_execution(0).await?;
    let back = PaymentProcessor::migrateModuleCall {
        module,
        newProcessor: old,
    };
    assert_reverts(
        chain.send(protocol_owner(), old, &back).await,
        "OnlyPaymentProcessor",
    );
    Ok(())
}

#[tokio::test]
async fn a_module_has_always_a_processor() -> Result<()> {
    let story = Fixture::paid().await?;
    let nobody = story
        .chain
        .migrate_processor_to(story.module, Address::ZERO)
        .await;
    assert_reverts(nobody, "ZeroAddress");
    Ok(())
}

#[tokio::test]
async fn a_module_of_no_factory_is_not_served() -> Result<()> {
    let story = Fixture::paid().await?;
    let call = PaymentProcessor::registerWithPermitCall {
        subscriber: story.member,
        planId: story.plan,
        executionBudget: U256::MAX,
        allowanceExpiry: U256::MAX,
        _4: Bytes::new(),
    };
    let refused = story
        .chain
        .send(story.member, story.chain.processor, &call)
        .await;
    assert_reverts(refused, "UnknownModule");
    let pull = PaymentProcessor::pullCall {
        token: story.chain.token,
        payer: story.member,
        recipient: keeper(),
        amount: U256::from(PRICE),
        fee: U256::ZERO,
    };
    assert_reverts(
        story
            .chain
            .send(keeper(), story.chain.processor, &pull)
            .await,
        "OnlySelf",
    );
    Ok(())
}

#[tokio::test]
async fn the_steps_of_a_life_lead_where_their_names_say() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let (chain, module, id) = (&story.chain, story.module, story.subscription);
    chain.pay_when_due(module, id).await?;
    assert!(story.is_active().await?);
    assert_eq!(
        chain.fail_when_due(module, id).await?.reason,
        INSUFFICIENT_ALLOWANCE
    );
    chain.pay_when_due(module, id).await?;
    assert!(story.is_active().await?);
    chain.let_lapse(module, id).await?;
    assert!(!story.is_active().await?);
    chain.advance_time(3 * INTERVAL).await?;
    chain.pay_when_due(module, id).await?;
    assert!(story.is_active().await?);
    Ok(())
}
