//! The REST API: one pipeline (log, faults, authorization, limits, handler, headers) for every route of the table.
pub(crate) mod channels;
pub(crate) mod commands;
pub(crate) mod guilds;
pub(crate) mod members;
pub(crate) mod responses;
pub(crate) mod users;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, request};
use axum::routing::{MethodFilter, on};
use serde_json::json;
use url::form_urlencoded;

use super::call::{Answer, Call, Identity};
use super::error::ApiError;
use super::fault::Fault;
use super::limits::{Lane, Refusal, Standing};
use super::log::{RequestRecord, Rule};
use super::route::{Access, Route};
use super::shared::Shared;
use super::socket::SocketControl;

/// Bodies above this size are refused; Discord's own limit for a request without files is 8 MiB.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// The routes of the table, below `/api/v10`.
pub(crate) fn router() -> Router<Arc<Shared>> {
    let mut router = Router::new();
    for route in Route::ALL {
        let filter = MethodFilter::try_from(route.method()).expect("the table has usual methods");
        let handler = async |State(shared): State<Arc<Shared>>,
                             Path(params): Path<BTreeMap<String, String>>,
                             ConnectInfo(socket): ConnectInfo<SocketControl>,
                             request: Request| {
            answer(&shared, *route, params, &socket, request).await
        };
        router = router.route(route.path(), on(filter, handler));
    }
    router
}

/// Answers a request that met no route, and records it.
pub(crate) async fn unknown_route(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    let number = open(&shared, None, &parts, &body);
    let what = format!("{} {} is not a route.", parts.method, parts.uri.path());
    shared.violate(Rule::UnknownRoute, what);
    let error = ApiError::new(StatusCode::NOT_FOUND, 0, "404: Not Found");
    close(&shared, number, refuse(&error))
}

/// Answers a request whose path is known, but not with this method.
pub(crate) async fn unknown_method(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    let number = open(&shared, None, &parts, &body);
    let what = format!("{} does not take {}.", parts.uri.path(), parts.method);
    shared.violate(Rule::UnknownRoute, what);
    let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, 0, "405: Method Not Allowed");
    close(&shared, number, refuse(&error))
}

async fn answer(
    shared: &Shared,
    route: Route,
    params: BTreeMap<String, String>,
    socket: &SocketControl,
    request: Request,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await.unwrap_or_default();
    let number = open(shared, Some(route), &parts, &body);
    let lane = route.lane(&params);

    let (standing, admitted) = shared.limiter(|limiter, now| {
        let limits = shared.read(|world| world.options.rate_limits.clone());
        if limiter.invalid_requests(now) >= limits.invalid_requests {
            return (None, Err(Blocked::ByCloudflare));
        }
        let (standing, admitted) = limiter.admit(&limits, lane, now);
        (standing, admitted.map_err(Blocked::ByLimit))
    });
    match admitted {
        Ok(()) => {}
        Err(Blocked::ByCloudflare) => {
            return close(shared, number, cloudflare(Duration::from_secs(60)));
        }
        Err(Blocked::ByLimit(refusal)) => {
            if let Some(early) = refusal.early_by {
                let what = format!(
                    "{} {} came {:.3} s before retry_after had passed.",
                    parts.method,
                    parts.uri.path(),
                    early.as_secs_f64()
                );
                shared.violate(Rule::TooEarly, what);
            }
            return close(shared, number, too_many(refusal, standing));
        }
    }
    if let Some(fault) = shared.faults(|faults| faults.take(route)) {
        let faulty = misbehave(shared, &fault, lane, standing, socket).await;
        if let Some(response) = faulty {
            return close(shared, number, response);
        }
    }
    let call = Call {
        route,
        identity: Identity::Nobody,
        params,
        query: form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect(),
        body,
        basic: None,
    };
    let response = match handle(shared, &parts.headers, call) {
        Ok(answer) => succeed(answer),
        Err(error) => {
            if error.malformed {
                let fault = error
                    .errors
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                let what = format!(
                    "{} {}: {} {fault}",
                    parts.method,
                    parts.uri.path(),
                    error.message
                );
                shared.violate(Rule::Malformed, what);
            }
            refuse(&error)
        }
    };
    close(shared, number, with_headers(response, standing))
}

enum Blocked {
    ByCloudflare,
    ByLimit(Refusal),
}

