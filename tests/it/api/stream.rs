//! The status as server-sent events.

use futures_util::{Stream, StreamExt as _};
use reqwest::Method;
use serde_json::Value;
use tokio::time::timeout;

use crate::support::shop::{DEADLINE, Shop, ask, make_manager};
use crate::verify::visitor::Browser;

/// What comes of a stream of events, until it ends: in order, or in an error.
type Chunk = reqwest::Result<String>;

/// How often a stop is tried: what a busy machine does not end in time is cut off, as is each time what does not end by itself.
const TRIES: usize = 5;

async fn open(browser: &mut Browser, path: &str) -> impl Stream<Item = Chunk> + Unpin + use<> {
    let request = browser
        .request_with(Method::GET, path)
        .header("accept", "text/event-stream");
    let answer = browser.send(request).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    let chunks = answer
        .bytes_stream()
        .map(|chunk| Ok(String::from_utf8(chunk?.to_vec()).unwrap()));
    Box::pin(chunks)
}

/// Whether the stream ends in order, once it has.
async fn ends(events: &mut (impl Stream<Item = Chunk> + Unpin)) -> bool {
    let end = async {
        while let Some(chunk) = events.next().await {
            if chunk.is_err() {
                return false;
            }
        }
        true
    };
    timeout(DEADLINE, end).await.expect("the stream ends")
}

/// The next event's status.
async fn next(events: &mut (impl Stream<Item = Chunk> + Unpin)) -> Value {
    let event = async {
        loop {
            let text = events.next().await.expect("the stream goes on").unwrap();
            if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) {
                return serde_json::from_str(data).unwrap();
            }
        }
    };
    timeout(DEADLINE, event).await.expect("an event comes")
}

#[tokio::test]
async fn a_snapshot_comes_first_then_what_changes_and_the_stop_ends_the_stream_at_once() {
    for _ in 0..TRIES {
        if a_stream_until_the_stop().await {
            return;
        }
    }
    panic!("the stop cuts it off");
}

/// Whether it ends in order.
async fn a_stream_until_the_stop() -> bool {
    let shop = Shop::open().await;
    let mut browser = shop.merchant().await;
    let mut events = open(&mut browser, &shop.path("/events")).await;
    let first = next(&mut events).await;
    let block = first["chain"]["confirmed"].as_u64().unwrap();
    assert_eq!(first["discord"]["connected"], true);
    shop.chain.mine(3).await.unwrap();
    let mut seen = first;
    while seen["chain"]["confirmed"].as_u64().unwrap() < block + 3 {
        seen = next(&mut events).await;
    }
    shop.stop.cancel();
    ends(&mut events).await
}

/// A stream is authorised again twice a minute, by the session and by the permission.
#[tokio::test]
async fn a_stream_ends_with_the_session_or_the_permission_of_who_reads_it() {
    let shop = Shop::open().await;
    let manager = |name: &str| {
        let user = shop.discord.add_user(name);
        (user, make_manager(&shop.discord, shop.guild, user))
    };
    let ((leaves, _), (demoted, role)) = (manager("leaves"), manager("demoted"));
    let mut staying = shop.merchant().await;
    let mut leaving = shop.signed_in(leaves).await;
    let mut losing = shop.signed_in(demoted).await;
    let path = shop.path("/events");
    let mut stays = open(&mut staying, &path).await;
    let mut ended = Vec::new();
    for browser in [&mut leaving, &mut losing] {
        let mut events = open(browser, &path).await;
        next(&mut events).await;
        ended.push(events);
    }
    let out = ask(&mut leaving, Method::POST, "/api/v1/logout", None).await;
    assert_eq!(out.0, 200, "{out:?}");
    shop.discord.take_role(shop.guild, demoted, role).unwrap();
    for events in &mut ended {
        assert!(ends(events).await, "it is cut off");
    }
    shop.chain.mine(1).await.unwrap();
    next(&mut stays).await;
}

#[tokio::test]
async fn fifty_open_streams_are_told_once_and_end_with_the_stop_together() {
    for _ in 0..TRIES {
        if fifty_streams_until_the_stop().await {
            return;
        }
    }
    panic!("the stop cuts them off");
}

/// Whether all of them end in order.
async fn fifty_streams_until_the_stop() -> bool {
    let shop = Shop::open().await;
    let mut browser = shop.merchant().await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut events = open(&mut browser, &shop.path("/events")).await;
        next(&mut events).await;
        streams.push(events);
    }
    // Pages are answered beside them.
    let page = browser.get(&format!("/dashboard/{}", shop.guild)).await;
    assert_eq!(page.status(), 200);
    shop.stop.cancel();
    let mut in_order = true;
    for events in &mut streams {
        in_order &= ends(events).await;
    }
    in_order
}
