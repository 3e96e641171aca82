//! amser's HTTP API on this machine, as far as the service asks it: `auth/check` answered from the local chain (or from any
//! function), the activity that a merchant's key opens, and every way in which such an API can fail.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use alloy::primitives::U256;
use alloy::providers::Provider as _;
use alloy::sol_types::SolCall as _;
use anyhow::Context as _;
use axum::extract::{Query, State};
use axum::http::header::{CONNECTION, ETAG, IF_NONE_MATCH, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::get;
use axum::serve::Listener;
use axum::{Router, serve};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::chain::{LocalChain, transaction};
use crate::abi::SubscriptionModule::isActiveCall;
use crate::domain::{ActiveQuestion, ModuleAddress, PlanId, Wallet};

/// Whether there is access; `None`: it is not known, which is answered with 503.
pub type Truth = Arc<dyn Fn(ActiveQuestion) -> BoxFuture<'static, Option<bool>> + Send + Sync>;

/// How `auth/check` and the activity answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// The truth.
    #[default]
    Truth,
    /// The truth, this much later.
    Slow(Duration),
    /// Always 429 with this `Retry-After`.
    TooMany(String),
    /// Always this status.
    Fails(u16),
    /// 200 with JSON of another shape.
    OtherShape,
    /// Nobody has access.
    Denies,
    /// Everybody has.
    Allows,
    /// The opposite of the truth.
    Inverts,
    /// Leads to another host.
    Redirects,
    /// Never answers.
    Hangs,
    /// No connection stays open.
    Down,
}

/// One request to `auth/check`.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// When it came.
    pub at: Instant,
    /// What was asked.
    pub question: ActiveQuestion,
    /// The tag of the last answer, as it was sent along (`If-None-Match`).
    pub tag: Option<String>,
    /// The status that it was answered with; 0 while it was not.
    pub status: u16,
}

/// The running API. Dropping the last handle stops it.
#[derive(Clone)]
pub struct LocalApi {
    shared: Arc<Shared>,
    _stop: Arc<DropGuard>,
}

impl std::fmt::Debug for LocalApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalApi").finish_non_exhaustive()
    }
}

struct Shared {
    base_url: String,
    truth: Truth,
    state: Mutex<Inner>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Inner {
    behaviour: Behaviour,
    /// Requests that are allowed in each second.
    allowance: Option<u32>,
    requests: Vec<ApiRequest>,
    activity: Vec<Value>,
    activity_asked: Vec<String>,
    second: Option<(Instant, u32)>,
}

impl LocalApi {
    /// Starts one that says what the contracts of a local chain say at its newest block.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn of_chain(chain: &LocalChain) -> anyhow::Result<Self> {
        Self::start(of_chain(chain), Router::new()).await
    }

    /// Starts one with this truth; `more`: routes beside it.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(truth: Truth, more: Router) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.context("binding the local API")?;
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            base_url: format!("http://{}", listener.local_addr()?),
            truth,
            state: Mutex::default(),
            stop: stop.clone(),
        });
        let router = Router::new()
            .route("/v0/auth/check", get(check))
            .route("/v0/activity/{merchant}", get(activity))
            .with_state(Arc::clone(&shared))
            .merge(more);
        let door = Door {
            listener,
            shared: Arc::clone(&shared),
        };
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                served = async { serve(door, router).await } => if let Err(error) = served {
                    tracing::error!(%error, "the local API failed");
                },
                () = stopped.cancelled() => {}
            }
        });
        Ok(Self {
            shared,
            _stop: Arc::new(stop.drop_guard()),
        })
    }

    /// `http://127.0.0.1:PORT`, for `amser.api_url`.
    pub fn base_url(&self) -> &str {
        &self.shared.base_url
    }

    /// How it answers from now on.
    pub fn set(&self, behaviour: Behaviour) {
        self.shared.state().behaviour = behaviour;
    }

    /// How many requests it allows in each second, counted from the first; more get 429 with the seconds to wait.
    pub fn allow(&self, per_second: Option<u32>) {
        self.shared.state().allowance = per_second;
    }

    /// The requests to `auth/check` so far.
    pub fn requests(&self) -> Vec<ApiRequest> {
        self.shared.state().requests.clone()
    }

    /// What the activity lists from now on, whoever's it is.
    pub fn set_activity(&self, activity: Vec<Value>) {
        self.shared.state().activity = activity;
    }

    /// The paths and queries with which the activity was asked for.
    pub fn activity_asked(&self) -> Vec<String> {
        self.shared.state().activity_asked.clone()
    }
}

