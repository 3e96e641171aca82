//! amser's API as far as this program asks it: the names of plans.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use alloy::primitives::Address;
use amser_roles::amser_api::AmserApi;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What was asked and what is answered.
#[derive(Clone, Default)]
pub(crate) struct PlanNames {
    plans: Arc<Mutex<BTreeMap<Address, Value>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    is_down: Arc<Mutex<bool>>,
    /// Nothing is answered meanwhile.
    is_held: Arc<watch::Sender<bool>>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) module: Address,
    pub(crate) chain_id: Option<String>,
    pub(crate) authorization: Option<String>,
}

impl PlanNames {
    /// Starts it, with a client that knows this key.
    pub(crate) async fn start(key: Option<&str>) -> (Self, AmserApi) {
        let (names, url) = Self::serve().await;
        let key = key.map(Into::into);
        (
            names,
            AmserApi::new(&url.parse().unwrap(), 31_337, key).unwrap(),
        )
    }

    /// Starts it; where it is.
    pub(crate) async fn serve() -> (Self, String) {
        let names = Self::default();
        let router = Router::new()
            .route("/v0/modules/{module}/plans", get(answer))
            .with_state(names.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (names, url)
    }

    pub(crate) fn set(&self, module: Address, plans: Value) {
        self.plans.lock().unwrap().insert(module, plans);
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        *self.is_down.lock().unwrap() = is_down;
    }

    pub(crate) fn set_held(&self, is_held: bool) {
        self.is_held.send_replace(is_held);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(
    State(names): State<PlanNames>,
    Path(module): Path<Address>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let authorization = headers.get("authorization");
    names.asked.lock().unwrap().push(Asked {
        module,
        chain_id: query.get("chain_id").cloned(),
        authorization: authorization.map(|value| value.to_str().unwrap().to_owned()),
    });
    let mut is_held = names.is_held.subscribe();
    is_held.wait_for(|is_held| !is_held).await.unwrap();
    if *names.is_down.lock().unwrap() {
        return Err(StatusCode::BAD_GATEWAY);
    }
    let plans = names.plans.lock().unwrap().get(&module).cloned();
    plans.map(Json).ok_or(StatusCode::NOT_FOUND)
}
