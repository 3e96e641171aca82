//! Asks second sources what they say of each member's access, and compares: amser's API round and round, the contracts'
//! own `isActive` at least once a day. The contracts decide; what they contradict is read again from the chain, and whatever a
//! source does not answer changes nothing.
//!
//! | question | file |
//! |---|---|
//! | what is asked next | `queue` |
//! | how often the API is asked, and its limits | `pace`; whether at all: `breaker` |
//! | what an answer of the API means | `api` |
//! | the round of the contracts, and what it costs | `contracts` |
//! | what contradicts the followed events | `compare` |
//! | the payments that amser's indexer has seen | `activity` |
//! | what was answered last | `answers` |

mod activity;
mod answers;
mod api;
pub mod breaker;
pub mod compare;
mod contracts;
pub mod pace;
pub mod queue;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::amser_api::{AccessCheck, AmserApi, Reply};
use crate::clock::{machine_time, sleep_until};
use crate::domain::{
    ActiveAnswer, ActiveQuestion, DriftStatus, Expectations, ModuleAddress, Question, Timestamp,
    Wallet,
};
use crate::store::Store;

use activity::Activities;
pub use answers::ApiAnswers;
use api::Api;
use contracts::Contracts;
use queue::Queue;

/// How often the questions are looked at again, and how many a second that may be.
const REFRESH: Duration = Duration::from_secs(15);
const LOOKED_AT: usize = 2_000;
/// The same until the chain is followed to its tip.
const REFRESH_EARLY: Duration = Duration::from_secs(1);
/// How often answers are stored.
const SAVE: Duration = Duration::from_secs(60);
/// How often the status is published.
const PUBLISH: Duration = Duration::from_secs(1);

/// Asks the contracts ([`crate::views::Views::are_active`]).
pub type AskContracts =
    Arc<dyn Fn(Vec<ActiveQuestion>) -> BoxFuture<'static, (u64, Vec<ActiveAnswer>)> + Send + Sync>;
/// Has blocks read again for a question that a contract answers in another way than the events ([`crate::chain::Doubts::raise`]).
pub type DoubtEvents = Arc<dyn Fn(ActiveQuestion) + Send + Sync>;
/// Has these blocks of a module read again ([`crate::chain::Doubts::raise_blocks`]).
pub type DoubtBlocks = Arc<dyn Fn(ModuleAddress, RangeInclusive<u64>) + Send + Sync>;
/// Whose modules are ([`crate::views::Views::merchants_of`]).
pub type MerchantsOf = Arc<
    dyn Fn(Vec<ModuleAddress>) -> BoxFuture<'static, anyhow::Result<Vec<Option<Wallet>>>>
        + Send
        + Sync,
>;

/// What the poller is wired to.
#[derive(Clone)]
pub struct Inputs {
    /// amser's API, for its activity.
    pub api: AmserApi,
    /// Its `auth/check`.
    pub check: AccessCheck,
    /// Where answers are kept.
    pub store: Store,
    /// The same in memory, for whoever else asks.
    pub answers: ApiAnswers,
    /// To the roles' loop, which knows the questions.
    pub questions: mpsc::Sender<Question>,
    /// The contracts.
    pub contracts: AskContracts,
    /// What they contradict.
    pub doubt: DoubtEvents,
    /// What the indexer has seen and the events do not tell.
    pub doubt_blocks: DoubtBlocks,
    /// Whose modules are.
    pub merchants: MerchantsOf,
    /// What is told of the checks; the mode is set by someone else.
    pub status: watch::Sender<DriftStatus>,
}

/// Asks until `stop`.
///
/// # Errors
/// When the store cannot be written.
pub async fn run(inputs: Inputs, stop: CancellationToken) -> anyhow::Result<()> {
    Poller::new(inputs).run(stop).await
}

/// The poller's state.
struct Poller {
    inputs: Inputs,
    queue: Queue,
    api: Api,
    contracts: Contracts,
    activities: Activities,
    /// As last heard.
    now: Timestamp,
    at_tip: bool,
    tasks: JoinSet<Done>,
    /// `None`: the questions are being asked for.
    refresh_at: Option<Instant>,
}

/// What a task came to.
enum Done {
    /// The API's reply.
    Reply(ActiveQuestion, Reply),
    /// The contracts' answers, and what the events said before and afterwards.
    Contracts(
        Vec<(ActiveQuestion, ActiveAnswer)>,
        Option<(Expectations, Expectations)>,
    ),
    /// All questions; `None`: the roles' loop is stopping.
    Expectations(Option<Expectations>),
    /// The activity of all merchants was compared.
    Activity(Activities),
    Saved(anyhow::Result<()>),
}

impl Poller {
    fn new(inputs: Inputs) -> Self {
        Self {
            inputs,
            queue: Queue::default(),
            api: Api::default(),
            contracts: Contracts::default(),
            activities: Activities::default(),
            now: Timestamp::default(),
            at_tip: false,
            tasks: JoinSet::new(),
            refresh_at: Some(Instant::now()),
        }
    }

