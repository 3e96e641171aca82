use alloy::primitives::{B256, Bytes, LogData};
use alloy::rpc::types::Log as RpcLog;
use alloy::sol_types::SolEvent;

use super::*;
use crate::abi::{PaymentProcessor, SubscriptionModule};
use crate::chain::logs::tests::read;

const MODULE: Address = Address::repeat_byte(0x11);
const PROCESSOR: Address = Address::repeat_byte(0x22);

fn watched() -> Watched {
    Watched::new(Layouts::built_in(), [MODULE], vec![PROCESSOR])
}

fn log(address: Address, data: LogData) -> RpcLog {
    RpcLog {
        inner: alloy::primitives::Log { address, data },
        block_hash: Some(B256::repeat_byte(9)),
        block_number: Some(100),
        block_timestamp: Some(5_000),
        transaction_hash: Some(B256::repeat_byte(8)),
        transaction_index: Some(0),
        log_index: Some(3),
        removed: false,
    }
}

fn decode(address: Address, data: LogData) -> Decoded {
    read(&log(address, data), |log| {
        super::decode(log, &watched(), &mut Vec::new())
    })
}

fn kind(decoded: Decoded) -> EventKind {
    match decoded {
        Decoded::Event(event) => event.kind,
        other => panic!("{other:?}"),
    }
}

/// One log of each event, with what it says.
fn every_event() -> Vec<(Address, LogData, EventKind)> {
    use PaymentProcessor as P;
    use SubscriptionModule as M;
    let (id, plan) = (U256::from(7), U256::from(2));
    let (subscription, subscriber) = (SubscriptionId(id), Address::repeat_byte(0x33));
    let token = Address::repeat_byte(0x44);
    let huge = U256::MAX - U256::from(1);
    vec![
        (
            MODULE,
            M::PlanCreated {
                planId: plan,
                token,
                price: huge,
                interval: 3_600,
                gracePeriod: u64::MAX,
            }
            .encode_log_data(),
            EventKind::PlanCreated {
                plan: PlanId(plan),
                token,
                price: huge,
                interval: 3_600,
                grace_period: u64::MAX,
            },
        ),
        (
            MODULE,
            M::PlanStatusChanged {
                planId: plan,
                active: true,
            }
            .encode_log_data(),
            EventKind::PlanStatusChanged {
                plan: PlanId(plan),
                active: true,
            },
        ),
        (
            MODULE,
            M::SubscriptionCreated {
                subId: id,
                subscriber,
                planId: plan,
                executionBudget: U256::from(12),
                allowanceExpiry: huge,
            }
            .encode_log_data(),
            EventKind::SubscriptionCreated {
                subscription,
                subscriber: Wallet(subscriber),
                plan: PlanId(plan),
                execution_budget: U256::from(12),
                allowance_expiry: huge,
            },
        ),
        (
            MODULE,
            M::SubscriptionPaused {
                subId: id,
                subscriber,
            }
            .encode_log_data(),
            EventKind::SubscriptionPaused { subscription },
        ),
        (
            MODULE,
            M::SubscriptionResumed {
                subId: id,
                subscriber,
            }
            .encode_log_data(),
            EventKind::SubscriptionResumed { subscription },
        ),
        (
            MODULE,
            M::SubscriptionCancelled {
                subId: id,
                subscriber,
            }
            .encode_log_data(),
            EventKind::SubscriptionCancelled { subscription },
        ),
        (
            MODULE,
            M::SubscriptionExpiryUpdated {
                subId: id,
                expiry: huge,
            }
            .encode_log_data(),
            EventKind::SubscriptionExpiryUpdated {
                subscription,
                expiry: huge,
            },
        ),
        (
            MODULE,
            M::SubscriptionRecovered {
                subId: id,
                nextChargeAt: U256::from(99),
            }
            .encode_log_data(),
            EventKind::SubscriptionRecovered {
                subscription,
                next_charge_at: U256::from(99),
            },
        ),
        (
            MODULE,
            M::SubscriberBlocked { subscriber }.encode_log_data(),
            EventKind::SubscriberBlocked {
                subscriber: Wallet(subscriber),
            },
        ),
        (
            MODULE,
            M::SubscriberUnblocked { subscriber }.encode_log_data(),
            EventKind::SubscriberUnblocked {
                subscriber: Wallet(subscriber),
            },
        ),
        (
            MODULE,
            M::PaymentProcessorUpdated {
                previous: PROCESSOR,
                current: token,
            }
            .encode_log_data(),
            EventKind::PaymentProcessorUpdated {
                previous: PROCESSOR,
                current: token,
            },
        ),
        (
            PROCESSOR,
            executed(MODULE, U256::from(1_700_000_000)),
            EventKind::ExecutionExecuted {
                subscription,
                payer: subscriber,
                amount: U256::from(5_000_000),
                execution_time: Timestamp(1_700_000_000),
            },
        ),
        (
            PROCESSOR,
            P::ExecutionFailed {
                module: MODULE,
                id,
                reason: 200,
            }
            .encode_log_data(),
            EventKind::ExecutionFailed {
                subscription,
                reason: FailureReason(200),
            },
        ),
    ]
}

