//! What a merchant's request is refused for.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::error::WebError;
use crate::merchants::Refusal;

/// A refusal of the pages themselves, or of what merchants may do.
#[derive(Debug)]
pub(in crate::web) enum Failure {
    Web(WebError),
    Refused(Refusal),
}

impl Failure {
    /// One sentence for a person.
    pub(in crate::web) fn message(&self) -> String {
        match self {
            Self::Web(error) => error.message(),
            Self::Refused(refusal) => refusal.to_string(),
        }
    }

    pub(in crate::web) fn status(&self) -> StatusCode {
        match self {
            Self::Web(error) => error.status(),
            Self::Refused(refusal) => {
                StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// Writes the cause of a fault of ours to the log.
    pub(in crate::web) fn log(&self) {
        if let Self::Refused(refusal) = self {
            log(refusal);
        }
    }
}

/// Writes the cause of a fault of ours to the log, the only place for it.
fn log(refusal: &Refusal) {
    if let Refusal::Internal(error) = refusal {
        tracing::error!(error = format!("{error:#}"), "a request failed");
    }
}

/// The sentence of a refusal that is part of a page, which is logged as one that is answered with.
pub(in crate::web) fn told(refusal: &Refusal) -> String {
    log(refusal);
    refusal.to_string()
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.log();
        match self {
            Self::Web(error) => error.into_response(),
            // The one "no such server" of all routes, as a person's browser shows it too.
            Self::Refused(Refusal::NotFound) => WebError::NoServer.into_response(),
            Self::Refused(refusal) => {
                let error = json!({ "code": refusal.code(), "message": refusal.to_string() });
                let status = Self::Refused(refusal).status();
                (status, Json(json!({ "error": error }))).into_response()
            }
        }
    }
}

impl From<WebError> for Failure {
    fn from(error: WebError) -> Self {
        Self::Web(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Refused(Refusal::Internal(error))
    }
}
