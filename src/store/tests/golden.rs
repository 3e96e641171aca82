//! The stored bytes of each type. postcard knows the order of fields and variants only: a change of a stored type changes
//! the meaning of what is stored already. Where this test fails, the old bytes need a migration, or (for what is folded
//! from events) a new `FOLD_VERSION`; then `golden.txt` takes the new bytes.

mod samples;

use std::fmt::{Debug, Write as _};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::domain::{
    Act, ActEntry, AlertPhase, AlertRow, AppliedState, Cause, ChannelId, CheckRow, Checked,
    DirectMessages, Drift, Gate, GateId, GateMatch, GateOrigin, GrantTerms, GuildId, JournalEntry,
    Link, ManualRoles, Mark, ModuleRecord, OnLapse, Outcome, RoleAction, RoleChange, RoleId,
    ServerSettings, Synced, UserId,
};
use crate::store::codec::{self, KnownPlan};
use crate::store::runs;
use crate::store::verify::{Challenge, LinkRequest, RequestState};
use samples::{causes, kinds, mark};

const GOLDEN: &str = include_str!("golden.txt");

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        writeln!(self.0, "{name} {}", hex::encode(bytes)).unwrap();
    }

    fn value<T: Serialize + DeserializeOwned + PartialEq + Debug>(&mut self, name: &str, value: T) {
        let bytes = codec::encode(&value);
        assert_eq!(codec::decode::<T>(&bytes).unwrap(), value, "{name}");
        self.bytes(name, &bytes);
    }
}

/// What the chain follower stores.
fn chain_lines(lines: &mut Lines) {
    lines.value("checkpoint", checkpoint(300, 2));
    for (name, synced) in [
        ("module_record_at_cursor", Synced::ToCursor),
        ("module_record_behind", Synced::To(Some(299))),
        ("module_record_new", Synced::To(None)),
    ] {
        let record = ModuleRecord {
            start_block: 200,
            synced,
            initial_processor: Address::repeat_byte(7),
            processor_updates: vec![(mark().position, Address::repeat_byte(8))],
        };
        lines.value(name, record);
    }
    let plan = Plan {
        token: Address::repeat_byte(6),
        price: U256::from(1_000_000),
        interval: 3_600,
        grace_period: 60,
        active: true,
    };
    lines.value("plan_read", plan);
    let created = true;
    lines.value("plan", KnownPlan { plan, created });
    let full = Subscription {
        subscriber: Some((Wallet(Address::repeat_byte(5)), PlanId::from(3))),
        last_paid_at: Some(Timestamp(800)),
        paid: Some(mark()),
        failed: Some((mark(), FailureReason(8))),
        paused: Some(mark()),
        resumed: Some(mark()),
        cancelled: Some(mark()),
        ended: Some(mark()),
    };
    lines.value("subscription", full);
    lines.value("subscription_empty", Subscription::default());
    lines.value("blocked", mark());
    lines.value("fold", (1_u32, Rules::default()));
    for (n, kind) in kinds().into_iter().enumerate() {
        let event = ChainEvent {
            module: module(1),
            position: mark().position,
            transaction: mark().transaction,
            timestamp: Some(Timestamp(700)),
            kind,
        };
        let key = codec::event_key(event.module, &event.subject(), event.position);
        lines.bytes(&format!("event_key_{n}"), &key);
        lines.bytes(&format!("event_{n}"), &codec::pack(&event, Vec::new()));
    }
    let key = codec::scoped_key(module(1), U256::from(7));
    lines.bytes("run", &runs::push_entry(Vec::new(), &key, &[1, 2, 3]));
}

