//! The JSON objects of Discord's API, as the documentation lists their fields.
use crate::domain::{GuildId, RoleId, UserId};
use serde_json::{Value, json};
use serenity::model::Permissions;
use serenity::model::id::ChannelId;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::guild::{Guild, Member, Role, RoleTag};
use super::world::{Channel, World};

/// Unix seconds as Discord writes time.
pub(crate) fn timestamp(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

/// The username of a user, known or not.
pub(crate) fn user_name(world: &World, id: UserId) -> String {
    let name = world.users.get(&id).and_then(|user| user.name.as_deref());
    name.map_or_else(|| format!("user{id}"), str::to_owned)
}

/// A user object.
pub(crate) fn user(world: &World, id: UserId) -> Value {
    let name = user_name(world, id);
    json!({
        "id": id,
        "username": name,
        "discriminator": "0",
        "global_name": name,
        "avatar": null,
        "bot": world.users.get(&id).is_some_and(|user| user.bot),
        "system": false,
        "public_flags": 0,
        "flags": 0,
        "banner": null,
        "accent_color": null,
    })
}

/// A user object as `/users/@me` shows it to the user.
pub(crate) fn current_user(world: &World, id: UserId) -> Value {
    let mut user = user(world, id);
    user["mfa_enabled"] = json!(false);
    user["verified"] = json!(true);
    user["locale"] = json!("en-US");
    user["email"] = Value::Null;
    user
}

/// A role object.
pub(crate) fn role(id: RoleId, role: &Role) -> Value {
    let mut shape = json!({
        "id": id,
        "name": role.name,
        "description": null,
        "color": role.color,
        "colors": { "primary_color": role.color, "secondary_color": null, "tertiary_color": null },
        "hoist": role.hoist,
        "icon": null,
        "unicode_emoji": null,
        "position": role.position,
        "permissions": role.permissions,
        "managed": role.managed,
        "mentionable": role.mentionable,
        "flags": 0,
    });
    if let Some(bot) = role.bot {
        shape["tags"] = json!({ "bot_id": bot });
    }
    // A tag that is there with null means yes (Discord, "Role Tags Structure").
    if let Some(tag) = role.tag {
        shape["tags"] = match tag {
            RoleTag::Booster => json!({ "premium_subscriber": null }),
            RoleTag::LinkedRole => json!({ "guild_connections": null }),
            RoleTag::Subscription => json!({ "integration_id": id, "subscription_listing_id": id }),
            RoleTag::Purchasable => json!({
                "integration_id": id,
                "subscription_listing_id": id,
                "available_for_purchase": null,
            }),
        };
    }
    shape
}

/// A guild member object; `with_guild` as gateway events carry it.
pub(crate) fn member(
    world: &World,
    guild: &Guild,
    id: UserId,
    member: &Member,
    with_guild: bool,
) -> Value {
    let mut shape = json!({
        "user": user(world, id),
        "nick": member.nick,
        "avatar": null,
        "banner": null,
        "roles": member.roles,
        "joined_at": timestamp(member.joined_at),
        "premium_since": null,
        "deaf": false,
        "mute": false,
        "flags": 0,
        "pending": member.pending,
        "communication_disabled_until": null,
    });
    if with_guild {
        shape["guild_id"] = json!(guild.id);
    }
    shape
}

/// All roles of a guild.
pub(crate) fn roles(guild: &Guild) -> Value {
    guild.roles.iter().map(|(id, one)| role(*id, one)).collect()
}

/// A guild object; `counts` as `?with_counts=true` asks.
pub(crate) fn guild(guild: &Guild, counts: bool) -> Value {
    let mut shape = json!({
        "id": guild.id,
        "name": guild.name,
        "icon": null,
        "icon_hash": null,
        "splash": null,
        "discovery_splash": null,
        "owner_id": guild.owner,
        "afk_channel_id": null,
        "afk_timeout": 300,
        "widget_enabled": false,
        "widget_channel_id": null,
        "verification_level": 1,
        "default_message_notifications": 1,
        "explicit_content_filter": 0,
        "roles": roles(guild),
        "emojis": [],
        "features": ["COMMUNITY"],
        "mfa_level": u8::from(guild.demands_two_factor),
        "application_id": null,
        "system_channel_id": null,
        "system_channel_flags": 0,
        "rules_channel_id": null,
        "max_presences": null,
        "max_members": 500_000,
        "vanity_url_code": null,
        "description": null,
        "banner": null,
        "premium_tier": 0,
        "premium_subscription_count": 0,
        "preferred_locale": "en-US",
        "public_updates_channel_id": null,
        "max_video_channel_users": 25,
        "max_stage_video_channel_users": 50,
        "nsfw_level": 0,
        "stickers": [],
        "premium_progress_bar_enabled": false,
        "safety_alerts_channel_id": null,
        "incidents_data": null,
    });
    if counts {
        shape["approximate_member_count"] = json!(guild.members.len());
        shape["approximate_presence_count"] = json!(1);
    }
    shape
}

/// Above this, GUILD_CREATE carries no member list but the bot itself.
const MEMBERS_IN_GUILD_CREATE: usize = 75_000;

/// The data of GUILD_CREATE. As documented, without the presences intent or above 75,000 members it names only the
/// bot; nobody is ever online here, so a guild above `large_threshold` names only the bot, too.
pub(crate) fn guild_create(
    world: &World,
    one: &Guild,
    presences: bool,
    large_threshold: usize,
) -> Value {
    if one.unavailable {
        return json!({ "id": one.id, "unavailable": true });
    }
    let mut shape = guild(one, false);
    let large = one.members.len() > large_threshold;
    let all = presences && !large && one.members.len() <= MEMBERS_IN_GUILD_CREATE;
    let bot = world.bot();
    // The whole map is not walked for the bot alone: it may have half a million entries.
    let (from, to) = if all {
        (UserId(0), UserId(u64::MAX))
    } else {
        (bot, bot)
    };
    let members: Vec<_> = one
        .members
        .range(from..=to)
        .map(|(id, data)| member(world, one, *id, data, false))
        .collect();
    let joined_at = one.members.get(&bot).map_or(0, |member| member.joined_at);
    shape["joined_at"] = json!(timestamp(joined_at));
    shape["large"] = json!(large);
    shape["unavailable"] = json!(false);
    shape["member_count"] = json!(one.members.len());
    shape["members"] = Value::Array(members);
    shape["channels"] = one
        .channels
        .iter()
        .filter_map(|id| world.channels.get(id).map(|data| channel(world, *id, data)))
        .collect();
    for empty in [
        "voice_states",
        "threads",
        "presences",
        "stage_instances",
        "guild_scheduled_events",
    ] {
        shape[empty] = json!([]);
    }
    shape["soundboard_sounds"] = json!([]);
    shape
}

/// What a channel denies the bot, where it denies anything.
fn overwrites(world: &World, denied: Permissions) -> Value {
    if denied.is_empty() {
        return json!([]);
    }
    json!([{ "id": world.bot(), "type": 1, "allow": "0", "deny": denied }])
}

/// A channel object.
pub(crate) fn channel(world: &World, id: ChannelId, channel: &Channel) -> Value {
    match channel {
        Channel::Text {
            guild,
            name,
            denied,
        } => json!({
            "id": id,
            "type": 0,
            "guild_id": guild,
            "name": name,
            "position": 0,
            "permission_overwrites": overwrites(world, *denied),
            "topic": null,
            "nsfw": false,
            "last_message_id": null,
            "rate_limit_per_user": 0,
            "parent_id": null,
            "flags": 0,
        }),
        Channel::Direct { user: with } => json!({
            "id": id,
            "type": 1,
            "last_message_id": null,
            "flags": 0,
            "recipients": [user(world, *with)],
        }),
    }
}

/// A guild as `/users/@me/guilds` lists it for a user.
pub(crate) fn user_guild(guild: &Guild, user: UserId) -> Value {
    json!({
        "id": guild.id,
        "name": guild.name,
        "icon": null,
        "banner": null,
        "owner": guild.owner == user,
        "permissions": guild.permissions(user),
        "features": ["COMMUNITY"],
        "approximate_member_count": guild.members.len(),
        "approximate_presence_count": 1,
    })
}

/// A member as interactions carry it: with its permissions in the channel.
pub(crate) fn interaction_member(
    world: &World,
    guild_id: GuildId,
    id: UserId,
    permissions: Permissions,
) -> Option<Value> {
    let guild = world.guilds.get(&guild_id)?;
    let mut shape = member(world, guild, id, guild.members.get(&id)?, false);
    shape["permissions"] = json!(permissions);
    Some(shape)
}
