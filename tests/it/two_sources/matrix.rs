//! Every combination of a node that fails in one of six ways, an API that does in one of seven, and a restart or none while they do:
//! who deserved the role all along never lost it, and when both are back everyone has what they deserve.

use std::time::{Duration, Instant};

use amser_roles::sandbox::amser_api::Behaviour;

use super::is_fallback;
use super::world::{Part, World};
use crate::support::rpc_proxy::Faults;

/// So many blocks a lagging or lying node does not know of.
const BEHIND: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rpc {
    Up,
    /// It is some blocks behind.
    Lagging,
    Down,
    /// It shows the newest blocks, without what happened in some of them.
    Lying,
    /// It leaves out everything that happens.
    Hiding,
    /// It has no state but the newest.
    Pruned,
}

/// Those first that leave a working API behind for the next story: after many failures it is asked rarely for a while.
fn behaviours() -> [Behaviour; 7] {
    [
        Behaviour::Truth,
        Behaviour::Slow(Duration::from_secs(1)),
        Behaviour::Denies,
        Behaviour::Allows,
        Behaviour::Inverts,
        Behaviour::OtherShape,
        Behaviour::Down,
    ]
}

/// What an API does that answers, so that one can wait for it.
fn answers(api: &Behaviour) -> bool {
    !matches!(api, Behaviour::OtherShape | Behaviour::Down)
}

async fn every_api(rpc: Rpc, restarts: bool) {
    let mut world = World::open(behaviours().len()).await;
    for api in behaviours() {
        let story = format!("node {rpc:?}, API {api:?}, restart: {restarts}");
        let started = Instant::now();
        world.begin(&story).await;
        tell(&mut world, rpc, &api, restarts, &story).await;
        eprintln!("{story}: {:?}", started.elapsed());
    }
    world.stop().await;
}

async fn tell(world: &mut World, rpc: Rpc, api: &Behaviour, restarts: bool, story: &str) {
    let lines = world.lines();
    world.api.set(api.clone());
    break_node(world, rpc).await;
    if restarts {
        world.stop().await;
    }
    world.happen().await;
    if restarts {
        world.start();
    }
    let began = Instant::now();
    until_acted(world, rpc, story).await;
    if rpc == Rpc::Down && answers(api) {
        until_answered(world, began, story).await;
        if !matches!(api, Behaviour::Denies | Behaviour::Inverts) {
            let has_come = |world: &World| world.has_role(Part::Comes);
            world
                .until(story, "the API's word gives the role", has_come)
                .await;
        }
    }
    world.proxy.set(|faults| *faults = Faults::default());
    world.api.set(Behaviour::Truth);
    world.chain.mine(1).await.unwrap();
    world.until_at_rest(story).await;
    let is_over = |world: &World| !is_fallback(&world.store, world.guild);
    world.until(story, "the chain decides again", is_over).await;
    for part in world.taken_since(lines) {
        assert!(
            !matches!(part, Part::Steady | Part::Comes),
            "{story}: {part:?} lost the role and deserves it"
        );
    }
}

async fn break_node(world: &World, rpc: Rpc) {
    let next = world.chain.head().await.unwrap().number + 1;
    world.proxy.set(|faults| match rpc {
        Rpc::Up => {}
        Rpc::Lagging => faults.lag = BEHIND,
        Rpc::Down => faults.dead = true,
        Rpc::Lying => faults.logs_lag = BEHIND,
        Rpc::Hiding => faults.hidden = Some((next, u64::MAX)),
        Rpc::Pruned => faults.no_old_state = true,
    });
    if rpc == Rpc::Down {
        world.proxy.cut_websockets();
    }
}

/// Waits until the service has seen of the story what it can, and has acted on it.
async fn until_acted(world: &World, rpc: Rpc, story: &str) {
    if rpc == Rpc::Down {
        let is_on = |world: &World| is_fallback(&world.store, world.guild);
        return world.until(story, "the API is listened to", is_on).await;
    }
    let head = world.chain.head().await.unwrap().number;
    let behind = if rpc == Rpc::Lagging { BEHIND } else { 0 };
    let is_read = |world: &World| {
        let cursor = world.store.cursor().unwrap();
        let is_read = cursor.is_some_and(|cursor| cursor.number + behind >= head);
        // A node that is caught is not followed.
        is_read || is_fallback(&world.store, world.guild)
    };
    world.until(story, "the blocks are read", is_read).await;
    if matches!(rpc, Rpc::Up | Rpc::Lying | Rpc::Hiding) {
        // The contracts confirm this one, and are asked about the one who paid unseen in the same breath.
        let is_gone =
            |world: &World| !world.has_role(Part::Lapses) || is_fallback(&world.store, world.guild);
        world.until(story, "the lapsed role is gone", is_gone).await;
    }
}

/// Waits until the API has answered about everyone.
async fn until_answered(world: &World, since: Instant, story: &str) {
    let all = |world: &World| {
        let requests = world.api.requests();
        let parts = [
            Part::Steady,
            Part::Lapses,
            Part::Cancels,
            Part::Comes,
            Part::Stranger,
        ];
        parts.into_iter().all(|part| {
            let wallet = world.member(part).wallet;
            let is_it = |request: &&amser_roles::sandbox::amser_api::ApiRequest| {
                request.at >= since && request.status != 0 && request.question.wallet.0 == wallet
            };
            requests.iter().rev().any(|request| is_it(&request))
        })
    };
    world
        .until(story, "the API has answered about everyone", all)
        .await;
}

#[tokio::test]
async fn a_node_that_works_is_believed_whatever_the_api_says() {
    every_api(Rpc::Up, false).await;
}

#[tokio::test]
async fn a_node_that_works_is_believed_whatever_the_api_says_after_a_restart() {
    every_api(Rpc::Up, true).await;
}

#[tokio::test]
async fn a_node_that_lags_harms_nobody_whatever_the_api_says() {
    every_api(Rpc::Lagging, false).await;
}

#[tokio::test]
async fn a_node_that_lags_harms_nobody_whatever_the_api_says_after_a_restart() {
    every_api(Rpc::Lagging, true).await;
}

#[tokio::test]
async fn a_node_that_is_down_harms_nobody_whatever_the_api_says() {
    every_api(Rpc::Down, false).await;
}

#[tokio::test]
async fn a_node_that_is_down_harms_nobody_whatever_the_api_says_after_a_restart() {
    every_api(Rpc::Down, true).await;
}

#[tokio::test]
async fn a_node_that_lies_about_the_newest_blocks_harms_nobody_whatever_the_api_says() {
    every_api(Rpc::Lying, false).await;
}

#[tokio::test]
async fn a_node_that_lies_about_the_newest_blocks_harms_nobody_after_a_restart() {
    every_api(Rpc::Lying, true).await;
}

#[tokio::test]
async fn a_node_that_hides_payments_harms_nobody_whatever_the_api_says() {
    every_api(Rpc::Hiding, false).await;
}

#[tokio::test]
async fn a_node_that_hides_payments_harms_nobody_whatever_the_api_says_after_a_restart() {
    every_api(Rpc::Hiding, true).await;
}

#[tokio::test]
async fn a_node_without_old_state_harms_nobody_whatever_the_api_says() {
    every_api(Rpc::Pruned, false).await;
}

#[tokio::test]
async fn a_node_without_old_state_harms_nobody_whatever_the_api_says_after_a_restart() {
    every_api(Rpc::Pruned, true).await;
}
