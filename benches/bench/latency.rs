//! From a block to the role request: the whole service, durable commits included, on a real anvil and the local Discord.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use alloy::providers::{Provider as _, ProviderBuilder, WsConnect};
use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use futures_util::StreamExt as _;
use tokio::net::TcpListener;

use crate::scene::{Scene, Setup};
use crate::table::{Table, percentile};

/// Blocks measured over a websocket.
const WS_SAMPLES: usize = 200;
/// Blocks measured over HTTP; they come once a second.
const HTTP_SAMPLES: usize = 40;

pub(crate) async fn latency(table: &mut Table) -> anyhow::Result<()> {
    for confirmations in [0, 2] {
        let mut millis = ws(confirmations).await?;
        let (p50, p99) = (percentile(&mut millis, 50), percentile(&mut millis, 99));
        table.row(
            &format!("block to role request, ws, {confirmations} confirmations"),
            format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
            "p50 ≤ 15 ms, p99 ≤ 50 ms",
            p50 <= 15.0 && p99 <= 50.0,
        );
    }
    for confirmations in [0, 2] {
        let (mut millis, calls) = http(confirmations).await?;
        let (p50, p99) = (percentile(&mut millis, 50), percentile(&mut millis, 99));
        table.row(
            &format!("block to role request, http, {confirmations} confirmations, 1 s blocks"),
            format!("p50 {p50:.1} ms, p99 {p99:.1} ms, {calls:.2} calls per block"),
            "p50 ≤ 100 ms, ≤ 4 calls",
            p50 <= 100.0 && calls <= 4.0,
        );
    }
    Ok(())
}

fn setup(members: usize, confirmations: u64) -> Setup {
    Setup {
        members,
        linked: true,
        confirmations,
        ..Setup::default()
    }
}

/// Each sample is a payment in a block of its own; the clock starts before the block (with confirmations: the last of
/// those on top) is asked for, so mining it is part of the figure.
async fn ws(confirmations: u64) -> anyhow::Result<Vec<f64>> {
    let scene = Scene::build(setup(WS_SAMPLES, confirmations), |chain| chain.ws_url()).await?;
    scene.ready().await?;
    let mut millis = Vec::new();
    for (user, subscription) in &scene.members {
        // Discord's global limit is 50 requests a second; what is measured is latency, not waiting for that.
        tokio::time::sleep(Duration::from_millis(25)).await;
        let mut started = Instant::now();
        scene.chain.execute(scene.module, *subscription).await?;
        for _ in 0..confirmations {
            started = Instant::now();
            scene.chain.mine(1).await?;
        }
        millis.push(scene.request_after(*user, started).await?);
    }
    scene.end().await?;
    Ok(millis)
}

/// The clock starts when a websocket subscriber of the node hears of the block.
async fn http(confirmations: u64) -> anyhow::Result<(Vec<f64>, f64)> {
    let calls = Arc::new(AtomicU64::new(0));
    let proxy = TcpListener::bind("127.0.0.1:0").await?;
    let proxy_url = format!("http://{}", proxy.local_addr()?);
    let scene = Scene::build(setup(HTTP_SAMPLES, confirmations), |_| proxy_url).await?;
    let counting = tokio::spawn(count_calls(
        proxy,
        scene.chain.http_url(),
        Arc::clone(&calls),
    ));
    let node = ProviderBuilder::new()
        .connect_ws(WsConnect::new(scene.chain.ws_url()))
        .await?;
    let mut heads = node.subscribe_blocks().await?.into_stream();
    scene.chain.set_block_time(1).await?;
    scene.ready().await?;
    // The follower needs a few blocks to learn when they come.
    for _ in 0..5 {
        heads.next().await.context("the node ended")?;
    }
    let (calls_before, mut blocks) = (calls.load(Ordering::Relaxed), 0u64);
    let mut millis = Vec::new();
    for (user, subscription) in &scene.members {
        let paid = scene.chain.execute(scene.module, *subscription).await?;
        let wanted = paid
            .receipt
            .block_number
            .context("a mined receipt has a block")?
            + confirmations;
        let started = loop {
            let head = heads.next().await.context("the node ended")?;
            blocks += 1;
            if head.number >= wanted {
                break Instant::now();
            }
        };
        millis.push(scene.request_after(*user, started).await?);
    }
    let calls = calls.load(Ordering::Relaxed) - calls_before;
    counting.abort();
    scene.end().await?;
    Ok((millis, calls as f64 / blocks as f64))
}

/// Passes JSON-RPC calls on to the node and counts them.
async fn count_calls(
    listener: TcpListener,
    node: String,
    calls: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    type Shared = (reqwest::Client, String, Arc<AtomicU64>);
    async fn pass_on(State((client, node, calls)): State<Shared>, body: Bytes) -> Bytes {
        calls.fetch_add(1, Ordering::Relaxed);
        let sent = client
            .post(node)
            .header("content-type", "application/json")
            .body(body)
            .send();
        match sent.await {
            Ok(answer) => answer.bytes().await.unwrap_or_default(),
            Err(_) => Bytes::new(),
        }
    }
    let shared = (reqwest::Client::new(), node, calls);
    axum::serve(listener, Router::new().fallback(pass_on).with_state(shared)).await?;
    Ok(())
}
