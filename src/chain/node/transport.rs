//! JSON-RPC over HTTP. Unlike alloy's transport it keeps `Retry-After` also where the error has a JSON-RPC body, streams
//! answers, and never names the whole URL, which may hold a key.

use std::ops::Deref;
use std::time::Duration;

use serde::Serialize;
use url::Url;

use super::answer::Body;
use super::error::{RpcError, retry_after};
use super::range_limit::FIRST_BYTE;
use crate::http::client_to;

/// Connecting, TLS included.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a body may pause.
const NEXT_BYTE: Duration = Duration::from_secs(15);
/// How long an answer that is read as a whole may take, however it drips, and its bytes: a hundred headers are some megabytes.
const WHOLE_ANSWER: Duration = Duration::from_secs(60);
const LONGEST_ANSWER: usize = 64 << 20;
/// How much of an error's body is read, in bytes.
const ERROR_BODY: usize = 64 << 10;

/// JSON-RPC over HTTP posts. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub(super) struct HttpTransport {
    client: reqwest::Client,
    /// May hold a key.
    url: Url,
}

impl HttpTransport {
    /// Connects to nothing yet.
    pub(super) fn new(url: &Url) -> Result<Self, RpcError> {
        let client = client_to(url).connect_timeout(CONNECT_TIMEOUT);
        Ok(Self {
            client: client.build().map_err(RpcError::from_client)?,
            url: url.clone(),
        })
    }

    /// Posts one call or a batch, whose answer must begin in time. It may have any status.
    pub(super) async fn post(
        &self,
        body: &impl Serialize,
        within: Duration,
    ) -> Result<reqwest::Response, RpcError> {
        let sent = self.client.post(self.url.clone()).json(body).send();
        tokio::time::timeout(within, sent)
            .await
            .map_err(|_| RpcError::no_answer_within(within))?
            .map_err(RpcError::from_client)
    }

    /// Posts and reads the whole answer.
    pub(super) async fn ask(&self, body: &impl Serialize) -> Result<Body, RpcError> {
        let answered = async {
            let mut response = accepted(self.post(body, FIRST_BYTE).await?).await?;
            let wait = retry_after(response.headers());
            let mut bytes = Vec::new();
            while let Some(chunk) = next_chunk(&mut response).await? {
                bytes.extend_from_slice(&chunk);
                if bytes.len() > LONGEST_ANSWER {
                    return Err(RpcError::unavailable("its answer does not end"));
                }
            }
            Body::read(&bytes, wait)
        };
        tokio::time::timeout(WHOLE_ANSWER, answered)
            .await
            .map_err(|_| RpcError::no_answer_within(WHOLE_ANSWER))?
    }
}

/// The response, where its status is a success; else what the refusal means.
pub(super) async fn accepted(
    mut response: reqwest::Response,
) -> Result<reqwest::Response, RpcError> {
    if response.status().is_success() {
        return Ok(response);
    }
    let (status, wait) = (response.status(), retry_after(response.headers()));
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = next_chunk(&mut response).await
        && body.len() < ERROR_BODY
    {
        body.extend_from_slice(&chunk);
    }
    Err(RpcError::from_status(status, wait, &body))
}

/// The body's next bytes, as they arrive; `None` at its end.
pub(super) async fn next_chunk(
    response: &mut reqwest::Response,
) -> Result<Option<impl AsRef<[u8]> + Deref<Target = [u8]> + use<>>, RpcError> {
    tokio::time::timeout(NEXT_BYTE, response.chunk())
        .await
        .map_err(|_| RpcError::Timeout {
            message: format!("the answer paused for {} s", NEXT_BYTE.as_secs()),
        })?
        .map_err(RpcError::from_client)
}
