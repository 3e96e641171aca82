//! A server's members, and the removals that wait for a manager.

use super::{Manager, Merchants, Refusal};
use crate::domain::{Approved, MemberPage, MemberState, MembersQuery, Question, RoleId, Timestamp};

impl Merchants {
    /// A page of the server's members: subscribers of its plans, and who holds roles of ours. `query`: part of a name, or the
    /// beginning of an id; `after`: what the page before gave as `next`.
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
        let guild = manager.guild;
        let query = MembersQuery {
            filter,
            text: query.to_owned(),
            after: after.map(str::to_owned),
        };
        self.ask(|answer| Question::Members {
            guild,
            query,
            answer,
        })
        .await
    }

    /// Lets the stopped removals of a role through, once; how many. `shown`: since when they are stopped and how many they are, as
    /// the manager was shown them.
    ///
    /// # Errors
    /// [`Refusal::NothingHeld`]; [`Refusal::HeldChanged`] where others are stopped than were shown.
    pub async fn approve(
        &self,
        manager: &Manager,
        role: RoleId,
        shown: Option<(Timestamp, usize)>,
    ) -> Result<usize, Refusal> {
        let (guild, by) = (manager.guild, manager.user);
        let approved = self.ask(|answer| Question::Approve {
            guild,
            role,
            by,
            shown,
            answer,
        });
        match approved.await? {
            Approved::Released { removals } => Ok(removals),
            Approved::NothingHeld => Err(Refusal::NothingHeld),
            Approved::Outdated => Err(Refusal::HeldChanged),
        }
    }
}
