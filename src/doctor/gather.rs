//! Gathers the facts: what does not build on another at the same time, each part with a deadline. Judges nothing.

mod api;
mod contracts;
mod discord;
mod files;
mod nodes;
mod store;
mod web;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use tokio::time::sleep;

use super::facts::{BotFacts, ChainFacts, Facts, ServiceFacts, WebFacts};
use super::{Inputs, Live};
use crate::clock::machine_time;
use crate::discord::{Discord, Settings};
use crate::domain::{ModuleAddress, PlanId};

pub(super) use self::store::StoreAnswers;

/// How long each part may take.
const DEADLINE: Duration = Duration::from_secs(20);
/// How long all modules together may take, and all servers: `doctor` waits two minutes for a service's findings.
const ALL_WITHIN: Duration = Duration::from_secs(30);
/// Modules, merchants or servers that are asked about at the same time.
const AT_ONCE: usize = 4;

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
        let known = modules.0.iter().flat_map(|module| &module.contract);
        let merchants: BTreeSet<_> = known.filter_map(|contract| contract.merchant).collect();
        let (api, factory) = tokio::join!(
            api::ask(config, secrets, &gated, &merchants),
            contracts::ask_factory(&nodes, config.amser.factory)
        );
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
    let (nodes, (modules, modules_left_out), factory, api) = chain;
    let (servers, servers_left_out) = match &bot.bot {
        BotFacts::Is(_) => servers,
        // Without a bot there is nothing to say of any server.
        _ => (Vec::new(), 0),
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
        modules_left_out,
        store: answers.facts,
        files,
        discord: bot,
        servers,
        servers_left_out,
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

/// The answers of those of many that answer within a time for all of them, and how many are left out.
async fn answered_within<F: Future>(asking: Vec<F>, within: Duration) -> (Vec<F::Output>, usize) {
    let all = asking.len();
    let numbered = asking.into_iter().enumerate();
    let numbered = numbered.map(|(number, one)| async move { (number, one.await) });
    // One that hangs keeps its place, and no other's.
    let answers = stream::iter(numbered).buffer_unordered(AT_ONCE);
    let mut answers: Vec<_> = answers.take_until(sleep(within)).collect().await;
    answers.sort_unstable_by_key(|(number, _)| *number);
    let left_out = all - answers.len();
    let answers = answers.into_iter().map(|(_, answer)| answer).collect();
    (answers, left_out)
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

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn who_does_not_answer_in_time_is_left_out_and_the_others_are_kept() {
        let asking = vec![pending().boxed(), ready(1).boxed(), ready(2).boxed()];
        let answered = answered_within(asking, Duration::from_millis(50)).await;
        assert_eq!(answered, (vec![1, 2], 1));
        let asking = vec![ready(3)];
        let answered = answered_within(asking, DEADLINE).await;
        assert_eq!(answered, (vec![3], 0));
    }
}
