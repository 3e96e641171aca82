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
use serde::de::IgnoredAny;
use tokio::net::TcpListener;

use crate::floors::{POLL_EVERY, Requests};
use crate::scene::{Scene, Setup};
use crate::table::{Table, percentile};

/// Blocks measured over a websocket.
const WS_SAMPLES: usize = 200;
/// Blocks measured over HTTP; they come once a second.
const HTTP_SAMPLES: usize = 40;
/// What the whole service may take, in times of what the bare head and request take.
const MOST_WS_P50: f64 = 5.0;
const MOST_WS_P99: f64 = 6.0;
const MOST_HTTP_P50: f64 = 3.0;

pub(crate) async fn latency(table: &mut Table) -> anyhow::Result<()> {
    for confirmations in [0, 2] {
        let Samples { millis, floors } = ws(confirmations).await?;
        for (percent, most) in [(50, MOST_WS_P50), (99, MOST_WS_P99)] {
            let (value, floor) = (percentile(&millis, percent), percentile(&floors, percent));
            table.ratio(
                &format!(
                    "block to role request, ws, {confirmations} confirmations, p{percent} of {WS_SAMPLES}"
                ),
                format!("{value:.1} ms"),
                format!("{floor:.1} ms: a bare pushed head to a bare request"),
                value / floor,
                most,
            );
        }
    }
    for confirmations in [0, 2] {
        let (Samples { millis, floors }, calls) = http(confirmations).await?;
        let what =
            format!("block to role request, http, {confirmations} confirmations, 1 s blocks");
        let every = POLL_EVERY.as_millis();
        let (value, floor) = (percentile(&millis, 50), percentile(&floors, 50));
        table.ratio(
            &format!("{what}, p50 of {HTTP_SAMPLES}"),
            format!("{value:.1} ms, p99 {:.1} ms", percentile(&millis, 99)),
            format!("{floor:.1} ms: a bare poll every {every} ms to a bare request"),
            value / floor,
            MOST_HTTP_P50,
        );
        table.row(
            &format!("{what}, calls per block"),
            format!("{calls:.2}"),
            "<= 4",
            calls <= 4.0,
        );
    }
    Ok(())
}

/// What was measured, and its floor for the same blocks.
#[derive(Default)]
struct Samples {
    millis: Vec<f64>,
    floors: Vec<f64>,
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
async fn ws(confirmations: u64) -> anyhow::Result<Samples> {
    let scene = Scene::build(setup(WS_SAMPLES, confirmations), |chain| chain.ws_url()).await?;
    scene.ready().await?;
    let mut bare = Requests::start().await?;
    bare.for_pushed_heads(scene.chain.ws_url()).await?;
    let mut samples = Samples::default();
    for (user, subscription) in &scene.members {
        // Discord's global limit is 50 requests a second; what is measured is latency, not waiting for that.
        tokio::time::sleep(Duration::from_millis(25)).await;
        let mut started = Instant::now();
        scene.chain.execute(scene.module, *subscription).await?;
        for _ in 0..confirmations {
            started = Instant::now();
            scene.chain.mine(1).await?;
        }
        samples
            .millis
            .push(scene.request_after(*user, started).await?);
        let head = scene.chain.head().await?.number;
        samples.floors.push(bare.after(head, started).await?);
    }
    scene.end().await?;
    Ok(samples)
}

/// The clock starts when a websocket subscriber of the node hears of the block.
async fn http(confirmations: u64) -> anyhow::Result<(Samples, f64)> {
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
    let mut bare = Requests::start().await?;
    bare.for_polled_heads(&scene.chain.http_url())?;
    let (calls_before, mut blocks) = (calls.load(Ordering::Relaxed), 0u64);
    let mut samples = Samples::default();
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
        samples
            .millis
            .push(scene.request_after(*user, started).await?);
        samples.floors.push(bare.after(wanted, started).await?);
    }
    let calls = calls.load(Ordering::Relaxed) - calls_before;
    counting.abort();
    scene.end().await?;
    Ok((samples, calls as f64 / blocks as f64))
}

/// Passes JSON-RPC calls on to the node and counts them, each of a batch too.
async fn count_calls(
    listener: TcpListener,
    node: String,
    calls: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    type Shared = (reqwest::Client, String, Arc<AtomicU64>);
    async fn pass_on(State((client, node, calls)): State<Shared>, body: Bytes) -> Bytes {
        let batch = serde_json::from_slice::<Vec<IgnoredAny>>(&body);
        let in_body = batch.map_or(1, |calls| calls.len() as u64);
        calls.fetch_add(in_body, Ordering::Relaxed);
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
