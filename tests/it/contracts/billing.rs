//! Windows, due dates and every reason for which a payment is not made.

use alloy::primitives::{Address, U256};
use amser_roles::abi::{PaymentProcessor, SubscriptionModule, TestToken};
use amser_roles::sandbox::chain::{PROTOCOL_FEE_BPS, fee_recipient, keeper, logged, wallet};
use anyhow::Result;

use super::{Fixture, GRACE, INTERVAL, PRICE, assert_reverts};

const NOT_FOUND: u8 = 1;
const NOT_DUE: u8 = 2;
const EXPIRED: u8 = 4;
const INSUFFICIENT_ALLOWANCE: u8 = 7;
const INSUFFICIENT_BALANCE: u8 = 8;
const TRANSFER_FAILED: u8 = 9;
const WINDOW_MISSED: u8 = 11;

#[tokio::test]
async fn a_payment_moves_the_price_and_says_so() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let execution = story
        .chain
        .execute(story.module, story.subscription)
        .await?;
    let paid: PaymentProcessor::ExecutionExecuted =
        logged(&execution.receipt, story.chain.processor)?;
    let fee = PRICE * u64::from(PROTOCOL_FEE_BPS) / 10_000;
    let now = story.chain.head().await?.timestamp;
    assert_eq!(paid.module, story.module);
    assert_eq!(paid.id, story.subscription);
    assert_eq!(paid.payer, story.member);
    assert_eq!(paid.token, story.chain.token);
    assert_eq!(paid.amount, U256::from(PRICE));
    assert_eq!(paid.protocolFee, U256::from(fee));
    assert_eq!(paid.keeper, keeper());
    assert_eq!(paid.executionTime, U256::from(now));
    assert_eq!(paid.windowId, U256::ONE);
    assert_eq!(story.last_paid_at().await?, now);
    let balance = async |account| {
        story
            .chain
            .view(story.chain.token, &TestToken::balanceOfCall { account })
            .await
    };
    assert_eq!(balance(story.merchant).await?, U256::from(PRICE - fee));
    assert_eq!(balance(fee_recipient()).await?, U256::from(fee));
    assert_eq!(balance(story.member).await?, U256::from(99 * PRICE));
    Ok(())
}

#[tokio::test]
async fn anyone_may_execute_and_the_quote_tells_what_will_happen() -> Result<()> {
    let story = Fixture::paid().await?;
    let quote = async || {
        let call = SubscriptionModule::quoteExecutionCall {
            id: story.subscription,
        };
        story.chain.view(story.module, &call).await
    };
    let due = story.last_paid_at().await? + INTERVAL;
    let early = quote().await?;
    assert_eq!(early.reason, NOT_DUE);
    assert_eq!((early.payer, early.amount), (Address::ZERO, U256::ZERO));
    story.chain.advance_to(due).await?;
    let quote = quote().await?;
    assert_eq!(quote.reason, 0);
    assert_eq!(quote.payer, story.member);
    assert_eq!(quote.recipient, story.merchant);
    assert_eq!(quote.token, story.chain.token);
    assert_eq!(quote.amount, U256::from(PRICE));
    assert_eq!(quote.executionTime, U256::from(due));
    assert_eq!(quote.windowId, U256::from(2));
    let stranger = wallet("stranger").address();
    let execution = story
        .chain
        .execute_by(
            stranger,
            story.chain.processor,
            story.module,
            story.subscription,
        )
        .await?;
    assert_eq!(execution.reason, 0);
    Ok(())
}

#[tokio::test]
async fn a_payment_before_its_time_is_not_due() -> Result<()> {
    let story = Fixture::paid().await?;
    story.expect_execution(NOT_DUE).await?;
    // The block with the transaction comes one step of two seconds later.
    story.advance_since_payment(INTERVAL - 4).await?;
    story.expect_execution(NOT_DUE).await?;
    story.expect_execution(0).await?;
    Ok(())
}

#[tokio::test]
async fn a_late_payment_does_not_shift_the_billing_date() -> Result<()> {
    let story = Fixture::paid().await?;
    let first = story.last_paid_at().await?;
    story.advance_since_payment(INTERVAL + GRACE + 1000).await?;
    assert!(!story.is_active().await?);
    story.expect_execution(0).await?;
    assert_eq!(story.last_paid_at().await?, first + INTERVAL);
    assert!(story.is_active().await?);
    Ok(())
}

