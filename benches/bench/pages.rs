//! The merchants' pages where 200 merchants with 200 servers share one process: how long a page takes beside a bare page of the
//! same service, and what 50 open status streams cost while nothing happens.

use std::time::{Duration, Instant};

use alloy::primitives::U256;
use amser_roles::domain::{
    Gate, GateId, GateMatch, GateOrigin, GuildId, ModuleAddress, PlanId, Timestamp, UserId,
};
use amser_roles::store::Session;
use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::process;
use crate::scene::{Scene, Setup};
use crate::table::{Table, median, millis};

const MERCHANTS: u64 = 200;
const STREAMS: usize = 50;
/// How long the idle streams are watched.
const IDLE: Duration = Duration::from_secs(20);
/// What a page may cost in bare pages: 50 ms where a bare one takes half of one.
const MOST_BARE_PAGES: f64 = 100.0;
/// What the idle streams may cost together, in per cent of a core.
const MOST_OF_A_CORE: f64 = 1.0;
const DEADLINE: Duration = Duration::from_secs(120);
/// The first plan of a module.
const PLAN: PlanId = PlanId(U256::ONE);

/// A merchant's browser.
struct Browser {
    guild: GuildId,
    cookie: String,
}

pub(crate) async fn pages(table: &mut Table) -> anyhow::Result<()> {
    let setup = Setup {
        members: 1,
        linked: true,
        paid: true,
        ..Setup::default()
    };
    let scene = Scene::build(setup, |chain| chain.ws_url()).await?;
    scene.ready().await?;
    let browsers = (1..=MERCHANTS)
        .map(|number| merchant(&scene, number))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let client = reqwest::Client::new();
    let base = scene.public_url();
    for browser in &browsers {
        until_works(&client, base, browser).await?;
    }
    let (mut bare, mut status, mut members) = (Vec::new(), Vec::new(), Vec::new());
    for browser in &browsers {
        bare.push(timed(&client, base, browser, "/").await?);
        let server = format!("/dashboard/{}", browser.guild);
        status.push(timed(&client, base, browser, &server).await?);
        members.push(timed(&client, base, browser, &format!("{server}/members")).await?);
    }
    let floor = median(&bare);
    for (what, taken) in [("status", &status), ("members", &members)] {
        table.ratio(
            &format!(
                "a server's page of {what}, {MERCHANTS} merchants in one process (by the median)"
            ),
            millis(taken),
            format!("{}: a bare page", millis(&bare)),
            median(taken) / floor,
            MOST_BARE_PAGES,
        );
    }
    let quiet = share_of_a_core().await?;
    let mut streams = Vec::new();
    for browser in &browsers[..STREAMS] {
        let events = base.join(&format!("/api/v1/guilds/{}/events", browser.guild))?;
        let request = client.get(events).header("cookie", &browser.cookie);
        let mut answer = request.send().await?.error_for_status()?;
        answer.chunk().await?.context("a snapshot comes first")?;
        streams.push(answer);
    }
    let with_streams = share_of_a_core().await?;
    drop(streams);
    let cost = with_streams - quiet;
    table.row(
        &format!("{STREAMS} open status streams while nothing happens"),
        format!("{cost:.2} % of a core more than the {quiet:.2} % without"),
        &format!("<= {MOST_OF_A_CORE} %"),
        cost <= MOST_OF_A_CORE,
    );
    scene.end().await
}

/// One more server with a gate, and its owner signed in.
fn merchant(scene: &Scene, number: u64) -> anyhow::Result<Browser> {
    let discord = &scene.discord;
    let guild = discord.add_guild(&format!("Server {number}"));
    let role = discord.add_role(guild, "Subscriber")?;
    let bot = discord.bot_role(guild).context("the bot's role")?;
    discord.set_role_order(guild, &[role, bot])?;
    scene.store.put_gate(&Gate {
        id: GateId(1_000 + number),
        guild,
        module: ModuleAddress(scene.module),
        plans: [PLAN].into(),
        matching: GateMatch::Any,
        roles: [role].into(),
        origin: GateOrigin::Dashboard,
    })?;
    let user: UserId = discord.owner(guild).context("a server has an owner")?;
    let id: [u8; 32] = Sha256::digest(format!("session {number}")).into();
    let session = Session {
        user,
        servers: vec![guild],
        csrf: "none".to_owned(),
        expires_at: Timestamp(u64::MAX / 2),
        idle_seconds: None,
        link: None,
    };
    let key = Sha256::digest(id).into();
    scene.store.start_session(&key, &session, None)?;
    let cookie = format!("amser_roles_session={}", URL_SAFE_NO_PAD.encode(id));
    Ok(Browser { guild, cookie })
}

/// Waits until the server was read and its page says so.
async fn until_works(
    client: &reqwest::Client,
    base: &Url,
    browser: &Browser,
) -> anyhow::Result<()> {
    let asked = async {
        loop {
            let url = base.join(&format!("/api/v1/guilds/{}", browser.guild))?;
            let answer = client
                .get(url)
                .header("cookie", &browser.cookie)
                .send()
                .await?;
            let is_read = |said: serde_json::Value| {
                said["status"]["discord"]["members_read"] == serde_json::Value::Bool(true)
            };
            if answer.status().is_success() && is_read(answer.json().await?) {
                return anyhow::Ok(());
            }
            // Of the merchant's allowance of 60 requests a minute.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked)
        .await
        .context("a server is not read in time")?
}

/// Milliseconds for a page, to its last byte.
async fn timed(
    client: &reqwest::Client,
    base: &Url,
    browser: &Browser,
    path: &str,
) -> anyhow::Result<f64> {
    let started = Instant::now();
    let request = client
        .get(base.join(path)?)
        .header("accept", "text/html")
        .header("cookie", &browser.cookie);
    let answer = request.send().await?;
    let status = answer.status();
    let page = answer.text().await?;
    anyhow::ensure!(status.is_success(), "{path}: {status}: {page}");
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

/// What this process uses of a core, in per cent, over [`IDLE`].
async fn share_of_a_core() -> anyhow::Result<f64> {
    let (started, before) = (Instant::now(), process::cpu_seconds()?);
    tokio::time::sleep(IDLE).await;
    let used = process::cpu_seconds()? - before;
    Ok(100.0 * used / started.elapsed().as_secs_f64())
}
