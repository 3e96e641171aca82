//! The page as HTML: everyone at once, or one person's guided way. All of it but the forms follows the state.
use std::str::FromStr;

use maud::{DOCTYPE, Markup, html};
use serde_json::json;

use super::card::{card, guide, hand};
use super::line::time_line;
use super::markdown::line;
use super::names::Reader;
use super::person::person;
use super::role::{chip, ordered, roles};
use crate::domain::UserId;
use crate::sandbox::discord::guild::{Guild, Member};
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::World;

/// Member cards shown in one guild; the others are only counted.
const CARDS: usize = 24;
/// How many blocks can be replaced.
const DEPTHS: [(&str, u64); 2] = [("1 block", 1), ("5 blocks", 5)];

/// What the page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Every server and member.
    Everyone,
    /// A member's way; `None` for the first one.
    Member(Option<UserId>),
    /// The merchant's way.
    Merchant,
}

impl FromStr for View {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text.split_once(':') {
            None if text == "everyone" => Self::Everyone,
            None if text == "merchant" => Self::Merchant,
            None if text == "member" => Self::Member(None),
            Some(("member", id)) => Self::Member(Some(id.parse().map_err(|_| ())?)),
            _ => return Err(()),
        })
    }
}

impl View {
    fn name(self) -> String {
        match self {
            Self::Everyone => "everyone".to_owned(),
            Self::Merchant => "merchant".to_owned(),
            Self::Member(None) => "member".to_owned(),
            Self::Member(Some(user)) => format!("member:{user}"),
        }
    }
}

/// The head that all pages here share.
pub(super) fn head(title: &str) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="light dark";
        title { (title) }
        link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
        link rel="stylesheet" href="/assets/page.css";
    }
}

/// The whole page.
pub(super) fn page(world: &World, view: View) -> Markup {
    let guided = world.board.picture.merchant.is_some();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (head(if guided { "The sandbox" } else { "Local Discord" }))
                script src="/assets/page.js" defer {}
            }
            body data-view=(view.name()) {
                a.skip href="#content" { "Skip to the content" }
                header.top {
                    div.brand {
                        img src="/assets/icon.svg" alt="" width="36" height="36";
                        div {
                            h1 { @if guided { "The sandbox" } @else { "Local Discord" } }
                            p.quiet { "A chain and a Discord on this machine. Nothing here costs anything." }
                        }
                    }
                    @if guided {
                        nav aria-label="Ways" {
                            (way("/member", "Be a member", matches!(view, View::Member(_))))
                            (way("/merchant", "Be the merchant", view == View::Merchant))
                            (way("/", "Everyone", view == View::Everyone))
                        }
                    }
                    p #connection.connection role="status" { "connecting…" }
                }
                noscript { p.notice { "The buttons and the live view need JavaScript." } }
                main #content tabindex="-1" { (live(world, view)) }
                div #answer.answer role="status" aria-live="polite" {}
            }
        }
    }
}

fn way(to: &str, label: &str, here: bool) -> Markup {
    html! { a href=(to) aria-current=[here.then_some("page")] { (label) } }
}

/// The parts that follow the state.
pub(super) fn live(world: &World, view: View) -> Markup {
    html! {
        (facts(world))
        div.columns {
            div.here {
                @match view {
                    View::Everyone => (everyone(world)),
                    View::Member(user) => (one_member(world, user)),
                    View::Merchant => (merchant(world)),
                }
            }
            (time_line(world))
        }
    }
}

fn facts(world: &World) -> Markup {
    let reader = Reader {
        world,
        guild: None,
        user: None,
    };
    let connected = world.sessions.connected() > 0;
    html! {
        dl.facts #facts {
            div {
                dt { "Bot" }
                dd { @if connected { "connected" } @else { "offline" } }
            }
            @for (label, value) in &world.board.picture.facts {
                div { dt { (label) } dd { (line(value, &reader)) } }
            }
        }
    }
}

/// What happens to the chain itself. Each button says beforehand what it ends.
fn clock(world: &World) -> Markup {
    let passing = &world.board.picture.passing;
    html! {
        @if !passing.is_empty() {
            section.clock #clock aria-labelledby="clock-title" {
                h2 #clock-title { "The chain" }
                ul {
                    @for (label, seconds, ends) in passing {
                        li {
                            button type="button" id=(format!("pass_time-{seconds}"))
                                data-action=(json!({ "action": "pass_time", "seconds": seconds })) {
                                "Let " (label) " pass"
                            }
                            span.quiet { (ends) }
                        }
                    }
                    @for (label, depth) in DEPTHS {
                        li {
                            button type="button" id=(format!("reorganise-{depth}"))
                                data-action=(json!({ "action": "reorganise", "depth": depth })) {
                                "Replace the newest " (label)
                            }
                            span.quiet { "a reorganisation: what was in them never happened" }
                        }
                    }
                }
            }
        }
    }
}

fn everyone(world: &World) -> Markup {
    html! {
        @if world.board.picture.merchant.is_some() { (ways()) }
        @for guild in world.guilds.values() { (guild_section(world, guild)) }
        @if world.guilds.is_empty() { p.notice { "There is no server yet." } }
        (clock(world))
    }
}

