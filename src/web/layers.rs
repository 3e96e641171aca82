//! What surrounds every request: security headers, time, counting, and answers where there is no handler.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Position;

use super::error::{SignInAgain, WebError};
use super::{SignIn, Site, WalletConnect, WebSettings, view};

/// The content policies of our pages, made once.
pub(super) struct Policies {
    plain: HeaderValue,
    /// For the dashboard, whose pages have forms that are sent to us. Where the session is over, those that only ask are sent on
    /// to Discord's sign-in, which browsers count as sending the form there.
    with_forms: HeaderValue,
}

impl Policies {
    pub(super) fn new(settings: &WebSettings) -> Self {
        let forms = match &settings.sign_in {
            SignIn::Discord { api_url, .. } => {
                format!("'self' {}", api_url.origin().ascii_serialization())
            }
            SignIn::None => "'self'".to_owned(),
        };
        let wallet_connect = settings.wallet_connect.as_ref();
        Self {
            plain: content_policy(wallet_connect, "'none'"),
            with_forms: content_policy(wallet_connect, &forms),
        }
    }
}

/// Only our own files; wallets' icons come as `data:` (EIP-6963). Where WalletConnect is offered, its relay too.
fn content_policy(wallet_connect: Option<&WalletConnect>, forms: &str) -> HeaderValue {
    let relay = wallet_connect.map_or_else(String::new, |offer| {
        // Up to the path: scheme, host and port.
        format!(" {}", &offer.relay_url[..Position::BeforePath])
    });
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'{relay}; form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("a URL is ASCII")
}

/// Whether an answer is for a person's browser.
pub(super) fn accepts_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accepts.is_some_and(|kinds| kinds.contains("text/html"))
}

/// Shows a refusal as a page where a person's browser asked for one: handlers and extractors answer with the error alone.
pub(super) async fn show_refusals(
    State(site): State<Arc<Site>>,
    request: Request,
    next: Next,
) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let as_page = !is_api && accepts_page(request.headers());
    let mut response = next.run(request).await;
    let Some(error) = response.extensions_mut().remove::<WebError>() else {
        return response;
    };
    if !as_page {
        return response;
    }
    // Its other headers stay: cookies, and when to come back.
    let again = response.extensions_mut().remove();
    let again = again.map(|SignInAgain(address)| address);
    let (about, body) = view::refusal(site.settings(), error, again).into_parts();
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.extend(about.headers);
    *response.body_mut() = body;
    response
}

/// What a request costs of a client's allowance, where a page costs 1: more for what makes the chain and Discord be asked, less
/// for what a page loads and polls by itself.
pub(super) fn cost(method: &Method, route: &str) -> f64 {
    let asks_a_wallet = route.ends_with("/challenge") || route.ends_with("/signature");
    match route {
        "/verify/{token}/picture/{of}" => 0.2,
        "/verify/{token}/standing" => 0.5,
        _ if method == Method::POST && asks_a_wallet => 3.0,
        _ => 1.0,
    }
}

/// Sets the security headers.
pub(super) async fn protect(
    State(site): State<Arc<Site>>,
    request: Request,
    next: Next,
) -> Response {
    let has_forms = request.uri().path().starts_with("/dashboard");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy = match has_forms {
        true => &site.policies.with_forms,
        false => &site.policies.plain,
    };
    headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(REFERRER_POLICY, "no-referrer");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(X_FRAME_OPTIONS, "DENY");
    set(
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), microphone=(), midi=(), payment=(), usb=()",
    );
    // Smart wallets sign in a window of their own, which must be able to answer.
    set(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin-allow-popups",
    );
    set(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    if site.settings().public_url.scheme() == "https" {
        set(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Longer than any handler takes; event streams begin their answer at once.
const LONGEST: Duration = Duration::from_secs(30);

/// Gives a handler up that takes too long.
pub(super) async fn in_time(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    match tokio::time::timeout(LONGEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let route = route.as_ref().map_or("none", MatchedPath::as_str);
            tracing::error!(route, "a request took too long");
            WebError::TookTooLong.into_response()
        }
    }
}

/// Counts requests by route, never by path: a path may hold a token.
pub(super) async fn count(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    let started = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    tracing::debug!(route, status, "answered");
    metrics::counter!("amser_roles_http_requests_total", "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    metrics::histogram!("amser_roles_http_request_seconds", "route" => route)
        .record(started.elapsed().as_secs_f64());
    response
}

/// No such page.
pub(super) async fn not_found() -> WebError {
    WebError::NotFound
}

/// No such request to this page.
pub(super) async fn method_not_allowed() -> WebError {
    WebError::MethodNotAllowed
}

/// A handler panicked: a bug, and no words of it for the visitor.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is tower-http's"
)]
pub(super) fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("unknown"), "a request panicked");
    WebError::Internal.into_response()
}
