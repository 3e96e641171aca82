//! Where somebody uses the bot's commands: each command with its options, chosen from lists.
use maud::{Markup, html};
use serde_json::Value;

use super::names::Reader;
use super::role::ordered;
use crate::domain::{GuildId, UserId};
use crate::sandbox::discord::guild::Guild;
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::{Channel, World};

/// Option types (Discord, "Application Command Option Type").
mod kind {
    pub(super) const SUB_COMMAND: u64 = 1;
    pub(super) const GROUP: u64 = 2;
    pub(super) const INTEGER: u64 = 4;
    pub(super) const BOOLEAN: u64 = 5;
    pub(super) const USER: u64 = 6;
    pub(super) const CHANNEL: u64 = 7;
    pub(super) const ROLE: u64 = 8;
    pub(super) const MENTIONABLE: u64 = 9;
    pub(super) const NUMBER: u64 = 10;
}

/// Members that are offered by name; a crowd is not.
const OFFERED: usize = 50;

/// A command that can be typed: its words, and what it is registered with.
struct Typed<'a> {
    words: String,
    description: &'a str,
    options: Vec<&'a Value>,
}

/// The commands of a guild, each with its sub-commands spelled out.
fn typed(world: &World, guild: GuildId) -> Vec<Typed<'_>> {
    let commands = world
        .commands_in(Some(guild))
        .chain(world.commands_in(None));
    // Others than slash commands stand in menus of Discord's client.
    let mut all: Vec<_> = commands
        .filter(|command| command["type"].as_u64().unwrap_or(1) == 1)
        .flat_map(|command| spelled("", command))
        .collect();
    all.sort_by(|a, b| a.words.cmp(&b.words));
    all
}

fn spelled<'a>(before: &str, command: &'a Value) -> Vec<Typed<'a>> {
    let words = format!("{before} {}", command["name"].as_str().unwrap_or_default());
    let options: Vec<_> = command["options"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let is_inner = |option: &&&Value| {
        matches!(
            option["type"].as_u64(),
            Some(kind::SUB_COMMAND | kind::GROUP)
        )
    };
    let inner: Vec<_> = options.iter().filter(is_inner).collect();
    if inner.is_empty() {
        return vec![Typed {
            words: words.trim().to_owned(),
            description: command["description"].as_str().unwrap_or_default(),
            options,
        }];
    }
    inner
        .into_iter()
        .flat_map(|one| spelled(&words, one))
        .collect()
}

/// The form for one user in one guild, with room for the bot's answer.
pub(super) fn console(world: &World, guild: &Guild, user: UserId) -> Markup {
    let commands = typed(world, guild.id);
    let key = format!("{}-{user}", guild.id);
    // When the commands change, so does the form; otherwise what is typed stays.
    let form = format!("console-{key}-{}", commands.len());
    html! {
        @if commands.is_empty() {
            p.quiet { "The bot has no commands here yet." }
        } @else {
            form.command id=(form) data-keep="" data-guild=(guild.id) data-user=(user) {
                div.row {
                    label for=(format!("command-{key}")) { "Command" }
                    select id=(format!("command-{key}")) name="command" {
                        @for one in &commands {
                            option value=(one.words) selected[one.words == "status"] { "/" (one.words) }
                        }
                    }
                    button type="submit" id=(format!("run-{key}")) { "Send" }
                }
                @for one in &commands { (fields(world, guild, one, &key)) }
            }
        }
        output.reply id=(format!("reply-{key}")) data-keep="" aria-live="polite" {}
    }
}

fn fields(world: &World, guild: &Guild, command: &Typed<'_>, key: &str) -> Markup {
    html! {
        fieldset data-of=(command.words) disabled[command.words != "status"] hidden[command.words != "status"] {
            legend.quiet { (command.description) }
            @for option in &command.options {
                @let name = option["name"].as_str().unwrap_or_default();
                @let id = format!("{}-{name}-{key}", command.words.replace(' ', "-"));
                div.field {
                    label for=(id) {
                        (name)
                        @if option["required"] != true { span.quiet { " (optional)" } }
                    }
                    (control(world, guild, option, name, &id))
                    @if let Some(text) = option["description"].as_str() { p.quiet { (text) } }
                }
            }
        }
    }
}

