//! Faults of the public address, the API and the running service.

use super::*;
use crate::domain::{Contested, DriftMode, HeldBack, MembersIntent, ReadingState, ServerStatus};
use std::time::Duration;

fn service(facts: &mut Facts) -> &mut crate::doctor::facts::ServiceFacts {
    facts.service.as_mut().unwrap()
}

fn arrives(facts: &mut Facts, is_trusted: bool, forwarded: usize) {
    facts.web.reached = Reached::Itself(Some(Arrival {
        is_trusted,
        forwarded,
    }));
}

fn server_status(facts: &mut Facts) -> &mut ServerStatus {
    let servers = &mut service(facts).discord.servers;
    servers.entry(GUILD).or_insert(ServerStatus {
        reading: ReadingState::Done,
        queued: 0,
        queue_wait: Duration::ZERO,
        held_back: BTreeMap::new(),
        contested: BTreeMap::new(),
    })
}

const WEB: &[Fault] = &[
    ("web.public_url", Level::Failure, |facts| {
        facts.web.public_url = "http://127.0.0.1:8787".parse().unwrap();
    }),
    ("web.listen", Level::Failure, |facts| {
        facts.web.reached = Reached::CannotListen("address in use".to_owned());
    }),
    ("web.reach", Level::Failure, |facts| {
        facts.web.reached = Reached::Unreachable("certificate has expired".to_owned());
    }),
    ("web.reach", Level::Failure, |facts| {
        facts.web.reached = Reached::SomethingElse(404);
    }),
    ("web.proxy", Level::Warning, |facts| {
        facts.web.proxies = 0;
    }),
    ("web.proxy", Level::Warning, |facts| arrives(facts, true, 0)),
    ("web.proxy", Level::Warning, |facts| {
        arrives(facts, false, 1)
    }),
    ("web.proxy", Level::Warning, |facts| arrives(facts, true, 2)),
    ("web.monitors", Level::Warning, |facts| {
        facts.web.monitor_listen = Some("0.0.0.0:9090".parse().unwrap());
    }),
    ("web.monitors", Level::Failure, |facts| {
        facts.web.monitor_trouble = Some("address in use".to_owned());
    }),
    ("web.sign_in", Level::Warning, |facts| {
        facts.web.signs_in = false;
        facts.discord.secret = SecretFacts::NotNeeded;
    }),
];

const API: &[Fault] = &[
    ("api.reach", Level::Warning, |facts| {
        facts.api.check = Some(ApiAnswer::Unreachable("timed out".to_owned()));
    }),
    ("api.reach", Level::Warning, |facts| {
        facts.api.check = Some(ApiAnswer::Status(500));
    }),
    ("api.parameter", Level::Failure, |facts| {
        facts.api.check = Some(ApiAnswer::Status(400));
        facts.api.other_name = Some(("user_address", ApiAnswer::Boolean));
    }),
    ("api.pointer", Level::Failure, |facts| {
        facts.api.check = Some(ApiAnswer::OtherShape);
    }),
    ("api.key", Level::Failure, |facts| {
        facts.api.key.as_mut().unwrap().environment = KeyEnvironment::Test;
    }),
    ("api.key", Level::Failure, |facts| {
        facts.api.key.as_mut().unwrap().status = Some(401);
    }),
    ("api.key", Level::Warning, |facts| {
        facts.api.key.as_mut().unwrap().is_sent = false;
    }),
];

const SERVICE: &[Fault] = &[
    ("service.chain", Level::Failure, |facts| {
        service(facts).chain.trouble = Some("no node answers".to_owned());
    }),
    ("service.chain", Level::Warning, |facts| {
        service(facts).chain.at_tip = false;
    }),
    ("service.module", Level::Failure, |facts| {
        let unread = &mut service(facts).chain.unread_modules;
        unread.insert(MODULE, "there is no contract".to_owned());
    }),
    ("service.discord", Level::Failure, |facts| {
        service(facts).discord.connected = false;
    }),
    ("service.intent", Level::Warning, |facts| {
        service(facts).discord.members_intent = MembersIntent::Refused;
    }),
    ("service.roles", Level::Failure, |facts| {
        let failing = &mut service(facts).discord.failing;
        failing.insert((GUILD, Some(ROLE)), "It is too high: move it.".to_owned());
    }),
    ("service.commands", Level::Failure, |facts| {
        service(facts).discord.commands_refused = Some("Discord refuses: check.".to_owned());
    }),
    ("service.held_back", Level::Warning, |facts| {
        let held = HeldBack {
            removals: 8,
            holders: 20,
            since: Timestamp(NOW),
        };
        server_status(facts).held_back.insert(ROLE, held);
    }),
    ("service.contested", Level::Warning, |facts| {
        let contested = Contested {
            members: BTreeSet::new(),
            sentence: "\"Level Bot\" takes it: end that.".to_owned(),
        };
        server_status(facts).contested.insert(ROLE, contested);
    }),
    ("service.reading", Level::Warning, |facts| {
        server_status(facts).reading = ReadingState::Failed("status 500".to_owned());
    }),
    ("service.fallback", Level::Warning, |facts| {
        let since = Timestamp(NOW - 600);
        service(facts).drift.mode = DriftMode::Fallback { since };
    }),
    ("service.api", Level::Warning, |facts| {
        service(facts).drift.api_trouble = Some("it answers with status 503".to_owned());
    }),
    ("service.checks", Level::Warning, |facts| {
        service(facts).drift.oldest_check = Some(Timestamp(NOW - 200_000));
    }),
    ("discord.commands", Level::Failure, |facts| {
        if let BotFacts::Is(bot) = &mut facts.discord.bot {
            bot.commands = CommandFacts::None;
        }
    }),
    ("discord.commands", Level::Warning, |facts| {
        if let BotFacts::Is(bot) = &mut facts.discord.bot {
            bot.commands = CommandFacts::Different;
        }
    }),
    ("web.proxy", Level::Warning, |facts| {
        facts.web.proxies = 0;
    }),
];

#[test]
fn faults_of_the_public_address_are_found_by_name_and_nothing_else_is() {
    assert_found(healthy, WEB);
}

#[test]
fn faults_of_the_api_are_found_by_name_and_nothing_else_is() {
    assert_found(healthy, API);
}

#[test]
fn faults_of_the_running_service_are_found_by_name_and_nothing_else_is() {
    assert_found(running, SERVICE);
}

#[test]
fn what_there_is_one_of_is_no_plural() {
    let mut facts = running();
    facts.web.reached = healthy().web.reached;
    service(&mut facts).drift.questions = 1;
    let held = HeldBack {
        removals: 1,
        holders: 1,
        since: Timestamp(NOW),
    };
    server_status(&mut facts).held_back.insert(ROLE, held);
    let findings = all(&facts);
    for expected in [
        "1 file with secrets or links can be used by the owner alone",
        "requests come through 1 proxy, as configured",
        "second sources are asked about 1 pair of a wallet and a plan",
        "the service holds back 1 removal of the role 200 in the server 100, of 1 holder",
    ] {
        let mut said = findings.iter().map(|finding| &finding.sentence);
        assert!(said.any(|said| said == expected), "{findings:#?}");
    }
}

#[test]
fn keys_of_other_chains_are_not_judged_by_their_prefix() {
    let mut facts = healthy();
    facts.api.chain_id = 10;
    facts.api.key.as_mut().unwrap().environment = KeyEnvironment::Unknown;
    assert_eq!(found(&facts), []);
    facts.api.chain_id = 84_532;
    assert_eq!(found(&facts), [("api.key".to_owned(), Level::Failure)]);
}
