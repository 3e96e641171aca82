//! Who made which gate, what an undo takes back, and what a manager ordered.

use std::collections::BTreeMap;

use alloy::primitives::Address;

use super::*;
use crate::domain::{
    AppliedState, Cause, GateMatch, Happened, Intent, JournalEntry, ModuleAddress, Outcome, PlanId,
    Policy, RoleAction, RoleChange, ServerSettings,
};

const GUILD: GuildId = GuildId(7);
const OTHER: GuildId = GuildId(8);
const ADA: UserId = UserId(1);
const GOLD: RoleId = RoleId(100);
const SILVER: RoleId = RoleId(200);

fn at(seconds: u64) -> Timestamp {
    Timestamp(seconds)
}

fn draft(plan: u64, roles: &[RoleId]) -> GateDraft {
    GateDraft {
        module: ModuleAddress(Address::repeat_byte(1)),
        plans: [PlanId::from(plan)].into(),
        matching: GateMatch::Any,
        roles: roles.iter().copied().collect(),
    }
}

fn make(store: &Store, plan: u64, roles: &[RoleId]) -> GateId {
    let made = store.make_gate(GUILD, draft(plan, roles), None, ADA, at(1));
    made.unwrap().unwrap()
}

fn config_gate(id: u64, guild: GuildId, role: RoleId) -> Gate {
    Gate {
        origin: GateOrigin::Config,
        ..draft(1, &[role]).into_gate(GateId(GateId::FIRST_OF_CONFIG + id), guild)
    }
}

fn undo(store: &Store) -> Result<(), GateRefusal> {
    store.undo_gate(GUILD, ADA, at(9)).unwrap()
}

fn delete(store: &Store, gate: GateId) -> Result<(), GateRefusal> {
    store.delete_gate(GUILD, gate, ADA, at(5)).unwrap()
}

fn ended(store: &Store) -> Vec<(RoleId, GateId)> {
    let ended = store.ended_gates(GUILD).unwrap();
    ended.iter().map(|(role, gate)| (*role, gate.id)).collect()
}

#[test]
fn gates_of_the_dashboard_have_ids_of_their_own_that_never_come_again() {
    let store = Store::in_memory().unwrap();
    let fixed = config_gate(1, GUILD, GOLD);
    store
        .set_config(std::slice::from_ref(&fixed), &BTreeMap::new(), at(1))
        .unwrap();
    let one = make(&store, 1, &[SILVER]);
    let two = make(&store, 2, &[SILVER]);
    assert!(one.0 > 0 && two > one && two.0 < GateId::FIRST_OF_CONFIG);
    delete(&store, two).unwrap();
    assert!(make(&store, 3, &[SILVER]) > two);
    assert_eq!(store.gates_of(GUILD).unwrap().last(), Some(&fixed));
    let touched = store.take_touched();
    assert_eq!(touched.servers, [GUILD].into());
}

#[test]
fn a_policy_is_told_together_with_the_gates_of_its_file() {
    let store = Store::in_memory().unwrap();
    let gates = [config_gate(1, GUILD, GOLD)];
    let policy = Policy {
        max_revoke_floor: 77,
        ..Policy::default()
    };
    let older = Some(Policy::default());
    for (gates, policy) in [
        (gates.as_slice(), older),
        (&[], Some(policy)),
        (&gates, None),
    ] {
        store
            .change_config(gates, &BTreeMap::new(), policy, at(1))
            .unwrap();
    }
    // Of files that are taken together the newest policy counts.
    let touched = store.take_touched();
    assert_eq!(touched.policy, Some(policy));
    assert_eq!(touched.servers, [GUILD].into());
    assert_eq!(store.take_touched().policy, None);
}

#[test]
fn the_same_gate_is_not_made_twice_and_the_operators_is_not_copied() {
    let store = Store::in_memory().unwrap();
    let one = make(&store, 1, &[GOLD]);
    assert_eq!(make(&store, 1, &[GOLD]), one);
    let other = make(&store, 2, &[GOLD]);
    let joined = store.make_gate(GUILD, draft(1, &[GOLD]), Some(other), ADA, at(2));
    assert_eq!(joined.unwrap(), Ok(one));
    assert_eq!(store.gates_of(GUILD).unwrap().len(), 1);
    let fixed = config_gate(1, OTHER, GOLD);
    store.set_config(&[fixed], &BTreeMap::new(), at(3)).unwrap();
    let copied = store.make_gate(OTHER, draft(1, &[GOLD]), None, ADA, at(4));
    assert_eq!(copied.unwrap(), Err(GateRefusal::FromConfig));
}

