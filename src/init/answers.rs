//! The answers, each checked at once: a node by its chain, a module by its merchant and plans, a role by its place.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;
use alloy::sol_types::SolCall as _;
use anyhow::{Context as _, bail, ensure};
use secrecy::SecretString;
use url::Url;

use super::ask::{Asking, say};
use super::bot::{bot, client_secret, token};
use super::flags::Flags;
use crate::abi::Layouts;
use crate::abi::SubscriptionModule::merchantCall;
use crate::chain::node::{Node, RpcError, read};
use crate::discord::SeenServer;
use crate::domain::{GuildId, ModuleAddress, Plan, PlanId, RoleId};
use crate::loopback::is_loopback;
use crate::terminal::print_line;
use crate::text;

/// The longest wait for a node's rate limit.
const PATIENCE: Duration = Duration::from_secs(5);
/// Ids that are tried to find a module's plans: they are numbered from 1 on, and some from 0.
const PLAN_IDS: std::ops::Range<u64> = 0..20;
/// "Manage Roles".
const PERMISSIONS: u64 = crate::discord::hierarchy::MANAGE_ROLES;

/// Everything that the configuration needs.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) token: SecretString,
    pub(super) client_secret: Option<SecretString>,
    pub(super) application_id: NonZeroU64,
    pub(super) discord_api_url: Url,
    pub(super) rpc_urls: Vec<Url>,
    pub(super) chain_id: u64,
    pub(super) module: ModuleAddress,
    pub(super) plans: Vec<PlanId>,
    pub(super) guild: GuildId,
    pub(super) role: RoleId,
    pub(super) public_url: Url,
}

impl Answers {
    /// The address at which the bot is added to a server.
    pub(super) fn invite(&self) -> String {
        invite(&self.discord_api_url, self.application_id)
    }
}

fn invite(api_url: &Url, application: NonZeroU64) -> String {
    let base = api_url.as_str().trim_end_matches('/');
    format!(
        "{base}/oauth2/authorize?client_id={application}&scope=bot+applications.commands&permissions={PERMISSIONS}"
    )
}

/// Asks for everything that no flag gives.
pub(super) async fn collect(flags: &Flags, asking: &Asking) -> anyhow::Result<Answers> {
    let token = token(flags, asking).await?;
    let (discord, application_id) = bot(flags, &token).await?;
    let client_secret = client_secret(flags, asking, &discord, application_id).await?;
    let (rpc_urls, chain_id, node) = nodes(flags, asking).await?;
    let question = "Address of your SubscriptionModule";
    let given = ("--module", flags.module.clone());
    let check = async |text: &str| module(&node, chain_id, text).await;
    let (module, known) = asking.settle(given, question, check).await?;
    let plans = plans(flags, asking, &node, module, &known).await?;
    let given = ("--guild", flags.guild.clone());
    let check = async |text: &str| {
        let guild: GuildId = text.parse().ok().context("a server's id is a number")?;
        let seen = discord.examine_server(guild).await?;
        if seen.is_none() {
            let link = invite(&flags.discord_api_url, application_id);
            let sentence = format!("the bot is not in this server yet; invite it: {link}");
            // A flag's value is not asked for, so it is not asked for again either.
            ensure!(flags.guild.is_some(), "{sentence} (then answer again)");
            print_line(sentence)?;
        }
        Ok((guild, seen))
    };
    let question = "Id of your Discord server (Developer Mode on: right click, Copy Server ID)";
    let (guild, seen) = asking.settle(given, question, check).await?;
    let given = ("--role", flags.role.clone());
    let check = async |text: &str| role(guild, seen.as_ref(), text);
    let question = "Id of the role that the plan opens (Server Settings, Roles, Copy Role ID)";
    let role = asking.settle(given, question, check).await?;
    let given = ("--public-url", flags.public_url.clone());
    let question = "Address under which members reach this service (https://…)";
    let public_url = asking
        .settle(given, question, async |text| public_url(text))
        .await?;
    Ok(Answers {
        token,
        client_secret,
        application_id,
        discord_api_url: flags.discord_api_url.clone(),
        rpc_urls,
        chain_id,
        module,
        plans,
        guild,
        role,
        public_url,
    })
}

async fn nodes(flags: &Flags, asking: &Asking) -> anyhow::Result<(Vec<Url>, u64, Arc<Node>)> {
    let check = async |text: &str| {
        let url = node_url(text)?;
        let chain_id = chain_id_of(&url).await?;
        let node = Node::connect(&url, chain_id, PATIENCE).await?;
        let head = read::latest(&node)
            .await?
            .context("the node has no block")?;
        let host = node.host();
        print_line(format!(
            "{host} is on chain {chain_id}, newest block {}",
            head.number
        ))?;
        Ok((url, chain_id, Arc::new(node)))
    };
    let question =
        "Address of your node (wss:// or https://; https://docs.base.org lists providers)";
    let first = flags.rpc_url.first().cloned();
    let (url, chain_id, node) = asking.settle(("--rpc-url", first), question, check).await?;
    let mut urls = vec![url];
    for text in flags.rpc_url.iter().skip(1) {
        let url = node_url(text)?;
        let other = chain_id_of(&url).await.context("--rpc-url")?;
        ensure!(
            other == chain_id,
            "--rpc-url: the nodes are on chains {chain_id} and {other}; all must be on one"
        );
        urls.push(url);
    }
    Ok((urls, chain_id, node))
}