fn executed(module: Address, time: U256) -> LogData {
    PaymentProcessor::ExecutionExecuted {
        module,
        id: U256::from(7),
        payer: Address::repeat_byte(0x33),
        token: Address::repeat_byte(0x44),
        amount: U256::from(5_000_000),
        protocolFee: U256::from(50_000),
        keeper: Address::repeat_byte(0x55),
        executionTime: time,
        windowId: U256::from(3),
    }
    .encode_log_data()
}

#[test]
fn every_event_of_the_protocol_is_decoded() {
    for (address, data, expected) in every_event() {
        assert_eq!(kind(decode(address, data)), expected);
    }
}

#[test]
fn an_event_keeps_its_place_its_transaction_and_its_time() {
    let Decoded::Event(event) = decode(PROCESSOR, executed(MODULE, U256::from(1))) else {
        panic!("not an event");
    };
    assert_eq!(event.module, ModuleAddress(MODULE));
    assert_eq!((event.position.block, event.position.log_index), (100, 3));
    assert_eq!(event.transaction, B256::repeat_byte(8));
    assert_eq!(event.timestamp, Some(Timestamp(5_000)));
}

#[test]
fn the_same_log_from_any_other_address_is_ignored() {
    for (_, data, _) in every_event() {
        assert_eq!(decode(Address::repeat_byte(0x66), data), Decoded::NotOurs);
    }
}

#[test]
fn a_contract_that_emits_the_others_events_is_counted_as_unknown() {
    for (address, data, _) in every_event() {
        let other = if address == MODULE { PROCESSOR } else { MODULE };
        assert_eq!(decode(other, data), Decoded::Unknown);
    }
}

#[test]
fn a_processors_event_about_another_module_is_foreign() {
    let data = executed(Address::repeat_byte(0x77), U256::from(1));
    assert_eq!(decode(PROCESSOR, data), Decoded::Foreign);
}

#[test]
fn another_number_of_topics_or_another_length_of_data_is_unknown() {
    for (address, data, _) in every_event() {
        let (topics, bytes) = (data.topics().to_vec(), data.data.to_vec());
        let mut shapes = vec![
            (topics[..topics.len() - 1].to_vec(), bytes.clone()),
            (vec![], bytes.clone()),
            (topics.clone(), [bytes.clone(), vec![0; 32]].concat()),
        ];
        if topics.len() < 4 {
            shapes.push(([topics.clone(), vec![B256::ZERO]].concat(), bytes.clone()));
        }
        if !bytes.is_empty() {
            shapes.push((topics.clone(), bytes[1..].to_vec()));
            shapes.push((topics.clone(), vec![]));
        }
        for (topics, bytes) in shapes {
            let shape = (topics.len(), bytes.len());
            let odd = LogData::new_unchecked(topics, Bytes::from(bytes));
            assert_eq!(
                decode(address, odd),
                Decoded::Unknown,
                "{shape:?} of {data:?}"
            );
        }
    }
}

#[test]
fn a_word_beyond_its_type_is_unknown() {
    let mut data = SubscriptionModule::PlanStatusChanged {
        planId: U256::from(1),
        active: true,
    }
    .encode_log_data();
    data.data = Bytes::from(vec![0xff; 32]);
    assert_eq!(decode(MODULE, data), Decoded::Unknown);
    let never = executed(MODULE, U256::from(u64::MAX) + U256::from(1));
    assert_eq!(decode(PROCESSOR, never), Decoded::Unknown);
}

#[test]
fn a_failure_and_a_new_expiry_need_their_blocks_timestamp_and_no_other_event_does() {
    for (address, data, _) in every_event() {
        let mut log = log(address, data);
        log.block_timestamp = None;
        let decoded = read(&log, |log| super::decode(log, &watched(), &mut Vec::new()));
        let Decoded::Event(event) = decoded else {
            panic!("{decoded:?}");
        };
        let depends = matches!(
            event.kind,
            EventKind::ExecutionFailed { .. } | EventKind::SubscriptionExpiryUpdated { .. }
        );
        assert_eq!(needs_timestamp(&event), depends, "{event:?}");
    }
}
