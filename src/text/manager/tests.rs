use std::time::Duration;

use alloy::primitives::Address;

use super::*;
use crate::domain::{Checkpoint, DriftMode, GateId, GuildId, ModuleAddress, PlanId, Timestamp};

fn server(reading: ReadingState) -> ServerStatus {
    ServerStatus {
        reading,
        queued: 0,
        queue_wait: Duration::ZERO,
        held_back: BTreeMap::new(),
        contested: BTreeMap::new(),
    }
}

fn chain() -> ChainStatus {
    ChainStatus {
        confirmed: Some(Checkpoint {
            number: 12,
            hash: Default::default(),
            timestamp: Timestamp(1_000),
        }),
        at_tip: true,
        ..ChainStatus::default()
    }
}

fn told(
    server: Option<&ServerStatus>,
    trouble: &[String],
    members_intent: MembersIntent,
) -> String {
    check(&Check {
        gates: 2,
        trouble,
        server,
        members_intent,
        chain: &chain(),
        mode: DriftMode::Chain,
    })
}

const WELL: &str = "Nothing prevents roles from being given.";

fn held() -> HeldBack {
    HeldBack {
        removals: 12,
        holders: 40,
        since: Timestamp(900),
    }
}

#[test]
fn a_server_that_is_read_and_has_no_trouble_is_well() {
    let text = told(Some(&server(ReadingState::Done)), &[], MembersIntent::Used);
    assert!(text.starts_with("2 gates give roles"), "{text}");
    assert!(text.contains("up to block 12, <t:1000:f>"), "{text}");
    assert!(text.ends_with(WELL), "{text}");
}

#[test]
fn a_server_that_was_not_read_is_not_well() {
    for unread in [None, Some(&server(ReadingState::NotYet))] {
        let text = told(unread, &[], MembersIntent::Used);
        assert!(
            text.contains("haven't read this server's members yet"),
            "{text}"
        );
        assert!(!text.contains(WELL), "{text}");
    }
    let failed = server(ReadingState::Failed("Missing *Access*".to_owned()));
    let text = told(Some(&failed), &[], MembersIntent::Used);
    assert!(
        text.contains("couldn't read this server's members; I'll retry"),
        "{text}"
    );
    assert!(
        text.contains("Discord said: Missing \\*Access\\*"),
        "{text}"
    );
    assert!(!text.contains(WELL), "{text}");
}

#[test]
fn standing_errors_and_a_chain_that_is_behind_are_not_well() {
    let trouble = ["The role is too high.".to_owned()];
    let text = told(
        Some(&server(ReadingState::Done)),
        &trouble,
        MembersIntent::Used,
    );
    assert!(text.contains("• The role is too high\\."), "{text}");
    assert!(!text.contains(WELL), "{text}");
    let behind = ChainStatus {
        at_tip: false,
        ..chain()
    };
    let text = check(&Check {
        gates: 1,
        trouble: &[],
        server: Some(&server(ReadingState::Done)),
        members_intent: MembersIntent::Used,
        chain: &behind,
        mode: DriftMode::Chain,
    });
    assert!(text.starts_with("One gate gives roles"), "{text}");
    assert!(text.contains("still reading the chain"), "{text}");
    assert!(!text.contains(WELL), "{text}");
}

#[test]
fn stopped_removals_are_told_by_role_with_what_to_do() {
    let mut server = server(ReadingState::Done);
    server.held_back.insert(RoleId(9), held());
    let one = HeldBack {
        removals: 1,
        ..held()
    };
    server.held_back.insert(RoleId(10), one);
    let text = told(Some(&server), &[], MembersIntent::Used);
    let twelve = "• 12 removals of <@&9> are stopped since <t:900:R>: too many of its 40 holders";
    assert!(text.contains(twelve), "{text}");
    assert!(text.contains("• 1 removal of <@&10> is stopped"), "{text}");
    assert_eq!(
        text.matches("`/amser approve` lets them through").count(),
        2
    );
    assert!(!text.contains(WELL), "{text}");
}

#[test]
fn removals_that_are_stopped_after_the_last_gate_was_removed_are_told() {
    let mut server = server(ReadingState::Done);
    let without_gates = |server: &ServerStatus| {
        check(&Check {
            gates: 0,
            trouble: &[],
            server: Some(server),
            members_intent: MembersIntent::Used,
            chain: &chain(),
            mode: DriftMode::Chain,
        })
    };
    assert_eq!(without_gates(&server), no_gates());
    server.held_back.insert(RoleId(9), held());
    let text = without_gates(&server);
    assert!(text.starts_with(&no_gates()), "{text}");
    let twelve = "• 12 removals of <@&9> are stopped";
    assert!(text.contains(twelve), "{text}");
    assert!(!text.contains(WELL), "{text}");
}

#[test]
fn a_queue_is_told_with_how_long_it_takes_and_is_no_trouble() {
    let mut server = server(ReadingState::Done);
    (server.queued, server.queue_wait) = (720, Duration::from_secs(720));
    let text = told(Some(&server), &[], MembersIntent::Used);
    assert!(text.contains("720 role changes are queued"), "{text}");
    assert!(text.contains("takes about 12 minutes"), "{text}");
    assert!(text.ends_with(WELL), "{text}");
}