#[tokio::test]
async fn a_missed_window_needs_a_recovery_before_the_next_payment() -> Result<()> {
    let story = Fixture::paid().await?;
    let chain = &story.chain;
    assert_reverts(
        chain.recover(story.module, story.subscription).await,
        "SubscriptionNotMissed",
    );
    story.advance_since_payment(2 * INTERVAL - 2).await?;
    assert_reverts(
        chain.recover(story.module, story.subscription).await,
        "SubscriptionNotMissed",
    );
    story.advance_since_payment(2 * INTERVAL + 2).await?;
    story.expect_execution(WINDOW_MISSED).await?;
    let receipt = chain.recover(story.module, story.subscription).await?;
    let recovered: SubscriptionModule::SubscriptionRecovered = logged(&receipt, story.module)?;
    assert_eq!(
        recovered.nextChargeAt,
        U256::from(chain.head().await?.timestamp)
    );
    assert!(!story.is_active().await?);
    story.expect_execution(0).await?;
    assert_eq!(
        U256::from(story.last_paid_at().await?),
        recovered.nextChargeAt
    );
    assert!(story.is_active().await?);
    Ok(())
}

#[tokio::test]
async fn the_last_moment_of_a_window_can_still_be_paid() -> Result<()> {
    let story = Fixture::paid().await?;
    story.advance_since_payment(2 * INTERVAL - 2).await?;
    story.expect_execution(0).await?;
    Ok(())
}

#[tokio::test]
async fn the_first_charge_has_no_window_to_miss() -> Result<()> {
    let story = Fixture::subscribed().await?;
    story.chain.advance_time(5 * INTERVAL).await?;
    story.expect_execution(0).await?;
    assert_eq!(
        story.last_paid_at().await?,
        story.chain.head().await?.timestamp
    );
    Ok(())
}

#[tokio::test]
async fn too_little_allowance_or_money_fails_the_payment_without_a_revert() -> Result<()> {
    let story = Fixture::paid().await?;
    let chain = &story.chain;
    story.advance_since_payment(INTERVAL).await?;
    chain
        .approve(story.member, chain.processor, U256::from(PRICE - 1))
        .await?;
    let failed = chain.execute(story.module, story.subscription).await?;
    let event: PaymentProcessor::ExecutionFailed = logged(&failed.receipt, chain.processor)?;
    assert_eq!((event.module, event.id), (story.module, story.subscription));
    assert_eq!(event.reason, INSUFFICIENT_ALLOWANCE);
    chain
        .approve(story.member, chain.processor, U256::from(PRICE))
        .await?;
    chain.burn_all(story.member).await?;
    story.expect_execution(INSUFFICIENT_BALANCE).await?;
    chain.mint(story.member, PRICE).await?;
    story.expect_execution(0).await?;
    Ok(())
}

#[tokio::test]
async fn a_token_that_refuses_fails_the_payment_and_moves_nothing() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let jam = async |jammed_| {
        story
            .chain
            .send(
                story.member,
                story.chain.token,
                &TestToken::setJammedCall { jammed_ },
            )
            .await
    };
    jam(true).await?;
    story.expect_execution(TRANSFER_FAILED).await?;
    assert!(!story.is_active().await?);
    jam(false).await?;
    let balance = TestToken::balanceOfCall {
        account: story.member,
    };
    assert_eq!(
        story.chain.view(story.chain.token, &balance).await?,
        U256::from(100 * PRICE)
    );
    story.expect_execution(0).await?;
    Ok(())
}

#[tokio::test]
async fn after_its_expiry_a_subscription_is_not_charged_but_keeps_what_was_paid() -> Result<()> {
    let story = Fixture::paid().await?;
    let expiry = story.last_paid_at().await? + INTERVAL + 10;
    let receipt = story
        .chain
        .update_expiry(story.module, story.subscription, expiry)
        .await?;
    let updated: SubscriptionModule::SubscriptionExpiryUpdated = logged(&receipt, story.module)?;
    assert_eq!(updated.expiry, U256::from(expiry));
    story.chain.advance_to(expiry).await?;
    story.expect_execution(EXPIRED).await?;
    assert!(story.is_active().await?);
    story.advance_since_payment(INTERVAL + GRACE + 1).await?;
    assert!(!story.is_active().await?);
    Ok(())
}

#[tokio::test]
async fn an_unknown_subscription_or_module_is_not_found() -> Result<()> {
    let story = Fixture::paid().await?;
    let unknown = story.chain.execute(story.module, U256::from(99)).await?;
    assert_eq!(unknown.reason, NOT_FOUND);
    let not_a_module = story
        .chain
        .execute_by(
            keeper(),
            story.chain.processor,
            story.chain.token,
            story.subscription,
        )
        .await?;
    assert_eq!(not_a_module.reason, NOT_FOUND);
    let state = story.chain.subscription(story.module, U256::from(99)).await;
    assert_reverts(state, "SubscriptionNotFound");
    Ok(())
}
