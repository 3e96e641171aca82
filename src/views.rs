//! What a module's own view `isActive` says at the newest confirmed block, asked before something is concluded from absence.
//! Only a node that has that block as it was followed is asked; whatever else happens is no answer.

mod calls;
mod contracts;
mod facts;
mod renewals;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use alloy::sol_types::SolCall;
use tokio::sync::Semaphore;
use tokio::sync::watch::Receiver;
use tracing::{debug, warn};
use url::Url;

pub use self::calls::MULTICALL;
pub(crate) use self::facts::is_symbol;
pub use self::facts::{Funds, FundsOf, RenewalFacts, TokenFacts};

use self::calls::{At, Call, HEAVY, Outcome};
use crate::abi::Layouts;
use crate::abi::SubscriptionModule::isActiveCall;
use crate::chain::node::{Endpoint, Node, RpcError, read};
use crate::chain::{ChainConfig, Doubts};
use crate::domain::{ActiveAnswer, ActiveQuestion, ChainStatus, Checkpoint, ModuleAddress};

/// The longest wait for a rate limit before another node is asked, or nobody.
const PATIENCE: Duration = Duration::from_secs(5);

/// Rounds of questions at the same time; more wait. A node that hangs must not collect them.
const MOST_ROUNDS: usize = 4;
/// Rounds of reading what renewals draw on at the same time; more wait.
const MOST_FORECASTS: usize = 2;
/// Tries of one round of questions, and the pause between them.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(500);

/// Asks the contracts; clones share the connections. They are not the follower's: its calls must not wait for these.
#[derive(Clone, Debug)]
pub struct Views {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    nodes: Vec<Endpoint>,
    /// What `getPlan` answers.
    layouts: Arc<Layouts>,
    status: Receiver<ChainStatus>,
    doubts: Doubts,
    /// Modules of which it was said that they have no such view.
    without_view: Mutex<BTreeSet<ModuleAddress>>,
    /// One permit for each round of questions that may be under way.
    rounds: Semaphore,
    /// The same for what renewals draw on: such a round can be large, and what decides about roles must not wait for it.
    forecasts: Semaphore,
}

impl Views {
    /// Connects to nothing yet. `status` is the follower's.
    pub fn new(config: &ChainConfig, status: Receiver<ChainStatus>) -> Self {
        let endpoint = |url: &Url| Endpoint::new(url, config.chain_id, PATIENCE);
        Self {
            shared: Arc::new(Shared {
                nodes: config.rpc_urls.iter().map(endpoint).collect(),
                layouts: Arc::clone(&config.layouts),
                status,
                doubts: Doubts::default(),
                without_view: Mutex::default(),
                rounds: Semaphore::new(MOST_ROUNDS),
                forecasts: Semaphore::new(MOST_FORECASTS),
            }),
        }
    }

    /// What the follower is to read again because a contract contradicts the events.
    pub fn doubts(&self) -> &Doubts {
        &self.shared.doubts
    }

    /// Asks whether these wallets have access at the newest confirmed block: its number, and an answer to each question.
    /// Takes as long as the nodes do, up to a minute or so.
    pub async fn are_active(&self, questions: &[ActiveQuestion]) -> (u64, Vec<ActiveAnswer>) {
        let permit = self.shared.rounds.acquire().await;
        let _permit = permit.expect("the semaphore is never closed");
        let confirmed = self.shared.status.borrow().confirmed;
        let unknown = |why: String| vec![ActiveAnswer::Unknown(why); questions.len()];
        let Some(block) = confirmed else {
            return (0, unknown("no block is confirmed yet".to_owned()));
        };
        if questions.is_empty() {
            return (block.number, Vec::new());
        }
        let ask = |node: Arc<Node>| async move { answers(&node, block, questions).await };
        let answers = match self.answer_in_tries(block, ask).await {
            Ok(answers) => answers,
            Err(why) => {
                debug!(why, "isActive was not answered");
                unknown(why)
            }
        };
        self.warn_of_missing_views(questions, &answers);
        (block.number, answers)
    }

    /// [`Self::first_answer`], asked for several times: behind one URL there may be nodes that are a block or two behind the
    /// others.
    async fn answer_in_tries<T, F: Future<Output = Result<T, RpcError>>>(
        &self,
        block: Checkpoint,
        ask: impl Fn(Arc<Node>) -> F,
    ) -> Result<T, String> {
        for _ in 1..TRIES {
            if let Ok(answer) = self.first_answer(block, &ask).await {
                return Ok(answer);
            }
            tokio::time::sleep(PAUSE).await;
        }
        self.first_answer(block, &ask).await
    }