/// What a local chain's contracts say at its newest block.
pub fn of_chain(chain: &LocalChain) -> Truth {
    let provider = chain.provider().clone();
    Arc::new(move |question: ActiveQuestion| {
        let provider = provider.clone();
        Box::pin(async move {
            let call = isActiveCall {
                subject: question.wallet.0,
                scope: question.plan.0,
            };
            let request = transaction(super::chain::protocol_owner(), question.module.0, &call);
            let answer = provider.call(request).await.ok()?;
            isActiveCall::abi_decode_returns(&answer).ok()
        })
    })
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().expect("no holder of this lock can panic")
    }

    /// What an answer is instead of the truth.
    async fn obstacle(&self) -> Option<Response> {
        let behaviour = self.state().behaviour.clone();
        let status = |code| StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY);
        Some(match behaviour {
            Behaviour::Truth | Behaviour::Denies | Behaviour::Allows | Behaviour::Inverts => {
                return None;
            }
            Behaviour::Slow(pause) => {
                tokio::time::sleep(pause).await;
                return None;
            }
            Behaviour::TooMany(after) => {
                (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, after)]).into_response()
            }
            Behaviour::Fails(code) => (status(code), "no").into_response(),
            Behaviour::OtherShape => Json(json!({ "data": { "status": "ok" } })).into_response(),
            Behaviour::Redirects => {
                let elsewhere = [(LOCATION, "http://127.0.0.1:9/login")];
                (StatusCode::FOUND, elsewhere).into_response()
            }
            Behaviour::Hangs => {
                self.stop.cancelled().await;
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            }
            Behaviour::Down => {
                (StatusCode::SERVICE_UNAVAILABLE, [(CONNECTION, "close")]).into_response()
            }
        })
    }
}

impl Inner {
    /// The seconds to wait for one who asks too often.
    fn is_too_many(&mut self, now: Instant) -> Option<u64> {
        let allowance = self.allowance?;
        let (since, count) = self.second.get_or_insert((now, 0));
        if now.duration_since(*since) >= Duration::from_secs(1) {
            let whole = now.duration_since(*since).as_secs();
            (*since, *count) = (*since + Duration::from_secs(whole), 0);
        }
        *count += 1;
        (*count > allowance).then_some(1)
    }
}

#[derive(Deserialize)]
struct Asked {
    #[serde(alias = "user_address")]
    address: Wallet,
    module_address: ModuleAddress,
    plan_id: String,
}

async fn check(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let Ok(plan) = asked.plan_id.parse::<U256>() else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let question = ActiveQuestion {
        module: asked.module_address,
        wallet: asked.address,
        plan: PlanId(plan),
    };
    let tag = headers
        .get(IF_NONE_MATCH)
        .and_then(|tag| tag.to_str().ok())
        .map(str::to_owned);
    let (place, too_many) = {
        let mut state = shared.state();
        let at = Instant::now();
        state.requests.push(ApiRequest {
            at,
            question,
            tag: tag.clone(),
            status: 0,
        });
        (state.requests.len() - 1, state.is_too_many(at))
    };
    let response = match too_many {
        Some(wait) => {
            let wait = [(RETRY_AFTER, wait.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, wait).into_response()
        }
        None => answer(&shared, question, tag.as_deref()).await,
    };
    if let Some(request) = shared.state().requests.get_mut(place) {
        request.status = response.status().as_u16();
    }
    response
}

async fn answer(shared: &Shared, question: ActiveQuestion, known: Option<&str>) -> Response {
    if let Some(obstacle) = shared.obstacle().await {
        return obstacle;
    }
    let truth = async || (shared.truth)(question).await;
    let behaviour = shared.state().behaviour.clone();
    let active = match behaviour {
        Behaviour::Denies => Some(false),
        Behaviour::Allows => Some(true),
        Behaviour::Inverts => truth().await.map(|active| !active),
        _ => truth().await,
    };
    let Some(active) = active else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let tag = format!("\"{active}\"");
    if known == Some(tag.as_str()) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
    }
    ([(ETAG, tag)], Json(json!({ "active": active }))).into_response()
}

#[derive(Deserialize)]
struct Listed {
    since: String,
    limit: usize,
}

/// What happened since then, oldest first, no more than was asked for.
async fn activity(
    State(shared): State<Arc<Shared>>,
    Query(listed): Query<Listed>,
    uri: Uri,
) -> Response {
    shared.state().activity_asked.push(uri.to_string());
    if let Some(obstacle) = shared.obstacle().await {
        return obstacle;
    }
    let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let Some(since) = time(&listed.since) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let all = shared.state().activity.clone();
    let timed = all.into_iter().filter_map(|entry| {
        let at = entry["timestamp"].as_str().and_then(time)?;
        (at >= since).then_some((at, entry))
    });
    let mut timed: Vec<_> = timed.collect();
    timed.sort_by_key(|(at, _)| *at);
    let entries = timed.into_iter().map(|(_, entry)| entry);
    Json(entries.take(listed.limit).collect::<Vec<_>>()).into_response()
}

/// Takes no connection in while the API is down.
struct Door {
    listener: TcpListener,
    shared: Arc<Shared>,
}

impl Listener for Door {
    type Io = TcpStream;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let accepted = Listener::accept(&mut self.listener).await;
            if self.shared.state().behaviour != Behaviour::Down {
                return accepted;
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
