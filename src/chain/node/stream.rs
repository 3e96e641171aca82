//! `eth_getLogs` from one node: streamed over HTTP, or as one message over a websocket.

use std::ops::ControlFlow;
use std::time::Duration;

use alloy::providers::{DynProvider, Provider};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use url::Url;

use super::error::RpcError;
use super::error::retry_after;
use super::read::Header;
use crate::chain::filter::LogQuery;
use crate::chain::logs::{Decoder, ErrorAnswer, Log};
use crate::chain::range::Collector;
use crate::domain::Checkpoint;

/// How long a node may think before the first byte of an answer.
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// How long a body may pause.
const NEXT_BYTE: Duration = Duration::from_secs(15);
/// How much of an error's body is read.
const ERROR_BODY: usize = 64 << 10;

/// One HTTP node. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct HttpLogs {
    client: reqwest::Client,
    url: Url,
}

impl HttpLogs {
    /// Uses this client, which keeps connections open.
    pub fn new(client: reqwest::Client, url: Url) -> Self {
        Self { client, url }
    }

    /// Downloads one query's logs into the collector, decoding while they arrive.
    ///
    /// # Errors
    /// Here as in every function below: what the node refused, or why it could not be asked.
    pub async fn get_logs(
        &self,
        query: &LogQuery,
        mut collector: Collector,
    ) -> Result<Collector, RpcError> {
        let bytes = self.stream(query, &mut |log| collector.take(log)).await?;
        collector.bytes += bytes;
        Ok(collector)
    }

    /// Downloads one query's logs and hands each out as it arrives, until `on_log` breaks off. Returns how many bytes
    /// were read.
    pub async fn stream(
        &self,
        query: &LogQuery,
        on_log: &mut (dyn FnMut(&Log<'_>) -> ControlFlow<()> + Send),
    ) -> Result<u64, RpcError> {
        let mut response = self.post(query.method(), query.params()).await?;
        let mut decoder = decoder(query);
        let mut bytes = 0;
        while let Some(chunk) = next_chunk(&mut response).await? {
            bytes += chunk.len() as u64;
            if decoder.feed(&chunk, on_log)?.is_break() {
                return Ok(bytes);
            }
        }
        decoder.finish()?;
        Ok(bytes)
    }

    /// Reads the hashes and times of blocks by number, in one JSON-RPC batch; in no order. Blocks that the node does not have are
    /// left out.
    pub async fn get_checkpoints(&self, numbers: &[u64]) -> Result<Vec<Checkpoint>, RpcError> {
        let headers = self.get_headers(numbers).await?;
        Ok(headers.iter().map(Header::checkpoint).collect())
    }

    /// Reads headers by number, in one JSON-RPC batch; in no order. Blocks that the node does not have are left out.
    pub(crate) async fn get_headers(&self, numbers: &[u64]) -> Result<Vec<Header>, RpcError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Answers {
            Batch(Vec<Answer>),
            One(Box<Answer>),
        }
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            result: Option<Header>,
            #[serde(default)]
            error: Option<ErrorAnswer>,
        }
        let calls: Vec<Value> = numbers
            .iter()
            .enumerate()
            .map(|(id, number)| {
                let params = json!([format!("{number:#x}"), false]);
                call(id, "eth_getBlockByNumber", params)
            })
            .collect();
        let mut response = self.send(&Value::Array(calls)).await?;
        let mut body = Vec::new();
        while let Some(chunk) = next_chunk(&mut response).await? {
            body.extend_from_slice(&chunk);
        }
        let answers = match serde_json::from_slice(&body) {
            Ok(Answers::Batch(answers)) => answers,
            Ok(Answers::One(answer)) => vec![*answer],
            Err(_) => {
                return Err(RpcError::unavailable("its answer is not a list of headers"));
            }
        };
        answers
            .into_iter()
            .filter_map(|answer| match (answer.result, answer.error) {
                (_, Some(error)) => Some(Err(RpcError::from_answer(&error, None))),
                (Some(header), None) => Some(Ok(header)),
                (None, None) => None,
            })
            .collect()
    }

    async fn post(&self, method: &str, params: Value) -> Result<reqwest::Response, RpcError> {
        self.send(&call(1, method, params)).await
    }

    async fn send(&self, body: &Value) -> Result<reqwest::Response, RpcError> {
        let sent = self.client.post(self.url.clone()).json(body).send();
        let response = tokio::time::timeout(FIRST_BYTE, sent)
            .await
            .map_err(|_| RpcError::Timeout {
                message: format!("no answer within {} s", FIRST_BYTE.as_secs()),
            })?
            .map_err(RpcError::from_client)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let mut response = response;
        let (status, wait) = (response.status(), retry_after(response.headers()));
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = next_chunk(&mut response).await
            && body.len() < ERROR_BODY
        {
            body.extend_from_slice(&chunk);
        }
        Err(RpcError::from_status(status, wait, &body))
    }
}

/// Asks over alloy's connection (websocket) and decodes by the same decoder. The whole answer is held for a moment: a
/// websocket message comes as one.
pub async fn get_logs_by_provider(
    provider: &DynProvider,
    query: &LogQuery,
    mut collector: Collector,
) -> Result<Collector, RpcError> {
    let params = serde_json::value::to_raw_value(&query.params())
        .map_err(|error| RpcError::unavailable(error.to_string()))?;
    let sent = provider.raw_request_dyn(query.method().into(), &params);
    let result: Box<RawValue> = tokio::time::timeout(FIRST_BYTE, sent)
        .await
        .map_err(|_| RpcError::Timeout {
            message: format!("no answer within {} s", FIRST_BYTE.as_secs()),
        })?
        .map_err(|error| RpcError::from_transport(&error))?;
    let text = result.get().as_bytes();
    collector.bytes += text.len() as u64;
    let mut decoder = decoder(query).bare();
    // The closing space lets a bare `null` end.
    for chunk in [text, b" "] {
        if let ControlFlow::Break(()) = decoder.feed(chunk, &mut |log| collector.take(log))? {
            return Ok(collector);
        }
    }
    decoder.finish()?;
    Ok(collector)
}

fn decoder(query: &LogQuery) -> Decoder {
    if query.by_receipts {
        Decoder::receipts()
    } else {
        Decoder::logs()
    }
}

fn call(id: usize, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

async fn next_chunk(
    response: &mut reqwest::Response,
) -> Result<Option<impl AsRef<[u8]> + std::ops::Deref<Target = [u8]> + use<>>, RpcError> {
    tokio::time::timeout(NEXT_BYTE, response.chunk())
        .await
        .map_err(|_| RpcError::Timeout {
            message: format!("the answer paused for {} s", NEXT_BYTE.as_secs()),
        })?
        .map_err(RpcError::from_client)
}
