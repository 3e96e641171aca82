//! One call, answered as the faults say.

use std::time::{Duration, Instant};

use alloy::primitives::Address;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Faults, Instead, Pending, Shared};

/// So many blocks below the head may lack their logs.
const NEWEST: u64 = 20;

/// What becomes of a call.
pub(super) enum Answer {
    Json(Value),
    Status(StatusCode),
    /// 429 with this body and `Retry-After`.
    TooMany(Value, u64),
    Never,
    /// The connection is closed.
    Close(u16),
}

/// Answers one call.
pub(super) async fn answer(shared: &Shared, request: Value) -> Answer {
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    let id = request["id"].clone();
    shared.count(&method);
    let error = |error: Value| Answer::Json(json!({"jsonrpc": "2.0", "id": id, "error": error}));
    let result =
        |result: Value| Answer::Json(json!({"jsonrpc": "2.0", "id": id, "result": result}));
    let slow = shared.faults().slow.filter(|(slow, _)| *slow == method);
    if let Some((_, wait)) = slow {
        tokio::time::sleep(wait).await;
    }
    let mut blocks_ago = None;
    {
        let mut faults = shared.faults();
        if let Some(status) = faults.status {
            return Answer::Status(StatusCode::from_u16(status).unwrap());
        }
        let total: u64 = shared.calls.lock().unwrap().values().sum();
        if faults.flaky > 0 && total.is_multiple_of(faults.flaky) {
            return Answer::Status(StatusCode::BAD_GATEWAY);
        }
        if let Some((never, times)) = &mut faults.never
            && *never == method
            && *times > 0
        {
            *times -= 1;
            return Answer::Never;
        }
        let asked = Duration::from_secs(faults.retry_after);
        let is_limited = faults.too_many_of.is_none_or(|limited| limited == method);
        let waits = faults
            .quiet_until
            .is_some_and(|until| Instant::now() < until);
        if is_limited && (waits || faults.too_many > 0) {
            match faults.quiet_until.filter(|_| waits) {
                // What was under way when the first was refused could not know, however slow the machine is.
                Some(until) if (until - asked).elapsed() < asked / 2 => {}
                Some(_) => faults.impatient_calls += 1,
                None => {
                    faults.too_many -= 1;
                    faults.quiet_until = Some(Instant::now() + asked);
                }
            }
            let body = json!({"jsonrpc": "2.0", "id": id, "error": {
                "code": -32005, "message": "project ID request rate exceeded"}});
            return Answer::TooMany(body, faults.retry_after);
        }
        if let Some(words) = faults.refuse_rate() {
            return error(json!({"code": -32099, "message": words}));
        }
        if faults.no_block_hash
            && method == "eth_getLogs"
            && request["params"][0]["blockHash"].is_string()
        {
            let words = "filters by block hash are not supported";
            return error(json!({"code": -32099, "message": words}));
        }
        if faults.is_broken(&method, &request) {
            faults.broke += 1;
            return error(json!({"code": -32000, "message": "something went wrong"}));
        }
        if method == "eth_call" && request["params"][1] == "pending" {
            match faults.pending {
                Some(Pending::Refused) => {
                    return error(
                        json!({"code": -32000, "message": "pending block is not available"}),
                    );
                }
                Some(Pending::Behind(blocks)) => blocks_ago = Some(blocks),
                None => {}
            }
        }
        if method == "eth_call"
            && let Some((code, message)) = faults.call_error
        {
            return error(json!({"code": code, "message": message}));
        }
        if method == "eth_call" && faults.stale_calls.1 > 0 {
            faults.stale_calls.1 -= 1;
            blocks_ago = Some(faults.stale_calls.0);
        }
        if method == "eth_call" && faults.empty_views > 0 {
            faults.empty_views -= 1;
            return result(json!("0x"));
        }
        if let Some((null, times)) = &mut faults.nulls
            && *null == method
            && *times > 0
        {
            *times -= 1;
            return result(Value::Null);
        }
        if method == "eth_chainId"
            && let Some(chain_id) = faults.chain_id
        {
            return result(json!(format!("{chain_id:#x}")));
        }
        if method == "eth_getCode"
            && request["params"][1] != "latest"
            && faults.header_not_found > 0
        {
            faults.header_not_found -= 1;
            return error(json!({"code": -32000, "message": "header not found"}));
        }
        if method == "eth_getCode"
            && let Some(since) = no_code_before(&faults, &request)
            && number(&request["params"][1]).is_some_and(|block| block < since)
        {
            return result(json!("0x"));
        }
        faults.ranges += u64::from(method == "eth_getLogs" && range(&request).is_some());
        if faults.no_old_state && is_about_old_state(&method, &request) {
            return error(
                json!({"code": -32000, "message": "missing trie node 5e1b (path ) state 0x5e1b is not available"}),
            );
        }
    }
    let lag = shared.lag();
    let mut request = match behind(shared, &method, request, lag).await {
        Ok(request) => request,
        Err(null) => return result(null),
    };
    if is_about_old_state(&method, &request) && !shared.faults().code_since.is_empty() {
        request["params"][1] = json!("latest");
    }
    if method == "eth_getBlockByNumber" && request["params"][0] == "finalized" {
        let mut faults = shared.faults();
        faults.finalized_asked += 1;
        match faults.finalized {
            Some(block) => request["params"][0] = json!(format!("{block:#x}")),
            None => return result(Value::Null),
        }
    }
    if let Some(blocks) = blocks_ago {
        let head = number(&ask(shared, "eth_blockNumber", json!([])).await).unwrap();
        request["params"][1] = json!(format!("{:#x}", head - blocks));
    }
    if method == "eth_getLogs"
        && let Some((from, to)) = range(&request)
        && let Some(refusal) = shared.faults().range_limit.clone()
        && (to + 1).saturating_sub(from) > refusal.most
    {
        match refusal.instead {
            Some(Instead::Status(status)) => {
                return Answer::Status(StatusCode::from_u16(status).unwrap());
            }
            Some(Instead::Null) => return result(Value::Null),
            Some(Instead::Close(code)) => return Answer::Close(code),
            None => {}
        }
        return error(refusal.error(from));
    }
    let mut answer = forward(shared, &request).await;
    if method == "eth_getLogs" {
        let logs = answer["result"].as_array().map_or(0, Vec::len) as u64;
        let from = range(&request).map_or(0, |(from, _)| from);
        let faults = shared.faults();
        if let Some(refusal) = &faults.result_limit
            && logs > refusal.most
        {
            let refused = refusal.error(from);
            return error(refused);
        }
    }
    if method == "eth_getLogs" && shared.faults().without_logs > 0 {
        hide_newest_logs(shared, &request, &mut answer).await;
    }
    if method == "eth_getLogs" {
        hide_logs(shared, &mut answer).await;
    }
    if method.starts_with("eth_getBlockBy") {
        fill_bloom(shared, &mut answer["result"]);
    }
    if method == "eth_blockNumber" {
        let head = number(&answer["result"]).unwrap();
        answer["result"] = json!(format!("{:#x}", head.saturating_sub(lag)));
        shared.faults().lagged += u64::from(lag > 0);
    }
    Answer::Json(answer)
}

