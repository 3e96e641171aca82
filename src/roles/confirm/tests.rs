//! What the contracts' answers mean for a removal.

use alloy::primitives::Address;

use super::*;
use crate::domain::{ModuleAddress, Wallet};

/// A gate that asks for these plans of one module, of a member with so many wallets.
fn gate(matching: GateMatch, plans: u64, wallets: u8) -> (GateMatch, Vec<Vec<ActiveQuestion>>) {
    let question = |plan: u64, wallet: u8| ActiveQuestion {
        module: ModuleAddress(Address::repeat_byte(1)),
        wallet: Wallet(Address::repeat_byte(wallet)),
        plan: PlanId::from(plan),
    };
    let of_plan = |plan| (0..wallets).map(|wallet| question(plan, wallet)).collect();
    (matching, (0..plans).map(of_plan).collect())
}

fn verdict(gates: Vec<(GateMatch, Vec<Vec<ActiveQuestion>>)>, answers: &str) -> char {
    let answers: Vec<_> = answers
        .chars()
        .map(|answer| match answer {
            'a' => ActiveAnswer::Active,
            'i' => ActiveAnswer::Inactive,
            'n' => ActiveAnswer::NoView,
            _ => ActiveAnswer::Unknown("the node is away".to_owned()),
        })
        .collect();
    let questions = Questions(gates);
    assert_eq!(questions.all().count(), answers.len());
    match questions.verdict(&mut answers.iter()) {
        Verdict::Confirmed => 'c',
        Verdict::Denied(_) => 'd',
        Verdict::Unknown => 'u',
    }
}

#[test]
fn any_plan_of_any_wallet_denies_the_removal() {
    for (answers, expected) in [
        ("iiii", 'c'),
        ("nnnn", 'c'),
        ("iiai", 'd'),
        ("?a??", 'd'),
        ("i?ii", 'u'),
    ] {
        let any = gate(GateMatch::Any, 2, 2);
        assert_eq!(verdict(vec![any], answers), expected, "{answers}");
    }
}

#[test]
fn a_gate_that_needs_all_plans_denies_it_only_with_all_of_them() {
    for (answers, expected) in [("aiii", 'c'), ("aiia", 'd'), ("ai?i", 'u'), ("??ii", 'c')] {
        let all = gate(GateMatch::All, 2, 2);
        assert_eq!(verdict(vec![all], answers), expected, "{answers}");
    }
}

#[test]
fn another_gate_of_the_role_denies_it_too() {
    let gates = || vec![gate(GateMatch::All, 2, 1), gate(GateMatch::Any, 1, 1)];
    assert_eq!(verdict(gates(), "aia"), 'd');
    assert_eq!(verdict(gates(), "aii"), 'c');
    assert_eq!(verdict(gates(), "aa?"), 'd');
}
