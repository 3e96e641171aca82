//! Removals in bulk: stopped where they are concluded from absence, let through where somebody did something.

use std::time::Duration;

use alloy::primitives::U256;
use amser_roles::domain::{Act, GateId, GateMatch, GuildId, RoleId};
use amser_roles::sandbox::chain::{ChainOptions, LocalChain, wallet};
use amser_roles::sandbox::discord::{LocalDiscord, Reply};
use serde_json::{Value, json};

use crate::support::rpc_proxy::RpcProxy;
use crate::support::stage::{DEADLINE, Person, Setting, Stage, new_guild, wait};

async fn subscribers(stage: &Stage, count: usize) -> Vec<(Person, U256)> {
    let mut people = Vec::new();
    for number in 0..count {
        people.push(stage.subscriber(&format!("subscriber {number}")).await);
    }
    people
}

/// Six members of another server hold a role by a gate that is then removed.
async fn after_a_gate_was_removed() -> (Stage, GuildId, RoleId, Vec<(Person, U256)>) {
    remove_a_gate(Stage::open().await).await
}

async fn remove_a_gate(stage: Stage) -> (Stage, GuildId, RoleId, Vec<(Person, U256)>) {
    let people = subscribers(&stage, 6).await;
    let (guild, roles) = new_guild(&stage.discord, "Another", &["Crowd"]);
    for (person, _) in &people {
        stage.discord.add_member(guild, person.user).unwrap();
    }
    let gate = stage.gate(guild, stage.module, &[stage.plan], GateMatch::Any, &roles);
    for (person, _) in &people {
        let granted = || {
            let entries = stage.journal(*person);
            entries.iter().any(|entry| entry.change.guild == guild)
        };
        wait("the grant is journaled", granted).await;
    }
    assert!(stage.store.remove_gate(gate).unwrap());
    until_stopped(&stage, guild, roles[0]).await;
    stage.barrier().await;
    (stage, guild, roles[0], people)
}

/// Waits until the brake stops removals of a role.
async fn until_stopped(stage: &Stage, guild: GuildId, role: RoleId) {
    let is_stopped = || stage.store.stopped().unwrap().contains_key(&(guild, role));
    wait("the removals are stopped", is_stopped).await;
}

#[tokio::test]
async fn a_mass_removal_without_a_reason_on_chain_is_stopped() {
    let (stage, guild, role, people) = after_a_gate_was_removed().await;
    for (person, _) in &people {
        assert!(stage.discord.has_role(guild, person.user, role));
        assert!(stage.has_role(*person));
    }
}

#[tokio::test]
async fn a_gate_that_asks_for_another_plan_is_stopped_also_on_a_chain_that_was_reorganised() {
    let mut stage = Stage::open().await;
    let people = subscribers(&stage, 6).await;
    let (_, undone) = stage.subscriber("undone").await;
    stage
        .chain
        .pay_when_due(stage.module, undone)
        .await
        .unwrap();
    stage.barrier().await;
    stage.chain.reorg(4, vec![]).await.unwrap();
    stage.chain.mine(1).await.unwrap();
    stage.barrier().await;
    let has_forked = stage.store.last_fork().unwrap().is_some();
    assert!(has_forked, "the store has seen a reorganisation");
    let holders: Vec<_> = people
        .iter()
        .filter(|(person, _)| stage.has_role(*person))
        .collect();
    assert_eq!(holders.len(), 6);

    stage.stop().await;
    let other = crate::support::scene::TERMS;
    let other = stage.chain.create_plan(stage.module, other).await.unwrap();
    assert!(stage.store.remove_gate(GateId(1)).unwrap());
    stage.gate(
        stage.guild,
        stage.module,
        &[other],
        GateMatch::Any,
        &[stage.role],
    );
    stage.start();
    stage.barrier().await;
    for (person, _) in holders {
        assert!(stage.has_role(*person), "nobody's payment is gone");
    }
}

#[tokio::test]
async fn a_stopped_mass_removal_stays_stopped_when_its_members_are_looked_at_one_by_one() {
    let (stage, guild, role, people) = after_a_gate_was_removed().await;
    for (person, id) in &people {
        // Any event of theirs.
        stage
            .chain
            .update_expiry(stage.module, *id, u64::MAX)
            .await
            .unwrap();
        stage.chain.pay_when_due(stage.module, *id).await.unwrap();
        stage.barrier().await;
        assert!(stage.discord.has_role(guild, person.user, role));
    }
}

