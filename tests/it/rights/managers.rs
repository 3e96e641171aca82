//! Who manages a server, by the bot's own view.

use amser_roles::domain::{GuildId, UserId};
use amser_roles::merchants::Refusal;
use amser_roles::sandbox::discord::{Fault, Route, Times};
use futures_util::future::join_all;
use serenity::model::Permissions;

use crate::support::rig::{Rig, until};

async fn manages(rig: &Rig, guild: GuildId, user: UserId) -> bool {
    match rig.merchants.manager(guild, user).await {
        Ok(_) => true,
        Err(Refusal::NotFound) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_is_who_discord_shows_as_one_and_no_longer() {
    let rig = Rig::start().await;
    let (guild, owner) = rig.server("Café");
    let (manager, role) = rig.member(guild, "Staff", Permissions::MANAGE_GUILD);
    let (member, _) = rig.member(guild, "Helper", Permissions::MANAGE_ROLES);
    rig.until_in(guild).await;
    assert!(manages(&rig, guild, owner).await);
    assert!(manages(&rig, guild, manager).await);
    assert!(!manages(&rig, guild, member).await);
    let stranger = rig.local.add_user("Stranger");
    assert!(!manages(&rig, guild, stranger).await);

    // The gateway tells of each change, so nobody waits for the minute to pass.
    rig.local.take_role(guild, manager, role).unwrap();
    until("the role is lost", async || {
        !manages(&rig, guild, manager).await
    })
    .await;
    rig.local.give_role(guild, manager, role).unwrap();
    until("the role is back", async || {
        manages(&rig, guild, manager).await
    })
    .await;
    let nothing = Permissions::empty();
    rig.local
        .set_role_permissions(guild, role, nothing)
        .unwrap();
    until("the role allows nothing", async || {
        !manages(&rig, guild, manager).await
    })
    .await;
    rig.local
        .set_role_permissions(guild, role, Permissions::ADMINISTRATOR)
        .unwrap();
    until("an administrator manages", async || {
        manages(&rig, guild, manager).await
    })
    .await;
    rig.local.remove_member(guild, manager).unwrap();
    until("who left manages nothing", async || {
        !manages(&rig, guild, manager).await
    })
    .await;
    assert!(rig.local.violations().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_the_bot_is_not_found_and_costs_no_request() {
    let rig = Rig::start().await;
    let (guild, owner) = rig.server("Café");
    rig.until_in(guild).await;
    assert!(manages(&rig, guild, owner).await);
    rig.local.kick_bot(guild).unwrap();
    until("the bot is gone", async || {
        !manages(&rig, guild, owner).await
    })
    .await;
    let before = rig.local.requests().len();
    for guess in [guild, GuildId(1), GuildId(987_654_321_000)] {
        assert!(!manages(&rig, guess, owner).await);
    }
    assert_eq!(rig.local.requests().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pages_at_once_read_a_server_and_a_member_once() {
    let rig = Rig::start().await;
    let (guild, _) = rig.server("Café");
    let (manager, _) = rig.member(guild, "Staff", Permissions::MANAGE_GUILD);
    // What is told while it is read is a reason to read again.
    rig.until_told().await;
    let before = rig.local.count(Route::GetMember);
    let pages = (0..50).map(|_| manages(&rig, guild, manager));
    assert!(join_all(pages).await.into_iter().all(|manages| manages));
    // The manager, and the bot itself.
    assert_eq!(rig.local.count(Route::GetMember) - before, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_discord_fails_nobody_is_called_a_stranger() {
    let rig = Rig::start().await;
    let (guild, owner) = rig.server("Café");
    rig.until_in(guild).await;
    let route = Some(Route::GetMember);
    rig.local
        .inject(route, Fault::ServerError(503), Times::UntilCleared);
    let refusal = rig.merchants.manager(guild, owner).await.unwrap_err();
    assert!(matches!(refusal, Refusal::DiscordUnavailable(_)));
    assert_eq!(
        (refusal.status(), refusal.code()),
        (503, "discord_unavailable")
    );
    rig.local.clear_faults(route);
    assert!(manages(&rig, guild, owner).await, "nothing of it is kept");
}
