use std::sync::atomic::{AtomicU64, Ordering};

use alloy::primitives::{Address, B256, Bytes, U256};
use serde_json::{Value, json};

use super::*;
use crate::abi::Multicall3::{Result as Returned, aggregate3Call};
use crate::chain::node::tests::fake::{CHAIN, Fake, Reply, error, result};
use crate::domain::{PlanId, Timestamp, Wallet};

const HASH: B256 = B256::repeat_byte(0xaa);

fn block() -> Checkpoint {
    Checkpoint {
        number: 7,
        hash: HASH,
        timestamp: Timestamp(1_000),
    }
}

/// Wallets whose address begins with an odd byte have access; a module 2 has no view, and module 3 is not there.
fn question(module: u8, wallet: u8) -> ActiveQuestion {
    ActiveQuestion {
        module: ModuleAddress(Address::repeat_byte(module)),
        wallet: Wallet(Address::repeat_byte(wallet)),
        plan: PlanId::from(1),
    }
}

fn is_active(target: Address, data: &[u8]) -> Option<Bytes> {
    let asked = isActiveCall::abi_decode(data).unwrap();
    assert_eq!(asked.scope, U256::from(1));
    match target.0[0] {
        2 => None,
        3 => Some(Bytes::new()),
        4 => Some(U256::from(2).to_be_bytes::<32>().into()),
        // Refuses one wallet alone.
        5 if asked.subject.0[0] == 9 => None,
        _ => Some(isActiveCall::abi_encode_returns(&(asked.subject.0[0] % 2 == 1)).into()),
    }
}

#[derive(Clone, Copy, Default)]
struct Kind {
    has_multicall: bool,
    no_hashes: bool,
    other_block: bool,
    behind: bool,
    broken: bool,
}

async fn fake(kind: Kind) -> Fake {
    let answer = move |call: &Value| {
        let params = &call["params"];
        if params[1].is_object() && kind.no_hashes {
            return error(call, -32602, "invalid argument 1: hex string expected");
        }
        match call["method"].as_str().unwrap() {
            "eth_getBlockByNumber" if kind.behind => result(call, Value::Null),
            "eth_getBlockByNumber" => result(
                call,
                json!({
                    "number": "0x7",
                    "hash": if kind.other_block { B256::repeat_byte(0xbb) } else { HASH },
                    "parentHash": B256::ZERO,
                    "timestamp": "0x3e8",
                }),
            ),
            "eth_getCode" => result(call, json!(if kind.has_multicall { "0x60" } else { "0x" })),
            "eth_call" => {
                let at = if kind.no_hashes {
                    json!("0x7")
                } else {
                    json!({"blockHash": HASH})
                };
                assert_eq!(params[1], at);
                if kind.broken {
                    return error(call, -32000, "something went wrong");
                }
                let to: Address = serde_json::from_value(params[0]["to"].clone()).unwrap();
                let data: Bytes = serde_json::from_value(params[0]["data"].clone()).unwrap();
                let answer = match to {
                    MULTICALL => Some(multicall(&data)),
                    target => is_active(target, &data),
                };
                match answer {
                    Some(answer) => result(call, json!(answer)),
                    None => error(call, 3, "execution reverted"),
                }
            }
            method => panic!("{method}"),
        }
    };
    Fake::start(move |request| {
        Reply::Json(match request {
            Value::Array(calls) => calls.iter().map(answer).collect(),
            call => answer(call),
        })
    })
    .await
}

fn multicall(data: &[u8]) -> Bytes {
    let calls = aggregate3Call::abi_decode(data).unwrap().calls;
    let returned: Vec<Returned> = calls
        .iter()
        .map(|call| {
            let answer = is_active(call.target, &call.callData);
            Returned {
                success: answer.is_some(),
                returnData: answer.unwrap_or_default(),
            }
        })
        .collect();
    aggregate3Call::abi_encode_returns(&returned).into()
}

async fn asked(fakes: &[&Fake], questions: &[ActiveQuestion]) -> Vec<ActiveAnswer> {
    let urls = fakes.iter().map(|fake| fake.url("http")).collect();
    let config = ChainConfig::new(urls, CHAIN);
    let status = ChainStatus {
        confirmed: Some(block()),
        ..ChainStatus::default()
    };
    let (_sender, status) = tokio::sync::watch::channel(status);
    let (number, answers) = Views::new(&config, status).are_active(questions).await;
    assert_eq!(number, 7);
    assert_eq!(answers.len(), questions.len());
    answers
}

fn is_unknown(answer: &ActiveAnswer, words: &str) -> bool {
    matches!(answer, ActiveAnswer::Unknown(why) if why.contains(words))
}

fn all_unknown(answers: &[ActiveAnswer], words: &str) {
    assert!(
        answers.iter().all(|answer| is_unknown(answer, words)),
        "{answers:?}"
    );
}

