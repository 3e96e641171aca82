//! What the API says, and what comes of it: compared, counted, asked of the contracts; no answer changes nothing.

use std::time::{Duration, Instant};

use amser_roles::sandbox::amser_api::Behaviour;

use super::poll::{Poll, World, known, question, store};
use crate::support::stage::wait;

const MEMBERS: u8 = 6;

#[tokio::test]
async fn an_api_that_agrees_is_asked_about_everyone_and_nothing_is_doubted() {
    let world = World::of(MEMBERS);
    let (api, store) = (world.api().await, store(&world));
    let poll = Poll::start(&world, api.base_url(), &store, None);
    poll.until("everyone was checked", |status| {
        status.api.checks >= u64::from(MEMBERS) && status.contracts.checks >= u64::from(MEMBERS)
    })
    .await;
    for wallet in 1..=MEMBERS {
        let newest = poll.answers.newest(&question(wallet)).unwrap();
        assert_eq!(newest.api_active, wallet % 2 == 0);
        assert_eq!(newest.chain_active, newest.api_active);
    }
    let status = poll.status.borrow().clone();
    assert_eq!((status.disagreements, status.api.unknown), (0, 0));
    assert_eq!(status.questions, u64::from(MEMBERS));
    assert_eq!(*world.doubted.lock().unwrap(), []);
    // The answers survive the end of the process.
    poll.stop().await;
    let again = Poll::start(&world, "http://127.0.0.1:9", &store, None);
    assert!(again.answers.newest(&question(2)).unwrap().api_active);
    again.stop().await;
}

#[tokio::test]
async fn a_question_carries_the_tag_of_its_last_answer_and_304_says_the_same_again() {
    let world = World::of(MEMBERS);
    let (api, store) = (world.api().await, store(&world));
    let poll = Poll::start(&world, api.base_url(), &store, None);
    poll.fall_back();
    let asked = |wallet| {
        let requests = api.requests().into_iter();
        let of_it = requests.filter(move |one| one.question == question(wallet) && one.status != 0);
        of_it.collect::<Vec<_>>()
    };
    wait("each was asked twice", || {
        (1..=MEMBERS).all(|wallet| asked(wallet).len() >= 2)
    })
    .await;
    for wallet in 1..=MEMBERS {
        let tag = format!("\"{}\"", wallet % 2 == 0);
        let asked = asked(wallet);
        assert_eq!((asked[0].tag.as_deref(), asked[0].status), (None, 200));
        assert_eq!(asked[1].tag, Some(tag));
        assert_eq!(asked[1].status, 304);
    }
    let checks = poll.status.borrow().api.checks;
    poll.until("what has not changed counts as checked", |status| {
        status.api.checks > checks
    })
    .await;
    assert!(poll.answers.newest(&question(2)).unwrap().api_active);
    // What has changed comes whole, whatever tag is sent along.
    world.contracts.lock().unwrap().insert(question(1), true);
    let is_active = || poll.answers.newest(&question(1)).unwrap().api_active;
    wait("the change is taken", is_active).await;
    assert_eq!(poll.status.borrow().api.unknown, 0);
    poll.stop().await;
}

#[tokio::test]
async fn no_way_to_fail_is_an_answer() {
    for behaviour in [
        Behaviour::TooMany("1".to_owned()),
        Behaviour::Fails(404),
        Behaviour::Fails(500),
        Behaviour::OtherShape,
        Behaviour::Redirects,
        Behaviour::Down,
    ] {
        let world = World::of(MEMBERS);
        let (api, store) = (world.api().await, store(&world));
        api.set(behaviour.clone());
        let poll = Poll::start(&world, api.base_url(), &store, None);
        poll.until("it was asked", |status| status.api.unknown >= 3)
            .await;
        let status = poll.status.borrow().clone();
        assert_eq!(status.api.checks, 0, "{behaviour:?}");
        assert_eq!(status.disagreements, 0, "{behaviour:?}");
        assert_eq!(*world.doubted.lock().unwrap(), [], "{behaviour:?}");
        for wallet in 1..=MEMBERS {
            assert_eq!(poll.answers.newest(&question(wallet)), None);
        }
        poll.stop().await;
    }
}

