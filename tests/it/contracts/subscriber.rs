//! What a subscriber does, and that nobody else can do it.

use alloy::primitives::{Bytes, U256};
use amser_roles::abi::SubscriptionModule;
use amser_roles::sandbox::chain::{keeper, logged, wallet};
use anyhow::Result;

use super::{Fixture, GRACE, INTERVAL, PRICE, assert_reverts};

const NOT_FOUND: u8 = 1;
const PAUSED: u8 = 3;
const EXPIRED: u8 = 4;

#[tokio::test]
async fn subscribing_says_who_what_and_how_much() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let chain = &story.chain;
    let other = wallet("other").address();
    chain.fund(other, PRICE).await?;
    let call = SubscriptionModule::subscribeWithPermitCall {
        planId: story.plan,
        executionBudget: U256::from(12),
        allowanceExpiry: U256::from(9_999_999_999_u64),
        permit: Bytes::new(),
    };
    let receipt = chain.send(other, story.module, &call).await?;
    let created: SubscriptionModule::SubscriptionCreated = logged(&receipt, story.module)?;
    assert_eq!(created.subId, U256::from(2));
    assert_eq!(created.subscriber, other);
    assert_eq!(created.planId, story.plan);
    assert_eq!(created.executionBudget, U256::from(12));
    assert_eq!(created.allowanceExpiry, U256::from(9_999_999_999_u64));
    assert_eq!(chain.execute(story.module, created.subId).await?.reason, 0);
    let state = chain.subscription(story.module, created.subId).await?;
    assert_eq!(state.remainingExecutions, U256::from(11));
    Ok(())
}

#[tokio::test]
async fn a_second_subscription_to_the_same_plan_reverts_until_the_first_is_cancelled() -> Result<()>
{
    let story = Fixture::paid().await?;
    let again = async || {
        story
            .chain
            .subscribe(story.module, story.member, story.plan)
            .await
    };
    assert_reverts(again().await, "SubscriptionAlreadyExistsForPlan");
    story.advance_since_payment(INTERVAL + GRACE + 1).await?;
    assert_reverts(again().await, "SubscriptionAlreadyExistsForPlan");
    story.chain.cancel(story.module, story.subscription).await?;
    assert_eq!(again().await?, U256::from(2));
    Ok(())
}

#[tokio::test]
async fn only_the_processor_creates_subscriptions_and_records_payments() -> Result<()> {
    let story = Fixture::paid().await?;
    let register = SubscriptionModule::registerExecutionCall {
        subscriber: story.member,
        planId: story.plan,
        executionBudget: U256::MAX,
        allowanceExpiry: U256::MAX,
    };
    let record = SubscriptionModule::onExecuteCall {
        id: story.subscription,
        executionTime: U256::from(9_999_999_999_u64),
        windowId: U256::from(2),
    };
    let replace = SubscriptionModule::setPaymentProcessorCall {
        newProcessor: keeper(),
    };
    for anyone in [story.member, story.merchant, keeper()] {
        assert_reverts(
            story.chain.send(anyone, story.module, &register).await,
            "OnlyPaymentProcessor",
        );
        assert_reverts(
            story.chain.send(anyone, story.module, &record).await,
            "OnlyPaymentProcessor",
        );
        assert_reverts(
            story.chain.send(anyone, story.module, &replace).await,
            "OnlyPaymentProcessor",
        );
    }
    Ok(())
}

#[tokio::test]
async fn registering_needs_a_budget_a_future_expiry_and_an_allowance() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let other = wallet("other").address();
    let chain = &story.chain;
    let subscribe = async |budget, expiry| {
        chain
            .subscribe_until(story.module, other, story.plan, budget, expiry)
            .await
    };
    assert_reverts(subscribe(U256::MAX, U256::MAX).await, "AllowanceTooLow");
    chain
        .approve(other, chain.processor, U256::from(PRICE))
        .await?;
    assert_reverts(
        subscribe(U256::ZERO, U256::MAX).await,
        "ZeroExecutionBudget",
    );
    assert_reverts(subscribe(U256::MAX, U256::ONE).await, "ExpiryInThePast");
    subscribe(U256::MAX, U256::MAX).await?;
    Ok(())
}

