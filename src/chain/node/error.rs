//! What a node's refusal means: every provider words the same few limits differently.

mod text;
mod wait;
mod words;

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use serde_json::Value;

use crate::chain::logs::{ErrorAnswer, LogsError};
use crate::domain::ModuleAddress;
use crate::http::asked_wait;
use crate::unreachable::cause_of;
use text::Refusal;

/// Why a call failed, in the terms in which the caller acts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// The block range is wider than the provider allows.
    #[error("the node refuses so wide a block range: {message}")]
    RangeTooWide {
        /// Most blocks that one call may span, where the provider says it.
        max: Option<u64>,
        /// The provider's sentence.
        message: String,
    },
    /// The answer would hold more logs or bytes than the provider allows.
    #[error("the node refuses so many results: {message}")]
    TooManyResults {
        /// First and last block that the provider suggests instead.
        suggested: Option<(u64, u64)>,
        /// The provider's sentence.
        message: String,
    },
    /// One module alone has more events in one block than the node serves.
    #[error("module {module} has more events in one block than the node serves: {message}")]
    Crowded {
        /// Which module.
        module: ModuleAddress,
        /// The provider's sentence.
        message: String,
    },
    /// Too many calls for the plan; the same call works later.
    #[error("the node limits the rate of calls: {message}")]
    RateLimited {
        /// How long to wait, where the provider says it.
        retry_after: Option<Duration>,
        /// The provider's sentence.
        message: String,
    },
    /// The node or the network took too long; a smaller range may work.
    #[error("the node took too long: {message}")]
    Timeout {
        /// What was waited for.
        message: String,
    },
    /// The node cannot serve at the moment: not reachable, refusing this client, lagging, or talking nonsense.
    #[error("the node is not available: {message}")]
    Unavailable {
        /// One sentence.
        message: String,
    },
    /// The node has dropped what is asked for: its history does not go back so far. It will not come back.
    #[error(
        "the node no longer has blocks as old as this; use an archive node, or set chain.start_block to a later block: {message}"
    )]
    Pruned {
        /// The provider's sentence.
        message: String,
    },
    /// The node is on another chain than configured; nothing that it says is used.
    #[error("the node is on chain {actual}, not on chain {expected}")]
    WrongChain {
        /// `chain.chain_id` of the configuration.
        expected: u64,
        /// What the node says.
        actual: u64,
    },
    /// The contract refused the call, or failed in it: no fault of the node.
    #[error("the contract refused: {message}")]
    Refused {
        /// The contract's words, or the EVM's.
        message: String,
    },
    /// The node takes no batches, or only smaller ones; the same calls may work one by one.
    #[error("the node refuses several calls in one request: {message}")]
    BatchRefused {
        /// The provider's sentence.
        message: String,
    },
    /// Any other error answer.
    #[error("the node answered with an error: {message} ({code})")]
    Other {
        /// JSON-RPC or provider-specific code.
        code: i64,
        /// The provider's sentence.
        message: String,
    },
}

