//! What anybody can provoke changes nobody's role.

use alloy::primitives::{Address, U256};
use alloy::sol_types::SolEvent;
use amser_roles::abi::{DriftedModule, PaymentProcessor};
use amser_roles::domain::{GateMatch, UnknownLogs};
use amser_roles::sandbox::chain::{DRIFTED_MODULE_ID, wallet};

use crate::support::stage::Stage;

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

#[tokio::test]
async fn look_alike_events_are_ignored() {
    let stage = Stage::open().await;
    let (ada, id) = stage.subscriber("ada").await;
    let grace = stage.join("grace").await;
    stage.chain.fund(grace.wallet, 1_000).await.unwrap();
    let unpaid = stage
        .chain
        .subscribe(stage.module, grace.wallet, stage.plan)
        .await
        .unwrap();
    let fake = stage.chain.deploy_look_alike().await.unwrap();
    stage.chain.advance_time(3_700).await.unwrap();
    let failed = PaymentProcessor::ExecutionFailed {
        module: stage.module,
        id,
        reason: 8,
    };
    stage.chain.emit(fake, &failed).await.unwrap();
    let now = stage.chain.head().await.unwrap().timestamp;
    let executed = PaymentProcessor::ExecutionExecuted {
        module: stage.module,
        id: unpaid,
        payer: grace.wallet,
        token: Address::ZERO,
        amount: U256::ONE,
        protocolFee: U256::ZERO,
        keeper: Address::ZERO,
        executionTime: U256::from(now),
        windowId: U256::ONE,
    };
    stage.chain.emit(fake, &executed).await.unwrap();
    stage.barrier().await;
    assert!(stage.has_role(ada));
    assert!(!stage.has_role(grace));
}

#[tokio::test]
async fn a_retired_processor_is_not_believed_any_more() {
    let stage = Stage::open().await;
    let (ada, _) = stage.subscriber("ada").await;
    let grace = stage.join("grace").await;
    stage.chain.fund(grace.wallet, 1_000).await.unwrap();
    let new = stage.chain.migrate_processor(stage.module).await.unwrap();
    let allowance = stage.chain.approve(grace.wallet, new, U256::MAX);
    allowance.await.unwrap();
    let id = stage
        .chain
        .subscribe(stage.module, grace.wallet, stage.plan)
        .await
        .unwrap();
    stage.chain.pay_when_due(stage.module, id).await.unwrap();
    stage.until_role(grace, true).await;
    assert!(stage.has_role(ada), "what was paid before still counts");
}

#[tokio::test]
async fn unknown_events_of_a_watched_module_are_counted() {
    let stage = Stage::open().await;
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
