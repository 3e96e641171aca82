//! Which roles the bot may give: the server's roles, their order and the bot's permissions, as one value.
//!
//! Pure. Checked before a request leaves, so that a hopeless one is never sent.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::domain::{GuildId, RoleId, UserId};

/// <https://discord.com/developers/docs/topics/permissions#permissions-bitwise-permission-flags>
pub const ADMINISTRATOR: u64 = 1 << 3;
/// "Manage Server".
pub const MANAGE_GUILD: u64 = 1 << 5;
/// "View Audit Log".
pub const VIEW_AUDIT_LOG: u64 = 1 << 7;
/// "Manage Roles".
pub const MANAGE_ROLES: u64 = 1 << 28;

/// A server's roles as the bot sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuildRoles {
    /// The server's name.
    pub name: String,
    /// Who owns it, and may do everything.
    pub owner: UserId,
    /// Its roles; `@everyone` has the server's own id.
    pub roles: BTreeMap<RoleId, Role>,
    /// The roles that the bot holds, without `@everyone`.
    pub held: Vec<RoleId>,
    /// Whether the bot owns the server, which puts it above every role.
    pub owned: bool,
}

/// One role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// `0xRRGGBB`; 0 for none.
    pub color: u32,
    /// Its place; higher is mightier.
    pub position: i64,
    /// Discord's permission bits.
    pub permissions: u64,
    /// Who alone gives it; `None` for one that members and bots can give.
    pub given_by: Option<Giver>,
}

/// Who alone gives a role that nobody can give by hand.
/// <https://discord.com/developers/docs/topics/permissions#role-object-role-tags-structure>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Giver {
    /// A bot or another integration.
    Integration,
    /// Discord, for boosting the server.
    Boosts,
    /// Discord, for a subscription or a purchase in the server's shop.
    Shop,
    /// Discord, for accounts that the member connected (a linked role).
    Connections,
}

/// What keeps the bot from giving and taking a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// The bot lacks the permission "Manage Roles", for any role.
    NoManageRoles,
    /// There is no such role.
    Gone,
    /// It is `@everyone`, which every member has.
    Everyone,
    /// Nobody can give it by hand.
    NotByHand {
        /// Its name.
        role: String,
        /// Who gives it.
        giver: Giver,
    },
    /// It stands at or above the bot's highest role.
    TooHigh {
        /// Its name.
        role: String,
        /// The name of the bot's highest role.
        highest: String,
    },
}

impl GuildRoles {
    /// What keeps the bot from giving and taking `role` in `guild`, if anything.
    pub fn obstacle(&self, guild: GuildId, role: RoleId) -> Option<Obstacle> {
        if role.0 == guild.0 {
            return Some(Obstacle::Everyone);
        }
        let Some(target) = self.roles.get(&role) else {
            return Some(Obstacle::Gone);
        };
        if let Some(giver) = target.given_by {
            return Some(Obstacle::NotByHand {
                role: target.name.clone(),
                giver,
            });
        }
        if self.owned {
            return None;
        }
        if self.permissions(guild) & (ADMINISTRATOR | MANAGE_ROLES) == 0 {
            return Some(Obstacle::NoManageRoles);
        }
        let highest = self.highest();
        if highest.is_some_and(|(id, own)| rank(id, own) > rank(role, target)) {
            return None;
        }
        let highest = highest.map_or("@everyone", |(_, own)| &own.name).to_owned();
        Some(Obstacle::TooHigh {
            role: target.name.clone(),
            highest,
        })
    }

    /// The bot's permissions in the whole server, as Discord's bits.
    pub fn permissions(&self, guild: GuildId) -> u64 {
        self.permissions_with(guild, &self.held)
    }

    /// The permissions in the whole server of who holds these roles, as Discord's bits; an owner has all besides.
    pub fn permissions_with(&self, guild: GuildId, held: &[RoleId]) -> u64 {
        let everyone = RoleId(guild.0);
        std::iter::once(&everyone)
            .chain(held)
            .filter_map(|id| self.roles.get(id))
            .fold(0, |all, role| all | role.permissions)
    }

    /// The bot's highest role.
    pub fn highest(&self) -> Option<(RoleId, &Role)> {
        self.highest_of(&self.held)
    }

