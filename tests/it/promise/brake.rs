//! Removals in bulk: stopped without an on-chain reason, let through with one.

use alloy::primitives::U256;
use amser_roles::domain::{GateMatch, GuildId, RoleId};

use crate::support::stage::{Person, Stage, new_guild, wait};

async fn subscribers(stage: &Stage, count: usize) -> Vec<(Person, U256)> {
    let mut people = Vec::new();
    for number in 0..count {
        people.push(stage.subscriber(&format!("subscriber {number}")).await);
    }
    people
}

/// Six members of another server hold a role by a gate that is then removed.
async fn after_a_gate_was_removed() -> (Stage, GuildId, RoleId, Vec<(Person, U256)>) {
    let stage = Stage::open().await;
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
    stage.barrier().await;
    (stage, guild, roles[0], people)
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
async fn a_mass_expiry_is_let_through() {
    let stage = Stage::open().await;
    let people = subscribers(&stage, 8).await;
    stage.chain.advance_time(3_600 + 601).await.unwrap();
    for (person, _) in &people {
        stage.until_role(*person, false).await;
    }
}