/// Sends a call to the chain itself.
pub(super) async fn forward(shared: &Shared, request: &Value) -> Value {
    let sent = shared.client.post(shared.upstream()).json(request).send();
    sent.await.unwrap().json().await.unwrap()
}

/// Reads one result from the chain itself.
pub(super) async fn ask(shared: &Shared, method: &str, params: Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    forward(shared, &request).await["result"].take()
}

/// The call as a node that is behind the chain takes it; `Err` is its answer about a block that it does not have.
async fn behind(
    shared: &Shared,
    method: &str,
    mut request: Value,
    lag: u64,
) -> Result<Value, Value> {
    if lag == 0 {
        return Ok(request);
    }
    let head = ask(shared, "eth_blockNumber", json!([])).await;
    let head = number(&head).unwrap().saturating_sub(lag);
    match method {
        "eth_getBlockByNumber" => {
            let at = &mut request["params"][0];
            if at == "latest" {
                *at = json!(format!("{head:#x}"));
                shared.faults().lagged += 1;
            } else if number(at).is_some_and(|number| number > head) {
                return Err(Value::Null);
            }
        }
        "eth_getBlockByHash" => {
            let block = forward(shared, &request).await["result"].take();
            if number(&block["number"]).is_some_and(|number| number > head) {
                return Err(Value::Null);
            }
        }
        "eth_getLogs" => {
            let filter = &request["params"][0];
            if let Some(hash) = filter["blockHash"].as_str() {
                let block = ask(shared, "eth_getBlockByHash", json!([hash, false])).await;
                if number(&block["number"]).is_some_and(|number| number > head) {
                    return Err(json!([]));
                }
            } else if number(&filter["toBlock"]).is_some_and(|to| to > head) {
                request["params"][0]["toBlock"] = json!(format!("{head:#x}"));
            }
        }
        _ => {}
    }
    Ok(request)
}

