//! What a page posts: JSON of bounded size, from our own page.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::error::WebError;
use super::session::{has_csrf_token, read};
use super::{Site, session};

/// The message, the signature of a smart wallet that carries its deployment, and JSON's escapes.
const LARGEST_BODY: usize = 64 * 1024;

/// A posted body, after every check that needs nothing but the request itself.
pub(super) struct Posted<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Site>> for Posted<T> {
    type Rejection = WebError;

    async fn from_request(mut request: Request, site: &Arc<Site>) -> Result<Self, WebError> {
        let headers = request.headers();
        if !is_json(headers) {
            return Err(WebError::NotJson);
        }
        comes_from_our_page(site, headers)?;
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

/// Refuses what another site made a browser send. Browsers name the origin of every post; a client that names none is
/// believed if it carries no session, or the session's CSRF token with it.
fn comes_from_our_page(site: &Site, headers: &HeaderMap) -> Result<(), WebError> {
    if let Some(origin) = headers.get(ORIGIN) {
        let ours = site.settings().public_url.origin().ascii_serialization();
        return match origin.to_str() {
            Ok(origin) if origin == ours => Ok(()),
            _ => Err(WebError::CrossOrigin),
        };
    }
    if text(headers, "sec-fetch-site").is_some_and(|from| from != "same-origin") {
        return Err(WebError::CrossOrigin);
    }
    let session: Option<session::Session> = read(site, headers);
    match session {
        Some(session) if !has_csrf_token(site, headers, &session) => Err(WebError::CsrfMissing),
        _ => Ok(()),
    }
}