/// What is stored about members and their roles.
fn member_lines(lines: &mut Lines) {
    let (user, wallet) = (UserId(1), Wallet(Address::repeat_byte(5)));
    let link = Link {
        user,
        wallet,
        linked_at: Timestamp(5),
        proof: Some(("text".to_owned(), vec![1, 2])),
    };
    lines.value("link", link);
    for (matching, origin) in [
        (GateMatch::Any, GateOrigin::Config),
        (GateMatch::All, GateOrigin::Dashboard),
    ] {
        let gate = Gate {
            id: GateId(4),
            guild: GuildId(2),
            module: module(1),
            plans: [PlanId::from(3)].into(),
            matching,
            roles: [RoleId(6)].into(),
            origin,
        };
        lines.value("gate", gate);
    }
    for state in [
        AppliedState::Granting,
        AppliedState::Granted,
        AppliedState::Revoking,
        AppliedState::Claiming,
    ] {
        lines.value("applied", (state, Cause::NoSubscription, 300_u64));
    }
    for cause in causes() {
        let change = RoleChange {
            action: RoleAction::Revoke,
            guild: GuildId(2),
            user,
            role: RoleId(6),
            cause,
        };
        let entry = JournalEntry {
            at: Timestamp(5),
            block: 300,
            change,
            outcome: Outcome::Failed {
                code: 50_013,
                message: "no".to_owned(),
            },
        };
        lines.value("journal", entry);
    }
    let checked = Checked {
        at: Timestamp(300),
        api_active: true,
        chain_active: false,
    };
    let row = CheckRow {
        api: Some(checked),
        contract_at: Some(Timestamp(5)),
    };
    lines.value("check", row);
    lines.value("outcome_done", Outcome::Done);
    for state in [
        RequestState::Open,
        RequestState::Used,
        RequestState::Replaced,
    ] {
        let request = LinkRequest {
            user,
            guild: GuildId(2),
            expires_at: Timestamp(9),
            state,
            nonce: Some("nonce".to_owned()),
        };
        lines.value("link_request", request);
    }
    let challenge = Challenge {
        request: [1; 32],
        user,
        nonce: "nonce".to_owned(),
        wallet,
        message: "text".to_owned(),
        expires_at: Timestamp(9),
        state: RequestState::Open,
    };
    lines.value("challenge", challenge);
    let terms = GrantTerms {
        by: UserId(4),
        at: Timestamp(5),
        until: Timestamp(900),
        reason: "thanks".to_owned(),
    };
    lines.value("grant", terms);
}

/// What is stored about servers.
fn server_lines(lines: &mut Lines) {
    let settings = ServerSettings {
        log_channel: Some(ChannelId(8)),
        alert_channel: Some(ChannelId(9)),
        member_notices: Some(true),
        payment_failed: Some(OnLapse::Revoke),
        paused: Some(OnLapse::KeepUntilExpiry),
        cancelled: None,
        manual_roles: Some(ManualRoles::Claim),
        expiry_leeway: Some(300),
    };
    lines.value("server_settings", settings);
    let gate = Gate {
        id: GateId(4),
        guild: GuildId(2),
        module: module(1),
        plans: [PlanId::from(3)].into(),
        matching: GateMatch::Any,
        roles: [RoleId(6)].into(),
        origin: GateOrigin::Dashboard,
    };
    let role = RoleId(6);
    for act in [
        Act::Connected,
        Act::Disconnected { remove_roles: true },
        Act::Gate {
            before: None,
            after: Some(gate),
            is_undo: true,
        },
        Act::Settings {
            before: ServerSettings::default(),
            after: settings,
        },
        Act::RoleMade {
            role,
            name: "Gold".to_owned(),
        },
        Act::Approved { role, removals: 12 },
        Act::Tested { gate: GateId(4) },
        Act::Drift(Drift {
            events: 3,
            wallets: 2,
            rpc: "node".to_owned(),
        }),
        Act::FallbackBegan,
        Act::FallbackEnded,
        Act::Granted {
            user: UserId(7),
            role,
            until: Timestamp(9),
        },
        Act::GrantEnded {
            user: UserId(7),
            role,
        },
        Act::Invited { user: UserId(7) },
    ] {
        let entry = ActEntry {
            at: Timestamp(5),
            guild: GuildId(2),
            by: Some(UserId(1)),
            act,
        };
        lines.value("act", entry);
    }
}

/// What is stored of what people were told.
fn notice_lines(lines: &mut Lines) {
    let alert = AlertRow {
        phase: AlertPhase::Standing,
        at: Timestamp(5),
        text: "late".to_owned(),
    };
    lines.value("alert", alert);
    let messages = DirectMessages {
        opted_out: true,
        closed_until: Timestamp(7),
        channel: Some(ChannelId(9)),
    };
    lines.value("direct_messages", messages);
}

#[test]
fn stored_values_keep_their_bytes() {
    let mut lines = Lines::default();
    chain_lines(&mut lines);
    member_lines(&mut lines);
    server_lines(&mut lines);
    notice_lines(&mut lines);
    for (now, golden) in lines.0.lines().zip(GOLDEN.lines()) {
        assert_eq!(now, golden);
    }
    assert_eq!(
        lines.0.lines().count(),
        GOLDEN.lines().count(),
        "{}",
        lines.0
    );
}
