//! `eth_getLogs` from one endpoint: streamed over HTTP, or as one message over a websocket.

use std::ops::ControlFlow;
use std::time::Duration;

use alloy::primitives::B256;
use alloy::providers::{DynProvider, Provider};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use url::Url;

use super::RpcError;
use super::error::retry_after;
use crate::chain::filter::LogQuery;
use crate::chain::logs::Decoder;
use crate::chain::range::Collector;
use crate::domain::{Checkpoint, Timestamp};

/// How long a node may think before the first byte of an answer.
const FIRST_BYTE: Duration = Duration::from_secs(30);
/// How long a body may pause.
const NEXT_BYTE: Duration = Duration::from_secs(15);
/// How much of an error's body is read.
const ERROR_BODY: usize = 64 << 10;

/// One HTTP endpoint. Cheap to clone; clones share connections.
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
    pub async fn get_logs(
        &self,
        query: &LogQuery,
        mut collector: Collector,
    ) -> Result<Collector, RpcError> {
        let mut response = self.post(query.method(), query.params()).await?;
        let mut decoder = decoder(query);
        while let Some(chunk) = next_chunk(&mut response).await? {
            collector.bytes += chunk.len() as u64;
            if decoder
                .feed(&chunk, &mut |log| collector.take(log))?
                .is_break()
            {
                return Ok(collector);
            }
        }
        decoder.finish()?;
        Ok(collector)
    }

    /// Reads headers by number, in one JSON-RPC batch.
    pub async fn get_headers(&self, numbers: Vec<u64>) -> Result<Vec<Checkpoint>, RpcError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Answers {
            Batch(Vec<Answer>),
            One(Answer),
        }
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            result: Option<Header>,
            #[serde(default)]
            error: Option<crate::chain::logs::ErrorAnswer>,
        }
        let calls: Vec<Value> = numbers
            .iter()
            .enumerate()
            .map(|(id, number)| {
                call(
                    id,
                    "eth_getBlockByNumber",
                    json!([format!("{number:#x}"), false]),
                )
            })
            .collect();
        let mut response = self.send(&Value::Array(calls)).await?;
        let mut body = Vec::new();
        while let Some(chunk) = next_chunk(&mut response).await? {
            body.extend_from_slice(&chunk);
        }
        let answers: Answers = serde_json::from_slice(&body)
            .map_err(|_| RpcError::unavailable("its answer is not a list of headers"))?;
        let answers = match answers {
            Answers::Batch(answers) => answers,
            Answers::One(answer) => vec![answer],
        };
        answers
            .into_iter()
            .map(|answer| match (answer.result, answer.error) {
                (_, Some(error)) => Err(RpcError::from_answer(&error, None)),
                (Some(header), None) => header.checkpoint(),
                (None, None) => Err(RpcError::unavailable("it has no such block")),
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

#[derive(Deserialize)]
struct Header {
    number: String,
    hash: B256,
    timestamp: String,
}

impl Header {
    fn checkpoint(&self) -> Result<Checkpoint, RpcError> {
        let number = |text: &str| {
            u64::from_str_radix(text.trim_start_matches("0x"), 16)
                .map_err(|_| RpcError::unavailable("a header's number is not one"))
        };
        Ok(Checkpoint {
            number: number(&self.number)?,
            hash: self.hash,
            timestamp: Timestamp(number(&self.timestamp)?),
        })
    }
}
