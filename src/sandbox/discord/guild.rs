//! A guild's state: roles and their order, members, and who may do what.
use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use crate::domain::{GuildId, RoleId, UserId};
use serenity::model::Permissions;
use serenity::model::id::ChannelId;

use super::error::ApiError;

/// A person or a bot, known to Discord whether or not a member of anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct User {
    /// The username; `None` for members added in bulk, whose name follows from their id.
    pub(crate) name: Option<Box<str>>,
    pub(crate) bot: bool,
    /// Direct messages from the bot are refused.
    pub(crate) closed_to_messages: bool,
}

/// What Discord itself keeps a role for, so that nobody gives it by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleTag {
    /// For who boosts the server.
    Booster,
    /// For who meets an application's conditions (linked roles).
    LinkedRole,
    /// Comes with a subscription to the server that Discord sells.
    Subscription,
    /// The same, and offered for sale.
    Purchasable,
}

/// A role of a guild.
#[derive(Clone, Debug, Default)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) color: u32,
    pub(crate) permissions: Permissions,
    /// 0 for @everyone; higher is mightier.
    pub(crate) position: u16,
    pub(crate) managed: bool,
    /// Shown apart in the member list.
    pub(crate) hoist: bool,
    pub(crate) mentionable: bool,
    /// The bot whose integration role this is.
    pub(crate) bot: Option<UserId>,
    pub(crate) tag: Option<RoleTag>,
}

/// A member of a guild. Small, because tests have 100,000 of them.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Sorted, without @everyone.
    pub(crate) roles: Vec<RoleId>,
    pub(crate) nick: Option<Box<str>>,
    /// The rules of the server are not accepted yet.
    pub(crate) pending: bool,
    /// Unix seconds.
    pub(crate) joined_at: i64,
}

/// A guild.
#[derive(Clone, Debug)]
pub(crate) struct Guild {
    pub(crate) id: GuildId,
    pub(crate) name: String,
    pub(crate) owner: UserId,
    pub(crate) roles: BTreeMap<RoleId, Role>,
    pub(crate) members: BTreeMap<UserId, Member>,
    /// Its text channels.
    pub(crate) channels: Vec<ChannelId>,
    /// An outage of Discord's hides it from the gateway.
    pub(crate) unavailable: bool,
    /// Moderation needs two-factor authentication, which the application's owner does not have.
    pub(crate) demands_two_factor: bool,
    /// Who changed whose roles, oldest first: the newest of them.
    pub(crate) role_updates: VecDeque<RoleUpdate>,
}

/// One entry of the audit log: a member's role was given or taken.
#[derive(Clone, Debug)]
pub(crate) struct RoleUpdate {
    pub(crate) id: u64,
    /// Who did it.
    pub(crate) by: UserId,
    pub(crate) member: UserId,
    pub(crate) role: RoleId,
    /// Given, or taken.
    pub(crate) given: bool,
    pub(crate) reason: Option<String>,
}

impl Guild {
    pub(crate) fn everyone(&self) -> RoleId {
        RoleId(self.id.0)
    }

    pub(crate) fn member(&self, user: UserId) -> Result<&Member, ApiError> {
        self.members.get(&user).ok_or_else(ApiError::unknown_member)
    }

    pub(crate) fn role(&self, role: RoleId) -> Result<&Role, ApiError> {
        self.roles.get(&role).ok_or_else(ApiError::unknown_role)
    }

    /// The member's permissions in the guild: those of @everyone and of all their roles; all for the owner and for
    /// administrators.
    pub(crate) fn permissions(&self, user: UserId) -> Permissions {
        if user == self.owner {
            return Permissions::all();
        }
        let Some(member) = self.members.get(&user) else {
            return Permissions::empty();
        };
        let everyone = self.everyone();
        let permissions = std::iter::once(&everyone)
            .chain(&member.roles)
            .filter_map(|role| self.roles.get(role))
            .fold(Permissions::empty(), |sum, role| sum | role.permissions);
        if permissions.administrator() {
            Permissions::all()
        } else {
            permissions
        }
    }

    /// Where a role stands: compared by position, and at equal positions the older (lower) id is higher.
    fn rank(&self, id: RoleId) -> (u16, Reverse<RoleId>) {
        let position = self.roles.get(&id).map_or(0, |role| role.position);
        (position, Reverse(id))
    }

    /// The member's highest role; @everyone when they have none.
    pub(crate) fn highest_role(&self, user: UserId) -> RoleId {
        let roles = self
            .members
            .get(&user)
            .map(|member| member.roles.as_slice());
        roles
            .unwrap_or_default()
            .iter()
            .copied()
            .max_by_key(|role| self.rank(*role))
            .unwrap_or_else(|| self.everyone())
    }

    /// Whether `actor` may give or take `role`: MANAGE_ROLES, a role that is not managed and not @everyone, strictly
    /// below the actor's highest one (the owner stands above all).
    pub(crate) fn may_assign(&self, actor: UserId, role: RoleId) -> Result<(), ApiError> {
        if self.demands_two_factor && actor != self.owner {
            return Err(ApiError::two_factor_required());
        }
        if !self.permissions(actor).manage_roles() {
            return Err(ApiError::missing_permissions());
        }
        if role == self.everyone() {
            return Err(ApiError::invalid_role());
        }
        let data = self.role(role)?;
        if data.managed || data.tag.is_some() || !self.stands_above(actor, role) {
            return Err(ApiError::missing_permissions());
        }
        Ok(())
    }