#[tokio::test]
async fn a_pause_suspends_access_and_payments_until_resumed() -> Result<()> {
    let story = Fixture::paid().await?;
    let chain = &story.chain;
    let paid_at = story.last_paid_at().await?;
    let receipt = chain.pause(story.module, story.subscription).await?;
    let paused: SubscriptionModule::SubscriptionPaused = logged(&receipt, story.module)?;
    assert_eq!(
        (paused.subId, paused.subscriber),
        (story.subscription, story.member)
    );
    assert!(!story.is_active().await?);
    assert_reverts(
        chain.pause(story.module, story.subscription).await,
        "SubscriptionIsPaused",
    );
    story.advance_since_payment(INTERVAL).await?;
    story.expect_execution(PAUSED).await?;
    let receipt = chain.resume(story.module, story.subscription).await?;
    let resumed: SubscriptionModule::SubscriptionResumed = logged(&receipt, story.module)?;
    assert_eq!(
        (resumed.subId, resumed.subscriber),
        (story.subscription, story.member)
    );
    // The state before, less the time that has passed.
    assert!(story.is_active().await?);
    assert_eq!(story.last_paid_at().await?, paid_at);
    assert_reverts(
        chain.resume(story.module, story.subscription).await,
        "SubscriptionNotPaused",
    );
    Ok(())
}

#[tokio::test]
async fn resuming_after_the_paid_window_gives_no_access() -> Result<()> {
    let story = Fixture::paid().await?;
    story.chain.pause(story.module, story.subscription).await?;
    story.advance_since_payment(INTERVAL + GRACE + 1).await?;
    story.chain.resume(story.module, story.subscription).await?;
    assert!(!story.is_active().await?);
    Ok(())
}

#[tokio::test]
async fn cancelling_ends_the_subscription_and_a_new_one_has_a_new_id() -> Result<()> {
    let story = Fixture::paid().await?;
    let chain = &story.chain;
    let receipt = chain.cancel(story.module, story.subscription).await?;
    let cancelled: SubscriptionModule::SubscriptionCancelled = logged(&receipt, story.module)?;
    assert_eq!(
        (cancelled.subId, cancelled.subscriber),
        (story.subscription, story.member)
    );
    assert!(!story.is_active().await?);
    story.advance_since_payment(INTERVAL).await?;
    story.expect_execution(NOT_FOUND).await?;
    for again in [
        chain.cancel(story.module, story.subscription).await,
        chain.pause(story.module, story.subscription).await,
        chain.recover(story.module, story.subscription).await,
    ] {
        assert_reverts(again, "SubscriptionNotFound");
    }
    let subscription = chain
        .subscribe(story.module, story.member, story.plan)
        .await?;
    assert_ne!(subscription, story.subscription);
    assert!(!story.is_active().await?);
    assert_eq!(chain.execute(story.module, subscription).await?.reason, 0);
    assert!(story.is_active().await?);
    Ok(())
}

#[tokio::test]
async fn nobody_acts_for_the_subscriber() -> Result<()> {
    let story = Fixture::paid().await?;
    let sub_id = story.subscription;
    story.advance_since_payment(2 * INTERVAL + 2).await?;
    for other in [story.merchant, keeper(), wallet("stranger").address()] {
        let (chain, module) = (&story.chain, story.module);
        let pause = SubscriptionModule::pauseSubscriptionCall { subId: sub_id };
        assert_reverts(chain.send(other, module, &pause).await, "OnlySubscriber");
        let resume = SubscriptionModule::resumeSubscriptionCall { subId: sub_id };
        assert_reverts(chain.send(other, module, &resume).await, "OnlySubscriber");
        let cancel = SubscriptionModule::cancelSubscriptionCall { subId: sub_id };
        assert_reverts(chain.send(other, module, &cancel).await, "OnlySubscriber");
        let expire = SubscriptionModule::updateExpiryCall {
            subId: sub_id,
            expiry: U256::MAX,
        };
        assert_reverts(chain.send(other, module, &expire).await, "OnlySubscriber");
    }
    Ok(())
}

#[tokio::test]
async fn a_missed_window_is_recovered_by_the_subscriber_or_the_merchant() -> Result<()> {
    let story = Fixture::paid().await?;
    let sub_id = story.subscription;
    story.advance_since_payment(2 * INTERVAL + 2).await?;
    let (chain, module) = (&story.chain, story.module);
    let recover = SubscriptionModule::recoverSubscriptionCall { subId: sub_id };
    assert_reverts(
        chain.send(keeper(), module, &recover).await,
        "OnlySubscriberOrMerchant",
    );
    chain.send(story.merchant, module, &recover).await?;
    story.expect_execution(0).await?;
    story.advance_since_payment(2 * INTERVAL + 2).await?;
    chain.recover(module, sub_id).await?;
    story.expect_execution(0).await?;
    Ok(())
}

#[tokio::test]
async fn an_expiry_in_the_past_ends_the_payments() -> Result<()> {
    let story = Fixture::paid().await?;
    let receipt = story
        .chain
        .update_expiry(story.module, story.subscription, 1)
        .await?;
    let updated: SubscriptionModule::SubscriptionExpiryUpdated = logged(&receipt, story.module)?;
    assert_eq!(updated.expiry, U256::ONE);
    assert!(story.is_active().await?, "until the paid window ends");
    story.advance_since_payment(INTERVAL).await?;
    story.expect_execution(EXPIRED).await?;
    Ok(())
}
