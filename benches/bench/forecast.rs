//! What foretelling costs: 1,000 subscribers on a real chain, of whom some will fail for each reason.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use alloy::providers::Provider as _;
use amser_roles::abi::Multicall3;
use amser_roles::chain::{ChainConfig, follow};
use amser_roles::domain::{ChainStatus, ModuleAddress};
use amser_roles::forecast::Forecast;
use amser_roles::store::Store;
use amser_roles::views::{MULTICALL, Views};
use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::seed::{DAY, Seed};
use crate::table::Table;

/// Of each of the 13 kinds: 1,001 in all.
const EACH: usize = 77;
const DEADLINE: Duration = Duration::from_secs(120);

/// A node that counts its requests; a JSON-RPC batch is one.
struct Counting {
    client: reqwest::Client,
    upstream: String,
    requests: AtomicU64,
}

async fn forward(State(node): State<Arc<Counting>>, body: Bytes) -> Response {
    node.requests.fetch_add(1, Ordering::Relaxed);
    let request = node.client.post(&node.upstream).body(body);
    let request = request.header(header::CONTENT_TYPE, "application/json");
    let answer = async { request.send().await?.bytes().await };
    match answer.await {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

pub(crate) async fn forecast(table: &mut Table) -> anyhow::Result<()> {
    let mut seed = Seed::plant(EACH).await;
    let node = Arc::new(Counting {
        client: reqwest::Client::new(),
        upstream: seed.chain.http_url(),
        requests: AtomicU64::default(),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new()
        .route("/", post(forward))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(Arc::clone(&node));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = ChainConfig {
        second_look_every: DEADLINE,
        ..ChainConfig::new(vec![url.parse()?], seed.chain.chain_id)
    };
    let store = Store::in_memory()?;
    let module = ModuleAddress(seed.module);
    let (shown, mut status) = watch::channel(ChainStatus::default());
    let (_modules, wanted) = watch::channel([module].into());
    let views = Views::new(&config, status.clone());
    let stop = CancellationToken::new();
    let follower = follow(
        config,
        store.clone(),
        wanted,
        views.doubts().clone(),
        shown,
        stop.clone(),
    );
    let follower = tokio::spawn(follower);
    let code = Multicall3::DEPLOYED_BYTECODE.clone();
    let asked = seed
        .chain
        .provider()
        .raw_request("anvil_setCode".into(), (MULTICALL, code));
    let _set: () = asked.await?;
    let head = seed.chain.mine(1).await?.number;
    let is_read = status.wait_for(|status| {
        status.at_tip && status.confirmed.is_some_and(|block| block.number >= head)
    });
    tokio::time::timeout(DEADLINE, is_read)
        .await
        .context("the chain is read in time")??;
    // The follower's own calls would be counted, too.
    stop.cancel();
    follower.await??;
    let forecast = Forecast::new(store, views);
    let before = node.requests.load(Ordering::Relaxed);
    let started = Instant::now();
    let week = Duration::from_secs(7 * DAY);
    let told = forecast.of_modules(&[module].into(), week).await?;
    let seconds = started.elapsed().as_secs_f64();
    let calls = node.requests.load(Ordering::Relaxed) - before;
    let mut named: Vec<_> = told
        .iter()
        .map(|one| (one.subscription.0, one.risk))
        .collect();
    named.sort_unstable();
    let is_right = named == seed.expected();
    let named: BTreeSet<_> = named.into_iter().map(|(id, _)| id).collect();
    let is_true = named == seed.charge_all().await;
    table.row(
        &format!(
            "forecast of {} subscribers, {} of whom will fail: {seconds:.2} s",
            seed.members.len(),
            named.len()
        ),
        format!("{calls} calls"),
        "<= 20, each for its reason, no one else",
        calls <= 20 && is_right && is_true,
    );
    Ok(())
}
