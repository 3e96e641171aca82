//! Which servers are connected, and whose they are.

use super::{Manager, Merchants, Refusal};
use crate::domain::{GuildId, UserId};

/// A server that a user manages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its id.
    pub guild: GuildId,
    /// Its name.
    pub name: String,
    /// Whether it is connected by `/connect` or has a gate.
    pub connected: bool,
}

impl Merchants {
    /// The servers that the user manages, of these candidates and of those that are connected, by name.
    ///
    /// # Errors
    /// When the store cannot be read. A server that Discord does not show now is left out.
    pub async fn servers(
        &self,
        user: UserId,
        candidates: &[GuildId],
    ) -> Result<Vec<Server>, Refusal> {
        let _ = (user, candidates);
        Err(super::unbuilt())
    }

    /// Whether a server is connected by `/connect` or has a gate.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn is_connected(&self, guild: GuildId) -> Result<bool, Refusal> {
        let _ = guild;
        Err(super::unbuilt())
    }

    /// Connects a server: it is shown to its managers. Connecting again changes nothing. Noted in the server's journal.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] where the user does not manage it.
    pub async fn connect(&self, guild: GuildId, by: UserId) -> Result<(), Refusal> {
        let _ = (guild, by);
        Err(super::unbuilt())
    }

    /// Disconnects a server: its dashboard gates go. With `remove_roles` the roles that were given go too, and the brake does
    /// not stop that; else they stay and are forgotten. Connecting again starts empty.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn disconnect(&self, manager: &Manager, remove_roles: bool) -> Result<(), Refusal> {
        let _ = (manager, remove_roles);
        Err(super::unbuilt())
    }
}
