//! A merchant's life by script, through the same routes as the dashboard: connect a server, prove the wallet, let a plan open
//! a role, test it, and see a member get it.
use std::collections::BTreeMap;
use std::time::Duration;

use alloy::signers::SignerSync as _;
use anyhow::{Context as _, ensure};
use reqwest::header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use url::Url;

use crate::domain::RoleId;
use crate::http::local_client;
use crate::sandbox::discord::LocalDiscord;
use crate::sandbox::world::World;

/// Plays the life; every step must hold, and is told.
pub(super) async fn play(
    world: &World,
    deadline: Duration,
    mut told: impl FnMut(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut browser = Browser::new(world)?;
    let (club, merchant) = (world.club, world.discord.user_name(world.merchant));
    let server = world.discord.guild_name(club).unwrap_or_default();

    browser
        .connect(world)
        .await
        .context("connecting a server")?;
    ensure!(
        world.discord.bot_role(club).is_some(),
        "the bot is not in {server}"
    );
    told(&format!("{merchant} connected {server}"))?;

    let modules = browser
        .prove_wallet(world)
        .await
        .context("proving the wallet")?;
    ensure!(
        modules.contains(&world.module.to_string()),
        "the module is not the merchant's: {modules}"
    );
    told("the wallet signed → the plans are the merchant's")?;

    let path = format!("/api/v1/guilds/{club}");
    let made = browser
        .post(&format!("{path}/roles"), &json!({ "name": "Gold" }))
        .await?;
    let role = text(&made, "role_id")?;
    let draft = json!({
        "module": world.module.to_string(),
        "plan_ids": [world.plan.to_string()],
        "match": "any",
        "role_ids": [role],
    });
    let made = browser.post(&format!("{path}/gates"), &draft).await?;
    let gate = text(&made, "id")?;
    told("plan mapped to a role that was made for it")?;

    browser
        .post(&format!("{path}/test"), &json!({ "gate_id": gate }))
        .await?;
    told("tested: the role was given to the merchant and taken again")?;

    let member = world.members[1];
    let name = world.discord.user_name(member);
    world.link(member).await?;
    let subscription = world.subscribe(member).await?;
    world.chain.execute(world.module, subscription).await?;
    world.confirm().await?;
    let role = RoleId(role.parse().context("a role's id")?);
    let held = move |discord: &LocalDiscord| discord.has_role(club, member, role);
    let what = "the member has the merchant's role";
    world.discord.wait_until(what, deadline, held).await?;
    told(&format!("{name} paid → role granted in {server}"))
}

fn text(value: &Value, key: &str) -> anyhow::Result<String> {
    let text = value[key].as_str().map(str::to_owned);
    text.with_context(|| format!("the answer has no {key}: {value}"))
}

/// As much of a browser as a script needs: it keeps cookies and follows no redirect by itself.
struct Browser {
    service: Url,
    cookies: BTreeMap<String, String>,
    http: reqwest::Client,
}

impl Browser {
    fn new(world: &World) -> anyhow::Result<Self> {
        let http = local_client().redirect(reqwest::redirect::Policy::none());
        Ok(Self {
            service: world.public_url().clone(),
            cookies: BTreeMap::new(),
            http: http.build().context("making an HTTP client")?,
        })
    }

    async fn send(&mut self, request: RequestBuilder) -> anyhow::Result<Response> {
        let pairs = self.cookies.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let answer = request.header(COOKIE, pairs.join("; ")).send().await?;
        let set = answer.headers().get_all(SET_COOKIE).iter();
        for cookie in set.filter_map(|cookie| cookie.to_str().ok()) {
            let pair = cookie.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(answer)
    }

    /// Where a page leads on to.
    async fn follow(&mut self, url: Url) -> anyhow::Result<Url> {
        let answer = self.send(self.http.get(url.clone())).await?;
        let to = answer
            .headers()
            .get(LOCATION)
            .and_then(|to| to.to_str().ok());
        let to =
            to.with_context(|| format!("{} leads nowhere: {}", url.path(), answer.status()))?;
        Ok(url.join(to)?)
    }

    /// Through Discord's invite, where the merchant picks the server.
    async fn connect(&mut self, world: &World) -> anyhow::Result<()> {
        let mut away = self.follow(self.service.join("/connect")?).await?;
        away.query_pairs_mut()
            .append_pair("as", &world.merchant.to_string())
            .append_pair("pick", &world.club.to_string());
        let back = self.follow(away).await?;
        let end = self.follow(back).await?;
        let expected = format!("/dashboard/{}", world.club);
        ensure!(
            end.path() == expected,
            "the invite leads to {} instead of {expected}",
            end.path()
        );
        Ok(())
    }

    async fn prove_wallet(&mut self, world: &World) -> anyhow::Result<String> {
        let key = world.wallet(world.merchant);
        let body = json!({ "address": key.address().to_string() });
        let answer = self.post("/api/v1/me/wallet/challenge", &body).await?;
        let message = text(&answer, "message")?;
        let signature = key.sign_message_sync(message.as_bytes())?.to_string();
        let body = json!({ "message": message, "signature": signature });
        let answer = self.post("/api/v1/me/wallet/signature", &body).await?;
        Ok(answer["modules"].to_string())
    }

    async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let origin = self.service.origin().ascii_serialization();
        let request = self
            .http
            .post(self.service.join(path)?)
            .header(ORIGIN, origin);
        let answer = self.send(request.json(body)).await?;
        let status = answer.status();
        let said: Value = answer.json().await.unwrap_or_default();
        ensure!(status.is_success(), "{path} answered {status}: {said}");
        Ok(said)
    }
}
