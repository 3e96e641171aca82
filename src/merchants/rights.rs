//! Who manages a server, and what a gate of theirs may not give.

use super::{Merchants, Refusal};
use crate::domain::{GuildId, UserId};

/// A person with Manage Server (or Administrator, or the owner), by the bot's own view, looked at again within a minute.
/// Only [`Merchants::manager`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// The server.
    pub guild: GuildId,
    /// The person.
    pub user: UserId,
    /// Whether they own the server.
    pub is_owner: bool,
    /// Their permissions in the whole server, as Discord's bits.
    pub permissions: u64,
    /// Position of their highest role; 0 for `@everyone` alone.
    pub highest: i64,
}

/// The permissions among these bits that nobody should sell by accident, by their names on Discord.
pub fn dangerous(_permissions: u64) -> Vec<&'static str> {
    Vec::new()
}

/// Why a gate with a role at this place would give its maker more than they have.
///
/// # Errors
/// [`Refusal::NeedsManageRoles`], [`Refusal::AboveYou`].
pub fn raises_its_maker(_manager: &Manager, _role: &str, _position: i64) -> Result<(), Refusal> {
    Ok(())
}

impl Merchants {
    /// This user as a manager of this server.
    ///
    /// # Errors
    /// [`Refusal::NotFound`]: no such server, the bot is not in it, or the user does not manage it.
    /// [`Refusal::DiscordUnavailable`] where Discord does not say.
    pub async fn manager(&self, guild: GuildId, user: UserId) -> Result<Manager, Refusal> {
        let _ = (guild, user, self.now());
        Err(super::unbuilt())
    }
}