    /// Whether the member's highest role is strictly above this one. The owner stands above all.
    pub(crate) fn stands_above(&self, actor: UserId, role: RoleId) -> bool {
        actor == self.owner || self.rank(role) < self.rank(self.highest_role(actor))
    }

    /// Puts a new role right above @everyone, as Discord does, moving the others up.
    pub(crate) fn insert_role(&mut self, id: RoleId, mut role: Role) {
        for other in self.roles.values_mut().filter(|other| other.position > 0) {
            other.position += 1;
        }
        role.position = 1;
        self.roles.insert(id, role);
    }

    /// Gives positions 1, 2, … to `order` (lowest first); roles not named go on top in their present order.
    pub(crate) fn order_roles(&mut self, order: &[RoleId]) {
        let everyone = self.everyone();
        let mut rest: Vec<_> = self
            .roles
            .keys()
            .copied()
            .filter(|id| *id != everyone && !order.contains(id))
            .collect();
        rest.sort_by_key(|id| self.rank(*id));
        for (id, position) in order.iter().chain(&rest).zip(1..) {
            if let Some(role) = self.roles.get_mut(id) {
                role.position = position;
            }
        }
    }

    /// Moves roles to positions and closes the gaps. Returns the roles whose position is another one afterwards.
    pub(crate) fn move_roles(&mut self, to: &BTreeMap<RoleId, u16>) -> Vec<RoleId> {
        let before: BTreeMap<_, _> = self.positions().collect();
        for (id, position) in to {
            if let Some(role) = self.roles.get_mut(id) {
                role.position = *position;
            }
        }
        self.order_roles(&[]);
        let changed = self.positions();
        changed
            .filter(|(id, position)| before.get(id) != Some(position))
            .map(|(id, _)| id)
            .collect()
    }

    fn positions(&self) -> impl Iterator<Item = (RoleId, u16)> {
        self.roles.iter().map(|(id, role)| (*id, role.position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(permissions: Permissions) -> Role {
        Role {
            name: "r".into(),
            permissions,
            ..Role::default()
        }
    }

    fn guild() -> Guild {
        let id = GuildId(1);
        let mut guild = Guild {
            id,
            name: "g".into(),
            owner: UserId(10),
            roles: BTreeMap::from([(RoleId(id.0), role(Permissions::VIEW_CHANNEL))]),
            members: BTreeMap::new(),
            channels: Vec::new(),
            unavailable: false,
            role_updates: VecDeque::new(),
            demands_two_factor: false,
        };
        guild.insert_role(RoleId(2), role(Permissions::MANAGE_ROLES));
        guild.insert_role(RoleId(3), role(Permissions::empty()));
        guild.members.insert(
            UserId(20),
            Member {
                roles: vec![RoleId(2)],
                nick: None,
                pending: false,
                joined_at: 0,
            },
        );
        guild
    }

    fn code(result: Result<(), ApiError>) -> u32 {
        result.unwrap_err().code
    }

    #[test]
    fn only_roles_below_the_actors_highest_can_be_assigned() {
        let mut guild = guild();
        let bot = UserId(20);
        assert!(guild.may_assign(bot, RoleId(3)).is_ok());
        assert_eq!(
            code(guild.may_assign(bot, RoleId(2))),
            50013,
            "its own role is not below"
        );
        guild.order_roles(&[RoleId(2), RoleId(3)]);
        assert_eq!(code(guild.may_assign(bot, RoleId(3))), 50013);
        assert!(
            guild.may_assign(UserId(10), RoleId(3)).is_ok(),
            "the owner may"
        );
    }

    #[test]
    fn managed_unknown_and_everyone_roles_cannot_be_assigned() {
        let mut guild = guild();
        let bot = UserId(20);
        guild.roles.get_mut(&RoleId(3)).unwrap().managed = true;
        assert_eq!(code(guild.may_assign(bot, RoleId(3))), 50013);
        assert_eq!(code(guild.may_assign(bot, RoleId(99))), 10011);
        assert_eq!(code(guild.may_assign(bot, guild.everyone())), 50028);
    }

    #[test]
    fn without_manage_roles_nothing_can_be_assigned() {
        let mut guild = guild();
        guild.roles.get_mut(&RoleId(2)).unwrap().permissions = Permissions::empty();
        assert_eq!(code(guild.may_assign(UserId(20), RoleId(3))), 50013);
    }

    #[test]
    fn roles_that_discord_keeps_for_itself_cannot_be_assigned() {
        let mut guild = guild();
        guild.roles.get_mut(&RoleId(3)).unwrap().tag = Some(RoleTag::LinkedRole);
        assert_eq!(code(guild.may_assign(UserId(20), RoleId(3))), 50013);
    }

    #[test]
    fn moved_roles_close_the_gaps_they_leave() {
        let mut guild = guild();
        guild.insert_role(RoleId(4), role(Permissions::empty()));
        // 4, 3, 2 from the lowest up.
        let moved = guild.move_roles(&BTreeMap::from([(RoleId(4), 7)]));
        assert_eq!(moved, [RoleId(2), RoleId(3), RoleId(4)]);
        assert_eq!(guild.roles[&RoleId(3)].position, 1);
        assert_eq!(guild.roles[&RoleId(2)].position, 2);
        assert_eq!(guild.roles[&RoleId(4)].position, 3);
        assert_eq!(guild.move_roles(&BTreeMap::new()), []);
    }

    #[test]
    fn at_equal_positions_the_older_role_is_higher() {
        let mut guild = guild();
        guild.roles.get_mut(&RoleId(2)).unwrap().position = 1;
        assert!(guild.may_assign(UserId(20), RoleId(3)).is_ok());
    }
}
