//! Gathers the facts: everything at the same time, each part with a deadline. Judges nothing.

mod api;
mod contracts;
mod discord;
mod files;
mod nodes;
mod store;
mod web;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::watch;

use super::facts::{BotFacts, ChainFacts, Facts, ServiceFacts, WebFacts};
use super::{Inputs, Live};
use crate::clock::machine_time;
use crate::discord::{Discord, Settings};
use crate::domain::{ModuleAddress, PlanId};

pub(super) use self::store::StoreAnswers;

/// How long each part may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Everything that can be found out.
pub(super) async fn facts(inputs: Inputs<'_>) -> Facts {
    let Inputs {
        config,
        secrets,
        store,
        live,
    } = inputs;
    let answers = store::read(config, store).await;
    let gated = gated(&answers);
    let discord = discord_of(&inputs_of(config), secrets, live.as_ref());
    let asking_chain = async {
        let nodes = nodes::ask(&config.chain, &answers).await;
        let modules = contracts::ask(&config.chain, &nodes, &gated, &answers).await;
        let merchant = modules
            .iter()
            .find_map(|module| module.contract.as_ref().ok()?.merchant);
        let api = api::ask(config, secrets, &gated, merchant).await;
        let factory = contracts::ask_factory(&nodes, config.amser.factory).await;
        (nodes, modules, factory, api)
    };
    let asking_discord = discord::ask(config, secrets, discord.as_ref());
    let asking_servers = discord::servers(config, discord.as_ref(), &answers);
    let asking_web = async {
        let reached = web::ask(&config.web, live.is_some()).await;
        (
            reached,
            web::ask_monitors(&config.web, live.is_some()).await,
        )
    };
    let asking_files = files::look(config, secrets);
    let (chain, bot, servers, (reached, monitor_trouble), files) = tokio::join!(
        asking_chain,
        asking_discord,
        asking_servers,
        asking_web,
        asking_files
    );
    let (nodes, modules, factory, api) = chain;
    let servers = match &bot.bot {
        BotFacts::Is(_) => servers,
        // Without a bot there is nothing to say of any server.
        _ => Vec::new(),
    };
    Facts {
        now: machine_time(),
        chain: ChainFacts {
            chain_id: config.chain.chain_id,
            confirmations: config.chain.confirmations,
            start_block: config.chain.start_block,
            factory,
            nodes: nodes.facts,
        },
        modules,
        store: answers.facts,
        files,
        discord: bot,
        servers,
        api,
        web: WebFacts {
            public_url: config.web.public_url.clone(),
            listen: config.web.listen,
            proxies: config.web.proxies,
            monitor_listen: config.web.monitor_listen,
            monitor_trouble,
            signs_in: config.web.signs_in,
            is_for_others: !crate::loopback::is_loopback(&config.discord.api_url),
            reached,
        },
        service: live.map(|live| ServiceFacts {
            chain: live.chain,
            discord: live.discord_status,
            drift: live.drift,
        }),
    }
}

/// The modules that matter, with the plans that gates ask about.
fn gated(answers: &StoreAnswers) -> BTreeMap<ModuleAddress, BTreeSet<PlanId>> {
    let mut gated: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for module in &answers.merchant_modules {
        gated.entry(*module).or_default();
    }
    for gate in &answers.gates {
        gated
            .entry(gate.module)
            .or_default()
            .extend(gate.plans.iter().copied());
    }
    gated
}

fn inputs_of(config: &crate::config::Config) -> Settings {
    Settings {
        application_id: config.discord.application_id,
        api_url: config.discord.api_url.clone(),
        members_intent: config.discord.members_intent,
    }
}

/// The service's own way to Discord, with its limits; else a new one. `None` without a usable token.
fn discord_of(
    settings: &Settings,
    secrets: &crate::config::Secrets,
    live: Option<&Live>,
) -> Option<Discord> {
    match live {
        Some(live) => Some(live.discord.clone()),
        None => {
            let token = secrets.discord_token.as_ref()?;
            let (status, _) = watch::channel(crate::domain::DiscordStatus::default());
            Discord::new(settings, token, status).ok()
        }
    }
}
