//! Roles: which can be given, and new ones.

use amser_roles::domain::{Act, GuildId, RoleId};
use amser_roles::merchants::{Refusal, RoleRow};
use amser_roles::sandbox::discord::{Fault, NewRole, Route, Times};
use serenity::model::Permissions;

use crate::support::rig::{Rig, until};

async fn row(rig: &Rig, guild: GuildId, role: RoleId) -> Option<RoleRow> {
    let roles = rig.merchants.roles(guild).await.unwrap();
    roles.into_iter().find(|row| row.role == role)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_role_can_be_given_at_once_and_allows_nothing() {
    let rig = Rig::start().await;
    let (guild, owner) = rig.server("Café");
    rig.until_in(guild).await;
    let everyone = RoleId(guild.0);
    rig.local
        .set_role_permissions(guild, everyone, Permissions::SEND_MESSAGES)
        .unwrap();
    let manager = rig.merchants.manager(guild, owner).await.unwrap();
    assert!(rig.merchants.roles(guild).await.unwrap().len() >= 2);
    let role = rig
        .merchants
        .create_role(&manager, "  Gold ")
        .await
        .unwrap();
    let made = row(&rig, guild, role).await.unwrap();
    assert_eq!((made.name.as_str(), made.permissions), ("Gold", 0));
    assert_eq!((made.manageable, made.why_not), (true, None));
    let requests = rig.local.requests();
    let request = requests
        .iter()
        .find(|one| one.route == Some(Route::CreateGuildRole))
        .unwrap();
    let reason = request.reason.as_ref().unwrap();
    assert!(reason.contains(&owner.to_string()), "{reason}");
    let name = "Gold".to_owned();
    let acts = rig.store.acts(guild, 10).unwrap();
    assert_eq!(acts[0].act, Act::RoleMade { role, name });
    assert!(rig.local.violations().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_manage_roles_makes_none() {
    let rig = Rig::start().await;
    let (guild, owner) = rig.server("Café");
    let (user, _) = rig.member(guild, "Staff", Permissions::MANAGE_GUILD);
    rig.until_in(guild).await;
    let staff = rig.merchants.manager(guild, user).await.unwrap();
    let refusal = rig.merchants.create_role(&staff, "Gold").await.unwrap_err();
    assert_eq!(
        (refusal.status(), refusal.code()),
        (403, "needs_manage_roles")
    );
    let manager = rig.merchants.manager(guild, owner).await.unwrap();
    for name in ["", "   ", "x".repeat(101).as_str()] {
        let refusal = rig.merchants.create_role(&manager, name).await.unwrap_err();
        assert_eq!((refusal.status(), refusal.code()), (422, "invalid"));
    }
    assert_eq!(rig.local.count(Route::CreateGuildRole), 0);

    let bot = rig.local.bot_role(guild).unwrap();
    rig.local
        .set_role_permissions(guild, bot, Permissions::empty())
        .unwrap();
    let refusal = rig
        .merchants
        .create_role(&manager, "Gold")
        .await
        .unwrap_err();
    assert!(matches!(&refusal, Refusal::NotManageable { why, .. } if why.contains("Manage Roles")));

    let full = Fault::Refused {
        status: 400,
        code: 30005,
        message: "Maximum number of guild roles reached (250)",
    };
    rig.local
        .inject(Some(Route::CreateGuildRole), full, Times::Next(1));
    let refusal = rig
        .merchants
        .create_role(&manager, "Gold")
        .await
        .unwrap_err();
    assert!(refusal.to_string().contains("as many roles"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_whose_answer_was_lost_is_not_made_twice() {
    let rig = Rig::start().await;
    let (guild, owner) = rig.server("Café");
    rig.until_in(guild).await;
    let manager = rig.merchants.manager(guild, owner).await.unwrap();
    rig.local.inject(
        Some(Route::CreateGuildRole),
        Fault::Lost(502),
        Times::Next(1),
    );
    let refusal = rig
        .merchants
        .create_role(&manager, "Gold")
        .await
        .unwrap_err();
    assert_eq!(refusal.status(), 503);
    assert_eq!(rig.local.count(Route::CreateGuildRole), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_follows_the_server() {
    let rig = Rig::start().await;
    let (guild, _) = rig.server("Café");
    rig.until_in(guild).await;
    let role = NewRole {
        color: 0x12_34_56,
        permissions: Permissions::BAN_MEMBERS,
        ..NewRole::named("Old")
    };
    let role = rig.local.add_role_with(guild, role).unwrap();
    until("the new role is shown", async || {
        row(&rig, guild, role).await.is_some()
    })
    .await;
    let old = row(&rig, guild, role).await.unwrap();
    assert_eq!((old.color, old.manageable), (0x12_34_56, true));
    assert_eq!(
        amser_roles::merchants::dangerous(old.permissions),
        ["Ban Members"]
    );
    let bot = rig.local.bot_role(guild).unwrap();
    rig.local.set_role_order(guild, &[bot, role]).unwrap();
    until("it stands above the bot's", async || {
        row(&rig, guild, role).await.is_some_and(|row| {
            !row.manageable && row.why_not.is_some_and(|why| why.contains("\"Old\""))
        })
    })
    .await;
}
