//! The commands' share of the wiring.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::config::Config;
use crate::domain::{ChainStatus, DiscordStatus, Question, SourcesSay};
use crate::forecast::Forecast;
use crate::merchants::Merchants;
use crate::poller::ApiAnswers;
use crate::store::Store;
use crate::{chain, commands, web};

pub(super) fn services(
    config: &Config,
    store: &Store,
    chain: &watch::Receiver<ChainStatus>,
    discord: &watch::Receiver<DiscordStatus>,
    questions: &mpsc::Sender<Question>,
    merchants: &Merchants,
    (views, answers): (&chain::Views, ApiAnswers),
) -> commands::Services {
    let links = store.clone();
    let public_url = config.web.public_url.clone();
    let clock = web::machine_clock();
    commands::Services {
        store: store.clone(),
        chain: chain.clone(),
        discord: discord.clone(),
        questions: questions.clone(),
        merchants: merchants.clone(),
        forecast: Forecast::new(store.clone(), views.clone()),
        sources: ask_sources(views.clone(), answers),
        new_link: Arc::new(move |user, guild| {
            web::new_link(&links, user, guild, &public_url, clock())
        }),
        public_url: config.web.public_url.clone(),
        checkout_url: config.amser.checkout_url.clone(),
        confirmations: config.chain.confirmations,
        per_minute: config.web.rate_limit_per_minute,
    }
}

/// What a contract says of access now, and what amser's API said last.
fn ask_sources(views: chain::Views, answers: ApiAnswers) -> commands::AskSources {
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
