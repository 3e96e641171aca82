//! A member's card: who it is, the roles, and the buttons.
use maud::{Markup, html};
use serde_json::{Value, json};

use crate::domain::{GuildId, RoleId, UserId};
use crate::sandbox::discord::guild::{Guild, Member, Role};
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::World;

/// An option's type that is a sub-command (Discord, "Application Command Option Type").
const SUB_COMMAND: u8 = 1;

/// A member's buttons: label, action, and what it does.
const LIFE: &[(&str, &str, &str)] = &[
    (
        "Link wallet",
        "link_wallet",
        "Links a wallet of this machine to the member",
    ),
    (
        "Subscribe",
        "subscribe",
        "Subscribes to the plan; the first payment is still due",
    ),
    ("Pay", "pay", "Executes a payment that succeeds"),
    (
        "Fail payment",
        "fail_payment",
        "Waits until a payment is due and lets it fail",
    ),
    ("Pause", "pause", "The subscriber suspends the subscription"),
    ("Resume", "resume", "The subscriber resumes it"),
    ("Cancel", "cancel", "The subscriber cancels it"),
    (
        "Unlink",
        "unlink_wallet",
        "Takes the wallet from the member",
    ),
];

/// Roles without @everyone, highest first.
pub(super) fn ordered(guild: &Guild) -> Vec<(RoleId, &Role)> {
    let mut roles: Vec<_> = guild.roles.iter().map(|(id, role)| (*id, role)).collect();
    roles.retain(|(_, role)| role.position > 0);
    roles.sort_by_key(|(id, role)| (std::cmp::Reverse(role.position), *id));
    roles
}

/// A role.
pub(super) fn chip(guild: &Guild, id: RoleId, role: &Role) -> Markup {
    let color = if role.color == 0 {
        0x99_aab5
    } else {
        role.color
    };
    html! {
        li.chip data-role=(id) title=(format!("position {} of {}", role.position, guild.roles.len() - 1)) {
            svg viewBox="0 0 10 10" width="10" height="10" aria-hidden="true" {
                circle cx="5" cy="5" r="5" fill=(format!("#{color:06x}")) {}
            }
            span { (role.name) }
            @if role.bot.is_some() { span.tag { "bot" } } @else if role.managed { span.tag { "managed" } }
        }
    }
}

/// A button's action: what somebody does in Discord by hand.
pub(super) fn hand(action: &str, guild: GuildId, user: UserId, role: Option<RoleId>) -> String {
    let mut posted = json!({ "action": action, "guild_id": guild, "user_id": user });
    if let Some(role) = role {
        posted["role_id"] = json!(role);
    }
    posted.to_string()
}

/// A member with the buttons of a life.
pub(super) fn card(world: &World, guild: &Guild, id: UserId, member: &Member) -> Markup {
    let name = shape::user_name(world, id);
    let key = format!("{}-{id}", guild.id);
    let notes = world
        .board
        .notes
        .get(&id)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let has: Vec<_> = ordered(guild)
        .into_iter()
        .filter(|(role, _)| member.roles.contains(role))
        .collect();
    html! {
        li.member id=(format!("member-{key}")) {
            div.who {
                span.avatar aria-hidden="true" { (name.chars().next().unwrap_or('?').to_uppercase()) }
                h3 { (name) }
            }
            div.state id=(format!("state-{key}")) data-live="" {
                ul.roles aria-label=(format!("Roles of {name}")) {
                    @for (role, data) in &has { (chip(guild, *role, data)) }
                    @if has.is_empty() { li.none { "no roles" } }
                }
                @if !notes.is_empty() { ul.notes { @for note in notes { li { (note) } } } }
            }
            div.life role="group" aria-label=(format!("{name}'s subscription")) {
                @for (label, action, title) in LIFE {
                    button type="button" id=(format!("{action}-{key}")) title=(title)
                        data-action=(json!({ "action": action, "user_id": id })) { (label) }
                }
            }
            (by_hand(world, guild, id, member, &key))
        }
    }
}

/// The server's owner, who may type the managers' commands.
pub(super) fn owner_card(world: &World, guild: &Guild) -> Markup {
    let name = shape::user_name(world, guild.owner);
    let key = format!("{}-{}", guild.id, guild.owner);
    html! {
        li.member id=(format!("member-{key}")) {
            div.who {
                span.avatar aria-hidden="true" { (name.chars().next().unwrap_or('?').to_uppercase()) }
                h3 { (name) }
            }
            div.state { p.quiet { "owns this server" } }
            details.more id=(format!("more-{key}")) {
                summary { "On Discord" }
                (console(world, guild, guild.owner, &key))
            }
        }
    }
}

fn by_hand(world: &World, guild: &Guild, id: UserId, member: &Member, key: &str) -> Markup {
    html! {
        details.more id=(format!("more-{key}")) {
            summary { "On Discord" }
            (console(world, guild, id, key))
            div.life id=(format!("hand-{key}")) data-live="" {
                button type="button" id=(format!("leave-{key}"))
                    data-action=(hand("leave", guild.id, id, None)) { "Leave the server" }
                @for (role, data) in ordered(guild).into_iter().filter(|(_, role)| role.bot.is_none()) {
                    @let has = member.roles.contains(&role);
                    button type="button" id=(format!("role-{key}-{role}"))
                        data-action=(hand(if has { "take_role" } else { "give_role" }, guild.id, id, Some(role))) {
                        @if has { "Take " } @else { "Give " } (data.name) " by hand"
                    }
                }
            }
        }
    }
}

/// Where somebody types commands.
fn console(world: &World, guild: &Guild, id: UserId, key: &str) -> Markup {
    let commands = world
        .commands_in(Some(guild.id))
        .chain(world.commands_in(None));
    let lines: Vec<String> = commands.flat_map(typed).collect();
    html! {
        form.command data-guild=(guild.id) data-user=(id) {
            label for=(format!("line-{key}")) { "Type a command" }
            div.row {
                input id=(format!("line-{key}")) name="line" list=(format!("commands-{key}"))
                    placeholder="/status" autocomplete="off" spellcheck="false";
                button type="submit" id=(format!("run-{key}")) { "Send" }
            }
            datalist id=(format!("commands-{key}")) {
                @for line in lines { option value=(line) {} }
            }
            output.reply id=(format!("reply-{key}")) aria-live="polite" {}
        }
    }
}

/// A registered command as it is typed: each of its sub-commands, or itself.
fn typed(command: &Value) -> Vec<String> {
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let whole = format!("/{}", name(command));
    let options = command["options"].as_array().into_iter().flatten();
    let inner: Vec<_> = options
        .filter(|option| option["type"] == SUB_COMMAND)
        .map(|option| format!("{whole} {}", name(option)))
        .collect();
    if inner.is_empty() { vec![whole] } else { inner }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_offered_as_they_are_typed() {
        let plain = json!({ "name": "status", "options": [{ "name": "user", "type": 6 }] });
        assert_eq!(typed(&plain), ["/status"]);
        let nested = json!({ "name": "amser", "options": [
            { "name": "check", "type": 1 }, { "name": "whois", "type": 1 }] });
        assert_eq!(typed(&nested), ["/amser check", "/amser whois"]);
    }
}
