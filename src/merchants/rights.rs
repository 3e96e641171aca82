//! Who manages a server, and what a gate of theirs may not give.

use super::{Merchants, Refusal};
use crate::discord::Failure;
use crate::discord::hierarchy::{ADMINISTRATOR, GuildRoles, MANAGE_GUILD, MANAGE_ROLES};
use crate::domain::{GuildId, RoleId, UserId};

/// Permissions that whoever pays should not get by accident, by their names on Discord.
/// <https://discord.com/developers/docs/topics/permissions#permissions-bitwise-permission-flags>
const DANGEROUS: [(u64, &str); 6] = [
    (ADMINISTRATOR, "Administrator"),
    (MANAGE_GUILD, "Manage Server"),
    (MANAGE_ROLES, "Manage Roles"),
    (1 << 2, "Ban Members"),
    (1 << 1, "Kick Members"),
    (1 << 29, "Manage Webhooks"),
];

/// A person with Manage Server (or Administrator, or the owner), by the bot's own view, looked at again within a minute.
/// Only [`Merchants::manager`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manager {
    /// The server.
    pub guild: GuildId,
    /// The person.
    pub user: UserId,
    /// Whether they own the server, which puts them above every role.
    pub is_owner: bool,
    /// Their permissions in the whole server, as Discord's bits; all of them for the owner.
    pub permissions: u64,
    /// Position of their highest role; 0 for `@everyone` alone.
    pub highest: i64,
}

impl Manager {
    /// This user, who holds these roles of the server, as its manager; `None` for who does not manage it.
    fn of(guild: GuildId, user: UserId, server: &GuildRoles, held: &[RoleId]) -> Option<Self> {
        let is_owner = server.owner == user;
        let permissions = match is_owner {
            true => u64::MAX,
            false => server.permissions_with(guild, held),
        };
        let highest = server.highest_of(held);
        let manager = Self {
            guild,
            user,
            is_owner,
            permissions,
            highest: highest.map_or(0, |(_, role)| role.position),
        };
        (permissions & (ADMINISTRATOR | MANAGE_GUILD) != 0).then_some(manager)
    }

    /// Whether they may manage roles themselves.
    ///
    /// # Errors
    /// [`Refusal::NeedsManageRoles`].
    pub fn manages_roles(&self) -> Result<(), Refusal> {
        match self.permissions & (ADMINISTRATOR | MANAGE_ROLES) {
            0 => Err(Refusal::NeedsManageRoles),
            _ => Ok(()),
        }
    }
}

/// The permissions among these bits that nobody should sell by accident, by their names on Discord.
pub fn dangerous(permissions: u64) -> Vec<&'static str> {
    let carried = |(bit, _): &&(u64, &str)| permissions & bit != 0;
    let carried = DANGEROUS.iter().filter(carried);
    carried.map(|(_, name)| *name).collect()
}

/// Whether a gate with a role of this name at this place gives its maker nothing that they could not give themselves: a
/// manager could subscribe to their own plan. Discord lets members give only roles below their own highest one.
///
/// # Errors
/// [`Refusal::NeedsManageRoles`], [`Refusal::AboveYou`].
pub fn raises_its_maker(manager: &Manager, role: &str, position: i64) -> Result<(), Refusal> {
    manager.manages_roles()?;
    match manager.is_owner || position < manager.highest {
        true => Ok(()),
        false => Err(Refusal::AboveYou {
            role: role.to_owned(),
        }),
    }
}

