//! What anybody can provoke changes nobody's role.

use alloy::primitives::{Address, U256};
use alloy::sol_types::{SolCall, SolEvent};
use amser_roles::abi::{DriftedModule, LookAlike, PaymentProcessor, SubscriptionModule};
use amser_roles::domain::{GateMatch, UnknownLogs};
use amser_roles::sandbox::chain::{DRIFTED_MODULE_ID, protocol_owner, wallet};
use amser_roles::store::Store;

use crate::support::following::{Following, config};
use crate::support::stage::{Person, Setting, Stage};

const ABI: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/abi/DriftedModule.json");

#[tokio::test]
async fn failures_that_strangers_provoke_change_nothing() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    let stranger = wallet("stranger").address();
    let (module, processor) = (stage.module, stage.chain.processor);
    let mut reasons = Vec::new();
    for id in [id, U256::from(99)] {
        let execution = stage.chain.execute_by(stranger, processor, module, id);
        reasons.push(execution.await.unwrap().reason);
    }
    // Without money the reason would count, were anything due.
    stage.chain.burn_all(ada.wallet).await.unwrap();
    let execution = stage.chain.execute_by(stranger, processor, module, id);
    reasons.push(execution.await.unwrap().reason);
    assert!(reasons.iter().all(|reason| *reason != 0), "{reasons:?}");
    stage.barrier().await;
    assert!(stage.has_role(ada));
    assert_eq!(stage.journal(ada).len(), 1, "the grant alone");
}

/// A failure of this subscription that would count, from any address.
async fn emit_failure(stage: &Stage, from: Address, id: U256) {
    let failed = PaymentProcessor::ExecutionFailed {
        module: stage.module,
        id,
        reason: 8,
    };
    stage.chain.emit(from, &failed).await.unwrap();
}

/// A payment of this subscription now, from any address.
async fn emit_payment(stage: &Stage, from: Address, id: U256, payer: Address) {
    let now = stage.chain.head().await.unwrap().timestamp;
    let executed = PaymentProcessor::ExecutionExecuted {
        module: stage.module,
        id,
        payer,
        token: Address::ZERO,
        amount: U256::ONE,
        protocolFee: U256::ZERO,
        keeper: Address::ZERO,
        executionTime: U256::from(now),
        windowId: U256::ONE,
    };
    stage.chain.emit(from, &executed).await.unwrap();
}

/// A member with a linked wallet who has subscribed and not paid.
async fn unpaid(stage: &Stage, name: &str) -> (Person, U256) {
    let person = stage.join(name).await;
    stage.chain.fund(person.wallet, 1_000).await.unwrap();
    let subscribing = stage
        .chain
        .subscribe(stage.module, person.wallet, stage.plan);
    (person, subscribing.await.unwrap())
}

#[tokio::test]
async fn look_alike_events_are_ignored() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    let (grace, unpaid) = unpaid(&stage, "grace").await;
    let fake = stage.chain.deploy_look_alike().await.unwrap();
    stage.chain.advance_time(3_700).await.unwrap();
    emit_failure(&stage, fake, id).await;
    emit_payment(&stage, fake, unpaid, grace.wallet).await;
    stage.barrier().await;
    assert!(stage.has_role(ada));
    assert!(!stage.has_role(grace));
}

#[tokio::test]
async fn a_processor_is_believed_while_it_is_the_module_s_and_not_any_more() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    let (grace, hers) = unpaid(&stage, "grace").await;
    let (eve, eves) = unpaid(&stage, "eve").await;
    let (chain, module) = (&stage.chain, stage.module);
    // It says whatever it is told to, as a processor with a hole might.
    let puppet = chain.deploy_look_alike().await.unwrap();
    chain.migrate_processor_to(module, puppet).await.unwrap();
    emit_payment(&stage, puppet, hers, grace.wallet).await;
    // It was the module's processor then.
    stage.until_role(grace, true).await;
    let back = SubscriptionModule::setPaymentProcessorCall {
        newProcessor: chain.processor,
    };
    let forward = LookAlike::forwardCall {
        target: module,
        data: back.abi_encode().into(),
    };
    chain
        .send(protocol_owner(), puppet, &forward)
        .await
        .unwrap();
    chain.advance_time(3_700).await.unwrap();
    emit_failure(&stage, puppet, id).await;
    emit_payment(&stage, puppet, eves, eve.wallet).await;
    stage.barrier().await;
    assert!(stage.has_role(ada), "its failure came too late to count");
    assert!(!stage.has_role(eve), "and so did its payment");

    // It is the same when all of it is read as history.
    chain.mine(300).await.unwrap();
    let afresh = Store::in_memory().unwrap();
    let config = config(chain, &[chain.http_url()], 0);
    let mut following = Following::start(config, afresh.clone(), [module]);
    following.until_at_tip(chain, 0).await;
    assert_eq!(
        afresh.all_events().unwrap(),
        stage.store.all_events().unwrap()
    );
}

#[tokio::test]
async fn a_module_of_another_abi_gives_roles_by_its_file_and_its_unread_events_are_counted() {
    let stage = Stage::open_with(Setting {
        chain: format!("abi = [{ABI:?}]"),
        ..Setting::default()
    })
    .await;
    let merchant = wallet("moved on").address();
    let kind = stage.chain.deploy_module_kind(merchant, DRIFTED_MODULE_ID);
    let module = kind.await.unwrap();
    let terms = crate::support::scene::TERMS;
    let plan = stage.chain.create_plan(module, terms).await.unwrap();
    stage.gate(stage.guild, module, &[plan], GateMatch::Any, &[stage.role]);
    let ada = stage.join("ada").await;
    let id = stage.pay_for(ada, module, plan).await;
    stage.until_role(ada, true).await;
    let call = DriftedModule::changeTierCall {
        subId: id,
        tier: U256::ONE,
    };
    stage.chain.send(merchant, module, &call).await.unwrap();
    stage.barrier().await;
    let expected = UnknownLogs {
        address: module,
        topic: DriftedModule::TierChanged::SIGNATURE_HASH,
        count: 1,
    };
    assert_eq!(stage.store.unknown_logs().unwrap(), [expected]);
    assert!(stage.has_role(ada));
}
