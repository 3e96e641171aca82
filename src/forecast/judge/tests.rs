//! Each reason to fail, and what looks like one and is not.

use super::*;
use crate::domain::PlanId;
use crate::views::Funds;

const DAY: u64 = 86_400;
const NOW: Timestamp = Timestamp(1_000_000_000);
const PRICE: u64 = 10;
const TOKEN: Address = Address::repeat_byte(0x70);
const PROCESSOR: Address = Address::repeat_byte(0x60);

/// Due in two days, for thirty days, with three days of grace.
fn renewal(id: u64) -> Renewal {
    let due_at = NOW.plus(2 * DAY);
    Renewal {
        module: ModuleAddress(Address::repeat_byte(1)),
        plan: PlanId::from(1),
        subscription: SubscriptionId::from(id),
        wallet: Wallet(Address::with_last_byte(id as u8)),
        token: TOKEN,
        processor: PROCESSOR,
        price: U256::from(PRICE),
        interval: 30 * DAY,
        grace_period: 3 * DAY,
        paid_at: Timestamp(due_at.0 - 30 * DAY),
        due_at,
        remaining: None,
        expiry: Some(U256::MAX),
        has_failed: false,
    }
}

/// Enough for one charge, and not a unit more.
fn enough() -> Funds {
    Funds {
        balance: Some(U256::from(PRICE)),
        approved: Some(U256::from(PRICE)),
        permitted: Some(Permitted {
            amount: U256::from(PRICE),
            until: NOW.plus(2 * DAY),
        }),
    }
}

fn facts(funds: &[(&Renewal, Funds)]) -> RenewalFacts {
    RenewalFacts {
        funds: funds
            .iter()
            .map(|(renewal, funds)| (funds_of(renewal), *funds))
            .collect(),
        enabled: [((PROCESSOR, TOKEN), true)].into(),
    }
}

fn outlook(renewals: &[Renewal], facts: &RenewalFacts) -> Outlook {
    judge(renewals, facts, NOW, NOW.plus(7 * DAY))
}

/// The risk of one renewal, everything else being as it should.
fn risk(renewal: Renewal, funds: Funds) -> Option<Risk> {
    let facts = facts(&[(&renewal, funds)]);
    let outlook = outlook(&[renewal], &facts);
    assert!(outlook.at_risk.len() < 2);
    outlook.at_risk.first().map(|one| one.risk)
}

#[test]
fn what_is_just_enough_and_lasts_just_long_enough_is_no_risk() {
    let mut last = renewal(1);
    last.remaining = Some(U256::ONE);
    last.expiry = Some(U256::from(last.due_at.0));
    assert_eq!(risk(last, enough()), None);
    let mut unlimited = renewal(1);
    unlimited.expiry = None;
    assert_eq!(risk(unlimited, enough()), None);
}

#[test]
fn a_balance_below_the_price_is_named_with_when_and_what() {
    let funds = Funds {
        balance: Some(U256::from(PRICE - 1)),
        ..enough()
    };
    let poor = renewal(1);
    let facts = facts(&[(&poor, funds)]);
    let found = outlook(std::slice::from_ref(&poor), &facts);
    let [at_risk] = found.at_risk.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(at_risk.risk, Risk::BalanceTooLow);
    assert_eq!(at_risk.due_at, poor.due_at);
    assert_eq!(at_risk.access_until, poor.due_at.plus(3 * DAY));
    assert_eq!((at_risk.price, at_risk.token), (U256::from(PRICE), TOKEN));
    assert!(found.unread.is_empty() && !found.registry_unread);
}

#[test]
fn either_allowance_below_the_price_is_too_low() {
    let too_little = U256::from(PRICE - 1);
    let of_token = Funds {
        approved: Some(too_little),
        ..enough()
    };
    assert_eq!(risk(renewal(1), of_token), Some(Risk::AllowanceTooLow));
    let of_permit2 = Funds {
        permitted: Some(Permitted {
            amount: too_little,
            until: NOW.plus(90 * DAY),
        }),
        ..enough()
    };
    assert_eq!(risk(renewal(1), of_permit2), Some(Risk::AllowanceTooLow));
    // None was ever given: that it "ended in 1970" would tell nobody what to do.
    let never_given = Funds {
        permitted: Some(Permitted {
            amount: U256::ZERO,
            until: Timestamp(0),
        }),
        ..enough()
    };
    assert_eq!(risk(renewal(1), never_given), Some(Risk::AllowanceTooLow));
}

#[test]
fn an_allowance_that_ends_before_the_charge_is_named_with_its_end() {
    let until = NOW.plus(2 * DAY - 1);
    let funds = Funds {
        permitted: Some(Permitted {
            amount: U256::MAX,
            until,
        }),
        ..enough()
    };
    assert_eq!(risk(renewal(1), funds), Some(Risk::AllowanceEnds(until)));
}

#[test]
fn an_expiry_before_the_charge_is_named_with_its_end() {
    let mut ending = renewal(1);
    ending.expiry = Some(U256::from(ending.due_at.0 - 1));
    let end = Timestamp(ending.due_at.0 - 1);
    assert_eq!(risk(ending, enough()), Some(Risk::ExpiryEnds(end)));
}

