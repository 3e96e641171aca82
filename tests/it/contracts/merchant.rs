//! What a merchant does: a module, plans, and blocked subscribers.

use alloy::primitives::{Address, U256, hex};
use alloy::providers::Provider;
use amser_roles::abi::{PaymentProcessor, RAIModuleFactory, SubscriptionModule};
use amser_roles::sandbox::chain::{PlanTerms, keeper, logged, protocol_owner, wallet};
use anyhow::Result;

use super::{Fixture, INTERVAL, PRICE, TERMS, assert_reverts};

const BLOCKED: u8 = 6;

#[tokio::test]
async fn the_factory_makes_one_minimal_proxy_per_merchant() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let (chain, factory) = (&story.chain, story.chain.factory);
    let zero = U256::ZERO;
    let implementation = chain
        .view(
            factory,
            &RAIModuleFactory::implementationsCall { moduleId: zero },
        )
        .await?;
    let of = RAIModuleFactory::moduleOfCall {
        merchant: story.merchant,
        moduleId: zero,
    };
    assert_eq!(chain.view(factory, &of).await?, story.module);
    assert_eq!(
        chain
            .view(factory, &RAIModuleFactory::paymentProcessorCall {})
            .await?,
        chain.processor
    );
    assert_eq!(chain.merchant_of(story.module).await?, story.merchant);
    assert_eq!(chain.processor_of(story.module).await?, chain.processor);
    let code = chain.provider().get_code_at(story.module).await?;
    let proxy = [
        &hex!("363d3d373d3d3d363d73")[..],
        implementation.as_slice(),
        &hex!("5af43d82803e903d91602b57fd5bf3"),
    ]
    .concat();
    assert_eq!(code.as_ref(), proxy, "the runtime code of EIP-1167");
    assert_reverts(
        chain.deploy_module(story.merchant).await,
        "ModuleAlreadyDeployed",
    );
    let call = RAIModuleFactory::deployModuleCall { moduleId: zero };
    let receipt = chain.send(keeper(), factory, &call).await?;
    let deployed: RAIModuleFactory::ModuleDeployed = logged(&receipt, factory)?;
    assert_eq!((deployed.merchant, deployed.moduleId), (keeper(), zero));
    assert_ne!(deployed.module, story.module);
    Ok(())
}

#[tokio::test]
async fn the_factory_knows_only_what_its_owner_registered() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let credit = story.chain.deploy_module_kind(story.merchant, 1).await;
    assert_reverts(credit, "UnknownModuleId");
    let call = RAIModuleFactory::setImplementationCall {
        moduleId: U256::ONE,
        implementation: story.module,
    };
    assert_reverts(
        story
            .chain
            .send(story.merchant, story.chain.factory, &call)
            .await,
        "OnlyOwner",
    );
    story
        .chain
        .send(protocol_owner(), story.chain.factory, &call)
        .await?;
    Ok(())
}

