//! A user's side of interactions: typing a command, pressing a button, reading the answer.
mod form;
mod menu;

use std::time::{Duration, Instant};

use crate::domain::{GuildId, RoleId, UserId};
use serde_json::{Map, Value, json};
use serenity::model::Permissions;
use serenity::model::id::{ChannelId, InteractionId, MessageId};

use super::envelope::envelope;
use super::handle::LocalDiscord;
use super::interaction::{Interaction, NoReply, Reply};
use super::shape;
use super::world::World;

/// How long a deferred answer is waited for.
const THINKING: Duration = Duration::from_secs(60);

impl LocalDiscord {
    /// Types a slash command in the guild's first channel (without a guild: in direct messages with the bot) and waits for
    /// the answer, also of a deferred one.
    ///
    /// `name` may name sub-commands: `"amser check"`. Options are JSON values; users, roles and channels are their ids
    /// as strings. The 3 s rule of Discord is enforced.
    pub async fn run_command(
        &self,
        guild: impl Into<Option<GuildId>>,
        user: UserId,
        name: &str,
        options: &[(&str, Value)],
    ) -> Result<Reply, NoReply> {
        let id = self.start_command(guild, user, name, options)?;
        self.finish(id).await
    }

    /// Types a slash command and does not wait; [`Self::reply`] reads the answer.
    pub fn start_command(
        &self,
        guild: impl Into<Option<GuildId>>,
        user: UserId,
        name: &str,
        options: &[(&str, Value)],
    ) -> Result<InteractionId, NoReply> {
        let guild = guild.into();
        self.shared.change(|world| {
            let (kind, mut data) = command_data(world, guild, user, name, options)?;
            data["guild_id"] = kind;
            let channel = match guild {
                Some(guild) => first_channel(world, guild)?,
                None => world.direct_channel(user),
            };
            world.interact(guild, channel, user, None, 2, &json!({ "data": data }))
        })
    }

    /// Presses a button of a message that the user sees (of a reply or in a channel), and waits for the answer.
    pub async fn click_button(
        &self,
        guild: impl Into<Option<GuildId>>,
        user: UserId,
        message: MessageId,
        custom_id: &str,
    ) -> Result<Reply, NoReply> {
        let guild = guild.into();
        let id = self.shared.change(|world| {
            let not_offered = |why: &str| NoReply::NotOffered(why.to_owned());
            let found = world.messages.iter().find(|((_, id), _)| *id == message);
            let ((channel, _), shown) =
                found.ok_or_else(|| not_offered("there is no such message"))?;
            let rows = shown["components"].as_array().into_iter().flatten();
            let mut items = rows.flat_map(|row| row["components"].as_array().into_iter().flatten());
            let item = items
                .find(|item| item["custom_id"] == custom_id)
                .ok_or_else(|| not_offered("the message has no such button"))?;
            if item["disabled"] == true {
                return Err(not_offered("the button is disabled"));
            }
            let data = json!({
                "data": { "custom_id": custom_id, "component_type": item["type"], "values": [] },
                "message": shown,
            });
            world.interact(guild, *channel, user, Some(message), 3, &data)
        })?;
        self.finish(id).await
    }

    /// The answer to an interaction as it stands now, with all edits and follow-ups.
    pub fn reply(&self, interaction: InteractionId) -> Option<Reply> {
        self.shared.read(|world| world.reply(interaction))
    }

    async fn finish(&self, id: InteractionId) -> Result<Reply, NoReply> {
        let deadline = self.shared.read(|world| world.options.interaction_deadline);
        let answered = |discord: &Self| {
            discord.shared.read(|world| {
                world
                    .interactions
                    .0
                    .get(&id)
                    .is_some_and(|one| one.answered_after.is_some())
            })
        };
        self.wait_until("the interaction is answered", deadline, answered)
            .await
            .map_err(|_| NoReply::NoAnswer)?;
        if let Some(form) = self.shared.read(|world| world.form(id)) {
            return Err(NoReply::Form(Box::new(form)));
        }
        let finished = |discord: &Self| discord.reply(id).is_some();
        self.wait_until("the deferred answer came", THINKING, finished)
            .await
            .map_err(|_| NoReply::StillThinking)?;
        self.reply(id).ok_or(NoReply::StillThinking)
    }
}