#[test]
fn a_budget_that_is_used_up_is_exhausted() {
    let mut exhausted = renewal(1);
    exhausted.remaining = Some(U256::ZERO);
    assert_eq!(risk(exhausted, enough()), Some(Risk::Exhausted));
}

#[test]
fn a_charge_is_missed_only_after_a_whole_interval() {
    let late = |seconds: u64| {
        let mut late = renewal(1);
        late.interval = DAY;
        late.due_at = Timestamp(NOW.0 - seconds);
        late.paid_at = Timestamp(late.due_at.0 - DAY);
        let funds = Funds {
            balance: Some(U256::MAX),
            approved: Some(U256::MAX),
            permitted: Some(Permitted {
                amount: U256::MAX,
                until: Timestamp(u64::MAX),
            }),
        };
        risk(late, funds)
    };
    assert_eq!(late(DAY), None, "keepers may still charge");
    assert_eq!(late(DAY + 1), Some(Risk::WindowMissed));
}

#[test]
fn a_token_that_is_switched_off_fails_everyone_who_pays_in_it() {
    let one = renewal(1);
    let mut facts = facts(&[(&one, enough())]);
    facts.enabled.insert((PROCESSOR, TOKEN), false);
    let found = outlook(&[one], &facts);
    assert_eq!(found.at_risk[0].risk, Risk::TokenDisabled);
}

#[test]
fn what_could_not_be_read_is_no_risk_and_is_said_apart() {
    let one = renewal(1);
    let nothing = RenewalFacts::default();
    let found = outlook(std::slice::from_ref(&one), &nothing);
    assert_eq!(found.at_risk, []);
    assert_eq!(
        found.unread,
        [(one.module, one.plan, one.subscription)].into()
    );
    assert!(found.registry_unread);
    // What was read is judged all the same.
    let funds = Funds {
        balance: Some(U256::ZERO),
        ..Funds::default()
    };
    let found = outlook(std::slice::from_ref(&one), &facts(&[(&one, funds)]));
    assert_eq!(found.at_risk[0].risk, Risk::BalanceTooLow);
    assert_eq!(found.unread.len(), 1);
    assert!(!found.registry_unread);
}

#[test]
fn money_for_one_of_two_pays_the_one_that_is_due_first() {
    let (first, mut second) = (renewal(1), renewal(2));
    second.wallet = first.wallet;
    second.due_at = first.due_at.plus(DAY);
    let found = outlook(
        &[second.clone(), first.clone()],
        &facts(&[(&first, enough())]),
    );
    let named: Vec<_> = found.at_risk.iter().map(|one| one.subscription).collect();
    assert_eq!(named, [second.subscription]);
}

#[test]
fn a_short_interval_is_played_charge_by_charge_until_the_money_is_gone() {
    let mut daily = renewal(1);
    daily.interval = DAY;
    daily.grace_period = 0;
    daily.due_at = NOW.plus(DAY / 2);
    let funds = Funds {
        balance: Some(U256::from(3 * PRICE)),
        approved: Some(U256::MAX),
        permitted: Some(Permitted {
            amount: U256::MAX,
            until: Timestamp(u64::MAX),
        }),
    };
    let facts = facts(&[(&daily, funds)]);
    let found = outlook(std::slice::from_ref(&daily), &facts);
    let at = daily.due_at.plus(3 * DAY);
    assert_eq!(found.at_risk.len(), 1);
    assert_eq!(
        (found.at_risk[0].due_at, found.at_risk[0].access_until),
        (at, at)
    );
    // Within two days all is well.
    assert_eq!(judge(&[daily], &facts, NOW, NOW.plus(2 * DAY)).at_risk, []);
}

#[test]
fn a_failed_charge_is_named_as_such_and_only_that_one() {
    let mut failed = renewal(1);
    failed.has_failed = true;
    failed.due_at = Timestamp(NOW.0 - 60);
    let broke = Funds {
        balance: Some(U256::ZERO),
        ..enough()
    };
    let found = outlook(std::slice::from_ref(&failed), &facts(&[(&failed, broke)]));
    assert!(found.at_risk[0].has_failed);
    // The wallet was topped up since, and the next keeper will be paid.
    assert_eq!(risk(failed, enough()), None);
}

#[test]
fn a_plan_that_claims_to_charge_every_second_is_not_played_for_ever() {
    let mut hasty = renewal(1);
    hasty.interval = 0;
    assert_eq!(risk(hasty, enough()), Some(Risk::AllowanceTooLow));
}

#[test]
fn an_allowance_that_not_one_of_many_has_is_how_tokens_are_not_moved() {
    let renewals: Vec<_> = (1..=6).map(renewal).collect();
    let none = Funds {
        approved: Some(U256::ZERO),
        permitted: Some(Permitted {
            amount: U256::ZERO,
            until: Timestamp(0),
        }),
        ..enough()
    };
    let all: Vec<_> = renewals.iter().map(|one| (one, none)).collect();
    let found = outlook(&renewals, &facts(&all));
    assert_eq!(found.at_risk, []);
    assert_eq!(
        found.unread.len(),
        6,
        "it is said that something is not known"
    );
    // One who has some shows that it is in use, and the others lack it.
    let mut all = all;
    all[0].1 = enough();
    let found = outlook(&renewals, &facts(&all));
    assert_eq!(found.at_risk.len(), 5);
    assert!(found.unread.is_empty());
}