#[test]
fn without_the_members_intent_it_is_said_what_is_slower() {
    let read = server(ReadingState::Done);
    let text = told(Some(&read), &[], MembersIntent::Refused);
    assert!(
        text.contains("Discord refuses this bot the privileged intent"),
        "{text}"
    );
    assert!(text.contains("about two minutes"), "{text}");
    let text = told(Some(&read), &[], MembersIntent::Never);
    assert!(
        text.contains("switched off in this bot's configuration"),
        "{text}"
    );
}

#[test]
fn gates_are_listed_by_role_plans_and_how_many_are_needed() {
    let gate = Gate {
        id: GateId(1),
        guild: GuildId(5),
        module: ModuleAddress(Address::ZERO),
        plans: [PlanId::from(1)].into(),
        matching: GateMatch::Any,
        roles: [RoleId(9)].into(),
        origin: GateOrigin::Config,
    };
    let any = Gate {
        plans: [PlanId::from(1), PlanId::from(2)].into(),
        roles: [RoleId(9), RoleId(10)].into(),
        ..gate.clone()
    };
    let all = Gate {
        matching: GateMatch::All,
        origin: GateOrigin::Dashboard,
        ..any.clone()
    };
    let trouble = BTreeMap::from([(Some(RoleId(10)), "It is too high.".to_owned())]);
    let told = |listed: &[Gate]| {
        gates(&GateList {
            gates: listed,
            failing: &trouble,
            of_gate: &|gate| match gate.matching {
                GateMatch::Any => BTreeSet::new(),
                GateMatch::All => ["There is no plan 2.".to_owned()].into(),
            },
            plans: &PlanRows::new(),
            grants: &[],
        })
    };
    let text = told(&[gate, any, all]);
    assert!(text.contains("• <@&9>: plan 1 of module `0x0000"), "{text}");
    assert!(
        text.contains("• <@&9>, <@&10>: any of plan 1, plan 2 of"),
        "{text}"
    );
    assert!(text.contains("all of plan 1, plan 2 of"), "{text}");
    assert!(text.contains("(set in the dashboard)"), "{text}");
    assert_eq!(text.matches("  ⚠ It is too high\\.").count(), 2, "{text}");
    let last = text.lines().last().unwrap();
    assert_eq!(last, "  ⚠ There is no plan 2\\.", "beside its gate: {text}");
    assert!(told(&[]).contains("needs a subscription yet"));
}

#[test]
fn an_approval_says_how_many_members_lose_the_role_before_and_after() {
    let asked = approve_question(RoleId(9), held());
    assert!(
        asked.contains("12 removals of <@&9> are stopped"),
        "{asked}"
    );
    assert!(
        asked.contains("remove <@&9> from 12 members now"),
        "{asked}"
    );
    assert!(!asked.contains("/amser approve"), "{asked}");
    assert_eq!(approve_button(held()), "Remove from 12 members");
    let done = approved(RoleId(9), Approved::Released { removals: 1 });
    assert_eq!(done, "Approved: removing <@&9> from 1 member.");
    let none = approved(RoleId(9), Approved::NothingHeld);
    assert_eq!(none, "No removals of <@&9> are stopped.");
}

#[test]
fn what_is_missing_in_a_channel_is_named() {
    assert_eq!(
        cannot_post(&["View Channel", "Send Messages"]),
        "I can't post in this channel: allow my role \"View Channel\" and \"Send Messages\" here, then try again."
    );
}

#[test]
fn a_sync_counts_what_changes() {
    let outcome = |grants, revokes, held_back| SyncOutcome {
        members: 3,
        grants,
        revokes,
        held_back,
        unconfirmed: 0,
        at_tip: true,
    };
    let synced = |grants, revokes, held_back| super::synced(outcome(grants, revokes, held_back));
    assert_eq!(
        synced(0, 0, 0),
        "Checked 3 members: every role is up to date."
    );
    assert_eq!(
        synced(1, 2, 0),
        "Checked 3 members: adding 1 role, removing 2 roles."
    );
    let stopped = synced(0, 0, 1);
    assert!(stopped.contains("1 removal is stopped") && !stopped.contains("up to date"));
    let unconfirmed = super::synced(SyncOutcome {
        unconfirmed: 2,
        ..outcome(0, 0, 0)
    });
    assert!(unconfirmed.contains("2 removals wait until") && !unconfirmed.contains("up to date"));
}

#[test]
fn a_chain_that_cannot_be_followed_is_told_with_what_decides_meanwhile() {
    let server = server(ReadingState::Done);
    let text = check(&Check {
        gates: 1,
        trouble: &[],
        server: Some(&server),
        members_intent: MembersIntent::Used,
        chain: &chain(),
        mode: DriftMode::Fallback {
            since: Timestamp(900),
        },
    });
    assert!(text.contains("amser's API says"), "{text}");
    assert!(!text.contains(WELL), "{text}");
}
