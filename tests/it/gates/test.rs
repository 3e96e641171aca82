//! A gate tried on the manager: given, taken again, and what Discord said.

use amser_roles::merchants::Refusal;
use amser_roles::sandbox::discord::Route;

use super::Shop;
use crate::support::stage::Person;

#[tokio::test]
async fn a_test_gives_the_role_and_takes_it_again() {
    let shop = Shop::open(&["Gold"]).await;
    let gate = shop.make().await;
    let manager = shop.manager().await;
    let added = shop.stage.discord.count(Route::AddMemberRole);
    let outcome = shop.merchants.test(&manager, gate).await.unwrap();
    assert!(outcome.is_fine(), "{outcome:?}");
    assert_eq!(outcome.roles[0].name, "Gold");
    assert_eq!(outcome.roles[0].taken, Some(Ok(())));
    assert_eq!(shop.stage.discord.count(Route::AddMemberRole), added + 1);
    assert!(
        !shop
            .stage
            .discord
            .has_role(shop.guild, shop.owner, shop.roles[0])
    );
    let none = shop
        .merchants
        .test(&manager, amser_roles::domain::GateId(99))
        .await;
    assert!(matches!(none, Err(Refusal::NotFound)));
}

#[tokio::test]
async fn a_test_leaves_the_role_with_who_is_entitled_or_held_it_before() {
    let shop = Shop::open(&["Gold"]).await;
    let gate = shop.make().await;
    let discord = &shop.stage.discord;
    discord
        .give_role(shop.guild, shop.owner, shop.roles[0])
        .unwrap();
    let manager = shop.manager().await;
    let outcome = shop.merchants.test(&manager, gate).await.unwrap();
    assert_eq!((outcome.is_fine(), &outcome.roles[0].taken), (true, &None));
    assert!(discord.has_role(shop.guild, shop.owner, shop.roles[0]));
    discord
        .take_role(shop.guild, shop.owner, shop.roles[0])
        .unwrap();
    let owner = Person {
        user: shop.owner,
        wallet: amser_roles::sandbox::chain::wallet("the owner's").address(),
    };
    shop.stage.link(owner.user, owner.wallet);
    shop.stage.pay(owner).await;
    shop.until_all(&[owner], shop.roles[0], true).await;
    let outcome = shop.merchants.test(&manager, gate).await.unwrap();
    assert_eq!((outcome.is_fine(), &outcome.roles[0].taken), (true, &None));
    assert!(discord.has_role(shop.guild, shop.owner, shop.roles[0]));
}

#[tokio::test]
async fn what_discord_answers_is_told_in_words() {
    let shop = Shop::open(&["Gold"]).await;
    let gate = shop.make().await;
    let manager = shop.manager().await;
    shop.stage
        .discord
        .delete_role(shop.guild, shop.roles[0])
        .unwrap();
    let outcome = shop.merchants.test(&manager, gate).await.unwrap();
    assert!(!outcome.is_fine());
    let said = outcome.roles[0].given.clone().unwrap_err();
    assert!(said.contains("does not exist"), "{said}");
    assert_eq!(outcome.roles[0].taken, None);
}