#[tokio::test]
async fn neither_a_module_nor_its_implementation_can_be_initialized_again() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let call = RAIModuleFactory::implementationsCall {
        moduleId: U256::ZERO,
    };
    let implementation = story.chain.view(story.chain.factory, &call).await?;
    let take = SubscriptionModule::initializeCall {
        merchant_: keeper(),
        paymentProcessor_: keeper(),
    };
    for module in [story.module, implementation] {
        assert_reverts(
            story.chain.send(keeper(), module, &take).await,
            "AlreadyInitialized",
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_plan_is_as_it_was_created() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let call = SubscriptionModule::createPlanCall {
        token: story.chain.token,
        price: U256::from(7),
        interval: 3600,
        gracePeriod: 0,
    };
    let receipt = story
        .chain
        .send(story.merchant, story.module, &call)
        .await?;
    let created: SubscriptionModule::PlanCreated = logged(&receipt, story.module)?;
    assert_eq!(created.planId, U256::from(2));
    assert_eq!(
        (created.token, created.price),
        (story.chain.token, U256::from(7))
    );
    assert_eq!((created.interval, created.gracePeriod), (3600, 0));
    let plan = story.chain.plan(story.module, created.planId).await?;
    assert_eq!((plan.token, plan.price), (story.chain.token, U256::from(7)));
    assert_eq!(
        (plan.interval, plan.grace_period, plan.active),
        (3600, 0, true)
    );
    assert_reverts(
        story.chain.plan(story.module, U256::from(3)).await,
        "PlanNotFound",
    );
    assert_reverts(
        story.chain.send(keeper(), story.module, &call).await,
        "OnlyMerchant",
    );
    Ok(())
}

#[tokio::test]
async fn a_plan_needs_an_hour_a_price_and_a_token() -> Result<()> {
    let story = Fixture::subscribed().await?;
    let create = async |terms| story.chain.create_plan(story.module, terms).await;
    assert_reverts(
        create(PlanTerms {
            interval: 3599,
            ..TERMS
        })
        .await,
        "IntervalTooShort",
    );
    assert_reverts(create(PlanTerms { price: 0, ..TERMS }).await, "ZeroPrice");
    create(PlanTerms {
        interval: 3600,
        ..TERMS
    })
    .await?;
    let call = SubscriptionModule::createPlanCall {
        token: Address::ZERO,
        price: U256::ONE,
        interval: 3600,
        gracePeriod: 0,
    };
    assert_reverts(
        story.chain.send(story.merchant, story.module, &call).await,
        "ZeroAddress",
    );
    Ok(())
}

#[tokio::test]
async fn an_inactive_plan_takes_no_subscriber_and_goes_on_for_the_old_ones() -> Result<()> {
    let story = Fixture::paid().await?;
    let chain = &story.chain;
    let receipt = chain
        .set_plan_active(story.module, story.plan, false)
        .await?;
    let changed: SubscriptionModule::PlanStatusChanged = logged(&receipt, story.module)?;
    assert_eq!((changed.planId, changed.active), (story.plan, false));
    let same = chain.set_plan_active(story.module, story.plan, false).await;
    assert_reverts(same, "PlanStatusUnchanged");
    let other = wallet("other").address();
    chain.fund(other, PRICE).await?;
    let context = SubscriptionModule::registrationContextCall {
        planId: story.plan,
        subscriber: other,
    };
    assert_reverts(chain.view(story.module, &context).await, "PlanInactive");
    assert_reverts(
        chain.subscribe(story.module, other, story.plan).await,
        "PlanInactive",
    );
    assert!(story.is_active().await?);
    story.advance_since_payment(INTERVAL).await?;
    story.expect_execution(0).await?;
    chain
        .set_plan_active(story.module, story.plan, true)
        .await?;
    let answer = chain.view(story.module, &context).await?;
    assert_eq!(
        (answer.token, answer.minAmount),
        (chain.token, U256::from(PRICE))
    );
    chain.subscribe(story.module, other, story.plan).await?;
    let toggle = SubscriptionModule::setPlanActiveCall {
        planId: story.plan,
        active: false,
    };
    assert_reverts(
        chain.send(keeper(), story.module, &toggle).await,
        "OnlyMerchant",
    );
    Ok(())
}

#[tokio::test]
async fn a_blocked_subscriber_loses_every_plan_until_unblocked() -> Result<()> {
    let story = Fixture::paid().await?;
    let (chain, module) = (&story.chain, story.module);
    let second_plan = chain.create_plan(module, TERMS).await?;
    let second = chain.subscribe(module, story.member, second_plan).await?;
    assert_eq!(chain.execute(module, second).await?.reason, 0);
    let third_plan = chain.create_plan(module, TERMS).await?;

    let receipt = chain.block_subscriber(module, story.member).await?;
    let blocked: SubscriptionModule::SubscriberBlocked = logged(&receipt, module)?;
    assert_eq!(blocked.subscriber, story.member);
    assert!(!story.is_active().await?);
    assert!(!chain.is_active(module, story.member, second_plan).await?);
    assert_reverts(
        chain.block_subscriber(module, story.member).await,
        "IsBlocked",
    );
    assert_reverts(
        chain.subscribe(module, story.member, third_plan).await,
        "IsBlocked",
    );
    story.advance_since_payment(INTERVAL).await?;
    story.expect_execution(BLOCKED).await?;

    let receipt = chain.unblock_subscriber(module, story.member).await?;
    let unblocked: SubscriptionModule::SubscriberUnblocked = logged(&receipt, module)?;
    assert_eq!(unblocked.subscriber, story.member);
    assert!(story.is_active().await?);
    assert!(chain.is_active(module, story.member, second_plan).await?);
    assert_reverts(
        chain.unblock_subscriber(module, story.member).await,
        "NotBlocked",
    );
    story.expect_execution(0).await?;
    Ok(())
}

#[tokio::test]
async fn only_the_merchant_blocks() -> Result<()> {
    let story = Fixture::paid().await?;
    for other in [story.member, keeper(), protocol_owner()] {
        let block = SubscriptionModule::blockSubscriberCall {
            subscriber: story.member,
        };
        assert_reverts(
            story.chain.send(other, story.module, &block).await,
            "OnlyMerchant",
        );
        let unblock = SubscriptionModule::unblockSubscriberCall {
            subscriber: story.member,
        };
        assert_reverts(
            story.chain.send(other, story.module, &unblock).await,
            "OnlyMerchant",
        );
    }
    let migrate = PaymentProcessor::migrateModuleCall {
        module: story.module,
        newProcessor: keeper(),
    };
    let taken = story
        .chain
        .send(story.merchant, story.chain.processor, &migrate)
        .await;
    assert_reverts(taken, "OnlyOwner");
    Ok(())
}