impl RpcError {
    /// An [`RpcError::Unavailable`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable {
            message: message.into(),
        }
    }

    /// An [`RpcError::Timeout`] of this call.
    pub(crate) fn timed_out(what: &str) -> Self {
        Self::Timeout {
            message: format!("{what} was not answered in time"),
        }
    }

    /// An [`RpcError::Timeout`] of an answer that did not begin in time.
    pub(super) fn no_answer_within(time: Duration) -> Self {
        Self::Timeout {
            message: format!("no answer within {} s", time.as_secs()),
        }
    }

    /// The same error with another sentence.
    pub(super) fn with_message(mut self, change: impl FnOnce(&mut String)) -> Self {
        match &mut self {
            Self::RangeTooWide { message, .. }
            | Self::TooManyResults { message, .. }
            | Self::Crowded { message, .. }
            | Self::RateLimited { message, .. }
            | Self::Timeout { message }
            | Self::Unavailable { message }
            | Self::Pruned { message }
            | Self::Refused { message }
            | Self::BatchRefused { message }
            | Self::Other { message, .. } => change(message),
            Self::WrongChain { .. } => {}
        }
        self
    }

    /// Whether the same call may work later, or at another node behind the same URL, without being changed.
    pub fn is_temporary(&self) -> bool {
        self.is_about_node() || matches!(self, Self::Timeout { .. } | Self::Unavailable { .. })
    }

    /// Whether the error is about the node, whatever it is asked.
    pub(crate) fn is_about_node(&self) -> bool {
        matches!(self, Self::RateLimited { .. } | Self::WrongChain { .. })
    }

    /// Classifies a JSON-RPC error object. `retry_after` is the HTTP header's, if there was one.
    pub fn from_answer(answer: &ErrorAnswer, retry_after: Option<Duration>) -> Self {
        text::classify(Refusal {
            retry_after,
            ..refusal(answer)
        })
    }

    /// Classifies an HTTP answer other than 200. Providers put the JSON-RPC error into the body of such answers too,
    /// and what it says is more exact than the status.
    pub fn from_status(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Self {
        let said = in_body(body);
        let classified = text::classify(Refusal {
            status: Some(status),
            retry_after,
            ..refusal(&said)
        });
        let number = status.as_u16();
        let message = match said.message.as_str() {
            "" => format!("HTTP {number}"),
            words => format!("{words} (HTTP {number})"),
        };
        match (classified, status) {
            (Self::RateLimited { retry_after, .. }, _) => Self::RateLimited {
                retry_after,
                message,
            },
            (
                Self::Other { .. } | Self::Unavailable { .. },
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN,
            ) => Self::Unavailable {
                message: format!("{}: {message}", text::REFUSES_CLIENT),
            },
            (Self::Other { .. }, StatusCode::SERVICE_UNAVAILABLE) if retry_after.is_some() => {
                Self::RateLimited {
                    retry_after,
                    message,
                }
            }
            (Self::Other { .. }, StatusCode::PAYLOAD_TOO_LARGE) => Self::TooManyResults {
                suggested: None,
                message,
            },
            (Self::Other { .. }, StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT) => {
                Self::Timeout { message }
            }
            // Cloudflare's: the node behind it did not answer in time.
            (Self::Other { .. }, _) if number == 524 => Self::Timeout { message },
            (
                other @ Self::Other {
                    code: 1.. | ..=-1, ..
                },
                StatusCode::BAD_REQUEST,
            ) => other,
            (Self::Other { .. }, _) => Self::Unavailable { message },
            (classified, _) => classified,
        }
    }

    /// Classifies an answer that gave no logs. `retry_after` is the HTTP header's, if there was one.
    pub(super) fn from_logs(error: LogsError, retry_after: Option<Duration>) -> Self {
        match error {
            LogsError::Answer(answer) => Self::from_answer(&answer, retry_after),
            LogsError::Batch(answer) => match Self::from_answer(&answer, retry_after) {
                Self::Other { message, .. } => Self::BatchRefused { message },
                error => error,
            },
            // A node that answers nonsense, half an answer or null may answer properly a moment later, or another may.
            error => Self::unavailable(error.to_string()),
        }
    }

    /// Classifies a failure of the HTTP client, by its innermost cause. The URL, which may hold a key, is left out.
    pub fn from_client(error: reqwest::Error) -> Self {
        let is_timeout = error.is_timeout();
        let message = cause_of(error);
        if is_timeout {
            Self::Timeout { message }
        } else {
            Self::Unavailable { message }
        }
    }

    /// Classifies a failure of alloy's websocket client.
    pub fn from_transport(error: &alloy::transports::TransportError) -> Self {
        use alloy::transports::{RpcError as Transport, TransportErrorKind};
        match error {
            // Said where the connection is made.
            Transport::Transport(TransportErrorKind::Custom(cause)) => cause
                .downcast_ref::<Self>()
                .cloned()
                .unwrap_or_else(|| Self::unavailable("the connection failed")),
            Transport::ErrorResp(payload) => text::classify(Refusal {
                code: payload.code,
                message: &payload.message,
                data: payload.data.as_ref().map_or("", |data| data.get()),
                ..Refusal::default()
            }),
            Transport::NullResp => Self::unavailable("it answered null"),
            Transport::Transport(TransportErrorKind::BackendGone) => {
                Self::unavailable("the connection is gone")
            }
            Transport::Transport(_) => Self::unavailable("the connection failed"),
            Transport::DeserError { .. } => Self::unavailable("its answer is not understood"),
            other => Self::Other {
                code: 0,
                message: other.to_string(),
            },
        }
    }
}

impl From<LogsError> for RpcError {
    fn from(error: LogsError) -> Self {
        Self::from_logs(error, None)
    }
}

fn refusal(answer: &ErrorAnswer) -> Refusal<'_> {
    Refusal {
        code: answer.code,
        message: &answer.message,
        data: answer.data.as_ref().map_or("", |data| data.get()),
        ..Refusal::default()
    }
}

/// What the body of an HTTP error says: a JSON-RPC error, an object with a `message`, or a short plain text. Pages for
/// people say nothing.
fn in_body(body: &[u8]) -> ErrorAnswer {
    let value = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Array(mut answers)) if !answers.is_empty() => answers.swap_remove(0),
        Ok(value) => value,
        Err(_) => {
            let text = str::from_utf8(body).unwrap_or_default().trim();
            if text.len() > LONGEST_TEXT || text.starts_with('<') {
                return ErrorAnswer::default();
            }
            Value::from(text)
        }
    };
    match value.get("error") {
        Some(error) => error.clone().into(),
        None => value.into(),
    }
}

/// The longest plain text, in bytes, that is taken for a sentence about an error.
const LONGEST_TEXT: usize = 400;

/// No provider is believed that asks for a longer wait: it is asked again after this.
pub const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// The wait that a `Retry-After` header asks for.
pub fn retry_after(headers: &reqwest::header::HeaderMap) -> Option<Duration> {
    let text = headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?;
    asked_wait(text, SystemTime::now())
}

#[cfg(test)]
mod tests;
