//! The whole program: who left the server, and where the bot is gone, is told so and what to do.

use amser_roles::sandbox::discord::{Fault, Route, Times};
use amser_roles::sandbox::world::{Pace, World};
use amser_roles::web::{machine_clock, new_link};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::visitor::{Browser, code};
use crate::support::until_ready;

/// What the page says once `change` came over the server, and the code with which a text to sign is refused.
async fn refused(change: impl FnOnce(&World)) -> (u16, String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::build(listener, Pace::OnDemand).await.unwrap();
    let stop = CancellationToken::new();
    let service = tokio::spawn(world.serve(stop.clone()));
    until_ready(world.public_url()).await;
    let ada = world.members[0];
    let now = machine_clock()();
    let link = new_link(&world.store, ada, world.guild, world.public_url(), now).unwrap();
    let mut browser = Browser::new(world.public_url());
    browser.sign_in(ada, link.path().rsplit('/').next()).await;
    let mut nobody = Browser::new(world.public_url());
    let before = nobody.get(link.path()).await.text().await.unwrap();
    change(&world);
    let after = nobody.get(link.path()).await;
    assert_eq!(after.status(), 200, "a forwarded link tells nothing");
    assert_eq!(after.text().await.unwrap(), before);
    assert!(before.contains("Sign in with Discord"), "{before}");
    let page = browser.get(link.path()).await;
    let status = page.status().as_u16();
    let page = page.text().await.unwrap();
    let body = json!({ "address": world.wallet(ada).address().to_string() });
    let answer = browser
        .post(&format!("{}/challenge", link.path()), &body)
        .await;
    assert_eq!(answer.0, status);
    stop.cancel();
    service.await.unwrap().unwrap();
    (status, page, code(&answer))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_who_left_is_told_to_join_again() {
    let left = |world: &World| {
        let ada = world.members[0];
        world.discord.remove_member(world.guild, ada).unwrap();
    };
    let (status, page, code) = refused(left).await;
    assert_eq!((status, code.as_str()), (409, "member_left"));
    assert!(page.contains("join it again, and run /verify"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_bot_is_gone_members_are_told_to_have_it_added_again() {
    let kicked = |world: &World| world.discord.kick_bot(world.guild).unwrap();
    let (status, page, code) = refused(kicked).await;
    assert_eq!((status, code.as_str()), (409, "bot_absent"));
    assert!(page.contains("add it again, then run /verify"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_at_discord_is_told_as_such() {
    let trouble = |world: &World| {
        let route = Some(Route::GetMember);
        let fault = Fault::ServerError(503);
        world.discord.inject(route, fault, Times::UntilCleared);
    };
    let (status, page, code) = refused(trouble).await;
    assert_eq!((status, code.as_str()), (503, "discord_unavailable"));
    assert!(page.contains("try again in a moment"), "{page}");
}
