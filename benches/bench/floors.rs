//! What a row is compared with: the least that has to happen, done bare, in the same run and by turns with the row.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alloy::providers::{Provider as _, ProviderBuilder, WsConnect};
use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const DEADLINE: Duration = Duration::from_secs(30);
/// How often the bare poll asks for the newest block.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(50);

/// A bare write and fsync on the disk that a store is on.
pub(crate) struct Disk {
    file: File,
    bytes: Vec<u8>,
}

impl Disk {
    /// For writes of this size, into a file that has its full length already.
    pub(crate) fn new(folder: &Path, bytes: u64) -> anyhow::Result<Self> {
        let file = File::create(folder.join("floor"))?;
        let mut disk = Self {
            file,
            bytes: vec![7; usize::try_from(bytes)?],
        };
        disk.sync()?;
        Ok(disk)
    }

    /// Milliseconds of one.
    pub(crate) fn sync(&mut self) -> anyhow::Result<f64> {
        let started = Instant::now();
        self.file.rewind()?;
        self.file.write_all(&self.bytes)?;
        self.file.sync_data()?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    }
}

type Arrivals = Arc<Mutex<HashMap<u64, Instant>>>;

/// A bare HTTP server that notes when a request about a block (or any other number) first arrived, and tasks that send
/// such requests.
pub(crate) struct Requests {
    url: String,
    client: reqwest::Client,
    arrivals: Arrivals,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Requests {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        async fn arrived(State(arrivals): State<Arrivals>, body: String) {
            let at = Instant::now();
            if let (Ok(number), Ok(mut arrivals)) = (body.parse(), arrivals.lock()) {
                arrivals.entry(number).or_insert(at);
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let arrivals = Arrivals::default();
        let router = Router::new()
            .fallback(arrived)
            .with_state(Arc::clone(&arrivals));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { Ok(axum::serve(listener, router).await?) });
        Ok(Self {
            url,
            client: reqwest::Client::new(),
            arrivals,
            tasks,
        })
    }

    /// Sends one.
    pub(crate) async fn send(&self, number: u64) -> anyhow::Result<()> {
        send(&self.client, &self.url, number).await
    }

    /// From now on, one for each head that a websocket node pushes.
    pub(crate) async fn for_pushed_heads(&mut self, ws_url: String) -> anyhow::Result<()> {
        let node = ProviderBuilder::new()
            .connect_ws(WsConnect::new(ws_url))
            .await?;
        let mut heads = node.subscribe_blocks().await?.into_stream();
        let (client, url) = (self.client.clone(), self.url.clone());
        self.tasks.spawn(async move {
            // The provider must live as long as its stream.
            let _node = node;
            while let Some(head) = heads.next().await {
                send(&client, &url, head.number).await?;
            }
            Ok(())
        });
        Ok(())
    }

    /// From now on, one for each new head that a bare poll finds.
    pub(crate) fn for_polled_heads(&mut self, http_url: &str) -> anyhow::Result<()> {
        let node = ProviderBuilder::new().connect_http(http_url.parse()?);
        let (client, url) = (self.client.clone(), self.url.clone());
        self.tasks.spawn(async move {
            let mut last = 0;
            loop {
                let number = node.get_block_number().await?;
                if number != last {
                    last = number;
                    send(&client, &url, number).await?;
                }
                tokio::time::sleep(POLL_EVERY).await;
            }
        });
        Ok(())
    }

    /// Milliseconds from `started` to the first request about this number.
    pub(crate) async fn after(&self, number: u64, started: Instant) -> anyhow::Result<f64> {
        let arrived = async {
            loop {
                let at = self.arrivals.lock().ok().and_then(|arrivals| {
                    let at = arrivals.get(&number);
                    at.copied()
                });
                match at {
                    Some(at) => return at,
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        };
        let at = tokio::time::timeout(DEADLINE, arrived)
            .await
            .context("the bare request did not arrive")?;
        Ok(at.saturating_duration_since(started).as_secs_f64() * 1e3)
    }
}

async fn send(client: &reqwest::Client, url: &str, number: u64) -> anyhow::Result<()> {
    client.post(url).body(number.to_string()).send().await?;
    Ok(())
}
