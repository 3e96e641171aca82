//! The settings of a server.

use super::{Manager, Merchants, Refusal, unbuilt};
use crate::domain::{GuildId, ServerSettings};

impl Merchants {
    /// What is set for a server: the operator's `[[servers]]` first, then what its managers set.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn settings(&self, guild: GuildId) -> Result<ServerSettings, Refusal> {
        let _ = guild;
        Err(unbuilt())
    }

    /// What the operator's `[[servers]]` sets for a server, which managers cannot change.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn fixed_settings(&self, guild: GuildId) -> Result<ServerSettings, Refusal> {
        let _ = guild;
        Err(unbuilt())
    }

    /// Sets what managers set, all of it. What the operator sets may be repeated, and is not changed.
    ///
    /// # Errors
    /// [`Refusal::FromConfig`] for another value than the operator's.
    pub async fn set_settings(
        &self,
        manager: &Manager,
        settings: ServerSettings,
    ) -> Result<(), Refusal> {
        let _ = (manager, settings);
        Err(unbuilt())
    }
}
