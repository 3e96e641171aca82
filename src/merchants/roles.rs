//! The roles of a server: which can be given, why the others cannot, and a new one.

use super::{Manager, Merchants, Refusal};
use crate::domain::{GuildId, RoleId};

/// A role as a merchant chooses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleRow {
    /// Its id.
    pub role: RoleId,
    /// Its name.
    pub name: String,
    /// `0xRRGGBB`; 0 for none.
    pub color: u32,
    /// Its place; higher is mightier.
    pub position: i64,
    /// Discord's permission bits.
    pub permissions: u64,
    /// Whether the bot can give and take it.
    pub manageable: bool,
    /// Why not, in one sentence.
    pub why_not: Option<String>,
}

impl Merchants {
    /// The roles of a server, highest first.
    ///
    /// # Errors
    /// [`Refusal::DiscordUnavailable`] where they cannot be read.
    pub async fn roles(&self, guild: GuildId) -> Result<Vec<RoleRow>, Refusal> {
        let _ = guild;
        Err(super::unbuilt())
    }

    /// Makes a role without permissions, below the bot's highest.
    ///
    /// # Errors
    /// [`Refusal::NeedsManageRoles`] of the caller, [`Refusal::Invalid`] for a name that Discord does not take,
    /// [`Refusal::DiscordUnavailable`] where Discord refuses.
    pub async fn create_role(&self, manager: &Manager, name: &str) -> Result<RoleId, Refusal> {
        let _ = (manager, name);
        Err(super::unbuilt())
    }
}
