//! Which plans open which roles: any and all, several roles, wallets and servers.

use alloy::primitives::U256;
use amser_roles::domain::{GateMatch, GuildId, RoleId};
use amser_roles::sandbox::chain::wallet;

use crate::support::scene::{TERMS, new_module};
use crate::support::stage::{Person, Setting, Stage, new_guild};

/// Two more plans of the stage's module.
async fn two_plans(stage: &Stage) -> [U256; 2] {
    let mut plans = [U256::ZERO; 2];
    for plan in &mut plans {
        *plan = stage.chain.create_plan(stage.module, TERMS).await.unwrap();
    }
    plans
}

/// One more server with the bot and these roles.
fn server(stage: &Stage, person: Person, roles: &[&str]) -> (GuildId, Vec<RoleId>) {
    let (guild, roles) = new_guild(&stage.discord, "Another", roles);
    stage.discord.add_member(guild, person.user).unwrap();
    (guild, roles)
}

#[tokio::test]
async fn any_of_several_plans_opens_an_any_gate() {
    let stage = Stage::open().await;
    let plans = two_plans(&stage).await;
    let ada = stage.join("ada").await;
    let (guild, roles) = server(&stage, ada, &["Either"]);
    stage.gate(guild, stage.module, &plans, GateMatch::Any, &roles);
    let second = stage.pay_for(ada, stage.module, plans[1]).await;
    stage.until(ada, guild, roles[0], true).await;
    let first = stage.pay_for(ada, stage.module, plans[0]).await;
    stage.chain.cancel(stage.module, second).await.unwrap();
    stage.barrier().await;
    assert!(
        stage.discord.has_role(guild, ada.user, roles[0]),
        "one of the two is enough"
    );
    stage.chain.cancel(stage.module, first).await.unwrap();
    stage.until(ada, guild, roles[0], false).await;
}

#[tokio::test]
async fn all_plans_are_needed_for_an_all_gate_over_all_wallets_together() {
    let stage = Stage::open().await;
    let plans = two_plans(&stage).await;
    let ada = stage.join("ada").await;
    let (guild, roles) = server(&stage, ada, &["Both"]);
    stage.gate(guild, stage.module, &plans, GateMatch::All, &roles);
    stage.pay_for(ada, stage.module, plans[0]).await;
    stage.barrier().await;
    assert!(
        !stage.discord.has_role(guild, ada.user, roles[0]),
        "one of two"
    );
    let second = Person {
        wallet: wallet("ada's second wallet").address(),
        ..ada
    };
    let id = stage.pay_for(second, stage.module, plans[1]).await;
    stage.link(ada.user, second.wallet);
    stage.until(ada, guild, roles[0], true).await;
    stage.chain.pause(stage.module, id).await.unwrap();
    stage.until(ada, guild, roles[0], false).await;
}

#[tokio::test]
async fn a_gate_gives_and_takes_all_of_its_roles() {
    let stage = Stage::open().await;
    let plans = two_plans(&stage).await;
    let ada = stage.join("ada").await;
    let (guild, roles) = server(&stage, ada, &["One", "Two", "Three"]);
    stage.gate(guild, stage.module, &plans[..1], GateMatch::Any, &roles);
    let id = stage.pay_for(ada, stage.module, plans[0]).await;
    for role in &roles {
        stage.until(ada, guild, *role, true).await;
    }
    stage.chain.cancel(stage.module, id).await.unwrap();
    for role in &roles {
        stage.until(ada, guild, *role, false).await;
    }
}

#[tokio::test]
async fn a_role_that_two_gates_give_stays_while_one_is_open() {
    let stage = Stage::open().await;
    let plans = two_plans(&stage).await;
    let ada = stage.join("ada").await;
    let (guild, roles) = server(&stage, ada, &["Shared"]);
    for plan in plans {
        stage.gate(guild, stage.module, &[plan], GateMatch::Any, &roles);
    }
    let first = stage.pay_for(ada, stage.module, plans[0]).await;
    stage.until(ada, guild, roles[0], true).await;
    stage.pay_for(ada, stage.module, plans[1]).await;
    stage.chain.cancel(stage.module, first).await.unwrap();
    stage.barrier().await;
    assert!(stage.discord.has_role(guild, ada.user, roles[0]));
}

#[tokio::test]
async fn several_wallets_of_a_member_count_together() {
    let stage = Stage::open().await;
    let (ada, first) = stage.subscriber("ada").await;
    let second = Person {
        wallet: wallet("ada's second wallet").address(),
        ..ada
    };
    stage.link(ada.user, second.wallet);
    stage.pay(second).await;
    stage.chain.cancel(stage.module, first).await.unwrap();
    stage.barrier().await;
    assert!(stage.has_role(ada), "the second wallet has paid too");
}

#[tokio::test]
async fn one_payment_opens_roles_in_several_servers() {
    let stage = Stage::open().await;
    let ada = stage.join("ada").await;
    let (guild, roles) = server(&stage, ada, &["Elsewhere"]);
    stage.gate(guild, stage.module, &[stage.plan], GateMatch::Any, &roles);
    let id = stage.pay(ada).await;
    stage.until_role(ada, true).await;
    stage.until(ada, guild, roles[0], true).await;
    stage.chain.cancel(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
    stage.until(ada, guild, roles[0], false).await;
}

#[tokio::test]
async fn a_gate_on_a_second_merchant_made_while_running_reads_its_past() {
    let stage = Stage::open().await;
    let ada = stage.join("ada").await;
    let (module, plan) = new_module(&stage.chain, "another merchant").await;
    stage.pay_for(ada, module, plan).await;
    stage.chain.mine(5).await.unwrap();
    stage.barrier().await;
    let (guild, roles) = server(&stage, ada, &["Second"]);
    stage.gate(guild, module, &[plan], GateMatch::Any, &roles);
    stage.until(ada, guild, roles[0], true).await;
    assert!(!stage.has_role(ada), "the first merchant was not paid");
}

#[tokio::test]
async fn a_gate_that_is_removed_takes_its_role_along() {
    let stage = Stage::open().await;
    let ada = stage.join("ada").await;
    let (guild, roles) = server(&stage, ada, &["Short"]);
    let gate = stage.gate(guild, stage.module, &[stage.plan], GateMatch::Any, &roles);
    stage.pay(ada).await;
    stage.until(ada, guild, roles[0], true).await;
    assert!(stage.store.remove_gate(gate).unwrap());
    stage.until(ada, guild, roles[0], false).await;
    stage.until_role(ada, true).await;
}

#[tokio::test]
async fn a_role_that_was_held_by_hand_before_its_gate_was_made_stays_so_where_such_are_left() {
    let stage = Stage::open_with(Setting {
        policy: "manual_roles = \"leave\"",
        ..Setting::default()
    })
    .await;
    let (ada, id) = stage.subscriber("ada").await;
    let role = stage.discord.add_role(stage.guild, "Honour").unwrap();
    stage
        .discord
        .give_role(stage.guild, ada.user, role)
        .unwrap();
    stage.barrier().await;
    let plans = [stage.plan];
    stage.gate(stage.guild, stage.module, &plans, GateMatch::Any, &[role]);
    let (grace, _) = stage.subscriber("grace").await;
    stage.until(grace, stage.guild, role, true).await;
    let given = stage.store.applied(stage.guild, ada.user, role).unwrap();
    assert_eq!(given, None, "this program gave nothing");
    stage.chain.cancel(stage.module, id).await.unwrap();
    stage.until_role(ada, false).await;
    stage.barrier().await;
    assert!(stage.discord.has_role(stage.guild, ada.user, role));
}