    async fn run(&mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut save = tokio::time::interval(SAVE);
        let mut publish = tokio::time::interval(PUBLISH);
        loop {
            let now = Instant::now();
            let (send_at, contracts_at) = (self.send_at(now), self.contracts_at(now));
            tokio::select! {
                () = stop.cancelled() => break,
                Some(done) = self.tasks.join_next() => self.take(done?)?,
                () = sleep_until(send_at) => self.send(Instant::now()),
                () = sleep_until(contracts_at) => self.ask_contracts(),
                () = sleep_until(self.refresh_at) => self.refresh(),
                _ = publish.tick() => self.publish(),
                _ = save.tick() => self.save(),
            }
        }
        self.tasks.abort_all();
        let (store, answers) = (self.inputs.store.clone(), self.inputs.answers.clone());
        store_answers(store, answers).await
    }

    fn take(&mut self, done: Done) -> anyhow::Result<()> {
        match done {
            Done::Reply(question, reply) => self.take_reply(question, reply),
            Done::Contracts(answers, around) => self.take_contracts(answers, around),
            Done::Expectations(expectations) => self.take_expectations(expectations),
            Done::Activity(activities) => self.activities = activities,
            Done::Saved(saved) => saved?,
        }
        Ok(())
    }

    /// Asks the roles' loop for the questions.
    fn refresh(&mut self) {
        self.refresh_at = None;
        let questions = self.inputs.questions.clone();
        self.tasks
            .spawn(async move { Done::Expectations(expectations(&questions, None).await) });
    }

    fn take_expectations(&mut self, expectations: Option<Expectations>) {
        let now = Instant::now();
        let Some(expectations) = expectations else {
            self.refresh_at = Some(now + REFRESH);
            return;
        };
        self.now = expectations.now;
        self.at_tip = expectations.at_tip;
        let known = &expectations.known;
        let answers = &self.inputs.answers;
        // Before the tip was reached once there may be no question yet: what is kept must stay.
        if self.at_tip {
            answers.retain(known.len(), |question| known.contains_key(question));
        }
        let asked = |question: &ActiveQuestion| answers.newest(question).map(|one| one.at);
        self.queue.update(known, asked, now);
        if self.at_tip {
            self.queue.complete();
        }
        self.api.keep_only(&self.queue);
        let oldest = self.contracts.look(&self.queue, answers, machine_time());
        self.api.status.oldest = oldest;
        self.compare_activity();
        let looked_at = Duration::from_secs((self.queue.len() / LOOKED_AT) as u64);
        let pause = match self.at_tip {
            true => REFRESH + looked_at,
            false => REFRESH_EARLY + looked_at,
        };
        self.refresh_at = Some(now + pause);
    }

    fn publish(&mut self) {
        let trouble = self.api.trouble(Instant::now());
        let (api, contracts) = (self.api.status, self.contracts.status);
        let disagreements = self.api.disagreements;
        let questions = self.queue.len() as u64;
        let oldest_check = self.contracts.oldest_check;
        self.inputs.status.send_if_modified(|status| {
            let told = DriftStatus {
                mode: status.mode,
                oldest_check,
                disagreements,
                api_trouble: trouble,
                questions,
                api,
                contracts,
            };
            let is_new = *status != told;
            *status = told;
            is_new
        });
    }

    fn save(&mut self) {
        let (store, answers) = (self.inputs.store.clone(), self.inputs.answers.clone());
        self.tasks
            .spawn(async move { Done::Saved(store_answers(store, answers).await) });
    }
}

/// What the events say; `None` when the roles' loop is stopping.
async fn expectations(
    questions: &mpsc::Sender<Question>,
    only: Option<Vec<ActiveQuestion>>,
) -> Option<Expectations> {
    let (answer, answered) = oneshot::channel();
    let question = Question::Expectations { only, answer };
    questions.send(question).await.ok()?;
    answered.await.ok()
}

/// Stores the answers that are not stored yet, all in one commit.
async fn store_answers(store: Store, answers: ApiAnswers) -> anyhow::Result<()> {
    let stored = tokio::task::spawn_blocking(move || {
        let (rows, gone) = answers.take_unsaved();
        match rows.is_empty() && gone.is_empty() {
            true => Ok(()),
            false => store.save_checks(&rows, &gone),
        }
    });
    stored.await?
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;
    use crate::domain::PlanId;

    /// The question of this number.
    pub(super) fn question(number: u64) -> ActiveQuestion {
        ActiveQuestion {
            module: ModuleAddress(Address::repeat_byte(1)),
            wallet: Wallet(Address::left_padding_from(&number.to_be_bytes())),
            plan: PlanId::from(1),
        }
    }

    /// Undoes [`question`].
    pub(super) fn number(question: &ActiveQuestion) -> u64 {
        let bytes = question.wallet.0.last_chunk();
        u64::from_be_bytes(*bytes.expect("an address is longer than a number"))
    }
}
