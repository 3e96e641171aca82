//! What a visitor is shown of a standing.

use alloy::primitives::{Address, U256};

use super::*;
use crate::domain::{GateId, GateTrouble, Timestamp};

const HERE: GuildId = GuildId(7);
const MODULE: ModuleAddress = ModuleAddress(Address::ZERO);

fn role(id: u64, held: bool) -> RoleStanding {
    RoleStanding {
        role: RoleId(id),
        name: format!("role {id}"),
        held,
    }
}

fn gate(guild: GuildId, plans: &[u64], entitled: bool, roles: Vec<RoleStanding>) -> GateStanding {
    GateStanding {
        gate: GateId(1),
        guild,
        module: MODULE,
        plans: plans.iter().copied().map(PlanId::from).collect(),
        entitled,
        roles,
        subscriptions: Vec::new(),
        trouble: None,
    }
}

fn settled(gates: Vec<GateStanding>) -> Settled {
    let standing = MemberStanding {
        user: UserId(5),
        wallets: Vec::new(),
        now: Timestamp(0),
        gates,
    };
    Settled {
        standing,
        unread: false,
    }
}

fn plan(id: u64, active: bool) -> PlanRow {
    PlanRow {
        module: MODULE,
        plan: PlanId::from(id),
        name: "Gold".to_owned(),
        price: U256::from(9_990_000),
        token: Address::ZERO,
        decimals: Some(6),
        symbol: Some("USDC".to_owned()),
        interval: 2_592_000,
        active,
    }
}

fn offers(settled: &Settled, plans: &[PlanRow], back: Option<&Url>) -> Vec<Offer> {
    offers_amid(settled, plans, back, &GateTroubles::new())
}

fn offers_amid(
    settled: &Settled,
    plans: &[PlanRow],
    back: Option<&Url>,
    troubles: &GateTroubles,
) -> Vec<Offer> {
    let template = "https://pay.example/{module}/{plan_id}?theme=dark";
    let checkout = Checkout {
        template,
        back,
        plans,
        troubles,
    };
    shown(settled, HERE, &checkout).subscribe
}

#[test]
fn a_plan_is_offered_by_name_and_price_with_the_way_back() {
    let settled = settled(vec![gate(HERE, &[1], false, vec![role(3, false)])]);
    let back = Url::parse("https://roles.example/verify/x").unwrap();
    let offers = offers(&settled, &[plan(1, true)], Some(&back));
    assert_eq!(offers.len(), 1);
    assert_eq!(offers[0].name, "Gold");
    let terms = offers[0].terms.as_deref();
    assert_eq!(terms, Some("9.99 USDC every 30 days"));
    let expected = format!(
        "https://pay.example/{MODULE}/1?theme=dark&redirect=https%3A%2F%2Froles.example%2Fverify%2Fx"
    );
    assert_eq!(offers[0].url, expected);
}

#[test]
fn a_plan_that_takes_no_subscriptions_is_not_offered_and_an_unknown_one_is() {
    let settled = settled(vec![gate(HERE, &[1, 2], false, vec![role(3, false)])]);
    let offers = offers(&settled, &[plan(1, false)], None);
    let names: Vec<_> = offers.iter().map(|offer| offer.name.as_str()).collect();
    assert_eq!(names, ["plan 2"]);
    assert_eq!(offers[0].terms, None);
}

#[test]
fn a_plan_that_gives_nobody_the_role_is_not_offered_and_the_others_are() {
    let settled = settled(vec![gate(HERE, &[1, 7], false, vec![role(3, false)])]);
    let trouble = GateTrouble {
        guild: HERE,
        sentences: ["There is no plan 7.".to_owned()].into(),
        not_for_sale: [PlanId::from(7)].into(),
    };
    let troubles = GateTroubles::from([(GateId(1), trouble)]);
    let offers = offers_amid(&settled, &[], None, &troubles);
    let names: Vec<_> = offers.iter().map(|offer| offer.name.as_str()).collect();
    assert_eq!(names, ["plan 1"]);
}

#[test]
fn nothing_is_offered_to_who_has_something_here_or_where_there_is_trouble() {
    let paid = gate(HERE, &[1], true, vec![role(3, true)]);
    let other = gate(HERE, &[2], false, vec![role(4, false)]);
    let with_paid = settled(vec![paid, other.clone()]);
    assert_eq!(offers(&with_paid, &[], None), []);
    let troubled = GateStanding {
        trouble: Some("too low".to_owned()),
        ..other.clone()
    };
    assert_eq!(offers(&settled(vec![troubled, other]), &[], None), []);
}

#[test]
fn roles_of_this_server_come_first_and_each_once() {
    let elsewhere = gate(GuildId(2), &[1], true, vec![role(1, true), role(2, false)]);
    let here = gate(HERE, &[1], true, vec![role(9, true)]);
    let again = gate(HERE, &[2], false, vec![role(9, true)]);
    let settled = settled(vec![elsewhere, here, again]);
    let ids = |roles: &[NamedRole]| roles.iter().map(|role| role.role_id.0).collect::<Vec<_>>();
    assert_eq!(ids(&settled.roles(HERE)), [9, 1]);
    let checkout = Checkout {
        template: "",
        back: None,
        plans: &[],
        troubles: &GateTroubles::new(),
    };
    assert_eq!(ids(&shown(&settled, HERE, &checkout).pending), [2]);
}
