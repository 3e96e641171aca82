//! The slash commands' share of the wiring.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::pages;
use crate::config::Config;
use crate::domain::{ChainStatus, DiscordStatus, DriftStatus, GateTroubles, Question, SourcesSay};
use crate::forecast::Forecast;
use crate::merchants::Merchants;
use crate::poller::ApiAnswers;
use crate::store::Store;
use crate::views::Views;
use crate::{commands, web};

/// What they are wired to.
pub(super) struct Parts<'a> {
    pub(super) config: &'a Config,
    pub(super) store: &'a Store,
    pub(super) chain: &'a watch::Receiver<ChainStatus>,
    pub(super) gate_troubles: &'a watch::Receiver<GateTroubles>,
    pub(super) discord_status: &'a watch::Receiver<DiscordStatus>,
    pub(super) drift: &'a watch::Receiver<DriftStatus>,
    pub(super) questions: &'a mpsc::Sender<Question>,
    pub(super) merchants: &'a Merchants,
    pub(super) views: &'a Views,
    pub(super) answers: &'a ApiAnswers,
}

pub(super) fn of(parts: &Parts<'_>) -> commands::Services {
    let config = parts.config;
    let links = parts.store.clone();
    let public_url = config.web.public_url.clone();
    let clock = web::machine_clock();
    commands::Services {
        store: parts.store.clone(),
        chain: parts.chain.clone(),
        gate_troubles: parts.gate_troubles.clone(),
        discord: parts.discord_status.clone(),
        drift: parts.drift.clone(),
        questions: parts.questions.clone(),
        merchants: parts.merchants.clone(),
        forecast: Forecast::new(parts.store.clone(), parts.views.clone()),
        sources: ask_sources(parts.views, parts.answers),
        new_link: Arc::new(move |user, guild| {
            web::new_link(&links, user, guild, &public_url, clock())
        }),
        public_url: config.web.public_url.clone(),
        checkout_url: config.amser.checkout_url.clone(),
        return_url: pages::return_urls(config),
        confirmations: config.chain.confirmations,
        per_minute: config.web.rate_limit_per_minute,
    }
}

/// What the contracts say of access now, and what amser's API said last.
fn ask_sources(views: &Views, answers: &ApiAnswers) -> commands::AskSources {
    let (views, answers) = (views.clone(), answers.clone());
    Arc::new(move |questions| {
        let (views, answers) = (views.clone(), answers.clone());
        Box::pin(async move {
            let (block, asked) = views.are_active(&questions).await;
            let each = questions.iter().zip(asked);
            each.map(|(question, contract)| SourcesSay {
                block,
                contract,
                api: answers
                    .newest(question)
                    .map(|checked| (checked.api_active, checked.at)),
            })
            .collect()
        })
    })
}
