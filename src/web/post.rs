//! What a page posts as JSON, of bounded size.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::Site;
use super::error::WebError;

/// The message, the signature of a smart wallet that carries its deployment, and JSON's escapes.
const LARGEST_BODY: usize = 64 * 1024;

/// A posted body. Where it comes from was looked at before (`same_origin`).
pub(super) struct Posted<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Site>> for Posted<T> {
    type Rejection = WebError;

    async fn from_request(mut request: Request, site: &Arc<Site>) -> Result<Self, WebError> {
        let headers = request.headers();
        if !is_json(headers) {
            return Err(WebError::NotJson);
        }
        let declared = text(headers, "content-length").and_then(|length| length.parse().ok());
        if declared.is_some_and(|length: usize| length > LARGEST_BODY) {
            return Err(WebError::BodyTooLarge);
        }
        DefaultBodyLimit::max(LARGEST_BODY).apply(&mut request);
        let body = Bytes::from_request(request, site).await;
        let body = body.map_err(|refusal| match refusal.status() {
            StatusCode::PAYLOAD_TOO_LARGE => WebError::BodyTooLarge,
            // Cut off, or malformed already as HTTP.
            _ => WebError::BadRequest,
        })?;
        serde_json::from_slice(&body)
            .map(Self)
            .map_err(|_| WebError::BadRequest)
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}
