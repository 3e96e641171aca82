//! A store that an older program left: what it held is all there.
//!
//! `store-47dc8a8.redb.gz` is the store of commit 47dc8a8 after the first 20 days of `tests/it/year.rs`, with the rows below
//! added by the store's own transactions. It is not made again: each newer program must read it as it is.

use alloy::primitives::Address;
use flate2::read::GzDecoder;

use super::module;
use crate::domain::{
    Act, Cause, ChannelId, Gate, GateId, GateMatch, GateOrigin, Grant, GrantTerms, GuildId,
    JournalEntry, Link, ManualRoles, OnLapse, Outcome, PlanId, RoleAction, RoleId, ServerSettings,
    SubscriptionId, Synced, Timestamp, UserId, Wallet,
};
use crate::store::{MerchantWallet, ServerRecord, Session, Store};

const KEPT: &[u8] = include_bytes!("store-47dc8a8.redb.gz");
const GUILD: GuildId = GuildId(77);
const MANAGER: UserId = UserId(4);
const MEMBER: UserId = UserId(5);
const SESSION: [u8; 32] = [3; 32];

fn link() -> Link {
    Link {
        user: MEMBER,
        wallet: Wallet(Address::repeat_byte(5)),
        linked_at: Timestamp(9),
        proof: Some(("text".to_owned(), vec![7; 65])),
    }
}

fn gate() -> Gate {
    Gate {
        id: GateId(900),
        guild: GUILD,
        module: module(1),
        plans: [PlanId::from(3), PlanId::from(4)].into(),
        matching: GateMatch::All,
        roles: [RoleId(6)].into(),
        origin: GateOrigin::Dashboard,
    }
}

fn settings() -> ServerSettings {
    ServerSettings {
        log_channel: Some(ChannelId(8)),
        member_notices: Some(true),
        payment_failed: Some(OnLapse::KeepUntilExpiry),
        manual_roles: Some(ManualRoles::Claim),
        expiry_leeway: Some(300),
        ..ServerSettings::default()
    }
}

fn grant() -> Grant {
    let terms = GrantTerms {
        by: MANAGER,
        at: Timestamp(10),
        until: Timestamp(4_000_000_000),
        reason: "thanks".to_owned(),
    };
    Grant {
        guild: GUILD,
        user: MEMBER,
        role: RoleId(6),
        terms,
    }
}

fn merchant_wallet() -> MerchantWallet {
    MerchantWallet {
        wallet: Wallet(Address::repeat_byte(6)),
        at: Timestamp(11),
        message: "text".to_owned(),
        signature: vec![8; 65],
    }
}

fn record() -> ServerRecord {
    ServerRecord {
        by: MANAGER,
        at: Timestamp(12),
    }
}

fn session() -> Session {
    Session {
        user: MANAGER,
        expires_at: Timestamp(4_000_000_000),
        servers: Vec::new(),
        csrf: "x".to_owned(),
        idle_seconds: None,
        link: None,
    }
}

/// The file, and the store that a newer program makes of it.
fn kept() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let mut file = std::fs::File::create(&path).unwrap();
    std::io::copy(&mut GzDecoder::new(KEPT), &mut file).unwrap();
    (folder, Store::open(&path).unwrap())
}

#[test]
fn what_people_left_in_an_older_store_is_all_there() {
    let (_folder, store) = kept();
    let wallet = link().wallet;
    assert_eq!(store.link_of(wallet).unwrap(), Some(link()));
    assert_eq!(store.wallets_of(MEMBER).unwrap(), [wallet]);
    assert_eq!(store.link_count().unwrap(), 27);
    assert_eq!(store.seen_in(MEMBER).unwrap(), [GUILD]);
    assert_eq!(store.connected_servers().unwrap()[&GUILD], record());
    assert_eq!(store.gates_of(GUILD).unwrap(), [gate()]);
    assert_eq!(store.gates().unwrap().len(), 2);
    assert_eq!(store.all_settings().unwrap()[&GUILD], settings());
    assert_eq!(store.grants_of(MEMBER).unwrap(), [grant()]);
    assert_eq!(
        store.merchant_wallet(MANAGER).unwrap(),
        Some(merchant_wallet())
    );
    assert!(store.direct_messages(MEMBER).unwrap().opted_out);
    let found = store.use_session(&SESSION, Timestamp(20)).unwrap();
    assert_eq!(found, Some(session()));
    let acts = store.acts(GUILD, 10).unwrap();
    assert_eq!(acts.len(), 3, "connected, settings, granted: {acts:?}");
    assert!(matches!(acts[0].act, Act::Granted { user: MEMBER, .. }));
}

#[test]
fn what_the_chain_and_the_roles_left_in_an_older_store_is_all_there() {
    let (_folder, store) = kept();
    assert_eq!(store.cursor().unwrap().unwrap().number, 243);
    let modules = store.modules().unwrap();
    let (module, record) = modules.first_key_value().unwrap();
    assert_eq!((modules.len(), record.synced), (1, Synced::ToCursor));
    assert_eq!(store.all_events().unwrap().len(), 61);
    assert_eq!(store.subscription_count().unwrap(), 27);
    assert_eq!(store.plans_of(*module).unwrap().len(), 1);
    let first = store.subscription(*module, SubscriptionId::from(1));
    let first = first.unwrap().unwrap();
    assert_eq!(first.last_paid_at, Some(Timestamp(1_795_785_856)));
    assert_eq!(first.cancelled.unwrap().position.block, 46);
    // Folded again from the events they are what they were.
    let states = || {
        let mut states = Vec::new();
        let each = |module, id, state| states.push((module, id, state));
        store.for_each_subscription(each).unwrap();
        states
    };
    let before = states();
    store.rebuild(|_, _| {}).unwrap();
    assert_eq!(states(), before);

    let journal = store.journal(usize::MAX).unwrap();
    let is_grant = |entry: &&JournalEntry| entry.change.action == RoleAction::Grant;
    let grants = journal.iter().filter(is_grant).count();
    assert_eq!((grants, journal.len() - grants), (31, 3));
    let oldest = journal.last().unwrap();
    assert_eq!((oldest.block, &oldest.outcome), (22, &Outcome::Done));
    assert!(matches!(oldest.change.cause, Cause::Paid { mark, .. } if mark.position.block == 15));
    let mut given = 0;
    store.for_each_applied(|_| given += 1).unwrap();
    assert_eq!(given, 23, "the roles that are ours to take");
}
