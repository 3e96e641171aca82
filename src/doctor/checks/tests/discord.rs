//! Faults of the bot, its application and the servers.

use super::*;
use crate::discord::hierarchy::{ADMINISTRATOR, Giver};
use crate::discord::{Application, Invite};
use crate::domain::ChannelId;

fn bot_of(facts: &mut Facts) -> &mut Bot {
    match &mut facts.discord.bot {
        BotFacts::Is(bot) => bot,
        other => panic!("{other:?}"),
    }
}

fn application(facts: &mut Facts) -> &mut Application {
    bot_of(facts).application.as_mut().unwrap()
}

fn seen(facts: &mut Facts) -> &mut SeenServer {
    facts.servers[0].seen.as_mut().unwrap().as_mut().unwrap()
}

fn guild(facts: &mut Facts) -> &mut GuildRoles {
    Arc::make_mut(&mut seen(facts).roles)
}

fn role_of_gate(facts: &mut Facts) -> &mut Role {
    guild(facts).roles.get_mut(&ROLE).unwrap()
}

/// As if Discord had said this of the application.
fn with_flags(facts: &mut Facts, flags: u64) {
    let shown = json!({
        "id": "7", "name": "roles", "flags": flags,
        "redirect_uris": ["https://roles.example/oauth/callback"],
    });
    bot_of(facts).application = Ok(serde_json::from_value(shown).unwrap());
}

const BOT: &[Fault] = &[
    ("discord.token", Level::Failure, |facts| {
        facts.discord.bot = BotFacts::NoToken;
        facts.servers.clear();
    }),
    ("discord.token", Level::Failure, |facts| {
        facts.discord.bot = BotFacts::Refused;
        facts.servers.clear();
    }),
    ("discord.reach", Level::Failure, |facts| {
        facts.discord.bot = BotFacts::Unreachable("Discord cannot be reached".to_owned());
        facts.servers.clear();
    }),
    ("clock", Level::Warning, |facts| {
        facts.discord.clock_ahead = Some(-20);
    }),
    ("clock", Level::Failure, |facts| {
        facts.discord.clock_ahead = Some(4_000);
    }),
    ("clock", Level::Warning, |facts| {
        facts.discord.clock_ahead = None;
    }),
    ("discord.secret", Level::Failure, |facts| {
        facts.discord.secret = SecretFacts::Missing;
    }),
    ("discord.secret", Level::Failure, |facts| {
        facts.discord.secret = SecretFacts::Refused;
    }),
    ("discord.application", Level::Failure, |facts| {
        facts.discord.application_id = 8;
    }),
    ("discord.intent", Level::Warning, |facts| {
        with_flags(facts, 0)
    }),
    ("discord.review", Level::Warning, |facts| {
        seen(facts).members = 12_000;
    }),
    ("discord.public_bot", Level::Warning, |facts| {
        application(facts).is_public = true;
    }),
    ("discord.redirect", Level::Failure, |facts| {
        application(facts).redirect_uris = vec!["https://roles.example/callback".to_owned()];
    }),
    ("discord.commands", Level::Failure, |facts| {
        bot_of(facts).commands = CommandFacts::Refused("20012".to_owned());
    }),
    ("discord.sessions", Level::Warning, |facts| {
        bot_of(facts).starts = Ok(SessionStarts {
            total: 1_000,
            remaining: 3,
        });
    }),
];

const SERVERS: &[Fault] = &[
    ("server.reach", Level::Failure, |facts| {
        facts.servers[0].seen = Err("Discord answered with status 500".to_owned());
    }),
    ("server.reach", Level::Warning, |facts| {
        facts.servers_left_out = 3;
    }),
    ("server.bot", Level::Failure, |facts| {
        facts.servers[0].seen = Ok(None);
    }),
    ("server.manage_roles", Level::Failure, |facts| {
        guild(facts).roles.get_mut(&BOT_ROLE).unwrap().permissions = 0;
    }),
    ("server.role_order", Level::Failure, |facts| {
        role_of_gate(facts).position = 3;
    }),
    ("server.role_kind", Level::Failure, |facts| {
        role_of_gate(facts).given_by = Some(Giver::Boosts);
    }),
    ("server.role_kind", Level::Failure, |facts| {
        facts.servers[0].roles = [RoleId(GUILD.0)].into();
    }),
    ("server.role_gone", Level::Failure, |facts| {
        facts.servers[0].roles = [RoleId(9)].into();
    }),
    ("server.role_power", Level::Warning, |facts| {
        role_of_gate(facts).permissions = ADMINISTRATOR;
    }),
    ("server.two_factor", Level::Failure, |facts| {
        seen(facts).demands_two_factor = true;
    }),
    ("server.invites", Level::Warning, |facts| {
        seen(facts).invites = Some(vec![Invite {
            code: "abc".to_owned(),
            roles: [ROLE].into(),
        }]);
    }),
    ("server.channel", Level::Warning, |facts| {
        let channel = ("log_channel", ChannelId(5), Some(false));
        facts.servers[0].channels.push(channel);
    }),
];

#[test]
fn faults_of_the_bot_are_found_by_name_and_nothing_else_is() {
    assert_found(healthy, BOT);
}

#[test]
fn faults_of_servers_are_found_by_name_and_nothing_else_is() {
    assert_found(healthy, SERVERS);
}

#[test]
fn what_a_server_allows_is_no_fault() {
    let mut facts = healthy();
    seen(&mut facts).demands_two_factor = true;
    bot_of(&mut facts).user.has_two_factor = true;
    seen(&mut facts).invites = Some(vec![Invite {
        code: "abc".to_owned(),
        roles: [RoleId(77)].into(),
    }]);
    with_flags(&mut facts, 1 << 14);
    seen(&mut facts).members = 50_000;
    let channel = ("log_channel", ChannelId(5), Some(true));
    facts.servers[0].channels.push(channel);
    assert_eq!(found(&facts), []);
}

#[test]
fn a_missing_permission_is_said_once_for_all_roles_of_a_server() {
    let mut facts = healthy();
    facts.servers[0].roles = [ROLE, RoleId(202)].into();
    let more = role("Gold", 1, 0);
    guild(&mut facts).roles.insert(RoleId(202), more);
    guild(&mut facts)
        .roles
        .get_mut(&BOT_ROLE)
        .unwrap()
        .permissions = 0;
    let expected = ("server.manage_roles".to_owned(), Level::Failure);
    assert_eq!(found(&facts), [expected]);
}

#[test]
fn a_sentence_says_what_is_and_what_to_do_apart() {
    let mut facts = healthy();
    role_of_gate(&mut facts).position = 3;
    guild(&mut facts).name = "Club: the second".to_owned();
    let findings = all(&facts);
    let found = findings
        .iter()
        .find(|finding| finding.level != Level::Ok)
        .unwrap();
    assert!(
        found.sentence.ends_with("highest role \"bot\""),
        "{found:?}"
    );
    let to_do = found.what_to_do.as_deref().unwrap();
    assert!(
        to_do.starts_with("move the bot's role above it"),
        "{found:?}"
    );
}