/// The sentences never repeat the address, which may hold a key.
fn node_url(text: &str) -> anyhow::Result<Url> {
    let url: Url = text.parse().ok().context("this is no URL")?;
    let is_node = matches!(url.scheme(), "http" | "https" | "ws" | "wss") && url.has_host();
    ensure!(
        is_node,
        "it must begin with ws://, wss://, http:// or https://"
    );
    Ok(url)
}

async fn chain_id_of(url: &Url) -> anyhow::Result<u64> {
    // No chain has the id 0, so the refusal names the node's.
    match Node::connect(url, 0, PATIENCE).await {
        Err(RpcError::WrongChain { actual, .. }) => Ok(actual),
        Err(error) => Err(error.into()),
        Ok(_) => bail!("the node says that it is on chain 0"),
    }
}

/// A module, and the plans that it has.
async fn module(
    node: &Node,
    chain_id: u64,
    text: &str,
) -> anyhow::Result<(ModuleAddress, BTreeMap<PlanId, Plan>)> {
    let address: Address = text
        .parse()
        .ok()
        .context("an address is 0x and 40 hexadecimal digits")?;
    let module = ModuleAddress(address);
    ensure!(
        read::has_code(node, address, None).await?,
        "there is no contract at {address} on chain {chain_id}"
    );
    let merchant = read::call_view(node, module, &merchantCall {}, None).await?;
    let merchant =
        merchant.and_then(|answer| merchantCall::abi_decode_returns_validate(&answer).ok());
    let merchant = merchant.filter(|merchant| !merchant.is_zero());
    let merchant = merchant.with_context(|| {
        format!("{address} does not say who its merchant is, so it is no subscription module")
    })?;
    let layouts = Layouts::built_in();
    let mut plans = BTreeMap::new();
    for id in PLAN_IDS.map(PlanId::from) {
        if let Ok(terms) = read::plan(node, &layouts, module, id, None).await? {
            plans.insert(id, terms);
        }
    }
    let ids: Vec<_> = plans.keys().map(ToString::to_string).collect();
    let ids = match ids.is_empty() {
        true => "no plan yet".to_owned(),
        false => format!("plans {}", ids.join(", ")),
    };
    print_line(format!("{address} belongs to {merchant} and has {ids}"))?;
    Ok((module, plans))
}

async fn plans(
    flags: &Flags,
    asking: &Asking,
    node: &Node,
    module: ModuleAddress,
    known: &BTreeMap<PlanId, Plan>,
) -> anyhow::Result<Vec<PlanId>> {
    let given = match flags.plan.is_empty() {
        true => None,
        false => Some(flags.plan.join(",")),
    };
    for (id, plan) in known.iter().filter(|_| given.is_none()) {
        say(&format!(
            "  plan {id}: {} of {} every {} seconds",
            plan.price, plan.token, plan.interval
        ))?;
    }
    let layouts = Layouts::built_in();
    let check = async |text: &str| {
        let mut plans = Vec::new();
        for id in text.split(',').map(str::trim) {
            let number: u64 = id.parse().ok().context("a plan's id is a number")?;
            let id = PlanId::from(number);
            if !known.contains_key(&id)
                && let Err(why) = read::plan(node, &layouts, module, id, None).await?
            {
                bail!("there is no such plan: {why}");
            }
            if !plans.contains(&id) {
                plans.push(id);
            }
        }
        Ok(plans)
    };
    let question = "Plans that open the role (ids, with commas between)";
    asking.settle(("--plan", given), question, check).await
}

fn role(guild: GuildId, seen: Option<&SeenServer>, text: &str) -> anyhow::Result<RoleId> {
    let role: RoleId = text.parse().ok().context("a role's id is a number")?;
    if let Some(seen) = seen
        && let Some(obstacle) = seen.roles.obstacle(guild, role)
    {
        bail!(text::obstacle(&seen.roles.name, role, &obstacle));
    }
    Ok(role)
}

fn public_url(text: &str) -> anyhow::Result<Url> {
    let url: Url = text.parse().ok().context("this is no URL")?;
    let is_origin = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    ensure!(
        is_origin && matches!(url.scheme(), "http" | "https"),
        "it must be scheme, host and port alone, like https://roles.example.org"
    );
    ensure!(
        url.scheme() == "https" || is_loopback(&url),
        "it must begin with https://; http:// is for this machine alone"
    );
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_is_an_origin_over_tls_or_this_machine() {
        for good in ["https://roles.example", "http://127.0.0.1:8787"] {
            assert!(public_url(good).is_ok(), "{good}");
        }
        for bad in [
            "roles.example",
            "http://roles.example",
            "https://roles.example/bot",
            "ftp://x",
        ] {
            assert!(public_url(bad).is_err(), "{bad}");
        }
    }
}
