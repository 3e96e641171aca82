//! 100,000 (wallet, plan) pairs checked against an API that answers in 20 ms and allows 50 requests a second: for three minutes of
//! the half hour that a round takes. The round itself is told by the pace's own test, in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, U256};
use amser_roles::amser_api::{AccessCheck, AmserApi};
use amser_roles::domain::{
    ActiveAnswer, ActiveQuestion, DriftStatus, Expectations, Known, ModuleAddress, PlanId,
    Question, Timestamp, Wallet,
};
use amser_roles::poller::{self, ApiAnswers, Inputs};
use amser_roles::sandbox::amser_api::LocalApi;
use amser_roles::store::Store;
use anyhow::Context as _;
use axum::Router;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::process;
use crate::table::Table;

const QUESTIONS: u64 = 100_000;
const ALLOWED: u32 = 50;
const NOW: Timestamp = Timestamp(1_800_000_000);
/// Until the pace is learned and the poller has taken all questions for a third time, with a table of answers beside them that
/// has its full size from the first time on; and how long is measured then, a fourth time included. Seconds.
const LEARNS: u64 = 140;
const MEASURED: u64 = 70;

#[derive(Serialize, Deserialize)]
struct PollTask {
    api_url: String,
}

/// What the polling process says when it has learned the pace, and again at the end.
#[derive(Serialize, Deserialize)]
struct Figures {
    checks: u64,
    /// Of a core, since the process began, seconds.
    cpu: f64,
    /// MB of 10^6 bytes.
    memory: f64,
}

pub(crate) async fn drift(table: &mut Table) -> anyhow::Result<()> {
    let truth: amser_roles::sandbox::amser_api::Truth = Arc::new(|_| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some(true)
        })
    });
    let api = LocalApi::start(truth, Router::new()).await?;
    api.allow(Some(ALLOWED));
    let mut task = process::Task::start(
        "poll",
        &PollTask {
            api_url: api.base_url().to_owned(),
        },
    )?;
    let learned: Figures = task.line().await?;
    let before = api.requests().len();
    let measured: Figures = task.line().await?;
    let requests = api.requests().split_off(before);
    let first = requests.first().context("it was asked")?.at;
    let mut seconds = BTreeMap::<u64, u64>::new();
    for request in &requests {
        *seconds.entry((request.at - first).as_secs()).or_default() += 1;
    }
    let mean = requests.len() as f64 / MEASURED as f64;
    let most = seconds.values().copied().max().unwrap_or_default() as f64;
    let refused = requests.iter().filter(|one| one.status == 429).count();
    let early = requests
        .windows(2)
        .filter(|pair| {
            pair[0].status == 429 && pair[1].at - pair[0].at < Duration::from_millis(900)
        })
        .count();
    table.row(
        "checks a second against an API that allows 50",
        format!("{mean:.1}, {refused} refused, {early} of them not waited for"),
        ">= 30",
        mean >= 30.0 && early <= 8,
    );
    table.row(
        "the second with most checks, in means",
        format!("{:.2}", most / mean),
        "<= 2",
        most <= 2.0 * mean,
    );
    let core = (measured.cpu - learned.cpu) / MEASURED as f64;
    table.row(
        &format!("share of a core for that, {QUESTIONS} pairs"),
        format!("{:.1} %", core * 100.0),
        "<= 20 %",
        core <= 0.2,
    );
    let grown = measured.memory - learned.memory;
    table.row(
        &format!("memory that grew in those {MEASURED} s, {LEARNS} s after the start"),
        format!("{grown:.1} MB of {:.0}", measured.memory),
        "<= 5 MB",
        grown <= 5.0,
    );
    Ok(())
}

/// Polls in a process of its own.
pub(crate) async fn task(arguments: &[String]) -> anyhow::Result<()> {
    let PollTask { api_url } = process::options(arguments)?;
    let folder = tempfile::tempdir()?;
    let store = Store::open(&folder.path().join("bench.redb"))?;
    let api = AmserApi::new(&api_url.parse()?, 31_337, None)?;
    let (questions, mut asked) = mpsc::channel(16);
    tokio::spawn(async move {
        let all = all();
        while let Some(question) = asked.recv().await {
            if let Question::Expectations { only, answer } = question {
                let known = match only {
                    Some(only) => only.into_iter().map(|one| (one, all[&one])).collect(),
                    None => all.clone(),
                };
                let expectations = Expectations {
                    now: NOW,
                    at_tip: true,
                    known,
                };
                drop(answer.send(expectations));
            }
        }
    });
    let (status, seen) = watch::channel(DriftStatus::default());
    let inputs = Inputs {
        check: AccessCheck::new(
            api.clone(),
            "/v0/auth/check?address={address}&module_address={module}&plan_id={plan_id}",
            "/active",
        ),
        api,
        answers: ApiAnswers::load(&store)?,
        store,
        questions,
        contracts: Arc::new(|questions| {
            let answers = vec![ActiveAnswer::Active; questions.len()];
            Box::pin(std::future::ready((1, answers)))
        }),
        doubt: Arc::new(|_| {}),
        doubt_blocks: Arc::new(|_, _| {}),
        merchants: Arc::new(|modules| Box::pin(std::future::ready(Ok(vec![None; modules.len()])))),
        status,
    };
    let stop = CancellationToken::new();
    let polling = tokio::spawn(poller::run(inputs, stop.clone()));
    for seconds in [LEARNS, MEASURED] {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let checks = seen.borrow().api.checks;
        process::say(&Figures {
            checks,
            cpu: process::cpu_seconds()?,
            memory: process::peak_memory()?,
        })?;
    }
    stop.cancel();
    polling.await?
}

fn all() -> BTreeMap<ActiveQuestion, Known> {
    let question = |number: u64| ActiveQuestion {
        module: ModuleAddress(Address::repeat_byte(1)),
        wallet: Wallet(Address::left_padding_from(&number.to_be_bytes())),
        plan: PlanId(U256::from(number % 5)),
    };
    let known = Known {
        paid_until: Some(NOW.plus(1_000_000)),
        is_ambiguous: false,
        is_open: true,
    };
    (0..QUESTIONS)
        .map(|number| (question(number), known))
        .collect()
}
