//! The page as HTML. Everything inside an element with `data-live` follows the state; the controls around it stay.
use maud::{DOCTYPE, Markup, html};
use serde_json::json;

use super::card::{card, chip, hand, ordered, owner_card};
use crate::domain::UserId;
use crate::sandbox::discord::Happening;
use crate::sandbox::discord::guild::{Guild, Member};
use crate::sandbox::discord::shape;
use crate::sandbox::discord::world::World;

/// Member cards shown in one guild; the others are only counted.
const CARDS: usize = 24;

/// How far time can be made to pass.
const TIMES: &[(&str, u64)] = &[
    ("1 hour", 3_600),
    ("1 day", 86_400),
    ("31 days", 31 * 86_400),
];
/// How many blocks can be replaced.
const DEPTHS: &[(&str, u64)] = &[("1 block", 1), ("5 blocks", 5)];

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
pub(super) fn page(world: &World) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (head("Local Discord"))
                script src="/assets/page.js" defer {}
            }
            body {
                a.skip href="#guilds" { "Skip to the members" }
                header.top {
                    div.brand {
                        img src="/assets/icon.svg" alt="" width="36" height="36";
                        div {
                            h1 { "Local Discord" }
                            p.quiet { "A Discord on this machine. Press a button and watch the roles." }
                        }
                    }
                    p #connection.connection role="status" { "connecting…" }
                }
                noscript { p.notice { "The buttons and the live view need JavaScript." } }
                section.clock aria-label="Chain" {
                    (group("Let time pass", "pass_time", "seconds", TIMES))
                    (group("Reorganise the chain", "reorganise", "depth", DEPTHS))
                }
                main { (live(world)) }
                div #answer.answer role="status" aria-live="polite" {}
            }
        }
    }
}

fn group(title: &str, action: &str, key: &str, choices: &[(&str, u64)]) -> Markup {
    html! {
        div.group role="group" aria-label=(title) {
            span.label { (title) }
            @for (label, value) in choices {
                button type="button" id=(format!("{action}-{value}"))
                    data-action=(json!({ "action": action, key: value })) { (label) }
            }
        }
    }
}

/// The parts that follow the state.
pub(super) fn live(world: &World) -> Markup {
    let bot = world.bot();
    let connected = world.sessions.connected();
    html! {
        div.facts #facts data-live="" {
            dl {
                div {
                    dt { "Bot" }
                    dd { @if connected == 0 { "offline" } @else { "connected" } }
                }
                @for (label, value) in &world.board.facts {
                    div { dt { (label) } dd { (value) } }
                }
            }
        }
        div.columns {
            div #guilds tabindex="-1" {
                @for guild in world.guilds.values() { (guild_section(world, guild, bot)) }
                @if world.guilds.is_empty() { p.notice { "There is no server yet." } }
            }
            section.log aria-labelledby="log-title" {
                h2 #log-title { "What happened" }
                ol #log data-live="" { @for line in world.board.lines.iter().take(60) { (entry(line)) } }
            }
        }
    }
}

fn entry(line: &crate::sandbox::discord::board::Line) -> Markup {
    let (class, mark) = match line.kind {
        Happening::Granted => ("granted", "+"),
        Happening::Revoked => ("revoked", "−"),
        Happening::Person => ("person", "•"),
        Happening::Chain => ("chain", "◆"),
        Happening::Refused => ("refused", "!"),
    };
    let (hour, minute, second) = line.at.to_hms();
    let at = format!("{hour:02}:{minute:02}:{second:02}");
    html! {
        li class=(class) {
            span.mark aria-hidden="true" { (mark) }
            time { (at) }
            span.what { (line.text) }
        }
    }
}

fn guild_section(world: &World, guild: &Guild, bot: UserId) -> Markup {
    let present = guild.members.contains_key(&bot);
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
            div.guild-head id=(format!("head-{}", guild.id)) data-live="" {
                h2 id=(format!("name-{}", guild.id)) { (guild.name) }
                p.quiet {
                    (guild.members.len()) " members"
                    @if !present { " · " strong { "the bot is not here" } }
                }
                ul.roles aria-label="Roles, highest first" { @for (id, role) in ordered(guild) { (chip(guild, id, role)) } }
            }
            ul.members {
                @for (id, member) in shown { (card(world, guild, id, member)) }
                (owner_card(world, guild))
            }
            @if more > 0 {
                p.quiet id=(format!("more-{}", guild.id)) data-live="" { "and " (more) " more members" }
            }
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

/// The members that get a card, in a stable order, and how many do not. In a crowd, those with a role or a note come
/// first.
fn shown<'a>(world: &World, guild: &'a Guild) -> (Vec<(UserId, &'a Member)>, usize) {
    let people = || {
        let all = guild.members.iter().map(|(id, member)| (*id, member));
        all.filter(|(id, _)| *id != world.bot() && *id != guild.owner)
    };
    let interesting = |(id, member): &(UserId, &Member)| {
        !member.roles.is_empty() || world.board.notes.contains_key(id)
    };
    let count = people().count();
    if count <= CARDS {
        return (people().collect(), 0);
    }
    let mut shown: Vec<_> = people().filter(interesting).take(CARDS).collect();
    shown.extend(
        people()
            .filter(|one| !interesting(one))
            .take(CARDS - shown.len()),
    );
    shown.sort_by_key(|(id, _)| *id);
    (shown, count - CARDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::GuildId;
    use crate::sandbox::discord::Options;

    #[test]
    fn names_are_escaped_and_shown_with_their_roles() {
        let mut world = World::new(Options::default(), String::new());
        let (guild, user) = (GuildId(5 << 22), UserId(77));
        world.add_guild(guild, "Club <b>");
        world.add_user(user, Some("<script>alert(1)</script>"));
        world.add_member(guild, user).unwrap();
        let html = page(&world).into_string();
        assert!(html.contains("Club &lt;b&gt;"));
        assert!(!html.contains("<script>alert"));
        assert!(html.contains("no roles"));
    }

    #[test]
    fn the_owner_may_type_what_managers_may() {
        let mut world = World::new(Options::default(), String::new());
        let guild = GuildId(5 << 22);
        world.add_guild(guild, "Club");
        let html = page(&world).into_string();
        assert!(html.contains("owns this server"));
        assert_eq!(html.matches("class=\"command\"").count(), 1);
        assert!(!html.contains("Leave the server"), "an owner cannot");
    }

    #[test]
    fn a_crowd_is_counted_instead_of_shown() {
        let mut world = World::new(Options::default(), String::new());
        let guild = GuildId(5 << 22);
        world.add_guild(guild, "Club");
        for id in 1..=100 {
            world.add_member(guild, UserId(id)).unwrap();
        }
        let html = page(&world).into_string();
        assert_eq!(html.matches("class=\"member\"").count(), CARDS + 1);
        assert!(html.contains("and 76 more members"));
    }
}
