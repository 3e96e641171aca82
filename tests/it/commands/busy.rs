//! Commands while the store, the loop or Discord is busy or broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amser_roles::sandbox::discord::{Fault, Route, Times};

use super::{DEADLINE, Story, created, wallet};

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_link_is_acknowledged_at_once_and_keeps_nobody_waiting() {
    let story = Story::begin().await;
    let slow = Arc::clone(&story.slow);
    let (locked, is_locked) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        let _held = slow.lock().unwrap();
        locked.send(()).unwrap();
        released.recv().unwrap();
    });
    is_locked.recv().unwrap();
    let stuck = story
        .local
        .start_command(story.club, story.user, "verify", &[])
        .unwrap();
    let acknowledged = |local: &amser_roles::sandbox::discord::LocalDiscord| {
        local.count(Route::AnswerInteraction) == 1
    };
    story
        .local
        .wait_until("the command is acknowledged", DEADLINE, acknowledged)
        .await
        .unwrap();
    story.run("wallets", &[]).await;
    story.run("status", &[]).await;
    assert!(story.local.reply(stuck).is_none(), "it still waits");
    release.send(()).unwrap();
    holder.join().unwrap();
    story
        .local
        .wait_until("the link came", DEADLINE, |local| {
            local.reply(stuck).is_some()
        })
        .await
        .unwrap();
    let reply = super::private(story.local.reply(stuck).unwrap());
    assert!(reply.message.buttons[0].url.is_some());
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_is_acknowledged_in_time_while_the_store_is_written_to_without_pause() {
    let mut story = Story::begin().await;
    story.link(story.user, wallet(1));
    let over = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&over);
    let (user, club) = (story.user, story.club);
    let local = story.local.clone();
    let asking = tokio::spawn(async move {
        for name in ["verify", "status", "wallets", "privacy export", "unlink"] {
            // A busy machine may be slow now and then; a command that waits for the store is slow each time.
            let mut replies = Vec::new();
            for _ in 0..5 {
                let reply = local.run_command(club, user, name, &[]).await.unwrap();
                let reply = super::private(reply);
                let is_in_time = reply.deferred && reply.answered_after < Duration::from_secs(3);
                replies.push((reply.deferred, reply.answered_after));
                if is_in_time {
                    break;
                }
                assert!(replies.len() < 5, "/{name} is never in time: {replies:?}");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    let mut id = 100;
    while !over.load(Ordering::Relaxed) && !asking.is_finished() {
        let kinds = (0..5_000).map(|n| created(id + n, wallet(2))).collect();
        id += 5_000;
        tokio::task::block_in_place(|| story.mine(kinds));
    }
    asking.await.unwrap();
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_inside_is_one_friendly_sentence() {
    let story = Story::begin().await;
    // A panic while the lock is held poisons it: the next link panics in its own thread.
    let slow = Arc::clone(&story.slow);
    let poisoned = std::thread::spawn(move || {
        let _held = slow.lock().unwrap();
        panic!("on purpose, for the test");
    });
    assert!(poisoned.join().is_err());
    let reply = story.run("verify", &[]).await;
    assert_eq!(
        reply.text(),
        "Something went wrong on our side. Please try again in a minute."
    );
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outlives_a_moment_of_trouble_at_discord() {
    let story = Story::begin().await;
    let route = Some(Route::EditOriginalResponse);
    story
        .local
        .inject(route, Fault::ServerError(502), Times::Next(1));
    let reply = story.run("wallets", &[]).await;
    assert!(reply.text().contains("no wallet"));
    story.local.inject(
        route,
        Fault::RateLimited(Duration::from_millis(300)),
        Times::Next(1),
    );
    let reply = story.run("wallets", &[]).await;
    assert!(reply.text().contains("no wallet"));
    story.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_asks_without_pause_is_told_to_wait_and_others_are_not() {
    let story = Story::begin_limited(3).await;
    let mut links = Vec::new();
    for _ in 0..3 {
        let reply = story.run("verify", &[]).await;
        links.push(reply.message.buttons[0].url.clone().unwrap());
    }
    let refused = story.run("verify", &[]).await;
    assert!(refused.text().contains("Slow down"), "{}", refused.text());
    assert!(refused.message.buttons.is_empty(), "no fourth link");
    let grace = story.local.add_user("grace");
    story.local.add_member(story.club, grace).unwrap();
    let reply = story.run_as(story.club, grace, "wallets", &[]).await;
    assert!(!reply.text().contains("Slow down"), "{}", reply.text());
    story.end();
}
