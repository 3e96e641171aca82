use super::*;
use crate::abi::{Layouts, SubscriptionModule};
use crate::chain::logs::Decoder;
use alloy::primitives::U256;
use alloy::sol_types::SolEvent;
use serde_json::{Value, json};

const MODULE: Address = Address::repeat_byte(1);

fn log(block: u64, log_index: u32, subscription: u64) -> Value {
    let event = SubscriptionModule::SubscriptionPaused {
        subId: U256::from(subscription),
        subscriber: Address::repeat_byte(7),
    };
    let data = event.encode_log_data();
    json!({
        "address": MODULE, "topics": data.topics(), "data": data.data,
        "blockNumber": format!("{block:#x}"), "blockHash": B256::with_last_byte(block as u8),
        "transactionHash": B256::repeat_byte(3), "transactionIndex": "0x0",
        "logIndex": format!("{log_index:#x}"), "removed": false,
    })
}

/// What one answer with these logs comes to.
fn collect(blocks: Blocks, logs: &[Value]) -> Result<Collected, RpcError> {
    let watched = Watched::new(Layouts::built_in(), [MODULE], Vec::new());
    let mut collector = Collector::new(Arc::new(watched), blocks);
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": logs}).to_string();
    let mut decoder = Decoder::logs();
    let _flow = decoder
        .feed(answer.as_bytes(), &mut |log| collector.take(log))
        .unwrap();
    collector.end_answer()?;
    collector.finish()
}

fn places(collected: &Collected) -> Vec<(u64, u32)> {
    let positions = collected.events.iter().map(|log| log.event.position);
    positions.map(|at| (at.block, at.log_index)).collect()
}

#[test]
fn a_log_that_is_served_twice_counts_once() {
    let range = Blocks::Range(5, 9);
    for logs in [
        [log(5, 0, 1), log(5, 0, 1), log(6, 2, 2)],
        [log(5, 0, 1), log(6, 2, 2), log(5, 0, 1)],
    ] {
        assert_eq!(places(&collect(range, &logs).unwrap()), [(5, 0), (6, 2)]);
    }
}

#[test]
fn two_different_logs_at_one_place_are_a_contradiction() {
    let mut unknown = log(5, 0, 1);
    unknown["topics"] = json!([B256::repeat_byte(9)]);
    for second in [log(5, 0, 2), unknown] {
        for logs in [
            vec![log(5, 0, 1), second.clone()],
            vec![log(5, 0, 1), log(5, 1, 3), second.clone()],
        ] {
            let error = collect(Blocks::Range(5, 9), &logs).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("two different logs with index 0 of block 5"),
                "{error}"
            );
        }
    }
}

#[test]
fn logs_of_other_blocks_than_asked_are_not_believed() {
    assert!(collect(Blocks::Range(5, 9), &[log(4, 0, 1)]).is_err());
    assert!(collect(Blocks::Hash(B256::with_last_byte(6)), &[log(5, 0, 1)]).is_err());
    let asked = collect(Blocks::Hash(B256::with_last_byte(5)), &[log(5, 0, 1)]).unwrap();
    assert_eq!(places(&asked), [(5, 0)]);
    let mut forked = log(5, 1, 2);
    forked["blockHash"] = json!(B256::repeat_byte(9));
    let error = collect(Blocks::Range(5, 9), &[log(5, 0, 1), forked]).unwrap_err();
    assert!(
        error.to_string().contains("two hashes for block 5"),
        "{error}"
    );
}