#[tokio::test]
async fn an_api_that_does_not_answer_is_left_alone_for_a_while_and_it_is_told() {
    let world = World::of(24);
    let (api, store) = (world.api().await, store(&world));
    api.set(Behaviour::Fails(503));
    let poll = Poll::start(&world, api.base_url(), &store, None);
    poll.until("it is told", |status| status.api_trouble.is_some())
        .await;
    let asked = api.requests().len();
    let why = poll.status.borrow().api_trouble.clone().unwrap();
    assert!(why.contains("127.0.0.1 answers 503"), "{why}");
    assert!(asked < 24, "{asked} requests before it was left alone");
    // One question finds that it answers again.
    api.set(Behaviour::Truth);
    poll.until("it answers again", |status| status.api_trouble.is_none())
        .await;
    poll.stop().await;
}

#[tokio::test]
async fn an_api_that_denies_everyone_is_counted_and_changes_nothing() {
    let world = World::of(MEMBERS);
    let (api, store) = (world.api().await, store(&world));
    api.set(Behaviour::Denies);
    let poll = Poll::start(&world, api.base_url(), &store, None);
    // The contracts were asked about each, and agree with the events.
    poll.until("each was counted", |status| {
        status.disagreements == u64::from(MEMBERS / 2)
    })
    .await;
    assert_eq!(*world.doubted.lock().unwrap(), []);
    poll.stop().await;
    // What is known already is not counted again after a restart.
    let again = Poll::start(&world, api.base_url(), &store, None);
    again
        .until("it was asked again", |status| status.api.checks >= 1)
        .await;
    assert_eq!(again.status.borrow().disagreements, 0);
    again.stop().await;
}

#[tokio::test]
async fn what_the_contract_contradicts_too_is_doubted_and_not_counted_against_the_api() {
    let world = World::of(MEMBERS);
    let (api, store) = (world.api().await, store(&world));
    // A payment of the third was left out by the node. Of the fourth a payment failed within its window: that is no
    // contradiction, whatever the policy is.
    world.contracts.lock().unwrap().insert(question(3), true);
    let mut failed = known(true);
    (failed.is_ambiguous, failed.is_open) = (true, false);
    world.events.lock().unwrap().insert(question(4), failed);
    let poll = Poll::start(&world, api.base_url(), &store, None);
    poll.until("everyone was checked", |status| {
        status.api.checks >= u64::from(MEMBERS) && status.contracts.checks >= u64::from(MEMBERS)
    })
    .await;
    let doubted = || world.doubted.lock().unwrap().clone();
    wait("it is doubted", || !doubted().is_empty()).await;
    assert!(doubted().iter().all(|one| *one == question(3)));
    assert_eq!(poll.status.borrow().disagreements, 0);
    let newest = poll.answers.newest(&question(4)).unwrap();
    assert!(newest.api_active && !newest.chain_active);
    poll.stop().await;
}

#[tokio::test]
async fn nothing_is_sent_before_the_api_said() {
    const ASKED: Duration = Duration::from_secs(8);
    let world = World::of(40);
    let (api, store) = (world.api().await, store(&world));
    api.set(Behaviour::TooMany(ASKED.as_secs().to_string()));
    let poll = Poll::start(&world, api.base_url(), &store, None);
    wait("a request came", || !api.requests().is_empty()).await;
    let first = api.requests()[0].at;
    api.set(Behaviour::Truth);
    // What comes within the first half was on its way before the refusal was heard, however slow the machine is.
    let gap = || {
        let gaps = api.requests().into_iter().map(|one| one.at - first);
        gaps.filter(|gap| *gap > ASKED / 2).min()
    };
    wait("the next one came", || gap().is_some()).await;
    let gap = gap().unwrap();
    assert!(gap >= ASKED, "{gap:?}");
    poll.stop().await;
}

#[tokio::test]
async fn an_allowance_is_learned() {
    let world = World::of(60);
    let (api, store) = (world.api().await, store(&world));
    api.allow(Some(3));
    let poll = Poll::start(&world, api.base_url(), &store, None);
    poll.until("many were checked", |status| status.api.checks >= 20)
        .await;
    let requests = api.requests();
    let refused = requests.iter().filter(|one| one.status == 429).count();
    assert!(refused <= 8, "{refused} of {} refused", requests.len());
    poll.stop().await;
}

#[tokio::test]
async fn a_slow_api_does_not_hold_the_contracts_up() {
    let world = World::of(MEMBERS);
    let (api, store) = (world.api().await, store(&world));
    api.set(Behaviour::Hangs);
    let started = Instant::now();
    let poll = Poll::start(&world, api.base_url(), &store, None);
    poll.until("the contracts answered", |status| {
        status.contracts.checks == u64::from(MEMBERS)
    })
    .await;
    let asked = world.asked.lock().unwrap().len();
    assert_eq!(asked, usize::from(MEMBERS), "{:?}", started.elapsed());
    poll.stop().await;
}
