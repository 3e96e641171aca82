//! Gates that merchants make, change and delete.

use super::{Manager, Merchants, Refusal, unbuilt};
use crate::domain::{Gate, GateDraft, GateId, GuildId};

impl Merchants {
    /// The gates of a server, those of config.toml too, in the order of their ids.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn gates(&self, guild: GuildId) -> Result<Vec<Gate>, Refusal> {
        let _ = guild;
        Err(unbuilt())
    }

    /// Makes a gate, or changes the one that it `replaces`, which keeps its id. `confirm`: roles with dangerous permissions
    /// are meant. A gate that is there already is not made twice.
    ///
    /// # Errors
    /// What [`Merchants::owns`] says; [`Refusal::NotFound`] for a gate to replace that is not there,
    /// [`Refusal::FromConfig`], [`Refusal::NotManageable`], [`Refusal::NeedsManageRoles`], [`Refusal::AboveYou`],
    /// [`Refusal::Dangerous`], [`Refusal::Invalid`] for a plan that the module does not have.
    pub async fn put_gate(
        &self,
        manager: &Manager,
        draft: GateDraft,
        replaces: Option<GateId>,
        confirm: bool,
    ) -> Result<GateId, Refusal> {
        let _ = (manager, draft, replaces, confirm);
        Err(unbuilt())
    }

    /// Deletes a gate. The brake does not stop the removals that follow.
    ///
    /// # Errors
    /// [`Refusal::NotFound`], [`Refusal::FromConfig`].
    pub async fn delete_gate(&self, manager: &Manager, gate: GateId) -> Result<(), Refusal> {
        let _ = (manager, gate);
        Err(unbuilt())
    }

    /// Takes the last change of gates back, once. The brake does not stop the removals that follow.
    ///
    /// # Errors
    /// [`Refusal::NothingToUndo`].
    pub async fn undo(&self, manager: &Manager) -> Result<(), Refusal> {
        let _ = manager;
        Err(unbuilt())
    }
}
