//! Requests that change something come from our own pages: one layer looks at every one of them.
//!
//! Browsers say where a request comes from in `Sec-Fetch-Site`, which no page can set, and in `Origin`.

use std::sync::Arc;

use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::header::ORIGIN;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::Site;
use super::error::WebError;
use super::session::{Visitor, has_csrf_token};

/// Refuses what another site made a browser send.
pub(super) async fn require(
    State(site): State<Arc<Site>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match check(&mut parts, &site).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => error.into_response(),
    }
}

async fn check(parts: &mut Parts, site: &Arc<Site>) -> Result<(), WebError> {
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let ours = site.settings().public_url.origin().ascii_serialization();
    match source(&parts.headers, &ours) {
        Source::OurPage => Ok(()),
        // The wallet page's token stands in the path, which another site does not know; with a session, its CSRF token is
        // wanted too.
        Source::Unsaid if parts.uri.path().starts_with("/verify/") => {
            let Visitor(session) = Visitor::from_request_parts(parts, site).await?;
            match session {
                Some(session) if !has_csrf_token(site, &parts.headers, &session) => {
                    Err(WebError::CsrfMissing)
                }
                _ => Ok(()),
            }
        }
        Source::Unsaid | Source::AnotherSite => Err(WebError::CrossOrigin),
    }
}

/// Where a request comes from, by its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    OurPage,
    AnotherSite,
    /// No browser, or a very old one.
    Unsaid,
}

fn source(headers: &HeaderMap, ours: &str) -> Source {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    let origin = headers.get(ORIGIN).map(|origin| origin.as_bytes());
    let is_ours = origin.map(|origin| origin == ours.as_bytes());
    match (site, is_ours) {
        (Some(b"same-origin"), None | Some(true)) | (None | Some(b"none"), Some(true)) => {
            Source::OurPage
        }
        // A form on a page with `Referrer-Policy: no-referrer`.
        (Some(b"same-origin"), Some(false)) if origin == Some(b"null") => Source::OurPage,
        (None, None) => Source::Unsaid,
        _ => Source::AnotherSite,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "https://roles.example";

    #[test]
    fn only_our_own_pages_change_anything() {
        let same = Some("same-origin");
        for (site, origin, expected) in [
            (same, Some(OURS), Source::OurPage),
            (same, Some("null"), Source::OurPage),
            (same, None, Source::OurPage),
            (None, Some(OURS), Source::OurPage),
            (Some("none"), Some(OURS), Source::OurPage),
            (None, None, Source::Unsaid),
            (None, Some("null"), Source::AnotherSite),
            (None, Some(""), Source::AnotherSite),
            (None, Some("http://roles.example"), Source::AnotherSite),
            (
                None,
                Some("https://roles.example.evil"),
                Source::AnotherSite,
            ),
            (same, Some("https://evil.example"), Source::AnotherSite),
            (Some("none"), None, Source::AnotherSite),
            (Some("same-site"), None, Source::AnotherSite),
            (Some("same-site"), Some(OURS), Source::AnotherSite),
            (Some("cross-site"), Some("null"), Source::AnotherSite),
            (Some("cross-site"), None, Source::AnotherSite),
            (Some("nonsense"), None, Source::AnotherSite),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(site) = site {
                headers.insert("sec-fetch-site", site.parse().unwrap());
            }
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(source(&headers, OURS), expected, "{site:?} {origin:?}");
        }
    }
}
