//! The table of members, by what is wrong with each.

use std::collections::BTreeMap;

use amser_roles::domain::{MemberState, UserId};

use super::Shop;
use crate::support::stage::{DEADLINE, Person};

type States = BTreeMap<Option<UserId>, MemberState>;

async fn states(shop: &Shop) -> States {
    let manager = shop.manager().await;
    let page = shop
        .merchants
        .members(&manager, None, "", None)
        .await
        .unwrap();
    assert_eq!(page.next, None);
    page.members
        .iter()
        .map(|row| (row.user, row.state))
        .collect()
}

/// Waits until the table says so of a member.
async fn until(shop: &Shop, user: Option<UserId>, state: Option<MemberState>) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        let states = states(shop).await;
        if states.get(&user).copied() == state {
            return;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "{user:?} is not {state:?} in {states:?}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn every_subscriber_is_shown_with_what_keeps_them_from_the_role() {
    let shop = Shop::open(&["Gold"]).await;
    let [here] = shop.subscribers(1).await.try_into().unwrap();
    shop.make().await;
    until(&shop, Some(here.user), Some(MemberState::Active)).await;
    let (away, _) = shop.stage.subscriber("paid and away").await;
    until(&shop, Some(away.user), Some(MemberState::NotInServer)).await;
    // A wallet that pays and is nobody's.
    let unlinked = Person {
        user: UserId(1),
        wallet: amser_roles::sandbox::chain::wallet("nobody's").address(),
    };
    shop.stage.pay(unlinked).await;
    until(&shop, None, Some(MemberState::NotLinked)).await;
    let manager = shop.manager().await;
    let filter = Some(MemberState::NotLinked);
    let page = shop
        .merchants
        .members(&manager, filter, "", None)
        .await
        .unwrap();
    let [row] = page.members.try_into().unwrap();
    assert!(row.user.is_none() && row.name.is_none() && row.transaction.is_some());
    let found = shop.merchants.members(&manager, None, "SUBSCRIBER 0", None);
    let [row] = found.await.unwrap().members.try_into().unwrap();
    assert_eq!((row.user, row.roles), (Some(here.user), shop.roles.clone()));
    // The role is deleted, then the bot's falls below another.
    shop.stage
        .discord
        .delete_role(shop.guild, shop.roles[0])
        .unwrap();
    until(&shop, Some(here.user), Some(MemberState::RoleGone)).await;
}

#[tokio::test]
async fn the_managers_of_one_server_see_nothing_of_another_ones_members() {
    let shop = Shop::open(&["Gold"]).await;
    let (guild, roles) = crate::support::stage::new_guild(&shop.stage.discord, "Other", &["Gold"]);
    let owner = shop.stage.discord.owner(guild).unwrap();
    let (module, plan) = crate::support::scene::new_module(&shop.stage.chain, "other").await;
    let merchant =
        amser_roles::domain::Wallet(amser_roles::sandbox::chain::wallet("other").address());
    // Their module is found by a gate that the operator made.
    shop.stage.gate(
        guild,
        module,
        &[plan],
        amser_roles::domain::GateMatch::Any,
        &roles,
    );
    shop.merchants
        .set_wallet(owner, merchant, Default::default())
        .await
        .unwrap();
    let [here] = shop.subscribers(1).await.try_into().unwrap();
    shop.make().await;
    until(&shop, Some(here.user), Some(MemberState::Active)).await;
    let other = shop.merchants.manager(guild, owner).await.unwrap();
    let page = shop
        .merchants
        .members(&other, None, "", None)
        .await
        .unwrap();
    assert_eq!(page.members, []);
    assert!(shop.merchants.manager(shop.guild, owner).await.is_err());
}
