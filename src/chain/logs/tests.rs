use std::ops::ControlFlow;

use alloy::primitives::{Address, B256, Bytes, LogData};
use alloy::rpc::types::Log as RpcLog;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What was decoded, with the data as bytes so that it can outlive the answer.
#[derive(Debug, PartialEq, Eq)]
struct Owned {
    address: Address,
    topics: Vec<B256>,
    data: Vec<u8>,
    place: (u64, B256, Option<u64>, B256, u32, bool),
}

impl Owned {
    fn of(log: &Log<'_>) -> Self {
        Self {
            address: log.address,
            topics: log.topics().to_vec(),
            data: log.data(&mut Vec::new()).unwrap().to_vec(),
            place: (
                log.block_number,
                log.block_hash,
                log.block_timestamp,
                log.transaction_hash,
                log.log_index,
                log.removed,
            ),
        }
    }
}

impl From<&RpcLog> for Owned {
    fn from(log: &RpcLog) -> Self {
        Self {
            address: log.address(),
            topics: log.topics().to_vec(),
            data: log.data().data.to_vec(),
            place: (
                log.block_number.unwrap(),
                log.block_hash.unwrap(),
                log.block_timestamp.filter(|at| *at > 0),
                log.transaction_hash.unwrap(),
                u32::try_from(log.log_index.unwrap()).unwrap(),
                log.removed,
            ),
        }
    }
}

/// Reads a log as a node sends it.
pub(crate) fn read<T>(log: &RpcLog, mut read: impl FnMut(&Log<'_>) -> T) -> T {
    let mut value = None;
    let mut decoder = Decoder::logs();
    let body = answer(std::slice::from_ref(log));
    let _ = decoder
        .feed(body.as_bytes(), &mut |log| {
            value = Some(read(log));
            ControlFlow::Continue(())
        })
        .unwrap();
    value.expect("the log was handed out")
}

fn decode_by(mut decoder: Decoder, body: &[u8], cuts: &[usize]) -> Result<Vec<Owned>, LogsError> {
    let mut logs = Vec::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([body.len()]) {
        let to = to.clamp(from, body.len());
        let _ = decoder.feed(&body[from..to], &mut |log| {
            logs.push(Owned::of(log));
            ControlFlow::Continue(())
        })?;
        from = to;
    }
    decoder.finish()?;
    Ok(logs)
}

fn decode(body: &str) -> Result<Vec<Owned>, LogsError> {
    decode_by(Decoder::logs(), body.as_bytes(), &[])
}

fn sample(block: u64, index: u64) -> RpcLog {
    RpcLog {
        inner: alloy::primitives::Log {
            address: Address::repeat_byte(7),
            data: LogData::new_unchecked(
                vec![B256::repeat_byte(1), B256::repeat_byte(2)],
                Bytes::from(vec![3; 64]),
            ),
        },
        block_hash: Some(B256::with_last_byte(9)),
        block_number: Some(block),
        block_timestamp: Some(1_700_000_000),
        transaction_hash: Some(B256::repeat_byte(5)),
        transaction_index: Some(1),
        log_index: Some(index),
        removed: false,
    }
}

fn answer(logs: &[RpcLog]) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "result": logs}).to_string()
}

#[test]
fn a_geth_answer_is_decoded() {
    let body = r#"{"jsonrpc":"2.0","id":1,"result":[{"address":"0xdac17f958d2ee523a2206206994597c13d831ec7","topics":["0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"],"data":"0x","blockNumber":"0x1b4","transactionHash":"0x00df829c5a142f1fccd7d8216c5785ac562ff41e2dcfdf5785ac562ff41e2dcf","transactionIndex":"0x1","blockHash":"0x8216c5785ac562ff41e2dcfdf5785ac562ff41e2dcfdf829c5a142f1fccd7d00","blockTimestamp":"0x6553f100","logIndex":"0x5","removed":false}]}
"#;
    let logs = decode(body).unwrap();
    assert_eq!(logs.len(), 1);
    assert_eq!(logs[0].topics.len(), 1);
    assert!(logs[0].data.is_empty());
    assert_eq!(logs[0].place.0, 436);
    assert_eq!(logs[0].place.2, Some(1_700_000_000));
    assert_eq!(logs[0].place.4, 5);
}

