//! The whole program: a wallet that another member signs with takes its role along.

use std::time::{Duration, Instant};

use alloy::primitives::Address;
use amser_roles::domain::{Link, Timestamp, UserId, Wallet};
use amser_roles::sandbox::discord::{Fault, LocalDiscord, Route, Times};
use amser_roles::sandbox::world::{Pace, World};
use amser_roles::web::{machine_clock, new_link};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::visitor::{Browser, sign};
use crate::support::until_ready;

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_another_member_signs_with_moves_and_the_former_owner_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::build(listener, Pace::OnDemand).await.unwrap();
    let stop = CancellationToken::new();
    let service = tokio::spawn(world.serve(stop.clone()));
    let (ada, grace) = (world.members[0], world.members[1]);
    let paid = world.subscribe(ada).await.unwrap();
    world.chain.execute(world.module, paid).await.unwrap();
    world.confirm().await.unwrap();
    until_ready(world.public_url()).await;
    for member in [ada, grace] {
        let now = machine_clock()();
        let link = new_link(&world.store, member, world.guild, world.public_url(), now).unwrap();
        let mut browser = Browser::new(world.public_url());
        let token = link.path().rsplit('/').next();
        assert_eq!(browser.sign_in(member, token).await, link.as_str());
        let (status, answer) = browser.link(link.path(), &world.wallet(ada)).await;
        assert_eq!(status, 200, "{answer}");
        world.wait_for_role(member, true, DEADLINE).await.unwrap();
    }
    world.wait_for_role(ada, false, DEADLINE).await.unwrap();
    told(&world, ada, 1).await;
    let message = &world.discord.direct_messages(ada)[0].content;
    let address = world.wallet(ada).address().to_string();
    assert!(message.contains(&address), "{message}");
    assert!(world.discord.direct_messages(grace).is_empty());
    assert_eq!(world.discord.violations(), []);
    stop.cancel();
    service.await.unwrap().unwrap();
}

/// Waits until a member got so many messages.
async fn told(world: &World, member: UserId, messages: usize) {
    let what = "the former owner is told";
    let told = |discord: &LocalDiscord| discord.direct_messages(member).len() == messages;
    let waited = world.discord.wait_until(what, DEADLINE, told).await;
    waited.unwrap();
}

fn link(user: UserId, wallet: Wallet) -> Link {
    Link {
        user,
        wallet,
        linked_at: Timestamp(1_800_000_000),
        proof: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_a_stop_kept_from_being_told_is_told_after_the_start() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::build(listener, Pace::OnDemand).await.unwrap();
    let (ada, grace) = (world.members[0], world.members[1]);
    let wallet = Wallet(world.wallet(ada).address());
    for member in [ada, grace] {
        world.store.link(&link(member, wallet), 5).unwrap();
    }
    // More trouble than one round of tries outlasts.
    let opening = Route::CreateDirectChannel;
    let trouble = Fault::ServerError(502);
    world.discord.inject(Some(opening), trouble, Times::Next(4));
    let stop = CancellationToken::new();
    let service = tokio::spawn(world.serve(stop.clone()));
    told(&world, ada, 1).await;
    assert_eq!(world.discord.count(opening), 5, "the fault was met");
    let deadline = Instant::now() + DEADLINE;
    while !world.store.notices().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "the notice stays");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(world.discord.direct_messages(grace).is_empty());
    stop.cancel();
    service.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_during_the_commit_does_not_keep_the_former_owner_from_being_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::build(listener, Pace::OnDemand).await.unwrap();
    let stop = CancellationToken::new();
    let service = tokio::spawn(world.serve(stop.clone()));
    let (mut former, mut next) = (world.members[0], world.members[1]);
    let signer = world.wallet(former);
    let wallet = Wallet(signer.address());
    until_ready(world.public_url()).await;
    world.store.link(&link(former, wallet), 5).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "no client hung up in time");
        let now = machine_clock()();
        let page = new_link(&world.store, next, world.guild, world.public_url(), now).unwrap();
        let mut browser = Browser::new(world.public_url());
        let token = page.path().rsplit('/').next();
        browser.sign_in(next, token).await;
        let message = browser.challenge(page.path(), wallet.0).await;
        let signature = sign(&signer, &message);
        let messages = world.discord.direct_messages(former).len();
        // The commit has to wait for a long one.
        let (store, other) = (world.store.clone(), Wallet(Address::repeat_byte(9)));
        let busy = tokio::task::spawn_blocking(move || {
            let links = vec![link(UserId(1), other); 20_000];
            store.link_all(&links, 5).unwrap();
        });
        let answering = browser.answer(page.path(), &message, &signature);
        let answered = tokio::time::timeout(Duration::from_millis(200), answering).await;
        let owner = || world.store.link_of(wallet).unwrap().unwrap().user;
        let hung_up = answered.is_err() && owner() == former;
        busy.await.unwrap();
        if hung_up {
            // The server may have met the hang-up before it asked for the commit.
            let soon = Instant::now() + Duration::from_secs(2);
            while owner() == former && Instant::now() < soon {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        if owner() == next {
            told(&world, former, messages + 1).await;
            if hung_up {
                break;
            }
            (former, next) = (next, former);
        }
    }
    stop.cancel();
    service.await.unwrap().unwrap();
}
