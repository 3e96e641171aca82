//! amser's API on this machine, as far as `doctor` asks it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use alloy::primitives::Address;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// How it answers.
#[derive(Clone, Debug)]
pub(super) struct Manners {
    /// The name of the wallet's parameter.
    pub(super) parameter: &'static str,
    /// The answer to an access check.
    pub(super) access: Value,
    /// The plans of every module, for who has the key.
    pub(super) plans: Value,
    /// The key that it knows.
    pub(super) key: &'static str,
    /// The merchant whose key that is; `None`: whoever is asked about.
    pub(super) merchant: Option<Address>,
}

impl Manners {
    /// Whether a request has the key.
    fn knows(&self, headers: &HeaderMap) -> bool {
        let expected = format!("Bearer {}", self.key);
        let given = headers.get("authorization");
        given.is_some_and(|given| given.as_bytes() == expected.as_bytes())
    }
}

pub(super) struct LocalApi {
    pub(super) url: String,
    manners: Arc<Mutex<Manners>>,
    serving: JoinHandle<()>,
}

impl LocalApi {
    pub(super) async fn start() -> Self {
        let manners = Arc::new(Mutex::new(Manners {
            parameter: "address",
            access: json!({ "active": false }),
            plans: json!([]),
            key: "amsr_test_1",
            merchant: None,
        }));
        let routes = Router::new()
            .route("/v0/auth/check", get(access))
            .route("/v0/modules/{module}/plans", get(plans))
            .route("/v0/plans/{merchant}", get(of_merchant))
            .with_state(Arc::clone(&manners));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            axum::serve(listener, routes).await.unwrap();
        });
        Self {
            url,
            manners,
            serving,
        }
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.manners.lock().unwrap());
    }

    pub(super) fn stop(&self) {
        self.serving.abort();
    }
}

impl Drop for LocalApi {
    fn drop(&mut self) {
        self.stop();
    }
}

type Shared = State<Arc<Mutex<Manners>>>;

async fn access(State(manners): Shared, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let manners = manners.lock().unwrap().clone();
    match query.contains_key(manners.parameter) {
        true => Json(manners.access).into_response(),
        false => StatusCode::BAD_REQUEST.into_response(),
    }
}

async fn plans(State(manners): Shared, headers: HeaderMap) -> Response {
    let manners = manners.lock().unwrap().clone();
    match manners.knows(&headers) {
        true => Json(manners.plans).into_response(),
        false => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn of_merchant(
    State(manners): Shared,
    Path(merchant): Path<Address>,
    headers: HeaderMap,
) -> StatusCode {
    let manners = manners.lock().unwrap().clone();
    let is_theirs = manners.merchant.is_none_or(|theirs| theirs == merchant);
    match (manners.knows(&headers), is_theirs) {
        (true, true) => StatusCode::OK,
        (true, false) => StatusCode::FORBIDDEN,
        (false, _) => StatusCode::UNAUTHORIZED,
    }
}
