//! What a node's refusal means: every provider words the same few limits differently.

mod text;

use std::time::Duration;

use reqwest::StatusCode;

use crate::chain::logs::{ErrorAnswer, LogsError};

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
    /// The node keeps no history so old.
    #[error(
        "the node keeps no history so old (use an archive node, or a later chain.start_block): {message}"
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

    /// Whether the same call may work later.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::Timeout { .. }
                | Self::Unavailable { .. }
                | Self::WrongChain { .. }
        )
    }

    /// Classifies a JSON-RPC error object. `retry_after` is the HTTP header's, if there was one.
    pub fn from_answer(answer: &ErrorAnswer, retry_after: Option<Duration>) -> Self {
        let data = answer.data.as_ref().map_or("", |data| data.get());
        text::classify(answer.code, &answer.message, data, retry_after)
    }

    /// Classifies an HTTP answer other than 200. Providers put the JSON-RPC error into the body of such answers too,
    /// and what it says is more exact than the status.
    pub fn from_status(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct Body {
            error: ErrorAnswer,
        }
        let said = serde_json::from_slice::<Body>(body)
            .ok()
            .map(|body| Self::from_answer(&body.error, retry_after));
        let message = format!("HTTP {}", status.as_u16());
        match (said, status) {
            (Some(said), StatusCode::OK | StatusCode::BAD_REQUEST) => said,
            (
                Some(
                    said @ (Self::RangeTooWide { .. }
                    | Self::TooManyResults { .. }
                    | Self::RateLimited { .. }
                    | Self::Timeout { .. }
                    | Self::Unavailable { .. }
                    | Self::Refused { .. }),
                ),
                _,
            ) => said,
            (_, StatusCode::TOO_MANY_REQUESTS) => Self::RateLimited {
                retry_after,
                message,
            },
            (_, StatusCode::SERVICE_UNAVAILABLE) if retry_after.is_some() => Self::RateLimited {
                retry_after,
                message,
            },
            (_, StatusCode::PAYLOAD_TOO_LARGE) => Self::TooManyResults {
                suggested: None,
                message,
            },
            (_, StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT) => {
                Self::Timeout { message }
            }
            _ => Self::Unavailable { message },
        }
    }

    /// Classifies a failure of the HTTP client. The URL, which may hold a key, is left out.
    pub fn from_client(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let mut message = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        if error.is_timeout() {
            Self::Timeout { message }
        } else {
            Self::Unavailable { message }
        }
    }

    /// Classifies a failure of an alloy transport.
    pub fn from_transport(error: &alloy::transports::TransportError) -> Self {
        use alloy::transports::{RpcError as Transport, TransportErrorKind};
        match error {
            // Our own HTTP transport has already said what it means.
            Transport::Transport(TransportErrorKind::Custom(cause)) => cause
                .downcast_ref::<Self>()
                .cloned()
                .unwrap_or_else(|| Self::unavailable("the connection failed")),
            Transport::ErrorResp(payload) => {
                let data = payload.data.as_ref().map_or("", |data| data.get());
                text::classify(payload.code, &payload.message, data, None)
            }
            Transport::NullResp => Self::unavailable("it answered null"),
            Transport::Transport(TransportErrorKind::HttpError(error)) => {
                match StatusCode::from_u16(error.status) {
                    Ok(status) => Self::from_status(status, None, error.body.as_bytes()),
                    Err(_) => Self::unavailable("it answered with an invalid HTTP status"),
                }
            }
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
        match error {
            LogsError::Answer(answer) => Self::from_answer(&answer, None),
            LogsError::Batch(answer) => match Self::from_answer(&answer, None) {
                Self::Other { message, .. } => Self::BatchRefused { message },
                error => error,
            },
            // A node that answers nonsense, half an answer or null may answer properly a moment later, or another may.
            error => Self::unavailable(error.to_string()),
        }
    }
}

/// No provider is believed that asks for a longer wait: it is asked again after this.
pub const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// The wait that a `Retry-After` header asks for: seconds, or an HTTP date.
pub fn retry_after(headers: &reqwest::header::HeaderMap) -> Option<Duration> {
    let text = headers
        .get(reqwest::header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = time::OffsetDateTime::parse(
        &text.replace("GMT", "+0000"),
        &time::format_description::well_known::Rfc2822,
    )
    .ok()?;
    Some(Duration::try_from(date - time::OffsetDateTime::now_utc()).unwrap_or_default())
}

#[cfg(test)]
mod tests;
