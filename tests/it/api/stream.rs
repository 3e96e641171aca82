//! The status as server-sent events.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use reqwest::Method;
use serde_json::Value;
use tokio::time::timeout;

use crate::support::shop::{DEADLINE, Shop, ask, make_manager};
use crate::verify::visitor::Browser;

/// The lines of a stream of events, until it ends.
async fn open(browser: &mut Browser, path: &str) -> impl Stream<Item = String> + Unpin + use<> {
    let request = browser
        .request_with(Method::GET, path)
        .header("accept", "text/event-stream");
    let answer = browser.send(request).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    let chunks = answer.bytes_stream().map(|chunk| {
        // A stop cuts off what does not end by itself.
        let chunk = chunk.expect("the stream ends in order");
        String::from_utf8(chunk.to_vec()).unwrap()
    });
    Box::pin(chunks)
}

/// The next event's status.
async fn next(events: &mut (impl Stream<Item = String> + Unpin)) -> Value {
    let event = async {
        loop {
            let text = events.next().await.expect("the stream goes on");
            if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) {
                return serde_json::from_str(data).unwrap();
            }
        }
    };
    timeout(DEADLINE, event).await.expect("an event comes")
}

#[tokio::test]
async fn a_snapshot_comes_first_then_what_changes_and_the_stop_ends_the_stream_at_once() {
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
    let ended = async { while events.next().await.is_some() {} };
    timeout(Duration::from_secs(20), ended)
        .await
        .expect("the stop ends it");
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
        let end = async { while events.next().await.is_some() {} };
        timeout(DEADLINE, end).await.expect("it ends by itself");
    }
    shop.chain.mine(1).await.unwrap();
    next(&mut stays).await;
}

#[tokio::test]
async fn fifty_open_streams_are_told_once_and_end_with_the_stop_together() {
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
    let ended = async {
        for events in &mut streams {
            while events.next().await.is_some() {}
        }
    };
    let ended = timeout(Duration::from_secs(20), ended).await;
    ended.expect("the stop ends them all");
}
