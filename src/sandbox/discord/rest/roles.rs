//! A guild's roles: reading, making, changing, moving and deleting them.
//!
//! <https://discord.com/developers/docs/resources/guild#create-guild-role>
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use serenity::model::Permissions;

use crate::domain::{GuildId, RoleId};
use crate::sandbox::discord::call::{Answer, Call, Handled};
use crate::sandbox::discord::error::ApiError;
use crate::sandbox::discord::guild::{Guild, Role};
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::World;

/// Roles that a guild can have, @everyone among them.
const MOST_ROLES: usize = 250;
/// Characters of a role's name.
const LONGEST_NAME: usize = 100;
/// The highest colour, 0xRRGGBB.
const LAST_COLOR: u32 = 0xff_ffff;

pub(crate) fn list(world: &mut World, call: &Call) -> Handled {
    Ok(Answer::json(&shape::roles(
        world.guild_of_bot(call.guild()?)?,
    )))
}

pub(crate) fn get(world: &mut World, call: &Call) -> Handled {
    one(world, call.guild()?, call.role()?)
}

fn one(world: &World, guild: GuildId, role: RoleId) -> Handled {
    let guild = world.guild_of_bot(guild)?;
    Ok(Answer::json(&shape::role(role, guild.role(role)?)))
}

pub(crate) fn member_counts(world: &mut World, call: &Call) -> Handled {
    let guild = world.guild_of_bot(call.guild()?)?;
    let mut counts: BTreeMap<RoleId, u64> = guild
        .roles
        .keys()
        .filter(|role| **role != guild.everyone())
        .map(|role| (*role, 0))
        .collect();
    for role in guild.members.values().flat_map(|member| &member.roles) {
        *counts.entry(*role).or_default() += 1;
    }
    let counts: serde_json::Map<_, _> = counts
        .iter()
        .map(|(role, count)| (role.to_string(), json!(count)))
        .collect();
    Ok(Answer::json(&Value::Object(counts)))
}

/// The fields of Create Guild Role and of Modify Guild Role; all are optional and nullable.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    name: Option<String>,
    permissions: Option<Permissions>,
    color: Option<u32>,
    colors: Option<Colors>,
    hoist: Option<bool>,
    icon: Option<String>,
    unicode_emoji: Option<String>,
    mentionable: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Colors {
    primary_color: u32,
    secondary_color: Option<u32>,
    tertiary_color: Option<u32>,
}

impl Fields {
    /// What the form itself must be.
    fn check(&self) -> Result<(), ApiError> {
        if self
            .name
            .as_ref()
            .is_some_and(|name| name.chars().count() > LONGEST_NAME)
        {
            let message = format!("Must be {LONGEST_NAME} or fewer in length.");
            return Err(ApiError::invalid_form(
                "name",
                "BASE_TYPE_MAX_LENGTH",
                message,
            ));
        }
        if self.primary_color().is_some_and(|color| color > LAST_COLOR) {
            let message = format!("int value should be less than or equal to {LAST_COLOR}.");
            return Err(ApiError::invalid_form("color", "NUMBER_TYPE_MAX", message));
        }
        let gradient = self.colors.as_ref().is_some_and(|colors| {
            colors.secondary_color.is_some() || colors.tertiary_color.is_some()
        });
        // Guilds here have neither ROLE_ICONS nor ENHANCED_ROLE_COLORS.
        if gradient || self.icon.is_some() || self.unicode_emoji.is_some() {
            return Err(ApiError::needs_boosts());
        }
        Ok(())
    }

    /// `colors` wins over the deprecated `color`.
    fn primary_color(&self) -> Option<u32> {
        let new = self.colors.as_ref().map(|colors| colors.primary_color);
        new.or(self.color)
    }

