//! A gate raises nobody, sells nobody else's plan, and gives no role that the bot cannot give.

use alloy::primitives::U256;
use amser_roles::domain::{GateDraft, GateId, GuildId, RoleId, UserId};
use amser_roles::merchants::{Manager, Refusal};
use amser_roles::sandbox::discord::NewRole;
use serenity::model::Permissions;

use super::{Shop, draft};
use crate::support::scene::new_module;
use crate::support::stage::DEADLINE;

async fn refusal(shop: &Shop, draft: GateDraft) -> Refusal {
    let manager = shop.manager().await;
    let put = shop.merchants.put_gate(&manager, draft, None, false).await;
    put.unwrap_err()
}

#[tokio::test]
async fn only_plans_of_ones_own_module_and_roles_that_can_be_given_make_a_gate() {
    let shop = Shop::open(&["Gold"]).await;
    let (foreign, plan) = new_module(&shop.stage.chain, "somebody else").await;
    let gold = shop.roles.clone();
    let refused = refusal(&shop, draft(foreign, plan, &gold)).await;
    assert!(matches!(refused, Refusal::ForeignModule), "{refused:?}");
    let refused = refusal(&shop, shop.draft(U256::from(99), &gold)).await;
    assert!(
        matches!(&refused, Refusal::Invalid(why) if why.contains("99")),
        "{refused:?}"
    );
    let plan = shop.stage.plan;
    let refused = refusal(&shop, shop.draft(plan, &[])).await;
    assert!(matches!(refused, Refusal::Invalid(_)), "{refused:?}");
    let discord = &shop.stage.discord;
    let above = discord.add_role(shop.guild, "Above the bot").unwrap();
    let bot = discord.bot_role(shop.guild).unwrap();
    let order = [gold[0], bot, above];
    discord.set_role_order(shop.guild, &order).unwrap();
    for bad in [above, RoleId(4), RoleId(shop.guild.0)] {
        let refused = refusal(&shop, shop.draft(plan, &[bad])).await;
        assert!(
            matches!(refused, Refusal::NotManageable { .. }),
            "{refused:?}"
        );
    }
    assert_eq!(shop.merchants.gates(shop.guild).await.unwrap(), []);
    let manager = shop.manager().await;
    let preview = shop.draft(plan, &[above]);
    let preview = shop.merchants.preview(&manager, &preview, None).await;
    assert!(matches!(preview, Err(Refusal::NotManageable { .. })));
}

#[tokio::test]
async fn a_dangerous_role_is_asked_about_twice() {
    let shop = Shop::open(&["Gold"]).await;
    let (guild, role) = (shop.guild, shop.roles[0]);
    shop.stage
        .discord
        .set_role_permissions(guild, role, Permissions::BAN_MEMBERS)
        .unwrap();
    let wanted = shop.draft(shop.stage.plan, &shop.roles);
    let manager = shop.manager().await;
    let deadline = tokio::time::Instant::now() + DEADLINE;
    // The bot hears of the permissions in a moment; before that it may judge by what it knew.
    let refused = loop {
        match shop
            .merchants
            .put_gate(&manager, wanted.clone(), None, false)
            .await
        {
            Err(refused) => break refused,
            Ok(gate) => shop.merchants.delete_gate(&manager, gate).await.unwrap(),
        }
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert!(
        matches!(&refused, Refusal::Dangerous { permissions, .. }
        if permissions == &["Ban Members"]),
        "{refused:?}"
    );
    let confirmed = shop.merchants.put_gate(&manager, wanted, None, true).await;
    confirmed.unwrap();
}

/// A manager of the shop with these permissions, whose highest role is this far up, once the bot has heard of all that.
async fn staff(shop: &Shop, name: &str, permissions: Permissions, below: bool) -> UserId {
    let discord = &shop.stage.discord;
    let new = NewRole {
        permissions,
        ..NewRole::named(name)
    };
    let role = discord.add_role_with(shop.guild, new).unwrap();
    let bot = discord.bot_role(shop.guild).unwrap();
    let order = match below {
        true => [role, shop.roles[0], bot],
        false => [shop.roles[0], role, bot],
    };
    discord.set_role_order(shop.guild, &order).unwrap();
    let user = discord.add_user(name);
    discord.add_member(shop.guild, user).unwrap();
    discord.give_role(shop.guild, user, role).unwrap();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let rows = shop.merchants.roles(shop.guild).await.unwrap();
        let place = |role: RoleId| rows.iter().position(|row| row.role == role);
        let is_below = |gold: usize| place(role).is_some_and(|own| (own > gold) == below);
        let is_known = place(shop.roles[0]).is_some_and(is_below);
        let manager = shop.merchants.manager(shop.guild, user).await;
        let has = |manager: Manager| manager.permissions & permissions.bits() == permissions.bits();
        if is_known && manager.is_ok_and(has) {
            return user;
        }
        assert!(tokio::time::Instant::now() < deadline, "{name}: {rows:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn as_merchant(shop: &Shop, user: UserId, guild: GuildId) -> Result<GateId, Refusal> {
    let own =
        amser_roles::domain::Wallet(amser_roles::sandbox::chain::wallet("merchant").address());
    shop.merchants
        .set_wallet(user, own, Default::default())
        .await
        .unwrap();
    let manager = shop.merchants.manager(guild, user).await?;
    let draft = shop.draft(shop.stage.plan, &shop.roles);
    shop.merchants.put_gate(&manager, draft, None, false).await
}

#[tokio::test]
async fn a_manager_makes_no_gate_that_gives_more_than_they_could() {
    let shop = Shop::open(&["Gold"]).await;
    let without = staff(&shop, "without", Permissions::MANAGE_GUILD, false).await;
    let refused = as_merchant(&shop, without, shop.guild).await;
    assert!(
        matches!(refused, Err(Refusal::NeedsManageRoles)),
        "{refused:?}"
    );
    let both = Permissions::MANAGE_GUILD | Permissions::MANAGE_ROLES;
    let below = staff(&shop, "below", both, true).await;
    let refused = as_merchant(&shop, below, shop.guild).await;
    assert!(
        matches!(refused, Err(Refusal::AboveYou { .. })),
        "{refused:?}"
    );
    let nobody = shop.stage.discord.add_user("nobody");
    shop.stage.discord.add_member(shop.guild, nobody).unwrap();
    let refused = as_merchant(&shop, nobody, shop.guild).await;
    assert!(matches!(refused, Err(Refusal::NotFound)), "{refused:?}");
    // Who may not make a gate may delete one.
    let gate = shop.make().await;
    let manager = shop.merchants.manager(shop.guild, without).await.unwrap();
    shop.merchants.delete_gate(&manager, gate).await.unwrap();
    let gone = shop.merchants.delete_gate(&manager, gate).await;
    assert!(matches!(gone, Err(Refusal::NotFound)));
}