#[test]
fn gates_of_others_and_of_the_operator_are_not_changed() {
    let store = Store::in_memory().unwrap();
    let fixed = config_gate(1, GUILD, GOLD);
    let id = fixed.id;
    store.set_config(&[fixed], &BTreeMap::new(), at(1)).unwrap();
    let change = |guild, id| store.make_gate(guild, draft(5, &[GOLD]), Some(id), ADA, at(2));
    assert_eq!(change(GUILD, id).unwrap(), Err(GateRefusal::FromConfig));
    assert_eq!(delete(&store, id), Err(GateRefusal::FromConfig));
    let own = make(&store, 2, &[GOLD]);
    assert_eq!(change(OTHER, own).unwrap(), Err(GateRefusal::NoSuchGate));
    let deleted = store.delete_gate(OTHER, own, ADA, at(3)).unwrap();
    assert_eq!(deleted, Err(GateRefusal::NoSuchGate));
    assert_eq!(
        store.undo_gate(OTHER, ADA, at(4)).unwrap(),
        Err(GateRefusal::NothingToUndo)
    );
    assert_eq!(store.gates_of(GUILD).unwrap().len(), 2);
}

#[test]
fn an_undo_takes_one_change_back_and_keeps_the_gates_id() {
    let store = Store::in_memory().unwrap();
    assert_eq!(undo(&store), Err(GateRefusal::NothingToUndo));
    let gate = make(&store, 1, &[GOLD]);
    let changed = store.make_gate(GUILD, draft(2, &[SILVER]), Some(gate), ADA, at(2));
    assert_eq!(changed.unwrap(), Ok(gate));
    undo(&store).unwrap();
    let expected = draft(1, &[GOLD]).into_gate(gate, GUILD);
    let gates = || store.gates_of(GUILD).unwrap();
    assert_eq!(gates(), std::slice::from_ref(&expected));
    assert_eq!(undo(&store), Err(GateRefusal::NothingToUndo), "once");
    delete(&store, gate).unwrap();
    undo(&store).unwrap();
    assert_eq!(store.gates_of(GUILD).unwrap(), [expected]);
    let new = make(&store, 3, &[SILVER]);
    undo(&store).unwrap();
    assert!(
        store
            .gates_of(GUILD)
            .unwrap()
            .iter()
            .all(|one| one.id != new)
    );
}

#[test]
fn what_the_operator_changed_meanwhile_is_not_undone() {
    let store = Store::in_memory().unwrap();
    let gate = make(&store, 1, &[GOLD]);
    let fixed = config_gate(1, GUILD, SILVER);
    store
        .set_config(std::slice::from_ref(&fixed), &BTreeMap::new(), at(2))
        .unwrap();
    undo(&store).unwrap();
    assert_eq!(store.gates_of(GUILD).unwrap(), [fixed]);
    assert_eq!(ended(&store), [(GOLD, gate)]);
}

#[test]
fn a_role_goes_by_order_until_something_else_happens_to_it() {
    let store = Store::in_memory().unwrap();
    let gold = make(&store, 1, &[GOLD, SILVER]);
    assert_eq!(ended(&store), []);
    delete(&store, gold).unwrap();
    assert_eq!(ended(&store), [(GOLD, gold), (SILVER, gold)]);
    // Silver is given again, by the operator, who then takes it out: that is no order.
    let fixed = config_gate(1, GUILD, SILVER);
    store.set_config(&[fixed], &BTreeMap::new(), at(2)).unwrap();
    store.set_config(&[], &BTreeMap::new(), at(3)).unwrap();
    assert_eq!(ended(&store), [(GOLD, gold)]);
    let again = make(&store, 1, &[GOLD]);
    assert_eq!(ended(&store), []);
    // A change is none, taking it back is one.
    let changed = store.make_gate(GUILD, draft(2, &[GOLD]), Some(again), ADA, at(4));
    changed.unwrap().unwrap();
    assert_eq!(ended(&store), []);
    undo(&store).unwrap();
    let order = store.ended_gates(GUILD).unwrap();
    assert_eq!(order.len(), 1);
    assert_eq!(order[0].1.plans, [PlanId::from(2)].into());
    assert!(store.servers_with_acts().unwrap() == [GUILD].into());
}

