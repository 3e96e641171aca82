//! From a block to the role request: the whole service, durable commits included, on a real anvil and the local Discord.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use alloy::primitives::{Address, U256};
use alloy::providers::{Provider as _, ProviderBuilder, WsConnect};
use amser_roles::app;
use amser_roles::config::{Config, Secrets};
use amser_roles::domain::{GuildId, Link, RoleId, Timestamp, UserId, Wallet};
use amser_roles::sandbox::chain::{self, ChainOptions, LocalChain, PlanTerms};
use amser_roles::sandbox::discord::{LocalDiscord, Options};
use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use futures_util::StreamExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::table::Table;

/// Blocks measured over a websocket.
const WS_SAMPLES: usize = 200;
/// Blocks measured over HTTP; they come once a second.
const HTTP_SAMPLES: usize = 40;
const DEADLINE: Duration = Duration::from_secs(20);

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

fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get((values.len() * percent / 100).min(values.len() - 1))
        .copied()
        .unwrap_or(f64::NAN)
}

/// Each sample is a payment in a block of its own; the clock starts before the block (with confirmations: the last of
/// those on top) is asked for, so mining it is part of the figure.
async fn ws(confirmations: u64) -> anyhow::Result<Vec<f64>> {
    let scene = Scene::build(WS_SAMPLES, confirmations, |chain| chain.ws_url()).await?;
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
    let scene = Scene::build(HTTP_SAMPLES, confirmations, |_| proxy_url).await?;
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

/// The service on a chain with subscribers who are linked and have not paid.
struct Scene {
    chain: LocalChain,
    module: Address,
    discord: LocalDiscord,
    guild: GuildId,
    role: RoleId,
    members: Vec<(UserId, U256)>,
    stop: CancellationToken,
    service: Option<JoinHandle<anyhow::Result<()>>>,
    config: Config,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn build(
        members: usize,
        confirmations: u64,
        rpc_url: impl FnOnce(&LocalChain) -> String,
    ) -> anyhow::Result<Self> {
        let chain = LocalChain::start(ChainOptions::default()).await?;
        let module = chain
            .deploy_module(chain::wallet("merchant").address())
            .await?;
        let terms = PlanTerms {
            price: 1_000,
            interval: 30 * 86_400,
            grace_period: 0,
        };
        let plan = chain.create_plan(module, terms).await?;
        let options = Options::default();
        let (token, application) = (options.token.clone(), options.application_id);
        let discord = LocalDiscord::start(options).await?;
        let guild = discord.add_guild("Bench");
        let role = discord.add_role(guild, "Subscriber")?;
        discord.set_role_order(
            guild,
            &[role, discord.bot_role(guild).context("the bot's role")?],
        )?;
        let folder = tempfile::tempdir()?;
        let web = TcpListener::bind("127.0.0.1:0").await?;
        let text = format!(
            "[chain]\nrpc_urls = [{:?}]\nchain_id = {}\nconfirmations = {confirmations}\n\
             [discord]\napplication_id = \"{application}\"\napi_url = {:?}\n\
             [web]\npublic_url = \"http://{}\"\n[store]\npath = {:?}\n[[gates]]\nguild_id = \"{guild}\"\n\
             module = \"{module}\"\nplan_ids = [{plan}]\nrole_ids = [\"{role}\"]\n",
            rpc_url(&chain),
            chain.chain_id,
            discord.base_url(),
            web.local_addr()?,
            folder.path().join("bench.redb").display().to_string(),
        );
        let config = Config::parse(&text, "the benchmark's configuration", [])?;
        let store = app::open_store(&config).await?;
        let mut people = Vec::new();
        for user in discord.add_members(guild, members as u64)? {
            let wallet = chain::wallet(&format!("member {user}")).address();
            chain.fund(wallet, 1_000_000).await?;
            people.push((user, chain.subscribe(module, wallet, plan).await?));
            let link = Link {
                user,
                wallet: Wallet(wallet),
                linked_at: Timestamp(0),
                proof: None,
            };
            store.link(&link, 1)?;
        }
        let secrets = Secrets {
            discord_token: Some(token.into()),
            ..Secrets::default()
        };
        let stop = CancellationToken::new();
        let service = tokio::spawn(app::serve(
            config.clone(),
            secrets,
            store,
            web,
            stop.clone(),
        ));
        let scene = Self {
            chain,
            module,
            discord,
            guild,
            role,
            members: people,
            stop,
            service: Some(service),
            config,
            _folder: folder,
        };
        if confirmations > 0 {
            scene.chain.mine(confirmations).await?;
        }
        Ok(scene)
    }

    /// Waits until the service follows the tip and is connected.
    async fn ready(&self) -> anyhow::Result<()> {
        let url = self.config.web.public_url.join("readyz")?;
        let asked = async {
            while !reqwest::get(url.clone())
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(DEADLINE, asked)
            .await
            .context("the service is not ready in time")
    }

    /// Milliseconds from `started` to the arrival of the member's role request.
    async fn request_after(&self, user: UserId, started: Instant) -> anyhow::Result<f64> {
        let (guild, role) = (self.guild, self.role);
        self.discord
            .wait_until("the role is granted", DEADLINE, |discord| {
                discord.has_role(guild, user, role)
            })
            .await?;
        let path = format!("/members/{user}/roles/{role}");
        let requests = self.discord.requests();
        let request = requests
            .iter()
            .rev()
            .find(|request| request.path.ends_with(&path));
        let at = request
            .context("the role was granted without a request")?
            .at;
        Ok(at.saturating_duration_since(started).as_secs_f64() * 1e3)
    }

    async fn end(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        let violations = self.discord.violations();
        anyhow::ensure!(
            violations.is_empty(),
            "the local Discord was misused: {violations:?}"
        );
        self.service
            .take()
            .context("the service runs once")?
            .await?
    }
}
