//! PURE. What a manager chose in `/amser setup`, in the few characters that Discord gives back to us: a select's value and a
//! button's id. They are all that is known of it, so that both work after any restart.

use std::collections::BTreeSet;

use alloy::primitives::{Address, U256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::rules;
use crate::domain::{GateMatch, ModuleAddress, PlanId, RoleId, ServerSettings};

/// Bytes that a button's id has room for, beside what tells whose button it is.
const MOST_BYTES: usize = 62;
/// The most roles of a choice.
pub(super) const MOST_ROLES: usize = 3;

/// In the first byte: roles with dangerous permissions are meant; every plan is needed; there are several plans, each after its
/// length; above these, how many roles.
const CONFIRM: u8 = 1;
const ALL: u8 = 2;
const SEVERAL: u8 = 4;
const ROLES_SHIFT: u8 = 3;

/// A plan of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChosenPlan {
    pub(super) module: ModuleAddress,
    pub(super) plan: PlanId,
}

/// A gate that is about to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) module: ModuleAddress,
    /// At least one.
    pub(super) plans: BTreeSet<PlanId>,
    pub(super) matching: GateMatch,
    /// None: a new one, named as the plan.
    pub(super) roles: BTreeSet<RoleId>,
    /// Whether roles with dangerous permissions are meant.
    pub(super) confirm: bool,
    /// The server's own rules, as far as they were asked for.
    pub(super) rules: ServerSettings,
}

impl ChosenPlan {
    /// At most 70 characters.
    pub(super) fn text(self) -> String {
        let mut bytes = self.module.0.to_vec();
        bytes.extend(self.plan.0.to_be_bytes_trimmed_vec());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (module, plan) = bytes.split_at_checked(20)?;
        Some(Self {
            module: ModuleAddress(Address::from_slice(module)),
            plan: PlanId(U256::try_from_be_slice(plan)?),
        })
    }
}

impl Choice {
    /// At most 83 characters; `None` for a choice that does not fit into them. One plan with one role always does.
    pub(super) fn text(&self) -> Option<String> {
        if self.plans.is_empty() || self.roles.len() > MOST_ROLES {
            return None;
        }
        let is_several = self.plans.len() > 1;
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let count = u8::try_from(self.roles.len()).ok()?;
        let mut bytes = vec![
            flag(self.confirm, CONFIRM)
                | flag(self.matching == GateMatch::All, ALL)
                | flag(is_several, SEVERAL)
                | (count << ROLES_SHIFT),
            rules::byte(&self.rules),
        ];
        bytes.extend(self.module.0);
        bytes.extend(self.roles.iter().flat_map(|role| role.0.to_be_bytes()));
        for plan in &self.plans {
            let plan = plan.0.to_be_bytes_trimmed_vec();
            if is_several {
                bytes.push(u8::try_from(plan.len()).ok()?);
            }
            bytes.extend(plan);
        }
        (bytes.len() <= MOST_BYTES).then(|| URL_SAFE_NO_PAD.encode(bytes))
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let ([flags, rules], rest) = bytes.split_first_chunk()?;
        let (module, mut rest) = rest.split_at_checked(20)?;
        let mut roles = BTreeSet::new();
        for _ in 0..flags >> ROLES_SHIFT {
            let (role, after) = rest.split_first_chunk()?;
            roles.insert(RoleId(u64::from_be_bytes(*role)));
            rest = after;
        }
        let plans = match flags & SEVERAL {
            0 => [PlanId(U256::try_from_be_slice(rest)?)].into(),
            _ => several(rest)?,
        };
        let choice = Self {
            module: ModuleAddress(Address::from_slice(module)),
            plans,
            matching: match flags & ALL {
                0 => GateMatch::Any,
                _ => GateMatch::All,
            },
            roles,
            confirm: flags & CONFIRM != 0,
            rules: rules::read(*rules),
        };
        // What is written in another way was not written by us.
        (choice.text().as_deref() == Some(text)).then_some(choice)
    }
}

fn several(mut bytes: &[u8]) -> Option<BTreeSet<PlanId>> {
    let mut plans = BTreeSet::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (plan, rest) = rest.split_at_checked(usize::from(*length))?;
        plans.insert(PlanId(U256::try_from_be_slice(plan)?));
        bytes = rest;
    }
    Some(plans)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(0xff));

    fn choice(plans: &[U256], roles: &[u64], matching: GateMatch, confirm: bool) -> Choice {
        Choice {
            module: MODULE,
            plans: plans.iter().copied().map(PlanId).collect(),
            matching,
            roles: roles.iter().copied().map(RoleId).collect(),
            confirm,
            rules: rules::chosen(Some(["paused"].into_iter()), Some("claim")),
        }
    }

    #[test]
    fn what_was_chosen_is_read_back_and_fits_what_discord_allows() {
        for plan in [U256::ZERO, U256::from(7), U256::MAX] {
            let chosen = ChosenPlan {
                module: MODULE,
                plan: PlanId(plan),
            };
            assert_eq!(ChosenPlan::read(&chosen.text()), Some(chosen));
            assert!(chosen.text().len() <= 100, "a select's longest value");
            for (roles, confirm) in [(&[][..], false), (&[u64::MAX][..], true)] {
                let choice = choice(&[plan], roles, GateMatch::Any, confirm);
                let text = choice.text().unwrap();
                assert!(text.len() <= 83);
                assert_eq!(Choice::read(&text), Some(choice));
            }
        }
    }

    #[test]
    fn eight_plans_and_three_roles_fit_and_what_does_not_is_not_cut() {
        let plans: Vec<_> = (0..8).map(|id| U256::from(247 + id)).collect();
        let many = choice(&plans, &[1, 2, u64::MAX], GateMatch::All, true);
        let text = many.text().unwrap();
        assert!(text.len() <= 83);
        assert_eq!(Choice::read(&text), Some(many));
        let wide = [U256::MAX, U256::from(1)];
        assert_eq!(choice(&wide, &[1], GateMatch::All, false).text(), None);
        assert_eq!(
            choice(&plans, &[1, 2, 3, 4], GateMatch::Any, false).text(),
            None
        );
        assert_eq!(choice(&[], &[1], GateMatch::Any, false).text(), None);
    }

    #[test]
    fn what_no_version_wrote_is_not_read() {
        for odd in ["", "!", "AAAA", &"A".repeat(120)] {
            assert_eq!(ChosenPlan::read(odd), None, "{odd}");
            assert_eq!(Choice::read(odd), None, "{odd}");
        }
        let text = choice(&[U256::from(7)], &[5], GateMatch::Any, false).text();
        let mut bytes = URL_SAFE_NO_PAD.decode(text.unwrap()).unwrap();
        bytes[0] |= SEVERAL;
        assert_eq!(Choice::read(&URL_SAFE_NO_PAD.encode(bytes)), None);
    }
}