/// What this is, for who has read nothing.
fn ways() -> Markup {
    html! {
        section.ways aria-labelledby="ways-title" {
            h2 #ways-title { "What do you want to see?" }
            p {
                "People pay for a subscription on a blockchain; the bot gives them a role on Discord, and takes it when they stop "
                "paying. Here both are on your machine, so that you can try all of it in minutes."
            }
            ul {
                li {
                    a.button href="/member" { "Be a member" }
                    span.quiet { "Link a wallet, pay, get a role; then see it go and come back." }
                }
                li {
                    a.button href="/merchant" { "Be the merchant" }
                    span.quiet { "Connect your server, let your plan open a role, and see that it works." }
                }
            }
        }
    }
}

/// The users that can be a member in the guided way.
fn people(world: &World) -> Vec<UserId> {
    let picture = &world.board.picture;
    let all = picture.people.keys().copied();
    all.filter(|user| Some(*user) != picture.merchant).collect()
}

fn one_member(world: &World, user: Option<UserId>) -> Markup {
    let people = people(world);
    let user = user
        .filter(|user| people.contains(user))
        .or(people.first().copied());
    let guild = world.guilds.values().next();
    let Some((user, guild)) = user.zip(guild) else {
        return everyone(world);
    };
    html! {
        nav.people aria-label="Who you are" {
            span.label { "You are" }
            @for id in people {
                a href=(format!("/member?as={id}")) aria-current=[(id == user).then_some("page")] {
                    (shape::user_name(world, id))
                }
            }
        }
        (guide(world, guild.id, user, "Be a member"))
        (person(world, guild, user))
        (clock(world))
    }
}

fn merchant(world: &World) -> Markup {
    let picture = &world.board.picture;
    let Some(user) = picture.merchant else {
        return everyone(world);
    };
    let owned: Vec<_> = world
        .guilds
        .values()
        .filter(|guild| guild.owner == user)
        .collect();
    let (Some(first), Some(last)) = (owned.first(), owned.last()) else {
        return everyone(world);
    };
    html! {
        (guide(world, last.id, user, "Be the merchant"))
        @for guild in owned.iter().rev() {
            section.guild id=(format!("guild-{}", guild.id)) aria-labelledby=(format!("name-{}", guild.id)) {
                (guild_head(world, guild))
                ul.holders {
                    @for (id, member) in guild.members.iter().filter(|(id, _)| **id != world.bot() && **id != user) {
                        @let name = shape::user_name(world, *id);
                        li { span.name { (name) } (roles(guild, member, &name)) }
                    }
                }
            }
        }
        (person(world, first, user))
        (clock(world))
    }
}

fn guild_head(world: &World, guild: &Guild) -> Markup {
    let present = guild.members.contains_key(&world.bot());
    let count = u64::try_from(guild.members.len()).unwrap_or(u64::MAX);
    html! {
        div.guild-head {
            h2 id=(format!("name-{}", guild.id)) { (guild.name) }
            p.quiet {
                (crate::sandbox::words::count(count, "member"))
                @if !present { " · " strong { "the bot is not here" } }
            }
            @if guild.roles.len() > 1 {
                ul.roles aria-label="Roles, highest first" {
                    @for (id, role) in ordered(guild) { (chip(guild, id, role)) }
                }
            }
        }
    }
}

fn guild_section(world: &World, guild: &Guild) -> Markup {
    let (shown, more) = shown(world, guild);
    let away: Vec<UserId> = world
        .users
        .iter()
        .filter(|(id, user)| user.name.is_some() && !user.bot && !guild.members.contains_key(*id))
        .map(|(id, _)| *id)
        .filter(|id| {
            *id != world.developer && world.guilds.values().all(|other| other.owner != *id)
        })
        .take(CARDS)
        .collect();
    html! {
        section.guild id=(format!("guild-{}", guild.id)) aria-labelledby=(format!("name-{}", guild.id)) {
            (guild_head(world, guild))
            ul.members {
                @for (id, member) in shown { (card(world, guild, id, member)) }
                @if let Some(owner) = guild.members.get(&guild.owner) { (card(world, guild, guild.owner, owner)) }
            }
            @if more > 0 { p.quiet { "and " (more) " more members" } }
            @if !away.is_empty() {
                p.away {
                    span.label { "Not here:" }
                    @for id in away {
                        button type="button" id=(format!("join-{}-{id}", guild.id))
                            data-action=(hand("join", guild.id, id, None)) {
                            (shape::user_name(world, id)) " joins"
                        }
                    }
                }
            }
        }
    }
}

/// The members that get a card, in a stable order, and how many do not. In a crowd, those with a role come first.
fn shown<'a>(world: &World, guild: &'a Guild) -> (Vec<(UserId, &'a Member)>, usize) {
    let people = || {
        let all = guild.members.iter().map(|(id, member)| (*id, member));
        all.filter(|(id, _)| *id != world.bot() && *id != guild.owner)
    };
    let count = people().count();
    if count <= CARDS {
        return (people().collect(), 0);
    }
    let with_roles = |(_, member): &(UserId, &Member)| !member.roles.is_empty();
    let mut shown: Vec<_> = people().filter(with_roles).take(CARDS).collect();
    let left = CARDS - shown.len();
    shown.extend(people().filter(|one| !with_roles(one)).take(left));
    shown.sort_by_key(|(id, _)| *id);
    (shown, count - CARDS)
}

#[cfg(test)]
mod tests;
