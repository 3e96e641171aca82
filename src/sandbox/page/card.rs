//! A member's card: who it is, the roles, how the subscription stands, and what can be done now.
use maud::{Markup, html};
use serde_json::json;

use super::markdown::{line, render};
use super::names::Reader;
use super::role::{ordered, roles};
use crate::domain::{GuildId, RoleId, UserId};
use crate::sandbox::discord::guild::{Guild, Member};
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::World;
use crate::sandbox::discord::{Does, Offer};

/// A button's action: what somebody does in Discord by hand.
pub(super) fn hand(action: &str, guild: GuildId, user: UserId, role: Option<RoleId>) -> String {
    let mut posted = json!({ "action": action, "guild_id": guild, "user_id": user });
    if let Some(role) = role {
        posted["role_id"] = json!(role);
    }
    posted.to_string()
}

/// Something that can be done, as a button or a link.
pub(super) fn offer(
    one: &Offer,
    key: &str,
    guild: GuildId,
    user: UserId,
    reader: &Reader<'_>,
) -> Markup {
    use super::markdown::Names as _;
    let title = Some(one.says.as_str()).filter(|says| !says.is_empty());
    html! {
        @match &one.what {
            Does::Act(action) => {
                @let name = serde_json::from_str::<serde_json::Value>(action).ok()
                    .and_then(|action| Some(action["action"].as_str()?.to_owned())).unwrap_or_default();
                button type="button" id=(format!("{name}-{key}")) title=[title] data-action=(action) { (one.label) }
            }
            Does::Type(command) => {
                button type="button" id=(format!("type-{key}")) title=[title] data-line=(command)
                    data-guild=(guild) data-user=(user) { (one.label) }
            }
            Does::Open(url) => {
                // Pages of the service open beside this one, which goes on telling what happens.
                a.button href=(reader.link(url)) target=[url.starts_with("http").then_some("_blank")] rel="noopener"
                    title=[title] { (one.label) }
            }
        }
    }
}

/// A member in a guild.
pub(super) fn card(world: &World, guild: &Guild, id: UserId, member: &Member) -> Markup {
    let name = shape::user_name(world, id);
    let key = format!("{}-{id}", guild.id);
    let reader = Reader {
        world,
        guild: Some(guild.id),
        user: Some(id),
    };
    // One subscription is enough to be shown once, in the first server.
    let first = world.guilds.keys().next() == Some(&guild.id);
    let person = world.board.picture.people.get(&id).filter(|_| first);
    html! {
        li.member id=(format!("member-{key}")) {
            (who(&name, id == guild.owner))
            (roles(guild, member, &name))
            @if let Some(person) = person {
                div.notes { @for text in &person.lines { p { (line(text, &reader)) } } }
                @if !person.offers.is_empty() {
                    div.life role="group" aria-label=(format!("What {name} can do")) {
                        @for one in &person.offers { (offer(one, &key, guild.id, id, &reader)) }
                    }
                }
            }
        }
    }
}

fn who(name: &str, owner: bool) -> Markup {
    html! {
        div.who {
            span.avatar aria-hidden="true" { (name.chars().next().unwrap_or('?').to_uppercase()) }
            h3 { (name) }
            @if owner { span.tag { "owns this server" } }
        }
    }
}

/// What somebody with rights on Discord does to a member without the bot.
pub(super) fn by_hand(guild: &Guild, id: UserId, member: &Member) -> Markup {
    let key = format!("{}-{id}", guild.id);
    html! {
        details.more id=(format!("more-{key}")) {
            summary { "By hand, without the bot" }
            div.life {
                button type="button" id=(format!("leave-{key}"))
                    data-action=(hand("leave", guild.id, id, None)) { "Leave the server" }
                @for (role, data) in ordered(guild).into_iter().filter(|(_, role)| role.bot.is_none()) {
                    @let has = member.roles.contains(&role);
                    button type="button" id=(format!("role-{key}-{role}"))
                        data-action=(hand(if has { "take_role" } else { "give_role" }, guild.id, id, Some(role))) {
                        @if has { "Take " } @else { "Give " } (data.name)
                    }
                }
            }
        }
    }
}

/// The steps of a guided way: what is behind, what is next and why, and what comes then.
pub(super) fn guide(world: &World, guild: GuildId, user: UserId, title: &str) -> Markup {
    let reader = Reader {
        world,
        guild: Some(guild),
        user: Some(user),
    };
    let steps = world
        .board
        .picture
        .people
        .get(&user)
        .map(|person| person.steps.as_slice())
        .unwrap_or_default();
    let next = steps.iter().position(|step| !step.done);
    html! {
        section.guide #guide aria-labelledby="guide-title" {
            h2 #guide-title tabindex="-1" { (title) }
            @if steps.is_empty() { p.quiet { "Nothing here runs a chain, so there is no way to follow." } }
            ol.steps {
                @for (number, step) in steps.iter().enumerate() {
                    @let now = next == Some(number);
                    li.done[step.done].now[now] aria-current=[now.then_some("step")] {
                        p.step {
                            (step.title)
                            @if step.done { span.tag { "done" } }
                        }
                        @if now {
                            div.why { (render(&step.why, &reader)) }
                            @if !step.offers.is_empty() {
                                div.buttons {
                                    @for (index, one) in step.offers.iter().enumerate() {
                                        (offer(one, &format!("guide-{number}-{index}"), guild, user, &reader))
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @if !steps.is_empty() && next.is_none() {
                p.notice { "That was all of it. Everything below goes on working; try what you like." }
            }
        }
    }
}
