//! What a gate would change is what it then changes.

use amser_roles::domain::Holders;

use super::Shop;

#[tokio::test]
async fn a_preview_names_who_gets_the_role_and_changes_nothing() {
    let shop = Shop::open(&["Gold"]).await;
    let people = shop.subscribers(2).await;
    // Paid and linked, and not in the shop.
    shop.stage.subscriber("elsewhere").await;
    let outsider = shop.stage.newcomer("holds it by hand");
    shop.stage
        .discord
        .add_member(shop.guild, outsider.user)
        .unwrap();
    for user in [outsider.user, people[0].user] {
        shop.stage
            .discord
            .give_role(shop.guild, user, shop.roles[0])
            .unwrap();
    }
    let manager = shop.manager().await;
    let draft = shop.draft(shop.stage.plan, &shop.roles);
    let requests = shop.stage.role_requests();
    let preview = shop
        .merchants
        .preview(&manager, &draft, None)
        .await
        .unwrap();
    let grants: Vec<_> = preview.grants.iter().map(|one| one.user).collect();
    assert_eq!(grants, [people[1].user]);
    assert_eq!(preview.grants[0].name, "subscriber 1");
    assert_eq!(preview.revokes, []);
    let holders = Holders {
        paying: 1,
        lapsed: 0,
        not_linked: 1,
    };
    assert_eq!((preview.held_already, preview.holders), (2, holders));
    assert_eq!(preview.uncounted, None);
    shop.stage.barrier().await;
    assert_eq!(
        shop.stage.role_requests(),
        requests + 2,
        "of the barrier alone"
    );
    assert_eq!(shop.merchants.gates(shop.guild).await.unwrap(), []);

    // And so it comes.
    let gate = shop.put(draft, None).await;
    shop.until_all(&people, shop.roles[0], true).await;
    let nothing = shop.draft(shop.stage.plan, &shop.roles);
    let preview = shop.merchants.preview(&manager, &nothing, Some(gate)).await;
    let preview = preview.unwrap();
    assert_eq!((preview.grants, preview.revokes), (vec![], vec![]));
    shop.stage.assert_no_violations();
}

#[tokio::test]
async fn a_change_that_takes_the_role_from_somebody_says_from_whom() {
    let shop = Shop::open(&["Gold", "Silver"]).await;
    let people = shop.subscribers(2).await;
    let gate = shop.make().await;
    shop.until_all(&people, shop.roles[0], true).await;
    shop.stage.barrier().await;
    let manager = shop.manager().await;
    let silver = shop.draft(shop.stage.plan, &shop.roles[1..]);
    let preview = shop.merchants.preview(&manager, &silver, Some(gate)).await;
    let preview = preview.unwrap();
    let roles = |named: &[amser_roles::domain::Named]| -> Vec<_> {
        named.iter().map(|one| one.role).collect()
    };
    assert_eq!(roles(&preview.grants), [shop.roles[1]; 2]);
    assert_eq!(roles(&preview.revokes), [shop.roles[0]; 2]);
}
