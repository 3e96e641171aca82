//! The REST API: one pipeline (log, faults, authorization, limits, handler, headers) for every route of the table.
pub(crate) mod audit;
pub(crate) mod channels;
pub(crate) mod commands;
pub(crate) mod guilds;
pub(crate) mod invites;
pub(crate) mod members;
mod render;
pub(crate) mod responses;
pub(crate) mod roles;
mod table;
pub(crate) mod users;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, Response, StatusCode, request};
use axum::routing::{MethodFilter, on};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded;

use self::render::{SCOPE, cloudflare, refuse, respond, succeed, too_many, with_headers};
use super::call::{Answer, Call, Identity};
use super::error::ApiError;
use super::fault::Fault;
use super::limits::{Lane, Refusal, Scope, Standing};
use super::log::{RequestRecord, Rule};
use super::route::{Access, Route};
use super::shared::Shared;
use super::socket::SocketControl;
use super::upload;

/// Bodies above this size are refused; Discord's own limit for a request without files is 8 MiB.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// Characters of `X-Audit-Log-Reason`, decoded.
const LONGEST_REASON: usize = 512;

/// The routes of the table, below `/api/v10`.
pub(crate) fn router() -> Router<Arc<Shared>> {
    Route::ALL.iter().copied().fold(Router::new(), add)
}

/// The routes that Discord also serves without a version, below `/api`.
pub(crate) fn unversioned() -> Router<Arc<Shared>> {
    [Route::ExchangeToken, Route::RevokeToken]
        .into_iter()
        .fold(Router::new(), add)
}

fn add(router: Router<Arc<Shared>>, route: Route) -> Router<Arc<Shared>> {
    let filter = MethodFilter::try_from(route.method()).expect("the table has usual methods");
    let handler = async move |State(shared): State<Arc<Shared>>,
                              Path(params): Path<BTreeMap<String, String>>,
                              ConnectInfo(socket): ConnectInfo<SocketControl>,
                              request: Request| {
        answer(&shared, route, params, &socket, request).await
    };
    router.route(route.path(), on(filter, handler))
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
    let fault = shared.faults(|faults| faults.take(route));
    if let Some(fault) = &fault {
        let faulty = misbehave(shared, fault, lane, standing, socket).await;
        if let Some(response) = faulty {
            return close(shared, number, response);
        }
    }
    let received = match upload::read(&parts, body).await {
        Ok(read) => read,
        Err(what) => {
            shared.violate(Rule::Malformed, what.clone());
            return close(shared, number, refuse(&ApiError::invalid_json(what)));
        }
    };
    let call = Call {
        route,
        identity: Identity::Nobody,
        params,
        query: form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect(),
        body: received.json,
        files: received.files,
        target_users: received.target_users,
        is_form: header(&parts.headers, CONTENT_TYPE)
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded")),
        basic: header(&parts.headers, AUTHORIZATION).and_then(basic_credentials),
        reason: audit_log_reason(&parts.headers),
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
    let response = match fault {
        Some(Fault::Lost(status)) => server_error(status),
        _ => with_headers(response, standing),
    };
    close(shared, number, response)
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The id and secret in `Basic …`, each percent-encoded in the pair (RFC 6749, 2.3.1).
fn basic_credentials(authorization: &str) -> Option<(String, String)> {
    let pair = STANDARD
        .decode(authorization.strip_prefix("Basic ")?)
        .ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (id, secret) = pair.split_once(':')?;
    Some((decoded(id), decoded(secret)))
}

/// Percent-decodes.
fn decoded(text: &str) -> String {
    let pair = format!("k={text}");
    let mut pairs = form_urlencoded::parse(pair.as_bytes());
    pairs
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

fn audit_log_reason(headers: &HeaderMap) -> Option<String> {
    header(headers, HeaderName::from_static("x-audit-log-reason")).map(decoded)
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
        let reason = call.reason.as_deref().unwrap_or_default();
        if reason.chars().count() > LONGEST_REASON {
            let message = format!("Must be {LONGEST_REASON} or fewer in length.");
            return Err(ApiError::invalid_form(
                "reason",
                "BASE_TYPE_MAX_LENGTH",
                message,
            ));
        }
        table::handler(call.route)(world, &call)
    })
}

fn server_error(status: u16) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let page = format!("<html><body><h1>{status}</h1></body></html>");
    respond(status, "text/html", page)
}

/// Does what the fault says; `None` when the request is to be answered as usual after all.
async fn misbehave(
    shared: &Shared,
    fault: &Fault,
    lane: Lane,
    standing: Option<Standing>,
    socket: &SocketControl,
) -> Option<Response<Body>> {
    let limited = |key, scope, retry_after| {
        shared.limiter(|limiter, now| limiter.block(key, scope, retry_after, now));
        let refusal = Refusal {
            retry_after,
            scope,
            early_by: None,
        };
        too_many(refusal, standing)
    };
    match fault {
        Fault::Slow(time) => {
            tokio::time::sleep(*time).await;
            None
        }
        Fault::Hang => {
            // The server's stop, or the client's patience, ends this.
            shared.stop.cancelled().await;
            Some(respond(
                StatusCode::SERVICE_UNAVAILABLE,
                "text/plain",
                "stopping".to_owned(),
            ))
        }
        Fault::Reset => {
            socket.reset();
            Some(Response::new(Body::empty()))
        }
        Fault::ServerError(status) => Some(server_error(*status)),
        Fault::Lost(_) => None,
        Fault::RateLimited(retry_after) => Some(limited(Some(lane), Scope::User, *retry_after)),
        Fault::SharedRateLimited(retry_after) => {
            Some(limited(Some(lane), Scope::Shared, *retry_after))
        }
        Fault::GlobalRateLimited(retry_after) => Some(limited(None, Scope::Global, *retry_after)),
        Fault::CloudflareRateLimited(retry_after) => {
            shared.limiter(|limiter, now| limiter.block(None, Scope::Global, *retry_after, now));
            Some(cloudflare(*retry_after))
        }
        Fault::Refused { .. } => fault.refusal().map(|error| refuse(&error)),
    }
}

fn open(shared: &Shared, route: Option<Route>, parts: &request::Parts, body: &Bytes) -> u64 {
    // The forms of OAuth carry the client's secret.
    let secret = matches!(route, Some(Route::ExchangeToken | Route::RevokeToken));
    let body = if secret {
        "(form)".into()
    } else {
        String::from_utf8_lossy(body).into_owned()
    };
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
        reason: audit_log_reason(&parts.headers),
        body,
    };
    let number = shared.log(|log| log.open(record));
    shared.notify();
    number
}

/// Notes the answer, and counts it when Discord would count it as invalid.
fn close(shared: &Shared, number: u64, response: Response<Body>) -> Response<Body> {
    let status = response.status().as_u16();
    let scope = response.headers().get(SCOPE);
    let shared_limit = scope.is_some_and(|scope| scope == Scope::Shared.name());
    if matches!(status, 401 | 403 | 429) && !shared_limit {
        shared.limiter(|limiter, now| limiter.count_invalid(now));
    }
    shared.log(|log| log.close(number, status));
    shared.notify();
    response
}