/// Checks who calls, then lets the route's handler answer.
fn handle(shared: &Shared, headers: &HeaderMap, mut call: Call) -> Result<Answer, ApiError> {
    shared.change(|world| {
        let authorization = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let bot = format!("Bot {}", world.options.token);
        call.identity = match (call.route.access(), authorization) {
            (Access::Open, _) => Identity::Nobody,
            (_, Some(given)) if given == bot => Identity::Bot,
            (Access::BotOrBearer, Some(given)) if given.starts_with("Bearer ") => world
                .bearer(given.trim_start_matches("Bearer "))
                .ok_or_else(ApiError::unauthorized)?,
            (_, given) => {
                let how = if given.is_none() { "no" } else { "a wrong" };
                let what = format!("{} came with {how} Authorization.", call.route.path());
                shared.violate(Rule::Authorization, what);
                return Err(ApiError::unauthorized());
            }
        };
        (call.route.handler())(world, &call)
    })
}

/// Does what the fault says; `None` when the request is to be answered as usual after all.
async fn misbehave(
    shared: &Shared,
    fault: &Fault,
    lane: Lane,
    standing: Option<Standing>,
    socket: &SocketControl,
) -> Option<Response<Body>> {
    let block = |key, retry_after| {
        shared.limiter(|limiter, now| limiter.block(key, retry_after, now));
    };
    match fault {
        Fault::Slow(time) => {
            tokio::time::sleep(*time).await;
            None
        }
        // The server's stop, or the client's patience, ends this.
        Fault::Hang => std::future::pending().await,
        Fault::Reset => {
            socket.reset();
            Some(Response::new(Body::empty()))
        }
        Fault::ServerError(status) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY);
            let page = format!("<html><body><h1>{status}</h1></body></html>");
            Some(respond(status, "text/html", page))
        }
        Fault::RateLimited(retry_after) => {
            block(Some(lane), *retry_after);
            let refusal = Refusal {
                retry_after: *retry_after,
                global: false,
                early_by: None,
            };
            Some(too_many(refusal, standing))
        }
        Fault::GlobalRateLimited(retry_after) => {
            block(None, *retry_after);
            let refusal = Refusal {
                retry_after: *retry_after,
                global: true,
                early_by: None,
            };
            Some(too_many(refusal, standing))
        }
        Fault::CloudflareRateLimited(retry_after) => {
            block(None, *retry_after);
            Some(cloudflare(*retry_after))
        }
        Fault::Refused { .. } => fault.refusal().map(|error| refuse(&error)),
    }
}

fn open(shared: &Shared, route: Option<Route>, parts: &request::Parts, body: &Bytes) -> u64 {
    let reason = parts.headers.get("x-audit-log-reason").map(|value| {
        // Percent-encoded; `form_urlencoded` would also turn `+` into a space, which encoders escape.
        let pair = [b"r=", value.as_bytes()].concat();
        form_urlencoded::parse(&pair)
            .next()
            .map(|(_, reason)| reason.into_owned())
            .unwrap_or_default()
    });
    let record = RequestRecord {
        number: 0,
        at: Instant::now(),
        method: parts.method.clone(),
        path: parts
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        route,
        status: None,
        reason,
        body: String::from_utf8_lossy(body).into_owned(),
    };
    let number = shared.log(|log| log.open(record));
    shared.notify();
    number
}

/// Notes the answer, and counts it when Discord would count it as invalid.
fn close(shared: &Shared, number: u64, response: Response<Body>) -> Response<Body> {
    let status = response.status().as_u16();
    if matches!(status, 401 | 403 | 429) {
        shared.limiter(|limiter, now| limiter.count_invalid(now));
    }
    shared.log(|log| log.close(number, status));
    shared.notify();
    response
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn succeed(answer: Answer) -> Response<Body> {
    match answer.body {
        Some(body) => respond(answer.status, "application/json", body),
        None => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = answer.status;
            response
        }
    }
}

fn refuse(error: &ApiError) -> Response<Body> {
    respond(error.status, "application/json", error.body().to_string())
}

fn seconds(value: Duration) -> HeaderValue {
    HeaderValue::try_from(format!("{:.3}", value.as_secs_f64()))
        .expect("a number is a header value")
}

fn with_headers(mut response: Response<Body>, standing: Option<Standing>) -> Response<Body> {
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
fn too_many(refusal: Refusal, standing: Option<Standing>) -> Response<Body> {
    // Rounded up, so that a client which waits exactly this long is not early.
    let retry_after = (refusal.retry_after.as_secs_f64() * 1000.0).ceil() / 1000.0;
    let body = json!({
        "message": "You are being rate limited.",
        "retry_after": retry_after,
        "global": refusal.global,
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
    let scope = if refusal.global { "global" } else { "user" };
    headers.insert("x-ratelimit-scope", HeaderValue::from_static(scope));
    if refusal.global {
        headers.insert("x-ratelimit-global", HeaderValue::from_static("true"));
    }
    headers.insert("via", HeaderValue::from_static("1.1 google"));
    response
}

/// A 429 that comes from Cloudflare: no `Via`, no rate limit headers, not JSON.
fn cloudflare(retry_after: Duration) -> Response<Body> {
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