fn granted(store: &Store, guild: GuildId, user: u64) {
    let change = RoleChange {
        action: RoleAction::Grant,
        guild,
        user: UserId(user),
        role: GOLD,
        cause: Cause::NoSubscription,
    };
    let intent = Intent {
        change: change.clone(),
        block: 1,
        just_now: false,
    };
    store.intend(&[intent]).unwrap();
    let entry = JournalEntry {
        at: at(user),
        block: 1,
        change,
        outcome: Outcome::Done,
    };
    store.settle(&[entry]).unwrap();
}

fn given(store: &Store) -> Vec<(GuildId, AppliedState)> {
    let mut given = Vec::new();
    store
        .for_each_applied(|applied| given.push((applied.guild, applied.state)))
        .unwrap();
    given
}

#[test]
fn a_disconnected_server_keeps_the_operators_gates_and_forgets_or_keeps_what_was_given() {
    let store = Store::in_memory().unwrap();
    let fixed = config_gate(1, GUILD, SILVER);
    store
        .set_config(std::slice::from_ref(&fixed), &BTreeMap::new(), at(1))
        .unwrap();
    let gate = make(&store, 1, &[GOLD]);
    let settings = ServerSettings {
        expiry_leeway: Some(9),
        ..ServerSettings::default()
    };
    store.set_settings(GUILD, settings, ADA, at(2)).unwrap();
    granted(&store, GUILD, 50);
    granted(&store, OTHER, 51);
    store.disconnect(GUILD, false, ADA, at(3)).unwrap();
    assert_eq!(store.gates_of(GUILD).unwrap(), [fixed]);
    assert_eq!(store.settings(GUILD).unwrap(), Default::default());
    assert_eq!(ended(&store), [(GOLD, gate)]);
    assert_eq!(
        undo(&store),
        Err(GateRefusal::NothingToUndo),
        "starts empty"
    );
    assert_eq!(given(&store).len(), 2, "they are still to be taken");
    store.disconnect(GUILD, true, ADA, at(4)).unwrap();
    assert_eq!(given(&store), [(OTHER, AppliedState::Granted)]);
}

#[test]
fn a_servers_journal_has_its_role_changes_and_its_acts_newest_first_page_by_page() {
    let store = Store::in_memory().unwrap();
    granted(&store, GUILD, 50);
    granted(&store, OTHER, 51);
    let gate = make(&store, 1, &[GOLD]);
    granted(&store, GUILD, 52);
    delete(&store, gate).unwrap();
    let page = |before, limit| store.happened_in(GUILD, before, limit).unwrap();
    let all = page(u64::MAX, 10);
    let kinds: Vec<_> = all
        .iter()
        .map(|(_, happened)| match happened {
            Happened::Role(entry) => entry.change.user.0,
            Happened::Act(entry) => entry.at.0,
        })
        .collect();
    assert_eq!(kinds, [5, 52, 1, 50]);
    let first = page(u64::MAX, 2);
    let rest = page(first[1].0, 10);
    assert_eq!([first, rest].concat(), all);
    let made = store.made_in(GUILD, at(51)).unwrap();
    assert_eq!(made.len(), 1);
    store.forget_member(UserId(52)).unwrap();
    assert_eq!(page(u64::MAX, 10).len(), 3);
}

#[test]
fn settings_of_the_file_and_of_managers_are_kept_apart() {
    let store = Store::in_memory().unwrap();
    let leeway = |seconds| ServerSettings {
        expiry_leeway: Some(seconds),
        ..ServerSettings::default()
    };
    store.set_settings(GUILD, leeway(5), ADA, at(1)).unwrap();
    let of_file = BTreeMap::from([(GUILD, leeway(6)), (OTHER, leeway(7))]);
    store.set_config(&[], &of_file, at(2)).unwrap();
    assert_eq!(store.settings(GUILD).unwrap(), (leeway(6), leeway(5)));
    assert_eq!(store.all_settings().unwrap(), of_file);
    drop(store.take_touched());
    store.set_config(&[], &of_file, at(3)).unwrap();
    assert!(store.take_touched().is_empty(), "nothing changed");
    store.set_config(&[], &BTreeMap::new(), at(4)).unwrap();
    assert_eq!(store.take_touched().servers, [GUILD, OTHER].into());
    assert_eq!(store.all_settings().unwrap(), [(GUILD, leeway(5))].into());
}
