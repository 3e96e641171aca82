//! A running poller between a local API, contracts that say what a test wants, and events that say it too.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

use alloy::primitives::Address;
use amser_roles::amser_api::{AccessCheck, AmserApi};
use amser_roles::domain::{
    ActiveAnswer, ActiveQuestion, DriftMode, DriftStatus, Expectations, Known, Link, ModuleAddress,
    PlanId, Question, Timestamp, UserId, Wallet,
};
use amser_roles::poller::{self, ApiAnswers, Inputs};
use amser_roles::sandbox::amser_api::{LocalApi, Truth};
use amser_roles::store::Store;
use axum::Router;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::stage::wait;

pub(crate) const NOW: Timestamp = Timestamp(1_000_000);
pub(crate) const MERCHANT: Wallet = Wallet(Address::repeat_byte(0xee));

/// What the contracts say, what the events say, and what was doubted.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) contracts: Mutex<BTreeMap<ActiveQuestion, bool>>,
    pub(crate) events: Mutex<BTreeMap<ActiveQuestion, Known>>,
    pub(crate) doubted: Mutex<Vec<ActiveQuestion>>,
    pub(crate) doubted_blocks: Mutex<Vec<(ModuleAddress, RangeInclusive<u64>)>>,
    /// Questions that the contracts were asked.
    pub(crate) asked: Mutex<Vec<ActiveQuestion>>,
}

/// The question of this number.
pub(crate) fn question(wallet: u8) -> ActiveQuestion {
    ActiveQuestion {
        module: ModuleAddress(Address::repeat_byte(1)),
        wallet: Wallet(Address::repeat_byte(wallet)),
        plan: PlanId::from(1),
    }
}

/// What the events say of one who has paid, or has not.
pub(crate) fn known(paid: bool) -> Known {
    Known {
        paid_until: paid.then(|| NOW.plus(10_000)),
        is_ambiguous: false,
        is_open: paid,
    }
}

impl World {
    /// So many members; those with an even number have paid. Contracts and events agree.
    pub(crate) fn of(members: u8) -> Arc<Self> {
        let world = Self::default();
        for wallet in 1..=members {
            let paid = wallet % 2 == 0;
            world
                .contracts
                .lock()
                .unwrap()
                .insert(question(wallet), paid);
            world
                .events
                .lock()
                .unwrap()
                .insert(question(wallet), known(paid));
        }
        Arc::new(world)
    }

    /// An API that says what the contracts say.
    pub(crate) async fn api(self: &Arc<Self>) -> LocalApi {
        let world = Arc::clone(self);
        let truth: Truth = Arc::new(move |question| {
            let active = world.contracts.lock().unwrap().get(&question).copied();
            Box::pin(std::future::ready(active))
        });
        LocalApi::start(truth, Router::new()).await.unwrap()
    }

    fn expectations(&self, only: Option<Vec<ActiveQuestion>>) -> Expectations {
        let mut known = self.events.lock().unwrap().clone();
        known.retain(|question, _| only.as_ref().is_none_or(|only| only.contains(question)));
        Expectations {
            now: NOW,
            at_tip: true,
            known,
        }
    }
}

/// A running poller.
pub(crate) struct Poll {
    pub(crate) status: watch::Receiver<DriftStatus>,
    mode: watch::Sender<DriftStatus>,
    pub(crate) answers: ApiAnswers,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

/// A store in which the wallets of a world are linked.
pub(crate) fn store(world: &World) -> Store {
    let store = Store::in_memory().unwrap();
    for (user, question) in world.events.lock().unwrap().keys().enumerate() {
        let link = Link {
            user: UserId(user as u64 + 1),
            wallet: question.wallet,
            linked_at: Timestamp(1),
            proof: None,
        };
        store.link(&link, 5).unwrap();
    }
    store
}

impl Poll {
    pub(crate) fn start(
        world: &Arc<World>,
        api_url: &str,
        store: &Store,
        key: Option<&str>,
    ) -> Self {
        let api = AmserApi::new(&api_url.parse().unwrap(), 31_337, key.map(Into::into)).unwrap();
        let template = "/v0/auth/check?address={address}&module_address={module}&plan_id={plan_id}&chain_id={chain_id}";
        let (questions, mut asked) = mpsc::channel(16);
        let of_roles = Arc::clone(world);
        tokio::spawn(async move {
            while let Some(question) = asked.recv().await {
                if let Question::Expectations { only, answer } = question {
                    drop(answer.send(of_roles.expectations(only)));
                }
            }
        });
        let (status, seen) = watch::channel(DriftStatus::default());
        let answers = ApiAnswers::load(store).unwrap();
        let (contracts, doubts, blocks) = (Arc::clone(world), Arc::clone(world), Arc::clone(world));
        let inputs = Inputs {
            check: AccessCheck::new(api.clone(), template, "/active"),
            api,
            store: store.clone(),
            answers: answers.clone(),
            questions,
            contracts: Arc::new(move |questions| {
                contracts.asked.lock().unwrap().extend(&questions);
                let says = contracts.contracts.lock().unwrap();
                let answers = questions.iter().map(|question| match says.get(question) {
                    Some(true) => ActiveAnswer::Active,
                    Some(false) => ActiveAnswer::Inactive,
                    None => ActiveAnswer::NoView,
                });
                let answers = (1, answers.collect());
                Box::pin(std::future::ready(answers))
            }),
            doubt: Arc::new(move |question| doubts.doubted.lock().unwrap().push(question)),
            doubt_blocks: Arc::new(move |module, range| {
                blocks.doubted_blocks.lock().unwrap().push((module, range));
            }),
            merchants: Arc::new(|modules| {
                let merchants = vec![Some(MERCHANT); modules.len()];
                Box::pin(std::future::ready(Ok(merchants)))
            }),
            status: status.clone(),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn(poller::run(inputs, stop.clone()));
        Self {
            status: seen,
            mode: status,
            answers,
            stop,
            task,
        }
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn until(&self, what: &str, mut wanted: impl FnMut(&DriftStatus) -> bool) {
        wait(what, || wanted(&self.status.borrow())).await;
    }

    /// As while the chain cannot be followed: the API is asked round and round without a pause.
    pub(crate) fn fall_back(&self) {
        self.mode
            .send_modify(|status| status.mode = DriftMode::Fallback { since: NOW });
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}
