//! What stands in front of the service in the sandbox, as a reverse proxy would: every request goes on to the service, and
//! pages get one script more, which puts a wallet into a browser that has none.
//!
//! The service's own pages, rules and headers stay as they are everywhere else.
mod wallet;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::discord::LocalDiscord;
use super::discord::oauth::visitor::{cookies, remember, visitor};
use crate::domain::UserId;

pub(super) use wallet::wallet;

/// What the names of the service's own cookies begin with.
const SERVICE_COOKIES: &str = "amser_roles_";
/// Pages are far below this many bytes.
const LARGEST_PAGE: usize = 8 * 1024 * 1024;
/// How long open requests may take to end with the sandbox.
const GRACE: Duration = Duration::from_millis(200);

#[derive(Debug)]
struct Front {
    service: Authority,
    discord: LocalDiscord,
    merchant: UserId,
    chain_id: u64,
    client: Client<HttpConnector, Body>,
}

/// The front of a service that listens on `service`.
pub(super) fn router(
    service: SocketAddr,
    discord: LocalDiscord,
    merchant: UserId,
    chain_id: u64,
) -> Router {
    let script = async || {
        file(
            "text/javascript; charset=utf-8",
            include_str!("front/wallet.js"),
        )
    };
    let style = async || file("text/css; charset=utf-8", include_str!("front/wallet.css"));
    let front = Front {
        service: service
            .to_string()
            .parse()
            .expect("an address is an authority"),
        discord,
        merchant,
        chain_id,
        client: Client::builder(TokioExecutor::new()).build_http(),
    };
    Router::new()
        .route("/sandbox/wallet.js", get(script))
        .route("/sandbox/wallet.css", get(style))
        .route("/sandbox/wallet", post(wallet::answer))
        .route("/sandbox/as/{user}", get(become_user))
        .fallback(any(forward))
        .with_state(Arc::new(front))
}

/// Serves the front until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let serving =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serving => served.context("the sandbox's front failed"),
        () = overdue => Ok(()),
    }
}

fn file(kind: &'static str, text: &'static str) -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, kind)], text)
}

#[derive(Deserialize)]
struct Onward {
    /// A path of the service.
    to: Option<String>,
}

/// The visitor goes on as somebody else: with that user's Discord, and with no session of the service.
async fn become_user(
    State(front): State<Arc<Front>>,
    Path(user): Path<UserId>,
    Query(onward): Query<Onward>,
    headers: HeaderMap,
) -> Response {
    if !front.discord.has_user(user) {
        return (StatusCode::NOT_FOUND, "There is no such user.").into_response();
    }
    let own_path = |to: &String| to.starts_with('/') && !to.starts_with("//") && !to.contains('\\');
    let to = onward.to.filter(own_path).unwrap_or_else(|| "/".to_owned());
    let Ok(to) = HeaderValue::try_from(to) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    let set = response.headers_mut();
    set.insert(LOCATION, to);
    let known = visitor(&headers) == Some(user);
    let ended = cookies(&headers).filter(|(name, _)| !known && name.starts_with(SERVICE_COOKIES));
    let ended = ended.map(|(name, _)| format!("{name}=; Path=/; Max-Age=0"));
    for cookie in ended.chain([remember(user)]) {
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            set.append(SET_COOKIE, cookie);
        }
    }
    response
}

/// Lets the service answer.
async fn forward(State(front): State<Arc<Front>>, mut request: Request) -> Response {
    let mut to = request.uri().clone().into_parts();
    to.scheme = Some(Scheme::HTTP);
    to.authority = Some(front.service.clone());
    let Ok(uri) = Uri::from_parts(to) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    *request.uri_mut() = uri;
    let visitor = visitor(request.headers());
    // A page is changed on its way, so it has to be readable.
    request.headers_mut().remove(ACCEPT_ENCODING);
    let answer = match front.client.request(request).await {
        Ok(answer) => answer.map(Body::new),
        Err(error) => {
            tracing::debug!(%error, "the sandbox's service did not answer");
            let why = "The service is not up yet, or it has stopped.";
            return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
        }
    };
    let kind = answer.headers().get(CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let Ok(page) = to_bytes(body, LARGEST_PAGE).await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let page = String::from_utf8_lossy(&page);
    let page = with_wallet(&page, &front.discord, visitor);
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(page))
}

/// A page with the sandbox's wallet in it, and with ways back that lead to the local Discord.
fn with_wallet(page: &str, discord: &LocalDiscord, visitor: Option<UserId>) -> String {
    let name = visitor
        .map(|user| discord.user_name(user))
        .unwrap_or_default();
    let head = maud::html! {
        link rel="stylesheet" href="/sandbox/wallet.css";
        script type="module" src="/sandbox/wallet.js" data-visitor=(name) data-sandbox=(discord.base_url()) {}
    };
    page.replacen("</head>", &format!("{}</head>", head.into_string()), 1)
        .replace(
            "https://discord.com/channels/",
            &format!("{}/channels/", discord.base_url()),
        )
}