#[tokio::test]
async fn each_question_has_its_answer_with_multicall_and_without_and_on_nodes_that_take_no_block_hash()
 {
    for (has_multicall, no_hashes) in [(true, false), (false, false), (true, true), (false, true)] {
        let kind = Kind {
            has_multicall,
            no_hashes,
            ..Kind::default()
        };
        let fake = fake(kind).await;
        let mut questions: Vec<_> = (1..=200).map(|wallet| question(1, wallet)).collect();
        questions.extend([
            question(2, 1),
            question(2, 2),
            question(3, 1),
            question(4, 1),
        ]);
        questions.extend([question(5, 9), question(5, 1)]);
        let answers = asked(&[&fake], &questions).await;
        for (question, answer) in questions.iter().zip(&answers).take(200) {
            let expected = match question.wallet.0.0[0] % 2 {
                1 => ActiveAnswer::Active,
                _ => ActiveAnswer::Inactive,
            };
            assert_eq!(*answer, expected);
        }
        assert_eq!(
            answers[200..202],
            [ActiveAnswer::NoView, ActiveAnswer::NoView]
        );
        assert!(
            is_unknown(&answers[202], "0 bytes"),
            "no contract, no answer"
        );
        assert!(is_unknown(&answers[203], "no boolean"));
        assert!(is_unknown(&answers[204], "answers others"));
        assert_eq!(answers[205], ActiveAnswer::Active);
        let requests = fake.asked().len();
        assert!(requests <= 14, "{requests} requests");
    }
}

#[tokio::test]
async fn a_nodes_trouble_is_no_answer() {
    for has_multicall in [true, false] {
        let broken = fake(Kind {
            has_multicall,
            broken: true,
            ..Kind::default()
        })
        .await;
        all_unknown(
            &asked(&[&broken], &[question(1, 1)]).await,
            "something went wrong",
        );
    }
    let behind = fake(Kind {
        behind: true,
        ..Kind::default()
    })
    .await;
    all_unknown(
        &asked(&[&behind], &[question(1, 1)]).await,
        "has block 7 yet",
    );
}

#[tokio::test]
async fn where_a_node_has_the_block_and_fails_to_answer_the_next_one_is_asked() {
    let questions = [question(1, 1), question(1, 2)];
    let broken = fake(Kind {
        broken: true,
        ..Kind::default()
    });
    let (broken, right) = (broken.await, fake(Kind::default()).await);
    let yes_and_no = [ActiveAnswer::Active, ActiveAnswer::Inactive];
    assert_eq!(asked(&[&broken, &right], &questions).await, yes_and_no);
}

#[tokio::test]
async fn a_node_with_another_block_is_not_believed_and_one_that_is_behind_is_passed_over() {
    let questions = [question(1, 1), question(1, 2)];
    let right = fake(Kind::default()).await;
    let forked = fake(Kind {
        other_block: true,
        ..Kind::default()
    })
    .await;
    let behind = fake(Kind {
        behind: true,
        ..Kind::default()
    })
    .await;
    let yes_and_no = [ActiveAnswer::Active, ActiveAnswer::Inactive];
    assert_eq!(
        asked(&[&behind, &right, &forked], &questions).await,
        yes_and_no
    );
    all_unknown(
        &asked(&[&forked, &right], &questions).await,
        "another block 7",
    );
    assert!(
        !forked
            .asked()
            .iter()
            .any(|call| call["method"] == "eth_call")
    );
}

#[tokio::test]
async fn a_multicall_that_fails_says_nothing_about_a_module() {
    let calls = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&calls);
    let fake = Fake::start(move |request| {
        let answer = |call: &Value| match call["method"].as_str().unwrap() {
            "eth_getBlockByNumber" => result(
                call,
                json!({
                    "number": "0x7", "hash": HASH, "parentHash": B256::ZERO, "timestamp": "0x3e8",
                }),
            ),
            "eth_getCode" => result(call, json!("0x60")),
            _ => {
                let to: Address = serde_json::from_value(call["params"][0]["to"].clone()).unwrap();
                if to == MULTICALL {
                    return match seen.fetch_add(1, Ordering::Relaxed) {
                        0 => error(call, -32000, "out of gas"),
                        _ => result(call, json!("0x")),
                    };
                }
                result(call, json!(B256::with_last_byte(1)))
            }
        };
        Reply::Json(match request {
            Value::Array(calls) => calls.iter().map(answer).collect(),
            call => answer(call),
        })
    })
    .await;
    for _ in 0..2 {
        assert_eq!(
            asked(&[&fake], &[question(1, 2)]).await,
            [ActiveAnswer::Active]
        );
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_backend_that_is_a_block_behind_is_asked_again() {
    let headers = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&headers);
    let fake = Fake::start(move |call| {
        let answer = match call["method"].as_str().unwrap() {
            "eth_getBlockByNumber" if seen.fetch_add(1, Ordering::Relaxed) < 2 => Value::Null,
            "eth_getBlockByNumber" => json!({
                "number": "0x7", "hash": HASH, "parentHash": B256::ZERO, "timestamp": "0x3e8",
            }),
            "eth_getCode" => json!("0x"),
            _ => json!(B256::with_last_byte(1)),
        };
        Reply::Json(result(call, answer))
    })
    .await;
    assert_eq!(
        asked(&[&fake], &[question(1, 2)]).await,
        [ActiveAnswer::Active]
    );
    assert_eq!(headers.load(Ordering::Relaxed), 3);
}
