//! PURE. What a manager chose in `/amser setup`, in the few characters that Discord gives back to us: a select's value and a
//! button's id. They are all that is known of it, so that both work after any restart.

use alloy::primitives::{Address, U256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::{ModuleAddress, PlanId, RoleId};

/// A plan of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChosenPlan {
    pub(super) module: ModuleAddress,
    pub(super) plan: PlanId,
}

/// A gate that is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) plan: ChosenPlan,
    /// `None`: a new one, named as the plan.
    pub(super) role: Option<RoleId>,
    /// Whether a role with dangerous permissions is meant.
    pub(super) confirm: bool,
}

impl ChosenPlan {
    /// At most 70 characters.
    pub(super) fn text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes())
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        Self::of(&URL_SAFE_NO_PAD.decode(text).ok()?)
    }

    fn bytes(self) -> Vec<u8> {
        let mut bytes = self.module.0.to_vec();
        bytes.extend(self.plan.0.to_be_bytes_trimmed_vec());
        bytes
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let (module, plan) = bytes.split_at_checked(20)?;
        Some(Self {
            module: ModuleAddress(Address::from_slice(module)),
            plan: PlanId(U256::try_from_be_slice(plan)?),
        })
    }
}

impl Choice {
    /// At most 82 characters.
    pub(super) fn text(self) -> String {
        let role = self.role.map_or(0, |role| role.0);
        let mut bytes = vec![u8::from(self.confirm)];
        bytes.extend(role.to_be_bytes());
        bytes.extend(self.plan.bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (confirm, rest) = bytes.split_first()?;
        let (role, plan) = rest.split_first_chunk()?;
        let role = RoleId(u64::from_be_bytes(*role));
        Some(Self {
            plan: ChosenPlan::of(plan)?,
            role: (role.0 != 0).then_some(role),
            confirm: *confirm == 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_is_read_back_and_fits_what_discord_allows() {
        for plan in [U256::ZERO, U256::from(7), U256::MAX] {
            let plan = ChosenPlan {
                module: ModuleAddress(Address::repeat_byte(0xff)),
                plan: PlanId(plan),
            };
            assert_eq!(ChosenPlan::read(&plan.text()), Some(plan));
            assert!(plan.text().len() <= 100, "a select's longest value");
            for (role, confirm) in [(None, false), (Some(RoleId(u64::MAX)), true)] {
                let choice = Choice {
                    plan,
                    role,
                    confirm,
                };
                assert_eq!(Choice::read(&choice.text()), Some(choice));
                assert!(choice.text().len() <= 82);
            }
        }
    }

    #[test]
    fn what_no_version_wrote_is_not_read() {
        for odd in ["", "!", "AAAA", &"A".repeat(120)] {
            assert_eq!(ChosenPlan::read(odd), None, "{odd}");
            assert_eq!(Choice::read(odd), None, "{odd}");
        }
    }
}