    fn apply(self, role: &mut Role) {
        if let Some(color) = self.primary_color() {
            role.color = color;
        }
        if let Some(name) = self.name.filter(|name| !name.is_empty()) {
            role.name = name;
        }
        role.permissions = self.permissions.unwrap_or(role.permissions);
        role.hoist = self.hoist.unwrap_or(role.hoist);
        role.mentionable = self.mentionable.unwrap_or(role.mentionable);
    }
}

/// The guild, when the bot may manage its roles.
fn managed<'a>(world: &'a World, call: &Call) -> Result<&'a Guild, ApiError> {
    let guild = world.guild_of_bot(call.guild()?)?;
    if guild.permissions(world.bot()).manage_roles() {
        Ok(guild)
    } else {
        Err(ApiError::missing_permissions())
    }
}

/// The same, when the bot stands above this role too.
fn below(world: &World, call: &Call, role: RoleId) -> Result<(), ApiError> {
    let guild = managed(world, call)?;
    guild.role(role)?;
    if guild.stands_above(world.bot(), role) {
        Ok(())
    } else {
        Err(ApiError::missing_permissions())
    }
}

/// A bot can only allow what it may do itself.
fn may_allow(world: &World, guild: &Guild, permissions: Permissions) -> Result<(), ApiError> {
    if guild.permissions(world.bot()).contains(permissions) {
        Ok(())
    } else {
        Err(ApiError::missing_permissions())
    }
}

pub(crate) fn create(world: &mut World, call: &Call) -> Handled {
    let fields: Fields = call.json()?;
    fields.check()?;
    let guild = managed(world, call)?;
    let everyone = guild.role(guild.everyone())?.permissions;
    if let Some(permissions) = fields.permissions {
        may_allow(world, guild, permissions)?;
    }
    if guild.roles.len() >= MOST_ROLES {
        return Err(ApiError::too_many_roles());
    }
    let id = guild.id;
    let mut role = Role {
        name: "new role".to_owned(),
        permissions: everyone,
        ..Role::default()
    };
    fields.apply(&mut role);
    let role_id = RoleId(world.new_id());
    world.create_role(id, role_id, role)?;
    one(world, id, role_id)
}

pub(crate) fn edit(world: &mut World, call: &Call) -> Handled {
    let (guild, role) = (call.guild()?, call.role()?);
    let fields: Fields = call.json()?;
    fields.check()?;
    below(world, call, role)?;
    if let Some(permissions) = fields.permissions {
        let found = world.guild_of_bot(guild)?;
        // Only what is new is a matter of what the bot may do.
        may_allow(world, found, permissions - found.role(role)?.permissions)?;
    }
    world.edit_role(guild, role, |role| fields.apply(role))?;
    one(world, guild, role)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Moved {
    id: RoleId,
    position: Option<u16>,
}

pub(crate) fn reorder(world: &mut World, call: &Call) -> Handled {
    let moves: Vec<Moved> = call.json()?;
    let guild = managed(world, call)?;
    let (id, bot) = (guild.id, world.bot());
    let highest = guild.role(guild.highest_role(bot))?.position;
    let mut to = BTreeMap::new();
    for one in moves {
        if one.id == guild.everyone() {
            return Err(ApiError::invalid_role());
        }
        let present = guild.role(one.id)?.position;
        let Some(position) = one.position.filter(|position| *position != present) else {
            continue;
        };
        let too_high = position >= highest && bot != guild.owner;
        if too_high || !guild.stands_above(bot, one.id) {
            return Err(ApiError::missing_permissions());
        }
        to.insert(one.id, position.max(1));
    }
    world.move_roles(id, &to)?;
    list(world, call)
}

pub(crate) fn delete(world: &mut World, call: &Call) -> Handled {
    let (guild, role) = (call.guild()?, call.role()?);
    below(world, call, role)?;
    let found = world.guild_of_bot(guild)?;
    if role == found.everyone() || found.role(role)?.managed {
        return Err(ApiError::invalid_role());
    }
    world.delete_role(guild, role)?;
    Ok(Answer::no_content())
}
