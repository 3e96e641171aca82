//! Answers as HTTP: bodies, rate limit headers, and the two kinds of 429.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use crate::sandbox::discord::call::Answer;
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::limits::{Refusal, Scope, Standing};

/// Says to what a 429 applies.
pub(super) const SCOPE: HeaderName = HeaderName::from_static("x-ratelimit-scope");

pub(super) fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

pub(super) fn succeed(answer: Answer) -> Response<Body> {
    match answer.body {
        Some(body) => respond(answer.status, answer.kind, body),
        None => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = answer.status;
            response
        }
    }
}

pub(super) fn refuse(error: &ApiError) -> Response<Body> {
    respond(error.status, "application/json", error.body().to_string())
}

/// Whole milliseconds, rounded up, so that a client which waits exactly this long is not early.
fn ceil_millis(value: Duration) -> f64 {
    (value.as_secs_f64() * 1000.0).ceil() / 1000.0
}

fn seconds(value: Duration) -> HeaderValue {
    let text = format!("{:.3}", ceil_millis(value));
    HeaderValue::try_from(text).expect("a number is a header value")
}

pub(super) fn with_headers(
    mut response: Response<Body>,
    standing: Option<Standing>,
) -> Response<Body> {
    let Some(standing) = standing else {
        return response;
    };
    let reset = SystemTime::now() + standing.reset_after;
    let reset = reset.duration_since(UNIX_EPOCH).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", standing.limit.into());
    headers.insert("x-ratelimit-remaining", standing.remaining.into());
    headers.insert("x-ratelimit-reset", seconds(reset));
    headers.insert("x-ratelimit-reset-after", seconds(standing.reset_after));
    headers.insert(
        "x-ratelimit-bucket",
        HeaderValue::from_static(standing.bucket.name()),
    );
    response
}

/// Discord's own 429.
pub(super) fn too_many(refusal: Refusal, standing: Option<Standing>) -> Response<Body> {
    let body = json!({
        "message": "You are being rate limited.",
        "retry_after": ceil_millis(refusal.retry_after),
        "global": refusal.scope == Scope::Global,
    });
    let response = respond(
        StatusCode::TOO_MANY_REQUESTS,
        "application/json",
        body.to_string(),
    );
    let standing = standing.map(|standing| Standing {
        remaining: 0,
        ..standing
    });
    let mut response = with_headers(response, standing);
    let headers = response.headers_mut();
    // The header has whole seconds, the body the exact time.
    headers.insert(
        RETRY_AFTER,
        HeaderValue::from(refusal.retry_after.as_secs_f64().ceil() as u64),
    );
    headers.insert(SCOPE, HeaderValue::from_static(refusal.scope.name()));
    if refusal.scope == Scope::Global {
        headers.insert("x-ratelimit-global", HeaderValue::from_static("true"));
    }
    headers.insert("via", HeaderValue::from_static("1.1 google"));
    response
}

/// A 429 that comes from Cloudflare: no `Via`, no rate limit headers, not JSON.
pub(super) fn cloudflare(retry_after: Duration) -> Response<Body> {
    let page = "<!doctype html><html><head><title>Access denied</title></head><body><h1>Error 1015</h1>\
                <p>You are being rate limited</p></body></html>";
    let mut response = respond(
        StatusCode::TOO_MANY_REQUESTS,
        "text/html; charset=UTF-8",
        page.to_owned(),
    );
    let headers = response.headers_mut();
    headers.insert(
        RETRY_AFTER,
        HeaderValue::from(retry_after.as_secs_f64().ceil() as u64),
    );
    headers.insert("server", HeaderValue::from_static("cloudflare"));
    response
}