#[test]
fn order_whitespace_unknown_keys_and_plain_numbers_do_not_matter() {
    let body = " {\n \"result\" : [ { \"removed\" : true , \"logIndex\" : 3 , \"extra\":{\"a\":[1,\"]}\\\"\"]},
        \"blockHash\":\"0x0000000000000000000000000000000000000000000000000000000000000009\",
        \"blockTimestamp\":null, \"topics\" : [ ] , \"data\":\"0x\",\"blockNumber\":\"0x2\",
        \"transactionHash\":\"0x0000000000000000000000000000000000000000000000000000000000000008\",
        \"address\":\"0x00000000000000000000000000000000000000aA\" } ] , \"id\" : null , \"jsonrpc\":\"2.0\" } ";
    let logs = decode(body).unwrap();
    assert_eq!(logs.len(), 1);
    assert_eq!(logs[0].address, Address::with_last_byte(0xaa));
    let hashes = (B256::with_last_byte(9), B256::with_last_byte(8));
    assert_eq!(logs[0].place, (2, hashes.0, None, hashes.1, 3, true));
}

#[test]
fn an_empty_list_is_an_answer_and_null_is_not() {
    assert_eq!(decode(r#"{"id":1,"result":[]}"#).unwrap(), vec![]);
    let null = decode(r#"{"jsonrpc":"2.0","id":1,"result":null}"#);
    assert!(matches!(null, Err(LogsError::Null)), "{null:?}");
    let nothing = decode(r#"{"jsonrpc":"2.0","id":1}"#);
    assert!(matches!(nothing, Err(LogsError::Null)), "{nothing:?}");
}

#[test]
fn an_error_answer_is_an_error_also_beside_a_null_result() {
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"query returned more than 10000 results","data":{"limit":10000}}}"#,
        r#"{"result":null,"error":{"message":"query returned more than 10000 results","code":-32005,"data":{"limit":10000}}}"#,
    ] {
        match decode(body) {
            Err(LogsError::Answer(error)) => {
                assert_eq!(error.code, -32005);
                assert_eq!(error.message, "query returned more than 10000 results");
                assert_eq!(error.data.unwrap().get(), r#"{"limit":10000}"#);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn half_an_answer_is_truncated_wherever_it_ends() {
    let body = answer(&[sample(1, 0), sample(1, 1)]);
    for end in 0..body.len() {
        let half = decode(&body[..end]);
        assert!(matches!(half, Err(LogsError::Truncated)), "{end}: {half:?}");
    }
}

#[test]
fn a_log_that_lacks_what_is_needed_is_malformed() {
    let whole = serde_json::to_value(sample(1, 0)).unwrap();
    for field in [
        "address",
        "topics",
        "data",
        "blockNumber",
        "blockHash",
        "transactionHash",
        "logIndex",
    ] {
        for replacement in [None, Some(Value::Null)] {
            let mut log = whole.clone();
            let fields = log.as_object_mut().unwrap();
            fields.remove(field);
            if let Some(value) = replacement {
                fields.insert(field.to_owned(), value);
            }
            let body = json!({"result": [log]}).to_string();
            let decoded = decode(&body);
            assert!(
                matches!(decoded, Err(LogsError::Malformed(_))),
                "{field}: {decoded:?}"
            );
        }
    }
}

#[test]
fn a_break_ends_the_decoding() {
    let body = answer(&[sample(1, 0), sample(1, 1), sample(1, 2)]);
    let mut decoder = Decoder::logs();
    let mut taken = 0;
    let flow = decoder.feed(body.as_bytes(), &mut |_| {
        taken += 1;
        if taken == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert!(flow.unwrap().is_break());
    assert_eq!(taken, 2);
}

/// The answers to a batch, in either order, with the ids in front or behind.
fn batch(logs: &[RpcLog], header: &str, header_first: bool, ids_behind: bool) -> String {
    let logs = serde_json::to_string(logs).unwrap();
    let answer = |id: u64, result: &str| match ids_behind {
        true => format!(r#"{{"jsonrpc":"2.0","result":{result},"id":{id}}}"#),
        false => format!(r#"{{"id":{id},"error":null,"result":{result}}}"#),
    };
    let mut answers = [answer(LOGS_ID, &logs), answer(HEADER_ID, header)];
    if header_first {
        answers.reverse();
    }
    format!("[{}]\n", answers.join(", "))
}

#[test]
fn a_batch_is_read_in_any_order_wherever_its_chunks_end() {
    let logs = [sample(1, 0), sample(4, 1)];
    let header = r#"{"number":"0x9","logs":[{"a":"]}"}]}"#;
    for (header_first, ids_behind) in [(true, true), (true, false), (false, true), (false, false)] {
        let body = batch(&logs, header, header_first, ids_behind);
        for cut in 0..body.len() {
            let mut decoder = Decoder::logs_and_header();
            let mut count = 0;
            for chunk in [&body[..cut], &body[cut..]] {
                let mut take = |_: &Log<'_>| {
                    count += 1;
                    ControlFlow::Continue(())
                };
                assert!(
                    decoder
                        .feed(chunk.as_bytes(), &mut take)
                        .unwrap()
                        .is_continue()
                );
            }
            assert_eq!(count, 2);
            assert_eq!(
                decoder.finish().unwrap().as_deref(),
                Some(header.as_bytes())
            );
        }
        let half = decode_by(
            Decoder::logs_and_header(),
            &body.as_bytes()[..body.len() - 3],
            &[],
        );
        assert!(matches!(half, Err(LogsError::Truncated)), "{half:?}");
    }
}

#[test]
fn zero_is_no_timestamp_of_a_log() {
    // Case a12: a node that sends 0x0 in every log.
    let mut log = serde_json::to_value(sample(100, 1)).unwrap();
    log["blockTimestamp"] = json!("0x0");
    let logs = decode(&json!({"result": [log]}).to_string()).unwrap();
    assert_eq!(logs[0].place.2, None);
}

fn any_log() -> impl Strategy<Value = RpcLog> {
    let content = (
        any::<[u8; 20]>(),
        prop::collection::vec(any::<[u8; 32]>(), 0..=4),
        prop::collection::vec(any::<u8>(), 0..200),
    );
    let place = (
        any::<[u8; 32]>(),
        any::<u64>(),
        any::<Option<u64>>(),
        any::<[u8; 32]>(),
        any::<u32>(),
        any::<bool>(),
    );
    (content, place).prop_map(|((address, topics, data), place)| RpcLog {
        inner: alloy::primitives::Log {
            address: address.into(),
            data: LogData::new_unchecked(topics.into_iter().map(B256::new).collect(), data.into()),
        },
        block_hash: Some(place.0.into()),
        block_number: Some(place.1),
        block_timestamp: place.2,
        transaction_hash: Some(place.3.into()),
        transaction_index: Some(0),
        log_index: Some(u64::from(place.4)),
        removed: place.5,
    })
}

proptest! {
    #[test]
    fn any_chunking_gives_what_the_typed_decoder_gives(
        logs in prop::collection::vec(any_log(), 0..6),
        pretty: bool,
        mut cuts in prop::collection::vec(0_usize..8_000, 0..20),
    ) {
        cuts.sort_unstable();
        let body = json!({"jsonrpc": "2.0", "id": 1, "result": logs});
        let body = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) }.unwrap();
        let typed: Vec<RpcLog> = serde_json::from_value(serde_json::from_str::<Value>(&body).unwrap()["result"].take()).unwrap();
        let typed: Vec<Owned> = typed.iter().map(Owned::from).collect();
        prop_assert_eq!(decode_by(Decoder::logs(), body.as_bytes(), &cuts).unwrap(), typed);
    }

    #[test]
    fn garbage_gives_an_error_and_never_a_panic(
        logs in prop::collection::vec(any_log(), 0..3),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
        cut: prop::sample::Index,
    ) {
        let mut body = answer(&logs).into_bytes();
        for (at, byte) in damage {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let cut = cut.index(body.len());
        let decoders = [Decoder::logs(), Decoder::logs_and_header()];
        for mut decoder in decoders {
            for chunk in [&body[..cut], &body[cut..]] {
                let fed = decoder.feed(chunk, &mut |log| {
                    let _ = log.data(&mut Vec::new());
                    ControlFlow::Continue(())
                });
                if fed.is_err() {
                    break;
                }
            }
            let _ = decoder.finish();
        }
    }

    #[test]
    fn random_bytes_never_panic(body in prop::collection::vec(prop::sample::select(b"{}[]\",:\\0x1anulresutogsdt ".to_vec()), 0..200)) {
        for mut decoder in [Decoder::logs(), Decoder::logs_and_header()] {
            let _ = decoder.feed(&body, &mut |_| ControlFlow::Continue(()));
            let _ = decoder.finish();
        }
    }
}
