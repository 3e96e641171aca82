//! The ids of buttons. They are all that is known of a button, so that it works after any restart.

use super::answer::Button;
use super::choice::Choice;
use crate::domain::{HeldBack, RoleId, START_NOTICES, STOP_NOTICES, Timestamp};

/// The button of the permanent message; it stands in channels for years.
pub(super) const VERIFY: &str = "amser-roles:verify";
/// `/privacy delete`, confirmed.
pub(super) const FORGET: &str = "amser-roles:forget";
/// `/unlink`, every wallet.
pub(super) const UNLINK_ALL: &str = "amser-roles:unlink:all";
/// `/unlink`, one wallet; its address follows.
pub(super) const UNLINK: &str = "amser-roles:unlink:";
/// `/amser approve`, confirmed; what was shown follows.
const APPROVE: &str = "amser-roles:approve:";
/// The form of `/amser setup`.
pub(super) const SETUP_FORM: &str = "amser-roles:setup";
/// `/amser setup`, confirmed; what was chosen follows.
const SETUP: &str = "amser-roles:gate:";
/// What every id of ours begins with.
const OURS: &str = "amser-roles:";

/// What a button asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Press {
    Verify,
    Forget,
    Unlink(String),
    Approve(Shown),
    Setup(Choice),
    /// Direct messages: to begin (`true`) or to stop.
    Notices(bool),
    Outdated,
}

/// The stopped removals that a manager was shown. They alone are approved: others that are stopped later are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) role: RoleId,
    pub(super) since: Timestamp,
    pub(super) removals: usize,
}

impl Shown {
    pub(super) fn new(role: RoleId, held: HeldBack) -> Self {
        Self {
            role,
            since: held.since,
            removals: held.removals,
        }
    }

    /// The id of the button that approves them.
    pub(super) fn id(self) -> String {
        let Self {
            role,
            since,
            removals,
        } = self;
        format!("{APPROVE}{role}:{}:{removals}", since.0)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let shown = Self {
            role: RoleId(parts.next()?.parse().ok()?),
            since: Timestamp(parts.next()?.parse().ok()?),
            removals: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(shown)
    }
}

impl Press {
    /// `None` when the button is not ours.
    pub(super) fn read(id: &str) -> Option<Self> {
        if !id.starts_with(OURS) {
            return None;
        }
        Some(match id {
            VERIFY => Self::Verify,
            FORGET => Self::Forget,
            STOP_NOTICES => Self::Notices(false),
            START_NOTICES => Self::Notices(true),
            _ => {
                if let Some(which) = id.strip_prefix(UNLINK) {
                    Self::Unlink(which.to_owned())
                } else if let Some(shown) = id.strip_prefix(APPROVE) {
                    Shown::read(shown).map_or(Self::Outdated, Self::Approve)
                } else if let Some(choice) = id.strip_prefix(SETUP) {
                    Choice::read(choice).map_or(Self::Outdated, Self::Setup)
                } else {
                    Self::Outdated
                }
            }
        })
    }
}

/// The id of the button that makes a gate; `None` for more plans and roles than it has room for.
pub(super) fn setup(choice: &Choice) -> Option<String> {
    choice.text().map(|choice| format!("{SETUP}{choice}"))
}

/// A button for a person to press.
pub(super) fn press(label: String, id: String, danger: bool) -> Button {
    Button::Press { label, id, danger }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buttons_are_told_apart_by_their_ids_alone() {
        assert_eq!(Press::read("amser-roles:verify"), Some(Press::Verify));
        assert_eq!(Press::read("amser-roles:forget"), Some(Press::Forget));
        assert_eq!(
            Press::read("amser-roles:unlink:0xab"),
            Some(Press::Unlink("0xab".to_owned()))
        );
        assert_eq!(
            Press::read(UNLINK_ALL),
            Some(Press::Unlink("all".to_owned()))
        );
        assert_eq!(Press::read(STOP_NOTICES), Some(Press::Notices(false)));
        assert_eq!(Press::read(START_NOTICES), Some(Press::Notices(true)));
        assert_eq!(Press::read("amser-roles:other"), Some(Press::Outdated));
        assert_eq!(Press::read("someone-elses"), None);
    }

    #[test]
    fn a_gate_to_be_made_fits_into_the_id_of_its_button() {
        use alloy::primitives::{Address, U256};

        use crate::domain::{GateMatch, ModuleAddress, PlanId, ServerSettings};

        let choice = Choice {
            module: ModuleAddress(Address::repeat_byte(0xff)),
            plans: [PlanId(U256::MAX)].into(),
            matching: GateMatch::All,
            roles: [RoleId(u64::MAX)].into(),
            confirm: true,
            rules: ServerSettings::default(),
        };
        let id = setup(&choice).unwrap();
        assert!(id.len() <= 100, "Discord's longest custom_id");
        assert_eq!(Press::read(&id), Some(Press::Setup(choice)));
        assert_eq!(Press::read("amser-roles:gate:?"), Some(Press::Outdated));
    }

    #[test]
    fn an_approval_names_what_was_shown() {
        let shown = Shown {
            role: RoleId(u64::MAX),
            since: Timestamp(u64::MAX),
            removals: usize::MAX,
        };
        assert_eq!(Press::read(&shown.id()), Some(Press::Approve(shown)));
        assert!(shown.id().len() <= 100, "Discord's longest custom_id");
        for odd in ["", "1:2", "1:2:x", "1:2:3:4"] {
            let id = format!("{APPROVE}{odd}");
            assert_eq!(Press::read(&id), Some(Press::Outdated), "{id}");
        }
    }
}