    /// The highest of these roles.
    pub fn highest_of(&self, held: &[RoleId]) -> Option<(RoleId, &Role)> {
        let held = held
            .iter()
            .filter_map(|id| Some((*id, self.roles.get(id)?)));
        held.max_by_key(|(id, role)| rank(*id, role))
    }
}

/// Discord sorts roles by position, and of equal positions the older role stands higher.
fn rank(id: RoleId, role: &Role) -> (i64, Reverse<RoleId>) {
    (role.position, Reverse(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUILD: GuildId = GuildId(1);
    const BOT: RoleId = RoleId(10);
    const PAID: RoleId = RoleId(20);

    fn role(name: &str, position: i64, permissions: u64) -> Role {
        Role {
            name: name.into(),
            color: 0,
            position,
            permissions,
            given_by: None,
        }
    }

    fn roles() -> GuildRoles {
        GuildRoles {
            name: "Guild".into(),
            owner: UserId(1),
            roles: BTreeMap::from([
                (RoleId(GUILD.0), role("@everyone", 0, 0)),
                (BOT, role("bot", 5, MANAGE_ROLES)),
                (PAID, role("paid", 4, 0)),
            ]),
            held: vec![BOT],
            owned: false,
        }
    }

    #[test]
    fn a_role_below_the_bots_highest_can_be_given() {
        assert_eq!(roles().obstacle(GUILD, PAID), None);
    }

    #[test]
    fn roles_at_or_above_the_bots_highest_cannot() {
        let mut roles = roles();
        let too_high = Obstacle::TooHigh {
            role: "paid".into(),
            highest: "bot".into(),
        };
        roles.roles.insert(PAID, role("paid", 6, 0));
        assert_eq!(roles.obstacle(GUILD, PAID), Some(too_high.clone()));
        assert!(roles.obstacle(GUILD, BOT).is_some(), "nor can its own");
        // Of equal positions the older role, with the lower id, stands higher.
        roles.roles.insert(PAID, role("paid", 5, 0));
        assert_eq!(roles.obstacle(GUILD, PAID), None);
        roles.roles.insert(RoleId(9), role("paid", 5, 0));
        assert_eq!(roles.obstacle(GUILD, RoleId(9)), Some(too_high));
    }

    #[test]
    fn the_permission_may_come_from_any_role_or_from_administrator() {
        let mut roles = roles();
        roles.roles.insert(BOT, role("bot", 5, 0));
        assert_eq!(roles.obstacle(GUILD, PAID), Some(Obstacle::NoManageRoles));
        roles
            .roles
            .insert(RoleId(GUILD.0), role("@everyone", 0, MANAGE_ROLES));
        assert_eq!(roles.obstacle(GUILD, PAID), None);
        roles
            .roles
            .insert(RoleId(GUILD.0), role("@everyone", 0, ADMINISTRATOR));
        assert_eq!(roles.obstacle(GUILD, PAID), None);
    }

    #[test]
    fn a_bot_without_any_role_of_its_own_stands_below_all() {
        let mut roles = roles();
        roles.held.clear();
        roles
            .roles
            .insert(RoleId(GUILD.0), role("@everyone", 0, MANAGE_ROLES));
        assert!(matches!(
            roles.obstacle(GUILD, PAID),
            Some(Obstacle::TooHigh { .. })
        ));
        roles.owned = true;
        assert_eq!(
            roles.obstacle(GUILD, PAID),
            None,
            "unless it owns the server"
        );
    }

    #[test]
    fn gone_everyone_and_what_others_give_are_told_apart() {
        let mut roles = roles();
        assert_eq!(roles.obstacle(GUILD, RoleId(99)), Some(Obstacle::Gone));
        assert_eq!(
            roles.obstacle(GUILD, RoleId(GUILD.0)),
            Some(Obstacle::Everyone)
        );
        let giver = Giver::Boosts;
        roles.roles.get_mut(&PAID).unwrap().given_by = Some(giver);
        let role = "paid".to_owned();
        assert_eq!(
            roles.obstacle(GUILD, PAID),
            Some(Obstacle::NotByHand { role, giver })
        );
    }
}
