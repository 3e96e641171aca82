//! Which servers are connected, and which of them a user sees.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::Address;
use amser_roles::domain::{
    Act, Gate, GateId, GateMatch, GateOrigin, GuildId, ModuleAddress, PlanId, RoleId, UserId,
};
use amser_roles::merchants::{Gone, Refusal};
use amser_roles::sandbox::discord::NewRole;
use serenity::model::Permissions;

use amser_roles::store::ServerRecord;

use crate::support::rig::{DEADLINE, NOW, Rig, until};

async fn seen(rig: &Rig, user: UserId, candidates: &[GuildId]) -> Vec<(String, bool)> {
    let servers = rig.merchants.servers(user, candidates).await.unwrap();
    let seen = servers.into_iter();
    seen.map(|server| (server.name, server.connected)).collect()
}

fn acts(rig: &Rig, guild: GuildId) -> Vec<Act> {
    let acts = rig.store.acts(guild, 100).unwrap();
    acts.into_iter().map(|entry| entry.act).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_connected_by_one_of_its_managers_and_once() {
    let rig = Rig::start().await;
    let (guild, owner) = rig.server("Café");
    let (member, _) = rig.member(guild, "Helper", Permissions::MANAGE_ROLES);
    rig.until_in(guild).await;
    for (guild, user) in [(guild, member), (GuildId(77), owner)] {
        let refusal = rig.merchants.connect(guild, user).await.unwrap_err();
        assert!(matches!(refusal, Refusal::NotFound));
    }
    assert!(rig.store.connected_servers().unwrap().is_empty());
    rig.merchants.connect(guild, owner).await.unwrap();
    rig.merchants.connect(guild, owner).await.unwrap();
    assert!(rig.merchants.is_connected(guild).await.unwrap());
    assert_eq!(acts(&rig, guild), [Act::Connected]);
    let record = rig.store.connected_servers().unwrap()[&guild];
    assert_eq!((record.by, record.at), (owner, NOW));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_connected_also_before_the_gateway_tells_of_it() {
    let rig = Rig::start().await;
    let (guild, owner) = rig.server("Café");
    rig.until_in(guild).await;
    rig.local.kick_bot(guild).unwrap();
    rig.merchants.connect(guild, owner).await.unwrap_err();
    rig.local
        .invite_bot(guild, Permissions::MANAGE_ROLES)
        .unwrap();
    // At once, as Discord redirects the browser.
    rig.merchants.connect(guild, owner).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_server_starts_empty_when_it_is_connected_again() {
    let rig = Rig::start().await;
    let (guild, owner) = rig.server("Café");
    let role = rig.local.add_role(guild, "Gold").unwrap();
    rig.until_in(guild).await;
    rig.merchants.connect(guild, owner).await.unwrap();
    let gate = |id, origin| Gate {
        id: GateId(id),
        guild,
        module: ModuleAddress(Address::repeat_byte(1)),
        plans: [PlanId::from(id)].into(),
        matching: GateMatch::Any,
        roles: [role].into(),
        origin,
    };
    rig.store.put_gate(&gate(1, GateOrigin::Dashboard)).unwrap();
    let manager = rig.merchants.manager(guild, owner).await.unwrap();
    rig.merchants.disconnect(&manager, false).await.unwrap();
    assert!(!rig.merchants.is_connected(guild).await.unwrap());
    assert!(rig.store.gates().unwrap().is_empty());
    rig.merchants.connect(guild, owner).await.unwrap();
    assert!(rig.store.gates().unwrap().is_empty());
    let told = acts(&rig, guild);
    assert_eq!(told[0], Act::Connected);
    let is_end = |act: &Act| {
        matches!(
            act,
            Act::Disconnected {
                remove_roles: false
            }
        )
    };
    assert!(told.iter().any(is_end));

    // The operator's gates stay, and so the server is still connected by one.
    rig.store.put_gate(&gate(2, GateOrigin::Config)).unwrap();
    rig.merchants.disconnect(&manager, true).await.unwrap();
    assert!(rig.merchants.is_connected(guild).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_sees_the_servers_that_they_manage_and_the_bot_is_in() {
    let rig = Rig::start().await;
    let (zoo, owner) = rig.server("Zoo");
    let (bar, _) = rig.server("Bar");
    let (other, _) = rig.server("Other");
    let (left, _) = rig.server("Left");
    rig.local.add_member(bar, owner).unwrap();
    let everyone = amser_roles::domain::RoleId(bar.0);
    rig.local
        .set_role_permissions(bar, everyone, Permissions::MANAGE_GUILD)
        .unwrap();
    rig.local.add_member(other, owner).unwrap();
    rig.local.kick_bot(left).unwrap();
    for guild in [zoo, bar, other] {
        rig.until_in(guild).await;
    }
    // What Discord said at the sign-in may be hours old.
    let candidates = [zoo, bar, other, left, GuildId(4_242)];
    let expected = [("Bar".to_owned(), false), ("Zoo".to_owned(), false)];
    assert_eq!(seen(&rig, owner, &candidates).await, expected);
    rig.merchants.connect(zoo, owner).await.unwrap();
    let connected = [("Bar".to_owned(), false), ("Zoo".to_owned(), true)];
    assert_eq!(
        seen(&rig, owner, &[]).await,
        connected,
        "without any candidates, since the bot is in few servers"
    );
    let stranger = rig.local.add_user("Stranger");
    assert!(seen(&rig, stranger, &candidates).await.is_empty());
    let asked = rig
        .local
        .requests()
        .into_iter()
        .filter_map(|one| one.status);
    let statuses: BTreeSet<u16> = asked.collect();
    assert!(
        !statuses.contains(&401) && !statuses.contains(&403),
        "{statuses:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_became_a_manager_since_the_sign_in_sees_the_server_without_another_sign_in() {
    let rig = Rig::start().await;
    let (own, owner) = rig.server("Own");
    let (bar, barkeeper) = rig.server("Bar");
    rig.local.add_member(bar, owner).unwrap();
    let staff = NewRole {
        permissions: Permissions::MANAGE_GUILD,
        ..NewRole::named("Staff")
    };
    let staff = rig.local.add_role_with(bar, staff).unwrap();
    for guild in [own, bar] {
        rig.until_in(guild).await;
    }
    rig.merchants.connect(bar, barkeeper).await.unwrap();
    // What Discord said at the sign-in.
    let candidates = [own];
    let before = [("Own".to_owned(), false)];
    assert_eq!(seen(&rig, owner, &candidates).await, before);
    rig.local.give_role(bar, owner, staff).unwrap();
    let both = [("Bar".to_owned(), true), ("Own".to_owned(), false)];
    until("the new manager sees the server", async || {
        seen(&rig, owner, &candidates).await == both
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_of_thirty_servers_sees_all_of_them_and_costs_no_request_for_those_of_others() {
    let rig = Rig::start().await;
    let merchant = rig.local.add_user("Merchant");
    let mut servers = Vec::new();
    for number in 0..30 {
        let (guild, _) = rig.server(&format!("Club {number:02}"));
        rig.local.set_owner(guild, merchant).unwrap();
        servers.push(guild);
    }
    let mut others = Vec::new();
    for number in 0..15 {
        others.push(rig.server(&format!("Other {number:02}")));
    }
    for guild in servers.iter().chain(others.iter().map(|(guild, _)| guild)) {
        rig.until_in(*guild).await;
    }
    // Half of them by another manager, before Discord named them to this one.
    let (own, handed_over) = servers.split_at(15);
    for guild in own {
        rig.merchants.connect(*guild, merchant).await.unwrap();
    }
    let by = rig.local.add_user("Helper");
    let record = ServerRecord { by, at: NOW };
    for guild in handed_over {
        rig.store.connect_server(*guild, record).unwrap();
    }
    for (guild, owner) in &others {
        rig.merchants.connect(*guild, *owner).await.unwrap();
    }
    let before = rig.local.requests().len();
    let all = seen(&rig, merchant, &servers).await;
    let names: Vec<_> = (0..30).map(|number| format!("Club {number:02}")).collect();
    assert_eq!(
        all.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        names.iter().collect::<Vec<_>>()
    );
    assert!(all.iter().all(|(_, connected)| *connected));
    let asked = rig.local.requests().split_off(before);
    for (other, _) in &others {
        let is_about = |path: &str| path.contains(&other.to_string());
        assert!(!asked.iter().any(|one| is_about(&one.path)), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_bot_was_removed_from_is_told_apart_from_one_that_was_deleted() {
    let rig = Rig::start().await;
    let (removed, owner) = rig.server("Removed");
    let (deleted, _) = rig.server("Deleted");
    let (unknown, _) = rig.server("Unknown");
    for guild in [removed, deleted, unknown] {
        rig.until_in(guild).await;
    }
    rig.local.set_owner(deleted, owner).unwrap();
    for guild in [removed, deleted] {
        rig.merchants.connect(guild, owner).await.unwrap();
        let gone = rig.merchants.gone(guild, owner, &[guild]).await.unwrap();
        assert_eq!(gone, None, "it is there");
    }
    rig.local.kick_bot(removed).unwrap();
    rig.local.delete_guild(deleted).unwrap();
    rig.local.kick_bot(unknown).unwrap();
    for guild in [removed, deleted, unknown] {
        while rig.merchants.manager(guild, owner).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    // What Discord names at the sign-in.
    let named = [removed, unknown];
    let gone = async |guild, user| rig.merchants.gone(guild, user, &named).await.unwrap();
    assert_eq!(gone(removed, owner).await, Some(Gone::BotRemoved));
    assert_eq!(gone(deleted, owner).await, Some(Gone::Deleted));
    assert_eq!(gone(unknown, owner).await, None, "it was never connected");
    assert_eq!(rig.merchants.removed_from(&named).await.unwrap(), [removed]);
    // Of somebody else's nothing is told.
    let stranger = rig.local.add_user("Stranger");
    let told = rig.merchants.gone(deleted, stranger, &[GuildId(9)]).await;
    assert_eq!(told.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_checks_gates_is_woken_by_each_change_of_them() {
    let rig = Rig::start().await;
    let (guild, _) = rig.server("Café");
    let told = async |why: &str| {
        let told = tokio::time::timeout(DEADLINE, rig.gates_changed.notified()).await;
        told.unwrap_or_else(|_| panic!("nobody was told of {why}"));
    };
    told("those of the start").await;
    let mut gate = Gate {
        id: GateId(1),
        guild,
        module: ModuleAddress(Address::repeat_byte(1)),
        plans: [PlanId::from(1)].into(),
        matching: GateMatch::Any,
        roles: [RoleId(5)].into(),
        origin: GateOrigin::Dashboard,
    };
    rig.store.put_gate(&gate).unwrap();
    told("a new one").await;
    gate.plans = [PlanId::from(2)].into();
    rig.store.put_gate(&gate).unwrap();
    told("one that was changed").await;
    gate.origin = GateOrigin::Config;
    let gates = [gate];
    rig.store.set_config(&gates, &BTreeMap::new(), NOW).unwrap();
    told("one of the operator's file").await;
}
