//! A faulty node: HTTP and websocket in front of anvil, with the oddities of real providers switched on and off.

mod answer;
mod faults;
mod socket;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use amser_roles::sandbox::chain::LocalChain;
use axum::body::Bytes;
use axum::extract::{State, WebSocketUpgrade};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use answer::Answer;
pub(crate) use faults::{Faults, Instead, Pending, Refusal};

/// The proxy. Dropping it stops it.
pub(crate) struct RpcProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    upstream: Mutex<String>,
    client: reqwest::Client,
    faults: Mutex<Faults>,
    calls: Mutex<BTreeMap<String, u64>>,
    posts: AtomicU64,
    /// One for each open websocket.
    websockets: Arc<()>,
    /// Cancelled and replaced to cut every open websocket.
    cut: Mutex<CancellationToken>,
}

impl RpcProxy {
    /// A node in front of this chain, without a fault.
    pub(crate) async fn start(chain: &LocalChain) -> Self {
        let shared = Arc::new(Shared {
            upstream: Mutex::new(chain.http_url()),
            client: crate::support::http::client(),
            faults: Mutex::default(),
            calls: Mutex::default(),
            posts: AtomicU64::default(),
            websockets: Arc::default(),
            cut: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/", get(upgrade).post(post))
            .route("/{*key}", get(upgrade).post(post))
            .with_state(Arc::clone(&shared));
        let stop = CancellationToken::new();
        let ended = stop.clone();
        tokio::spawn(async move {
            let serving = axum::serve(listener, router);
            tokio::select! {
                _ = serving => {}
                () = ended.cancelled() => {}
            }
        });
        Self {
            address,
            shared,
            _stop: stop.drop_guard(),
        }
    }

    pub(crate) fn http_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn ws_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Host and port, as the status shows them.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Switches faults on and off.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.shared.faults());
    }

    /// A copy of the faults and what they have counted.
    pub(crate) fn faults(&self) -> Faults {
        self.shared.faults().clone()
    }

    /// Answers for another chain from now on; open websockets stay with the old one.
    pub(crate) fn point_at(&self, chain: &LocalChain) {
        *self.shared.upstream.lock().unwrap() = chain.http_url();
    }

    /// Ends every open websocket without a word.
    pub(crate) fn cut_websockets(&self) {
        let mut cut = self.shared.cut.lock().unwrap();
        std::mem::take(&mut *cut).cancel();
    }

    /// Calls since the start, by method.
    pub(crate) fn calls(&self) -> BTreeMap<String, u64> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// Requests over HTTP since the start; a batch is one.
    pub(crate) fn posts(&self) -> u64 {
        self.shared.posts.load(Ordering::Relaxed)
    }

    /// Calls of one method since the start.
    pub(crate) fn calls_of(&self, method: &str) -> u64 {
        self.calls().get(method).copied().unwrap_or_default()
    }
}

impl Shared {
    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap()
    }

    fn upstream(&self) -> String {
        self.upstream.lock().unwrap().clone()
    }

    /// How many blocks the backend that answers now is behind the chain.
    fn lag(&self) -> u64 {
        let faults = self.faults();
        // Half of the requests, in an order without a rhythm: no two kinds of calls always meet the same backend.
        let mut dice = self
            .posts
            .load(Ordering::Relaxed)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        dice = (dice ^ (dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        match (dice ^ (dice >> 27)).is_multiple_of(2) {
            true => faults.lag.max(faults.apart),
            false => faults.lag,
        }
    }

    fn count(&self, method: &str) {
        *self
            .calls
            .lock()
            .unwrap()
            .entry(method.to_owned())
            .or_default() += 1;
    }
}

async fn post(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    shared.posts.fetch_add(1, Ordering::Relaxed);
    if shared.faults().dead {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    let mut answers = Vec::new();
    let is_batch = request.is_array();
    let requests = match request {
        Value::Array(requests) => requests,
        request => vec![request],
    };
    for request in requests {
        match answer::answer(&shared, request).await {
            Answer::Json(value) => answers.push(value),
            Answer::Status(status) => return status.into_response(),
            Answer::TooMany(body, seconds) => {
                let wait = [(header::RETRY_AFTER, seconds.to_string())];
                return (StatusCode::TOO_MANY_REQUESTS, wait, Json(body)).into_response();
            }
            Answer::Never => return std::future::pending().await,
            // A body that ends before its time.
            Answer::Close(_) => {
                let length = [(header::CONTENT_LENGTH, "1000")];
                return (length, axum::body::Body::from_stream(cut())).into_response();
            }
        }
    }
    match is_batch {
        true => Json(Value::Array(answers)).into_response(),
        false => Json(answers.remove(0)).into_response(),
    }
}

/// A body that breaks off.
fn cut() -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
    futures_util::stream::iter([Err(std::io::ErrorKind::ConnectionReset.into())])
}

async fn upgrade(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    if shared.faults().dead {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    {
        let mut faults = shared.faults();
        let open = Arc::strong_count(&shared.websockets) - 1;
        if faults.most_websockets.is_some_and(|most| open >= most) {
            faults.websockets_refused += 1;
            return StatusCode::TOO_MANY_REQUESTS.into_response();
        }
    }
    let open = Arc::clone(&shared.websockets);
    upgrade.on_upgrade(move |client| async move {
        let _open = open;
        let cut = shared.cut.lock().unwrap().clone();
        tokio::select! {
            () = socket::serve(&shared, client) => {}
            () = cut.cancelled() => {}
        }
    })
}
