//! The whole program: a wallet that another member signs with takes its role along.

use std::time::Duration;

use amser_roles::sandbox::world::{Pace, World};
use amser_roles::web::{machine_clock, new_link};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::visitor::Browser;
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
    let told = |discord: &amser_roles::sandbox::discord::LocalDiscord| {
        discord.direct_messages(ada).len() == 1
    };
    let what = "the former owner is told";
    world
        .discord
        .wait_until(what, DEADLINE, told)
        .await
        .unwrap();
    let message = &world.discord.direct_messages(ada)[0].content;
    let address = world.wallet(ada).address().to_string();
    assert!(message.contains(&address), "{message}");
    assert!(world.discord.direct_messages(grace).is_empty());
    assert_eq!(world.discord.violations(), []);
    stop.cancel();
    service.await.unwrap().unwrap();
}
