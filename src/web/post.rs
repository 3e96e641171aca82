//! What a page or a script posts as JSON, of bounded size.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::json;

use super::Site;
use super::error::WebError;

/// The message, the signature of a smart wallet that carries its deployment, and JSON's escapes.
const LARGEST_BODY: usize = 64 * 1024;

/// A posted body. Where it comes from was looked at before (`same_origin`).
pub(super) struct Posted<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Site>> for Posted<T> {
    type Rejection = NotPosted;

    async fn from_request(mut request: Request, site: &Arc<Site>) -> Result<Self, NotPosted> {
        let headers = request.headers();
        if !is_json(headers) {
            return Err(WebError::NotJson.into());
        }
        let declared = text(headers, "content-length").and_then(|length| length.parse().ok());
        if declared.is_some_and(|length: usize| length > LARGEST_BODY) {
            return Err(WebError::BodyTooLarge.into());
        }
        DefaultBodyLimit::max(LARGEST_BODY).apply(&mut request);
        let body = Bytes::from_request(request, site).await;
        let body = body.map_err(|refusal| match refusal.status() {
            StatusCode::PAYLOAD_TOO_LARGE => WebError::BodyTooLarge,
            // Cut off, or malformed already as HTTP.
            _ => WebError::BadRequest,
        })?;
        read(&body).map(Self).map_err(NotPosted::Shape)
    }
}

/// Why a body was not taken.
pub(super) enum NotPosted {
    Web(WebError),
    /// It is not what the request takes; one sentence.
    Shape(String),
}

impl From<WebError> for NotPosted {
    fn from(error: WebError) -> Self {
        Self::Web(error)
    }
}

impl IntoResponse for NotPosted {
    fn into_response(self) -> Response {
        match self {
            Self::Web(error) => error.into_response(),
            Self::Shape(message) => {
                let code = WebError::BadRequest.code();
                let error = json!({ "code": code, "message": message });
                let body = Json(json!({ "error": error }));
                (WebError::BadRequest.status(), body).into_response()
            }
        }
    }
}

/// The body, or one sentence that names the field that does not fit.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    // Whether it is JSON at all: of some values that do not fit, the parser says that they are none.
    serde_json::from_slice::<IgnoredAny>(body)
        .map_err(|_| "The request's body is not JSON.".to_owned())?;
    let mut json = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        misfit(error.inner(), &path)
    })
}

fn misfit(error: &serde_json::Error, path: &str) -> String {
    let said = error.to_string();
    let named = |what: &str| Some(said.strip_prefix(what)?.split('`').next()?.to_owned());
    if let Some(field) = named("missing field `") {
        return format!("The request's body lacks \"{field}\".");
    }
    if let Some(field) = named("unknown field `") {
        return format!("This request takes no \"{field}\".");
    }
    if let Some(field) = named("duplicate field `") {
        return format!("The request's body has \"{field}\" twice.");
    }
    match path {
        "." => "The request's body is not a JSON object.".to_owned(),
        path => format!("The value of \"{path}\" does not fit."),
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

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        ids: Vec<u64>,
        #[serde(default)]
        is_meant: bool,
        #[serde(default)]
        kind: Kind,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    enum Kind {
        #[default]
        Any,
    }

    #[test]
    fn a_body_that_does_not_fit_is_told_by_its_field() {
        for (body, part) in [
            ("", "not JSON"),
            ("{", "not JSON"),
            ("{\"ids\": [1]} x", "not JSON"),
            ("null", "not a JSON object"),
            ("{}", "lacks \"ids\""),
            ("{\"ids\": [1], \"idss\": []}", "takes no \"idss\""),
            ("{\"ids\": [1], \"ids\": []}", "has \"ids\" twice"),
            ("{\"ids\": [1, -1]}", "\"ids[1]\" does not fit"),
            ("{\"ids\": 5}", "\"ids\" does not fit"),
            (
                "{\"ids\": [], \"is_meant\": 1}",
                "\"is_meant\" does not fit",
            ),
            ("{\"ids\": [], \"kind\": null}", "\"kind\" does not fit"),
        ] {
            let told = read::<Body>(body.as_bytes()).unwrap_err();
            assert!(told.contains(part), "{body}: {told}");
        }
        let read = read(b" {\"ids\": [1]}\n");
        let expected = Body {
            ids: vec![1],
            is_meant: false,
            kind: Kind::Any,
        };
        assert_eq!(read, Ok(expected));
    }
}