impl World {
    /// Creates an interaction and sends it to the bot.
    fn interact(
        &mut self,
        guild: Option<GuildId>,
        channel: ChannelId,
        user: UserId,
        source: Option<MessageId>,
        kind: u8,
        extra: &Value,
    ) -> Result<InteractionId, NoReply> {
        let id = InteractionId::new(self.new_id());
        // Opaque to bots; long, as the real ones are.
        let token = format!("local-interaction-{id}-{:064x}", id.get());
        let payload = envelope(self, id, &token, guild, channel, user);
        let mut payload = payload.ok_or_else(|| {
            NoReply::NotOffered("the user is not a member of the guild".to_owned())
        })?;
        payload["type"] = json!(kind);
        if let (Some(payload), Some(extra)) = (payload.as_object_mut(), extra.as_object()) {
            payload.extend(extra.clone());
        }
        let interaction = Interaction {
            token,
            created: Instant::now(),
            channel,
            kind,
            source,
            modal: None,
            answered_after: None,
            thinking: false,
            deferred: false,
            original: None,
            followups: Vec::new(),
        };
        self.interactions.0.insert(id, interaction);
        // Shard 0 serves direct messages, as it would the guild 0.
        if self
            .sessions
            .interact(guild.unwrap_or(GuildId(0)), &payload)
        {
            Ok(id)
        } else {
            self.interactions.0.remove(&id);
            Err(NoReply::NotConnected)
        }
    }
}

fn first_channel(world: &World, guild: GuildId) -> Result<ChannelId, NoReply> {
    let channels = world
        .guilds
        .get(&guild)
        .map(|guild| guild.channels.as_slice());
    let first = channels.unwrap_or_default().first().copied();
    first.ok_or_else(|| NoReply::NotOffered("the guild has no channel".to_owned()))
}

/// Finds the registered command, checks that the user may use it, and makes the interaction's data.
/// Also returns the guild id when it is a guild's command.
fn command_data(
    world: &World,
    guild_id: Option<GuildId>,
    user: UserId,
    name: &str,
    options: &[(&str, Value)],
) -> Result<(Value, Value), NoReply> {
    let not_offered = |why: String| NoReply::NotOffered(why);
    let mut words = name.split_whitespace();
    let first = words.next().unwrap_or_default();
    let of_guild = guild_id
        .into_iter()
        .flat_map(|guild| world.commands_in(Some(guild)));
    let mut known = of_guild.chain(world.commands_in(None));
    let command = known
        .find(|command| command["name"] == first && command["type"] == 1)
        .ok_or_else(|| not_offered(format!("there is no command /{first}")))?;
    let context = json!(u8::from(guild_id.is_none()));
    let contexts = command["contexts"].as_array();
    if contexts.is_some_and(|contexts| !contexts.contains(&context)) {
        return Err(not_offered(format!("/{first} is not offered here")));
    }
    if let Some(guild) = guild_id {
        check_permissions(world, guild, user, command)?;
    }
    let data = options_data(world, guild_id, command, name, words, options)?;
    Ok((command["guild_id"].clone(), data))
}

/// Whether the guild offers the command to the user.
fn check_permissions(
    world: &World,
    guild: GuildId,
    user: UserId,
    command: &Value,
) -> Result<(), NoReply> {
    let not_offered = |why: String| NoReply::NotOffered(why);
    let guild = world
        .guilds
        .get(&guild)
        .filter(|guild| guild.members.contains_key(&world.bot()));
    let guild = guild.ok_or_else(|| not_offered("the bot is not in the guild".to_owned()))?;
    let needed = command["default_member_permissions"]
        .as_str()
        .and_then(|bits| bits.parse().ok());
    let needed = needed.map_or(Permissions::empty(), Permissions::from_bits_truncate);
    let has = guild.permissions(user);
    // A value of "0" offers the command to administrators alone.
    let nobody = needed.is_empty() && command["default_member_permissions"] == "0";
    if !has.contains(needed) || (nobody && !has.administrator()) {
        let name = &command["name"];
        return Err(not_offered(format!("the member may not use /{name}")));
    }
    Ok(())
}

