//! What a manager orders is carried out, however many it concerns; what the operator's file leaves out is not.

use std::time::Duration;

use amser_roles::domain::{Act, Cause, RoleAction};
use amser_roles::merchants::Refusal;
use amser_roles::sandbox::discord::{Fault, Route, Times};

use super::Shop;
use crate::support::scene::TERMS;
use crate::support::stage::wait;

/// More than the brake lets pass without a question.
const CROWD: usize = 7;

#[tokio::test]
async fn a_gate_that_a_manager_deletes_takes_its_role_from_everyone() {
    let shop = Shop::open(&["Gold"]).await;
    let people = shop.subscribers(CROWD).await;
    let gate = shop.make().await;
    shop.until_all(&people, shop.roles[0], true).await;
    let manager = shop.manager().await;
    shop.merchants.delete_gate(&manager, gate).await.unwrap();
    shop.until_all(&people, shop.roles[0], false).await;
    for person in &people {
        let entry = shop
            .stage
            .until_journaled(*person, RoleAction::Revoke)
            .await;
        assert_eq!(entry.change.cause, Cause::ManagerAct);
        assert!(shop.stage.has_role(*person), "elsewhere nothing changes");
    }
    assert_eq!(shop.merchants.gates(shop.guild).await.unwrap(), []);
    shop.stage.assert_no_violations();
}

#[tokio::test]
async fn an_undo_takes_the_last_change_back_once() {
    let shop = Shop::open(&["Gold"]).await;
    let people = shop.subscribers(CROWD).await;
    let other = shop
        .stage
        .chain
        .create_plan(shop.stage.module, TERMS)
        .await
        .unwrap();
    let manager = shop.manager().await;
    let none = shop.merchants.undo(&manager).await;
    assert!(matches!(none, Err(Refusal::NothingToUndo)));
    // At first it asks for a plan that nobody has; the change gives the role, the undo takes it.
    shop.stage.barrier().await;
    let gate = shop.put(shop.draft(other, &shop.roles), None).await;
    let changed = shop.draft(shop.stage.plan, &shop.roles);
    assert_eq!(shop.put(changed, Some(gate)).await, gate);
    shop.until_all(&people, shop.roles[0], true).await;
    shop.merchants.undo(&manager).await.unwrap();
    shop.until_all(&people, shop.roles[0], false).await;
    let again = shop.merchants.undo(&manager).await;
    assert!(matches!(again, Err(Refusal::NothingToUndo)));
    let gates = shop.merchants.gates(shop.guild).await.unwrap();
    assert_eq!(gates.iter().map(|gate| gate.id).collect::<Vec<_>>(), [gate]);
    // Who deletes by mistake has everything back.
    shop.merchants.delete_gate(&manager, gate).await.unwrap();
    shop.merchants.undo(&manager).await.unwrap();
    assert_eq!(shop.merchants.gates(shop.guild).await.unwrap(), gates);
}

#[tokio::test]
async fn a_server_that_is_disconnected_gives_its_roles_back_or_keeps_them() {
    let shop = Shop::open(&["Gold"]).await;
    let role = shop.roles[0];
    let people = shop.subscribers(CROWD).await;
    let manager = shop.manager().await;
    shop.merchants
        .connect(shop.guild, shop.owner)
        .await
        .unwrap();
    shop.make().await;
    shop.until_all(&people, role, true).await;
    // Some of the grants may not be acknowledged yet.
    shop.merchants.disconnect(&manager, false).await.unwrap();
    assert!(!shop.merchants.is_connected(shop.guild).await.unwrap());
    shop.stage.barrier().await;
    for person in &people {
        assert!(shop.stage.discord.has_role(shop.guild, person.user, role));
    }
    // Connected again, it starts empty; the roles are adopted by a new gate, and go with it.
    shop.merchants
        .connect(shop.guild, shop.owner)
        .await
        .unwrap();
    assert_eq!(shop.merchants.gates(shop.guild).await.unwrap(), []);
    let none = shop.merchants.undo(&manager).await;
    assert!(matches!(none, Err(Refusal::NothingToUndo)));
    shop.make().await;
    shop.stage.barrier().await;
    shop.merchants.disconnect(&manager, true).await.unwrap();
    shop.until_all(&people, role, false).await;
}

#[tokio::test]
async fn a_grant_that_is_acknowledged_while_nothing_is_intended_is_not_ours() {
    let shop = Shop::open(&["Gold"]).await;
    let role = shop.roles[0];
    let [person] = shop.subscribers(1).await.try_into().unwrap();
    let manager = shop.manager().await;
    shop.merchants
        .connect(shop.guild, shop.owner)
        .await
        .unwrap();
    shop.stage.barrier().await;
    let (stage, guild) = (&shop.stage, shop.guild);
    let slow = Fault::Slow(Duration::from_secs(2));
    let add = Route::AddMemberRole;
    stage.discord.inject(Some(add), slow, Times::Next(1));
    let sent = stage.discord.count(add);
    shop.make().await;
    wait("the grant is on its way", || {
        stage.discord.count(add) > sent
    })
    .await;
    shop.merchants.disconnect(&manager, false).await.unwrap();
    let is_made = || {
        let mut journal = stage.journal(person).into_iter();
        journal.any(|entry| entry.change.guild == guild)
    };
    wait("the grant is acknowledged", is_made).await;
    stage.barrier().await;
    assert_eq!(stage.store.applied(guild, person.user, role).unwrap(), None);
    assert!(stage.discord.has_role(guild, person.user, role));
}

#[tokio::test]
async fn the_journal_says_who_did_what_and_what_came_of_it() {
    let shop = Shop::open(&["Gold"]).await;
    let [person] = shop.subscribers(1).await.try_into().unwrap();
    shop.merchants
        .connect(shop.guild, shop.owner)
        .await
        .unwrap();
    let gate = shop.make().await;
    shop.until_all(&[person], shop.roles[0], true).await;
    let manager = shop.manager().await;
    let is_told = |page: &amser_roles::merchants::JournalPage| page.rows.len() == 3;
    let deadline = tokio::time::Instant::now() + crate::support::stage::DEADLINE;
    let page = loop {
        let page = shop.merchants.journal(&manager, None).await.unwrap();
        if is_told(&page) {
            break page;
        }
        assert!(tokio::time::Instant::now() < deadline, "{page:?}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    use amser_roles::domain::Happened;
    let [given, made, connected] = page.rows.try_into().unwrap();
    assert!(matches!(&given.happened, Happened::Role(entry)
        if entry.change.user == person.user && entry.change.guild == shop.guild));
    assert!(given.name.is_some() && made.name.is_some(), "by name");
    assert!(
        matches!(&made.happened, Happened::Act(entry) if entry.by == Some(shop.owner)
        && matches!(&entry.act, Act::Gate { before: None, after: Some(after), .. } if after.id == gate))
    );
    assert!(matches!(&connected.happened, Happened::Act(entry) if entry.act == Act::Connected));
    assert_eq!(page.next, None);
    let older = shop.merchants.journal(&manager, Some(given.sequence)).await;
    assert_eq!(older.unwrap().rows.len(), 2);
    let series = shop.merchants.series(&manager, 7).await.unwrap();
    assert_eq!(series.days.len(), 7);
    let today = series.days.last().unwrap();
    assert_eq!((today.grants, today.revokes), (1, 0));
    assert_eq!(today.active.values().sum::<u64>(), 1);
    assert!(today.block_to_role.is_some() || today.grants == 1);
}