impl Merchants {
    /// This user as a manager of this server.
    ///
    /// # Errors
    /// [`Refusal::NotFound`]: no such server, the bot is not in it, or the user does not manage it.
    /// [`Refusal::DiscordUnavailable`] where Discord does not say.
    pub async fn manager(&self, guild: GuildId, user: UserId) -> Result<Manager, Refusal> {
        let discord = &self.inputs().discord;
        let server = discord.server(guild).await?.ok_or(Refusal::NotFound)?;
        let held = discord.held_by(guild, user).await?;
        let held = held.ok_or(Refusal::NotFound)?;
        Manager::of(guild, user, &server, &held).ok_or(Refusal::NotFound)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        tracing::debug!(%failure, "Discord did not answer a merchant's question");
        Self::DiscordUnavailable(match failure {
            Failure::Refused(refusal) => format!(
                "Discord refused this ({}, {}). Check the bot's permissions in Server Settings > Roles.",
                refusal.code, refusal.message
            ),
            Failure::RateLimited | Failure::Transient(_) => {
                "Discord can't be reached right now. Try again in a minute.".to_owned()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::discord::hierarchy::Role;

    const GUILD: GuildId = GuildId(1);
    const OWNER: UserId = UserId(5);
    const USER: UserId = UserId(6);
    const STAFF: RoleId = RoleId(10);
    const PAID: RoleId = RoleId(20);

    fn server(everyone: u64, staff: u64) -> GuildRoles {
        let role = |name: &str, position, permissions| Role {
            name: name.to_owned(),
            color: 0,
            position,
            permissions,
            given_by: None,
        };
        GuildRoles {
            name: "Guild".to_owned(),
            owner: OWNER,
            roles: BTreeMap::from([
                (RoleId(GUILD.0), role("@everyone", 0, everyone)),
                (STAFF, role("Staff", 7, staff)),
                (PAID, role("Paid", 3, 0)),
            ]),
            held: vec![],
            owned: false,
        }
    }

    fn manager(everyone: u64, staff: u64, user: UserId, held: &[RoleId]) -> Option<Manager> {
        Manager::of(GUILD, user, &server(everyone, staff), held)
    }

    #[test]
    fn manage_server_administrator_and_ownership_make_a_manager_and_nothing_else_does() {
        let by_role = |staff| manager(0, staff, USER, &[STAFF]);
        assert_eq!(by_role(MANAGE_GUILD).map(|one| one.highest), Some(7));
        assert!(by_role(ADMINISTRATOR).is_some());
        assert_eq!(by_role(MANAGE_ROLES | 1 << 4 | 1 << 1), None);
        assert!(
            manager(MANAGE_GUILD, 0, USER, &[]).is_some(),
            "of @everyone"
        );
        assert_eq!(
            manager(0, MANAGE_GUILD, USER, &[PAID]),
            None,
            "a role of others"
        );
        let owner = manager(0, 0, OWNER, &[]).unwrap();
        assert!(owner.is_owner && owner.manages_roles().is_ok());
    }

    #[test]
    fn a_gate_must_not_raise_its_maker() {
        let raises = |staff, position| {
            let maker = manager(0, staff, USER, &[STAFF, PAID]).unwrap();
            raises_its_maker(&maker, "Gold", position)
        };
        let may = MANAGE_GUILD | MANAGE_ROLES;
        assert!(raises(may, 6).is_ok());
        assert!(raises(ADMINISTRATOR, 6).is_ok(), "has every permission");
        for (staff, position) in [(may, 7), (may, 8), (ADMINISTRATOR, 8)] {
            let refusal = raises(staff, position);
            assert!(matches!(refusal, Err(Refusal::AboveYou { .. })));
        }
        assert!(matches!(
            raises(MANAGE_GUILD, 1),
            Err(Refusal::NeedsManageRoles)
        ));
        let owner = manager(0, 0, OWNER, &[]).unwrap();
        assert!(raises_its_maker(&owner, "Gold", 99).is_ok());
    }

    #[test]
    fn dangerous_permissions_are_named_as_discord_names_them() {
        assert!(dangerous(!DANGEROUS.iter().fold(0, |all, (bit, _)| all | bit)).is_empty());
        assert_eq!(dangerous(MANAGE_GUILD), ["Manage Server"]);
        assert_eq!(dangerous(1 << 1 | 1 << 2), ["Ban Members", "Kick Members"]);
        assert_eq!(dangerous(u64::MAX).len(), DANGEROUS.len());
    }
}
