//! `eth_getLogs` from one node, with the header of the range's end: streamed over HTTP, as one message over a websocket. The
//! answer must begin `within` a time.

use std::ops::ControlFlow;
use std::time::Duration;

use alloy::primitives::U64;
use alloy::rpc::client::RpcClient;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::answer::Body;
use super::error::{RpcError, retry_after};
use super::header::{Header, expect_number};
use super::transport::{HttpTransport, accepted, next_chunk};
use crate::chain::filter::LogQuery;
use crate::chain::logs::{Decoder, HEADER_ID, LOGS_ID, Log};

/// What is done with each log; its `Break` ends the reading.
pub(super) type OnLog<'a> = &'a mut (dyn FnMut(&Log<'_>) -> ControlFlow<()> + Send);

/// What came with the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogsAnswer {
    /// Bytes of the answers' bodies, decompressed.
    pub bytes: u64,
    /// The header of the last block: `None` where none was asked for, or the node does not have the block. Means nothing where
    /// the reading was broken off.
    pub end: Option<Header>,
}

/// The logs alone, over HTTP.
pub(super) async fn logs(
    http: &HttpTransport,
    query: &LogQuery,
    within: Duration,
    on_log: OnLog<'_>,
) -> Result<LogsAnswer, RpcError> {
    let response = http.post(&logs_call(query), within).await?;
    read(accepted(response).await?, Decoder::logs(), on_log).await
}

/// The logs and the header of block `end` in one batch.
///
/// # Errors
/// [`RpcError::BatchRefused`] where the batch as a whole was refused: each call by itself may work.
pub(super) async fn logs_and_header(
    http: &HttpTransport,
    query: &LogQuery,
    end: u64,
    within: Duration,
    on_log: OnLog<'_>,
) -> Result<LogsAnswer, RpcError> {
    let calls = [logs_call(query), header_call(end)];
    let response = http.post(&calls, within).await?;
    let is_refused = response.status().is_client_error();
    let response = accepted(response).await.map_err(|error| match error {
        RpcError::Unavailable { message } | RpcError::Other { message, .. } if is_refused => {
            RpcError::BatchRefused { message }
        }
        error => error,
    })?;
    let LogsAnswer { bytes, end: header } =
        read(response, Decoder::logs_and_header(), on_log).await?;
    Ok(LogsAnswer {
        bytes,
        end: expect_number(header, end)?,
    })
}

/// The same by two calls at the same time, for a node that refuses batches.
pub(super) async fn logs_then_header(
    http: &HttpTransport,
    query: &LogQuery,
    end: u64,
    within: Duration,
    on_log: OnLog<'_>,
) -> Result<LogsAnswer, RpcError> {
    let header = async {
        match http.ask(&header_call(end)).await? {
            Body::One(answer) => answer.into_result::<Option<Header>>(),
            Body::Batch(_) => Err(RpcError::unavailable("it answered one call with a list")),
        }
    };
    let (answer, header) = tokio::try_join!(logs(http, query, within, on_log), header)?;
    Ok(LogsAnswer {
        bytes: answer.bytes,
        end: expect_number(header, end)?,
    })
}

/// The same over a websocket, by the same decoder. The whole answer is held for a moment: a message comes as one.
pub(super) async fn by_websocket(
    client: &RpcClient,
    query: &LogQuery,
    end: Option<u64>,
    within: Duration,
    on_log: OnLog<'_>,
) -> Result<LogsAnswer, RpcError> {
    let logs = client.request::<_, Box<RawValue>>("eth_getLogs", query.params());
    let header = async {
        match end {
            Some(end) => {
                let params = (U64::from(end), false);
                let header = client.request::<_, Option<Header>>("eth_getBlockByNumber", params);
                header.await
            }
            None => Ok(None),
        }
    };
    let both = async { tokio::try_join!(logs, header) };
    let (logs, header) = tokio::time::timeout(within, both)
        .await
        .map_err(|_| RpcError::no_answer_within(within))?
        .map_err(|error| RpcError::from_transport(&error))?;
    let text = logs.get().as_bytes();
    let mut answer = LogsAnswer {
        bytes: text.len() as u64,
        end: None,
    };
    let mut decoder = Decoder::logs();
    // The client has taken the answer's envelope off.
    for chunk in [br#"{"result":"#, text, b"}"] {
        if decoder.feed(chunk, on_log)?.is_break() {
            return Ok(answer);
        }
    }
    decoder.finish()?;
    answer.end = match end {
        Some(end) => expect_number(header, end)?,
        None => None,
    };
    Ok(answer)
}

/// Reads a body, decoding while it arrives.
async fn read(
    mut response: reqwest::Response,
    mut decoder: Decoder,
    on_log: OnLog<'_>,
) -> Result<LogsAnswer, RpcError> {
    let wait = retry_after(response.headers());
    let mut answer = LogsAnswer {
        bytes: 0,
        end: None,
    };
    while let Some(chunk) = next_chunk(&mut response).await? {
        answer.bytes += chunk.len() as u64;
        if decoder.feed(&chunk, on_log)?.is_break() {
            return Ok(answer);
        }
    }
    let header = decoder.finish();
    if let Some(header) = header.map_err(|error| RpcError::from_logs(error, wait))? {
        let header = serde_json::from_slice(&header).map_err(|error| {
            RpcError::unavailable(format!("its header is not understood: {error}"))
        })?;
        answer.end = Some(header);
    }
    Ok(answer)
}

fn logs_call(query: &LogQuery) -> Value {
    call(LOGS_ID, "eth_getLogs", query.params())
}

fn header_call(number: u64) -> Value {
    let params = (U64::from(number), false);
    call(HEADER_ID, "eth_getBlockByNumber", params)
}

/// A JSON-RPC call.
pub(super) fn call(id: u64, method: &str, params: impl Serialize) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}
