//! One JSON-RPC answer, as providers really send it: `"error": null` beside a result is a result, and `"result": null` beside an
//! error is the error. Alloy's own types refuse both.

use std::time::Duration;

use alloy::rpc::json_rpc::{ErrorPayload, Id, Response, ResponsePayload};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::error::RpcError;
use crate::chain::logs::ErrorAnswer;

/// The answer to one call.
#[derive(Debug, Deserialize)]
#[serde(try_from = "RawAnswer")]
pub(super) struct Answer {
    pub(super) id: Id,
    pub(super) outcome: Result<Box<RawValue>, ErrorAnswer>,
    /// `Retry-After` of the HTTP answer that it came with.
    retry_after: Option<Duration>,
}

/// What a body holds.
#[derive(Debug)]
pub(super) enum Body {
    One(Answer),
    Batch(Vec<Answer>),
}

#[derive(Deserialize)]
struct RawAnswer {
    #[serde(default)]
    id: Option<Id>,
    #[serde(default, deserialize_with = "present")]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<ErrorAnswer>,
}

/// Keeps a `null`: it is a result.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

impl TryFrom<RawAnswer> for Answer {
    type Error = &'static str;

    fn try_from(raw: RawAnswer) -> Result<Self, Self::Error> {
        let outcome = match (raw.error, raw.result) {
            (Some(error), _) => Err(error),
            (None, Some(result)) => Ok(result),
            (None, None) => return Err("neither a result nor an error"),
        };
        Ok(Self {
            id: raw.id.unwrap_or(Id::None),
            outcome,
            retry_after: None,
        })
    }
}

impl Body {
    /// Reads a whole body, which came with this `Retry-After`.
    pub(super) fn read(bytes: &[u8], retry_after: Option<Duration>) -> Result<Self, RpcError> {
        let is_list = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
        let body = if is_list {
            serde_json::from_slice(bytes).map(Self::Batch)
        } else {
            serde_json::from_slice(bytes).map(Self::One)
        };
        let mut body = body.map_err(|error| {
            tracing::debug!(%error, "an answer is not JSON-RPC");
            RpcError::unavailable("its answer is not JSON-RPC")
        })?;
        let answers: &mut [Answer] = match &mut body {
            Self::One(answer) => std::slice::from_mut(answer),
            Self::Batch(answers) => answers,
        };
        for answer in answers {
            answer.retry_after = retry_after;
        }
        Ok(body)
    }
}

impl Answer {
    /// The result, read as `T`.
    pub(super) fn into_result<T: serde::de::DeserializeOwned>(self) -> Result<T, RpcError> {
        let result = self
            .outcome
            .map_err(|error| RpcError::from_answer(&error, self.retry_after))?;
        serde_json::from_str(result.get()).map_err(|error| {
            RpcError::unavailable(format!("its answer is not understood: {error}"))
        })
    }
}

impl From<Answer> for Response {
    fn from(answer: Answer) -> Self {
        let payload = match answer.outcome {
            Ok(result) => ResponsePayload::Success(result),
            Err(error) => ResponsePayload::Failure(ErrorPayload {
                code: error.code,
                message: error.message.into(),
                data: error.data,
            }),
        };
        Self {
            id: answer.id,
            payload,
        }
    }
}
