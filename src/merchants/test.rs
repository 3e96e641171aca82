//! Gives the roles of a gate to the caller and takes them again, to see what Discord answers.

use super::{Manager, Merchants, Refusal, unbuilt};
use crate::domain::{GateId, RoleId};

/// What Discord answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestOutcome {
    /// Each role of the gate.
    pub roles: Vec<TestedRole>,
}

/// One role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestedRole {
    /// The role.
    pub role: RoleId,
    /// Its name; its id where that is not known.
    pub name: String,
    /// Whether it was given; else what Discord answered, in one sentence that says what to do.
    pub given: Result<(), String>,
    /// Whether it was taken again; `None`: it was left with the caller, who is entitled to it or held it before, or it was
    /// not given.
    pub taken: Option<Result<(), String>>,
}

impl TestOutcome {
    /// Whether Discord did all that it was asked for.
    pub fn is_fine(&self) -> bool {
        let is_fine =
            |role: &TestedRole| role.given.is_ok() && role.taken.as_ref().is_none_or(Result::is_ok);
        self.roles.iter().all(is_fine)
    }
}

impl Merchants {
    /// Gives each role of a gate to the caller and takes it again.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for a gate that is not there; [`Refusal::NeedsManageRoles`] and [`Refusal::AboveYou`] as for
    /// making the gate.
    pub async fn test(&self, manager: &Manager, gate: GateId) -> Result<TestOutcome, Refusal> {
        let _ = (manager, gate);
        Err(unbuilt())
    }
}
