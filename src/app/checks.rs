//! The poller's share of the wiring.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::amser_api::{AccessCheck, AmserApi};
use crate::config::Config;
use crate::domain::{DriftStatus, Question};
use crate::poller::{ApiAnswers, Inputs};
use crate::store::Store;
use crate::views::Views;

/// What the poller is wired to. Whoever needs its answers and its status takes them from here.
///
/// # Errors
/// When the store cannot be read.
pub(super) fn new(
    config: &Config,
    store: &Store,
    api: &AmserApi,
    views: &Views,
    questions: &mpsc::Sender<Question>,
) -> anyhow::Result<Inputs> {
    let amser = &config.amser;
    let (status, _) = watch::channel(DriftStatus::default());
    let (asked, merchants) = (views.clone(), views.clone());
    let (doubts, blocks) = (views.doubts().clone(), views.doubts().clone());
    Ok(Inputs {
        check: AccessCheck::new(api.clone(), &amser.auth_check, &amser.active_pointer),
        api: api.clone(),
        store: store.clone(),
        answers: ApiAnswers::load(store)?,
        questions: questions.clone(),
        contracts: Arc::new(move |questions| {
            let views = asked.clone();
            Box::pin(async move { views.are_active(&questions).await })
        }),
        doubt: Arc::new(move |question| doubts.raise(question)),
        doubt_blocks: Arc::new(move |module, range| blocks.raise_blocks(module, range)),
        merchants: Arc::new(move |modules| {
            let views = merchants.clone();
            Box::pin(async move { views.merchants_of(&modules).await })
        }),
        status,
    })
}