fn control(world: &World, guild: &Guild, option: &Value, name: &str, id: &str) -> Markup {
    let required = option["required"] == true;
    let kind = option["type"].as_u64().unwrap_or_default();
    let choices = |choices: Vec<(String, String)>| {
        html! {
            select id=(id) name=(name) data-kind=(kind) required[required] {
                option value="" { "—" }
                @for (value, label) in choices { option value=(value) { (label) } }
            }
        }
    };
    let users = || {
        let people = guild.members.keys().filter(|user| **user != world.bot());
        let people = people.take(OFFERED);
        people
            .map(|user| {
                (
                    user.to_string(),
                    format!("@{}", shape::user_name(world, *user)),
                )
            })
            .collect::<Vec<_>>()
    };
    let roles = || {
        let roles = ordered(guild).into_iter();
        roles
            .map(|(id, role)| (id.to_string(), format!("@{}", role.name)))
            .collect::<Vec<_>>()
    };
    if let Some(listed) = option["choices"].as_array().filter(|all| !all.is_empty()) {
        let plain = |value: &Value| {
            let text = value.as_str().map(str::to_owned);
            text.unwrap_or_else(|| value.to_string())
        };
        let listed = listed.iter();
        return choices(
            listed
                .map(|one| (plain(&one["value"]), plain(&one["name"])))
                .collect(),
        );
    }
    match kind {
        kind::USER => choices(users()),
        kind::ROLE => choices(roles()),
        kind::MENTIONABLE => choices([users(), roles()].concat()),
        kind::CHANNEL => {
            let channels = guild.channels.iter();
            let named = channels.filter_map(|id| match world.channels.get(id)? {
                Channel::Text { name, .. } => Some((id.to_string(), format!("#{name}"))),
                Channel::Direct { .. } => None,
            });
            choices(named.collect())
        }
        kind::BOOLEAN => choices(
            ["true", "false"]
                .map(|one| (one.to_owned(), one.to_owned()))
                .into(),
        ),
        kind::INTEGER | kind::NUMBER => html! {
            input id=(id) name=(name) data-kind=(kind) type="number" required[required]
                min=[option["min_value"].as_i64()] max=[option["max_value"].as_i64()];
        },
        _ => html! {
            input id=(id) name=(name) data-kind=(kind) type="text" autocomplete="off" spellcheck="false"
                required[required] minlength=[option["min_length"].as_u64()] maxlength=[option["max_length"].as_u64()];
        },
    }
}

/// The options of a typed line with names put in place of ids: `role:Subscriber`, `member:@ada`, `channel:#general`.
pub(super) fn by_id(
    reader: &Reader<'_>,
    command: &str,
    options: Vec<(String, Value)>,
) -> Vec<(String, Value)> {
    let Some(guild) = reader.guild.and_then(|id| reader.world.guilds.get(&id)) else {
        return options;
    };
    let commands = typed(reader.world, guild.id);
    let registered = commands.iter().find(|one| one.words == command);
    let kind_of = |name: &str| {
        let options = registered?.options.iter();
        let option = options.copied().find(|option| option["name"] == name)?;
        option["type"].as_u64()
    };
    let found = |name: &str, value: &str| -> Option<String> {
        let wanted = value.trim_start_matches(['@', '#']).to_lowercase();
        let user = || {
            let mut people = guild.members.keys();
            people
                .find(|id| shape::user_name(reader.world, **id).to_lowercase() == wanted)
                .map(ToString::to_string)
        };
        let role = || {
            let mut roles = guild.roles.iter();
            roles
                .find(|(_, role)| role.name.to_lowercase() == wanted)
                .map(|(id, _)| id.to_string())
        };
        match kind_of(name)? {
            kind::USER => user(),
            kind::ROLE => role(),
            kind::MENTIONABLE => user().or_else(role),
            kind::CHANNEL => guild
                .channels
                .iter()
                .find(|id| match reader.world.channels.get(id) {
                    Some(Channel::Text { name, .. }) => *name == wanted,
                    _ => false,
                })
                .map(ToString::to_string),
            _ => None,
        }
    };
    options
        .into_iter()
        .map(|(name, value)| {
            let id = value.as_str().and_then(|text| found(&name, text));
            (name, id.map_or(value, Value::String))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn commands_are_spelled_with_their_sub_commands() {
        let words = |command: &Value| -> Vec<String> {
            let all = spelled("", command).into_iter();
            all.map(|one| one.words).collect()
        };
        let plain = json!({ "name": "status", "options": [{ "name": "user", "type": 6 }] });
        assert_eq!(words(&plain), ["status"]);
        let nested = json!({ "name": "amser", "options": [
            { "name": "check", "type": 1 }, { "name": "whois", "type": 1 }] });
        assert_eq!(words(&nested), ["amser check", "amser whois"]);
    }
}