/// The interaction's data: the way through the sub-commands, and the options given.
fn options_data<'a>(
    world: &World,
    guild_id: Option<GuildId>,
    command: &Value,
    name: &str,
    words: impl Iterator<Item = &'a str>,
    options: &[(&str, Value)],
) -> Result<Value, NoReply> {
    let not_offered = |why: String| NoReply::NotOffered(why);
    let mut path = Vec::new();
    let mut level = command;
    for word in words {
        let inner = level["options"].as_array().into_iter().flatten();
        let mut inner = inner.filter(|option| matches!(option["type"].as_u64(), Some(1 | 2)));
        level = inner
            .find(|option| option["name"] == word)
            .ok_or_else(|| not_offered(format!("there is no command /{name}")))?;
        path.push(level);
    }
    let mut resolved = Map::new();
    let mut given = fill(world, guild_id, level, options, &mut resolved)?;
    for nested in path.into_iter().rev() {
        let one = json!({ "type": nested["type"], "name": nested["name"], "options": given });
        given = json!([one]);
    }
    Ok(json!({
        "id": command["id"],
        "name": command["name"],
        "type": 1,
        "options": given,
        "resolved": resolved,
    }))
}

/// Fits the given options to the command's, as Discord's client does.
fn fill(
    world: &World,
    guild_id: Option<GuildId>,
    level: &Value,
    given: &[(&str, Value)],
    resolved: &mut Map<String, Value>,
) -> Result<Value, NoReply> {
    let wrong = |why: String| Err(NoReply::WrongOption(why));
    let known = level["options"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if known
        .iter()
        .any(|option| matches!(option["type"].as_u64(), Some(1 | 2)))
    {
        return wrong("name one of the sub-commands".to_owned());
    }
    for option in known.iter().filter(|option| option["required"] == true) {
        if !given.iter().any(|(name, _)| option["name"] == *name) {
            return wrong(format!("the option {} is required", option["name"]));
        }
    }
    let mut filled = Vec::new();
    for (name, value) in given {
        let Some(option) = known.iter().find(|option| option["name"] == *name) else {
            return wrong(format!("there is no option {name}"));
        };
        let kind = option["type"].as_u64().unwrap_or(0);
        let fits = match kind {
            3 => value.is_string(),
            4 => value.is_i64() || value.is_u64(),
            5 => value.is_boolean(),
            6..=9 => value.as_str().is_some_and(|id| id.parse::<u64>().is_ok()),
            10 => value.is_number(),
            _ => false,
        };
        let choices = option["choices"]
            .as_array()
            .filter(|choices| !choices.is_empty());
        let chosen =
            choices.is_none_or(|choices| choices.iter().any(|choice| choice["value"] == *value));
        let text = value.as_str().map_or(0, |text| text.chars().count() as u64);
        let number = value.as_f64().unwrap_or(0.0);
        let in_range = kind != 3
            || (text >= option["min_length"].as_u64().unwrap_or(0)
                && text <= option["max_length"].as_u64().unwrap_or(6000));
        let in_range = in_range
            && option["min_value"]
                .as_f64()
                .is_none_or(|least| number >= least)
            && option["max_value"]
                .as_f64()
                .is_none_or(|most| number <= most);
        if !(fits && chosen && in_range) {
            return wrong(format!("{value} does not fit the option {name}"));
        }
        resolve(world, guild_id, kind, value, resolved);
        let focused = json!({ "name": name, "type": kind, "value": value });
        filled.push(focused);
    }
    Ok(Value::Array(filled))
}

/// Adds the objects behind an id to `resolved`.
fn resolve(
    world: &World,
    guild_id: Option<GuildId>,
    kind: u64,
    value: &Value,
    resolved: &mut Map<String, Value>,
) {
    let Some(text) = value.as_str() else {
        return;
    };
    let guild = guild_id.and_then(|id| world.guilds.get(&id));
    let Some(id) = text.parse::<u64>().ok().filter(|id| *id != 0) else {
        return;
    };
    let mut add = |group: &str, object: Value| {
        resolved.entry(group).or_insert_with(|| json!({}))[text] = object;
    };
    let user = UserId(id);
    if matches!(kind, 6 | 9) && world.users.contains_key(&user) {
        add("users", shape::user(world, user));
        let member = guild.and_then(|guild| {
            shape::interaction_member(world, guild.id, user, guild.permissions(user))
        });
        if let Some(mut member) = member {
            if let Some(member) = member.as_object_mut() {
                // Discord leaves out what `users` already says.
                for key in ["user", "deaf", "mute"] {
                    member.remove(key);
                }
            }
            add("members", member);
        }
    }
    let role = guild.and_then(|guild| guild.roles.get(&RoleId(id)));
    if let (8 | 9, Some(role)) = (kind, role) {
        add("roles", shape::role(RoleId(id), role));
    }
    if let (7, Some(channel)) = (kind, world.channels.get(&id.into())) {
        let mut place = shape::channel(world, id.into(), channel);
        place["permissions"] = json!(Permissions::all());
        add("channels", place);
    }
}
