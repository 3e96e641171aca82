//! A server's members, and the removals that wait for a manager.

use super::{Manager, Merchants, Refusal, unbuilt};
use crate::domain::{MemberPage, MemberState, RoleId};

impl Merchants {
    /// A page of the server's members: subscribers of its plans, and who holds roles of ours. `query`: part of a name, or an
    /// id; `after`: what the page before gave as `next`.
    ///
    /// # Errors
    /// [`Refusal::Internal`] while the service stops.
    pub async fn members(
        &self,
        manager: &Manager,
        filter: Option<MemberState>,
        query: &str,
        after: Option<&str>,
    ) -> Result<MemberPage, Refusal> {
        let _ = (manager, filter, query, after);
        Err(unbuilt())
    }

    /// Lets the stopped removals of a role through, once; how many.
    ///
    /// # Errors
    /// [`Refusal::NothingHeld`].
    pub async fn approve(&self, manager: &Manager, role: RoleId) -> Result<usize, Refusal> {
        let _ = (manager, role);
        Err(unbuilt())
    }
}
