//! Old links and texts to sign go by themselves, without a new `/verify`.

use std::time::{Duration, Instant};

use amser_roles::domain::{GuildId, Timestamp, UserId};
use amser_roles::sandbox::world::{Pace, World};
use amser_roles::store::Store;
use amser_roles::web::{keep_forgetting, machine_clock};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const USER: UserId = UserId(5);
const DEADLINE: Duration = Duration::from_secs(30);

/// A link that was over long ago.
fn open_long_ago(store: &Store, key: u8) {
    let over = Timestamp(1_000);
    store
        .open_request(&[key; 32], USER, GuildId(7), over)
        .unwrap();
}

async fn forgotten(store: &Store) {
    let deadline = Instant::now() + DEADLINE;
    while !store.requests_of(USER).unwrap().is_empty() {
        assert!(Instant::now() < deadline, "it is not forgotten");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_grew_old_while_the_service_runs_is_forgotten() {
    let store = Store::in_memory().unwrap();
    let stop = CancellationToken::new();
    let often = Duration::from_millis(10);
    let forgetting = keep_forgetting(store.clone(), machine_clock(), often, stop.clone());
    let forgetting = tokio::spawn(forgetting);
    for key in 1..=3 {
        open_long_ago(&store, key);
        forgotten(&store).await;
    }
    stop.cancel();
    forgetting.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_grew_old_while_the_service_was_stopped_is_forgotten_at_the_start() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::build(listener, Pace::OnDemand).await.unwrap();
    open_long_ago(&world.store, 1);
    assert_eq!(world.store.requests_of(USER).unwrap().len(), 1);
    let stop = CancellationToken::new();
    let service = tokio::spawn(world.serve(stop.clone()));
    forgotten(&world.store).await;
    stop.cancel();
    service.await.unwrap().unwrap();
}