/// Leaves out the logs of a block that is asked for by its hash, and those of the newest blocks of a range.
async fn hide_newest_logs(shared: &Shared, request: &Value, answer: &mut Value) {
    let head = number(&ask(shared, "eth_blockNumber", json!([])).await).unwrap();
    let by_hash = request["params"][0]["blockHash"].is_string();
    let Some(logs) = answer["result"].as_array_mut() else {
        return;
    };
    let before = logs.len();
    logs.retain(|log| !by_hash && number(&log["blockNumber"]).unwrap() + NEWEST < head);
    if logs.len() < before {
        let mut faults = shared.faults();
        faults.without_logs = faults.without_logs.saturating_sub(1);
    }
}

/// Leaves out the logs of the hidden blocks, and of those that a lagging node does not have yet; spoils the others.
async fn hide_logs(shared: &Shared, answer: &mut Value) {
    let (hidden, lag) = {
        let faults = shared.faults();
        (faults.hidden, faults.logs_lag)
    };
    let newest = match lag {
        0 => u64::MAX,
        _ => number(&ask(shared, "eth_blockNumber", json!([])).await)
            .unwrap()
            .saturating_sub(lag),
    };
    let Some(logs) = answer["result"].as_array_mut() else {
        return;
    };
    let before = logs.len();
    logs.retain(|log| {
        let block = number(&log["blockNumber"]).unwrap();
        block <= newest && hidden.is_none_or(|(from, to)| block < from || block > to)
    });
    let mut faults = shared.faults();
    faults.hid += (before - logs.len()) as u64;
    if faults.no_times {
        for log in logs.iter_mut() {
            log["blockTimestamp"] = json!("0x0");
        }
    }
    if faults.twins {
        let mut twins = logs.clone();
        for twin in &mut twins {
            twin["transactionHash"] = json!(format!("0x{}", "ab".repeat(32)));
        }
        logs.extend(twins);
    }
}

/// The block before which the faults say that there was no code at the address that is asked about.
fn no_code_before(faults: &Faults, request: &Value) -> Option<u64> {
    let address: Address = request["params"][0].as_str()?.parse().ok()?;
    let since = faults.code_since.get(&address).copied().unwrap_or_default();
    Some(since.max(faults.no_code_below))
}

/// Sets every bit of a header's bloom.
pub(super) fn fill_bloom(shared: &Shared, header: &mut Value) {
    if header.is_object() && shared.faults().full_blooms {
        header["logsBloom"] = json!(format!("0x{}", "ff".repeat(256)));
    }
}

fn is_about_old_state(method: &str, request: &Value) -> bool {
    matches!(method, "eth_call" | "eth_getCode") && request["params"][1] != "latest"
}

fn range(request: &Value) -> Option<(u64, u64)> {
    let filter = &request["params"][0];
    Some((number(&filter["fromBlock"])?, number(&filter["toBlock"])?))
}

pub(super) fn number(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}
