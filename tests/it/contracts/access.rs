//! When a subscriber has access, as the contract's own views tell it.

use amser_roles::abi::SubscriptionModule;
use anyhow::Result;

use super::{Fixture, GRACE, INTERVAL, TERMS};

#[tokio::test]
async fn a_subscription_without_a_payment_is_pending_and_gives_no_access() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let state = story
        .chain
        .subscription(story.module, story.subscription)
        .await?;
    assert_eq!(state.lastPaidAt, 0);
    assert_eq!(state.status, SubscriptionStatus::PENDING);
    assert!(!story.is_active().await?);
    Ok(())
}

#[tokio::test]
async fn access_ends_one_second_after_interval_and_grace_without_any_transaction() -> Result<()> {
    let story = Fixture::paid().await?;
    assert!(story.is_active().await?);
    story.advance_since_payment(INTERVAL + GRACE).await?;
    assert!(story.is_active().await?);
    story.advance_since_payment(INTERVAL + GRACE + 1).await?;
    assert!(!story.is_active().await?);
    let state = story
        .chain
        .subscription(story.module, story.subscription)
        .await?;
    assert_eq!(state.status, SubscriptionStatus::LAPSED);
    Ok(())
}

#[tokio::test]
async fn is_active_any_needs_one_of_the_plans() -> Result<()> {
    let story = Fixture::paid().await?;
    let other = story.chain.create_plan(story.module, TERMS).await?;
    let any = async |scopes: Vec<u32>| {
        let call = SubscriptionModule::isActiveAnyCall {
            subject: story.member,
            scopes,
        };
        story.chain.view(story.module, &call).await
    };
    assert_eq!(other.to::<u32>(), 2);
    assert!(any(vec![2, 1]).await?);
    assert!(!any(vec![2]).await?);
    assert!(!any(vec![2, 3, 4]).await?);
    assert!(!any(vec![]).await?);
    assert!(
        !story
            .chain
            .is_active(story.module, story.member, other)
            .await?
    );
    assert!(
        !story
            .chain
            .is_active(story.module, story.merchant, story.plan)
            .await?
    );
    Ok(())
}

#[tokio::test]
async fn an_exhausted_subscription_keeps_access_to_the_end_of_the_paid_window() -> Result<()> {
    let story = Fixture::subscribed().await?;
    story.chain.cancel(story.module, story.subscription).await?;
    let (one, never) = (alloy::primitives::U256::ONE, alloy::primitives::U256::MAX);
    let subscription = story
        .chain
        .subscribe_until(story.module, story.member, story.plan, one, never)
        .await?;
    let story = Fixture {
        subscription,
        ..story
    };
    story.expect_execution(0).await?;
    let state = story.chain.subscription(story.module, subscription).await?;
    assert_eq!(state.status, SubscriptionStatus::EXHAUSTED);
    assert!(story.is_active().await?);
    // A stranger may say so at any time; it is not a failed payment while the window is paid for.
    story.expect_execution(5).await?;
    story.advance_since_payment(INTERVAL).await?;
    story.expect_execution(5).await?;
    assert!(story.is_active().await?);
    story.advance_since_payment(INTERVAL + GRACE + 1).await?;
    assert!(!story.is_active().await?);
    Ok(())
}

/// `SubscriptionModule.Status`, which the ABI passes as a number.
struct SubscriptionStatus;

impl SubscriptionStatus {
    const PENDING: u8 = 1;
    const EXHAUSTED: u8 = 4;
    const LAPSED: u8 = 5;
}
