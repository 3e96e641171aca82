//! Each server follows its own policy.

use amser_roles::domain::{ManualRoles, OnLapse, ServerSettings};
use amser_roles::merchants::Refusal;

use super::Shop;

#[tokio::test]
async fn a_pause_takes_the_role_only_where_the_server_says_so() {
    let shop = Shop::open(&["Gold"]).await;
    let (person, subscription) = shop.stage.subscriber("ada").await;
    shop.stage
        .discord
        .add_member(shop.guild, person.user)
        .unwrap();
    shop.make().await;
    shop.until_all(&[person], shop.roles[0], true).await;
    let manager = shop.manager().await;
    let keeps = ServerSettings {
        paused: Some(OnLapse::KeepUntilExpiry),
        ..ServerSettings::default()
    };
    shop.merchants.set_settings(&manager, keeps).await.unwrap();
    assert_eq!(shop.merchants.settings(shop.guild).await.unwrap(), keeps);
    let module = shop.stage.module;
    shop.stage.chain.pause(module, subscription).await.unwrap();
    shop.stage.until_role(person, false).await;
    shop.stage.barrier().await;
    let has_it = || {
        shop.stage
            .discord
            .has_role(shop.guild, person.user, shop.roles[0])
    };
    assert!(has_it(), "kept until its end");
    let default = ServerSettings::default();
    shop.merchants
        .set_settings(&manager, default)
        .await
        .unwrap();
    shop.until_all(&[person], shop.roles[0], false).await;
    let odd = ServerSettings {
        expiry_leeway: Some(u64::MAX),
        ..default
    };
    let refused = shop.merchants.set_settings(&manager, odd).await;
    assert!(matches!(refused, Err(Refusal::Invalid(_))));
}

#[tokio::test]
async fn a_server_that_begins_to_claim_its_role_takes_it_from_those_who_hold_it_by_hand() {
    let shop = Shop::open(&["Gold"]).await;
    let role = shop.roles[0];
    let byhand = shop.stage.newcomer("by hand");
    shop.stage
        .discord
        .add_member(shop.guild, byhand.user)
        .unwrap();
    shop.stage
        .discord
        .give_role(shop.guild, byhand.user, role)
        .unwrap();
    let elsewhere = shop.stage.newcomer("by hand elsewhere");
    let (guild, stage_role) = (shop.stage.guild, shop.stage.role);
    shop.stage
        .discord
        .give_role(guild, elsewhere.user, stage_role)
        .unwrap();
    shop.make().await;
    let manager = shop.manager().await;
    let claims = ServerSettings {
        manual_roles: Some(ManualRoles::Claim),
        ..ServerSettings::default()
    };
    shop.merchants.set_settings(&manager, claims).await.unwrap();
    shop.until_all(&[byhand], role, false).await;
    shop.stage.barrier().await;
    assert!(shop.stage.has_role(elsewhere), "another server's policy");
}