    /// What the most preferred node that has this block answers; where it has the block and fails to answer, the next one is
    /// asked. One that has another block in its place makes it unknown which of the nodes is right.
    async fn first_answer<T, F: Future<Output = Result<T, RpcError>>>(
        &self,
        block: Checkpoint,
        ask: impl Fn(Arc<Node>) -> F,
    ) -> Result<T, String> {
        let number = block.number;
        let ask = &ask;
        let ask = |node: Arc<Node>| async move {
            let Some(header) = read::header_at(&node, number).await? else {
                return Ok(None);
            };
            if header.checkpoint() != block {
                let host = node.host();
                return Ok(Some(Err(format!(
                    "{host} has another block {number} than the one that is followed"
                ))));
            }
            Ok(Some(Ok(ask(node).await?)))
        };
        let answer = self.first(ask).await?;
        answer.unwrap_or_else(|| Err(format!("no node that answers has block {number} yet")))
    }

    /// What the most preferred node answers that has something to say; `None` where those that answer have nothing. An error,
    /// in one sentence, where none answers.
    async fn first<T, F: Future<Output = Result<Option<T>, RpcError>>>(
        &self,
        ask: impl Fn(Arc<Node>) -> F,
    ) -> Result<Option<T>, String> {
        let mut said = Err("rpc_urls is empty".to_owned());
        for endpoint in &self.shared.nodes {
            let asked = async { ask(endpoint.connect().await?).await };
            match asked.await {
                Ok(Some(answer)) => return Ok(Some(answer)),
                Ok(None) => said = Ok(None),
                Err(error) => {
                    // A node that was only asked too often remembers for how long.
                    if !matches!(error, RpcError::RateLimited { .. }) {
                        endpoint.reconnect();
                    }
                    said = said.map_err(|_| format!("{}: {error}", endpoint.host()));
                }
            }
        }
        said
    }

    fn warn_of_missing_views(&self, questions: &[ActiveQuestion], answers: &[ActiveAnswer]) {
        let mut said = lock(&self.shared.without_view);
        for (question, answer) in questions.iter().zip(answers) {
            if *answer == ActiveAnswer::NoView && said.insert(question.module) {
                warn!(module = %question.module,
                    "the module has no view isActive: removals for want of a payment cannot be confirmed by it");
            }
        }
    }
}

/// The answers of a node that has this block.
async fn answers(
    node: &Node,
    block: Checkpoint,
    questions: &[ActiveQuestion],
) -> Result<Vec<ActiveAnswer>, RpcError> {
    let at = At::block(node, block).await?;
    let calls: Vec<Call> = questions.iter().map(is_active).collect();
    let outcomes = at.call(node, &calls, HEAVY).await?;
    let without_view = without_view(node, &at, questions, &outcomes).await?;
    at.check(node, block).await?;
    let read = |(question, outcome): (&ActiveQuestion, &Outcome)| match outcome {
        Outcome::Said(answer) => decode(question, answer),
        Outcome::Refused if without_view.contains(&question.module) => ActiveAnswer::NoView,
        Outcome::Refused => ActiveAnswer::Unknown(format!(
            "isActive of {} refuses some questions and answers others",
            question.module
        )),
    };
    Ok(questions.iter().zip(&outcomes).map(read).collect())
}

/// The modules that refused every question, and one that was asked by itself.
async fn without_view(
    node: &Node,
    at: &At,
    questions: &[ActiveQuestion],
    outcomes: &[Outcome],
) -> Result<BTreeSet<ModuleAddress>, RpcError> {
    let mut refused = BTreeMap::new();
    for question in questions {
        refused.insert(question.module, *question);
    }
    for (question, outcome) in questions.iter().zip(outcomes) {
        if matches!(outcome, Outcome::Said(_)) {
            refused.remove(&question.module);
        }
    }
    let last: Vec<Call> = refused.values().map(is_active).collect();
    let outcomes = at.one_by_one(node, &last).await?;
    let refused = refused.into_keys().zip(outcomes);
    Ok(refused
        .filter(|(_, outcome)| matches!(outcome, Outcome::Refused))
        .map(|(module, _)| module)
        .collect())
}

fn is_active(question: &ActiveQuestion) -> Call {
    let call = isActiveCall {
        subject: question.wallet.0,
        scope: question.plan.0,
    };
    Call::new(question.module.0, &call)
}

/// One whole word that is 0 or 1. A node that does not have the contract answers nothing.
fn decode(question: &ActiveQuestion, answer: &[u8]) -> ActiveAnswer {
    let word = isActiveCall::abi_decode_returns_validate(answer);
    match word.ok().filter(|_| answer.len() == 32) {
        Some(true) => ActiveAnswer::Active,
        Some(false) => ActiveAnswer::Inactive,
        None => ActiveAnswer::Unknown(format!(
            "isActive of {} answered {} bytes that are no boolean",
            question.module,
            answer.len()
        )),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("never poisoned: no panic while held")
}

#[cfg(test)]
mod tests;