#[tokio::test]
async fn members_who_leave_one_by_one_do_not_trip_the_brake() {
    let stage = Stage::open().await;
    let people = subscribers(&stage, 6).await;
    for (person, _) in &people {
        let wallet = amser_roles::domain::Wallet(person.wallet);
        assert!(stage.store.unlink(person.user, wallet).unwrap());
        stage.until_role(*person, false).await;
    }
}

#[tokio::test]
async fn a_mass_expiry_is_stopped() {
    let stage = Stage::open().await;
    let people = subscribers(&stage, 8).await;
    stage.chain.advance_time(3_600 + 601).await.unwrap();
    stage.confirm().await;
    until_stopped(&stage, stage.guild, stage.role).await;
    stage.barrier().await;
    for (person, _) in &people {
        assert!(stage.has_role(*person));
    }
}

/// What a manager is answered to `/amser approve` of this role.
async fn ask_to_approve(stage: &Stage, guild: GuildId, role: RoleId) -> Reply {
    let named = [("role", json!(role.to_string()))];
    run(stage, guild, "amser approve", &named).await
}

/// What the owner of a server is answered to a command.
async fn run(stage: &Stage, guild: GuildId, command: &str, options: &[(&str, Value)]) -> Reply {
    let registered = |discord: &LocalDiscord| !discord.commands(None).is_empty();
    let registered = stage
        .discord
        .wait_until("the commands are there", DEADLINE, registered);
    registered.await.unwrap();
    let owner = stage.discord.owner(guild).unwrap();
    let asked = stage.discord.run_command(guild, owner, command, options);
    asked.await.unwrap()
}

#[tokio::test]
async fn what_is_stopped_stays_so_while_the_node_is_away() {
    let chain = LocalChain::start(ChainOptions::default()).await.unwrap();
    let proxy = RpcProxy::start(&chain).await;
    let setting = Setting {
        rpc_urls: vec![proxy.ws_url()],
        ..Setting::default()
    };
    let mut stage = Stage::build(chain, setting).await;
    stage.start();
    let (stage, guild, role, people) = remove_a_gate(stage).await;
    let newcomer = stage.newcomer("newcomer");
    stage.pay(newcomer).await;
    stage.barrier().await;
    proxy.set(|faults| faults.dead = true);
    proxy.cut_websockets();
    let is_away = async {
        loop {
            let checked = run(&stage, guild, "amser check", &[]).await;
            if checked.message.content.contains("can't read the chain") {
                return;
            }
            // Whoever asks too often is told to slow down.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let is_away = tokio::time::timeout(DEADLINE, is_away);
    is_away.await.expect("that the node is away is noticed");
    // Nobody loses a role now; those who are looked at are to lose it all the same.
    for (number, (person, _)) in people.iter().enumerate() {
        let another = wallet(&format!("another {number}")).address();
        stage.link(person.user, another);
    }
    stage.link(newcomer.user, newcomer.wallet);
    stage.until_role(newcomer, true).await;
    let asked = ask_to_approve(&stage, guild, role).await;
    let text = asked.message.content;
    assert!(text.contains("6 removals"), "{text}");
}

#[tokio::test]
async fn a_stopped_mass_removal_is_let_through_by_a_manager_and_it_is_noted_who_it_was() {
    let (stage, guild, role, people) = after_a_gate_was_removed().await;
    let owner = stage.discord.owner(guild).unwrap();
    let asked = ask_to_approve(&stage, guild, role).await;
    let button = asked.message.buttons.first().expect("something is stopped");
    let id = button.custom_id.as_deref().unwrap();
    let pressed = stage
        .discord
        .click_button(guild, owner, asked.message.id, id);
    pressed.await.unwrap();
    for (person, _) in &people {
        stage.until(*person, guild, role, false).await;
        assert!(stage.has_role(*person), "elsewhere nothing is let through");
    }
    let acts = stage.store.acts(guild, 10).unwrap();
    let noted: Vec<_> = acts.iter().map(|act| (act.by, act.act.clone())).collect();
    let approved = Act::Approved { role, removals: 6 };
    assert_eq!(noted, [(Some(owner), approved)]);
    let stopped = stage.store.stopped().unwrap();
    assert_eq!(stopped, Default::default(), "nor after a restart");
}
