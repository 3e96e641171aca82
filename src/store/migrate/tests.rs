//! Stores written by hand as older versions laid them out.

use alloy::primitives::{B256, U256};

use super::*;
use crate::domain::{ChainEvent, EventKind, Happened, ModuleAddress, Plan, PlanId, SubscriptionId};
use crate::store::Store;
use crate::store::codec::{event_key, pack, scoped_key};
use crate::store::tables::{EVENTS, META_SCHEMA, PLANS_READ};

#[test]
fn a_store_of_version_1_keeps_its_challenges_and_learns_whose_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = Store::open(&path).unwrap();
    let user = UserId(5);
    store
        .open_request(&[1; 32], user, GuildId(7), Timestamp(700))
        .unwrap();
    drop(store);
    let old = |request, nonce: &str| ChallengeV1 {
        request,
        nonce: nonce.to_owned(),
        wallet: Wallet(Address::repeat_byte(1)),
        message: "text".to_owned(),
        expires_at: Timestamp(650),
        state: RequestState::Open,
    };
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.delete_table(CHALLENGES).unwrap();
    {
        let mut challenges = transaction.open_table(CHALLENGES_V1).unwrap();
        for row in [old([1; 32], "kept"), old([2; 32], "orphan")] {
            challenges
                .insert(row.nonce.as_str(), encode(&row).as_slice())
                .unwrap();
        }
        let mut meta = transaction.open_table(META).unwrap();
        meta.insert(META_SCHEMA, 1_u32.to_le_bytes().as_slice())
            .unwrap();
    }
    transaction.commit().unwrap();
    drop(database);

    // The second opening finds nothing left to do.
    for _ in 0..2 {
        let store = Store::open(&path).unwrap();
        let kept = store.challenge("kept").unwrap().unwrap();
        assert_eq!((kept.user, kept.expires_at), (user, Timestamp(650)));
        assert_eq!(kept.message, "text");
        assert_eq!(store.challenge("orphan").unwrap(), None);
        assert_eq!(store.challenges_of(user).unwrap(), [kept]);
    }
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    assert!(!transaction.delete_table(CHALLENGES_V1).unwrap());
}

fn module(n: u8) -> ModuleAddress {
    ModuleAddress(Address::repeat_byte(n))
}

fn old_record(synced_to: Option<u64>) -> ModuleRecordV1 {
    ModuleRecordV1 {
        start_block: 7,
        synced_to,
        initial_processor: Address::repeat_byte(9),
        processor_updates: Vec::new(),
    }
}

fn created() -> ChainEvent {
    ChainEvent {
        module: module(1),
        position: Position {
            block: 50,
            log_index: 3,
        },
        transaction: B256::repeat_byte(1),
        timestamp: None,
        kind: EventKind::SubscriptionCreated {
            subscription: SubscriptionId::from(1),
            subscriber: Wallet(Address::repeat_byte(5)),
            plan: PlanId::from(2),
            execution_budget: U256::MAX,
            allowance_expiry: U256::MAX,
        },
    }
}

const TERMS: Plan = Plan {
    token: Address::ZERO,
    price: U256::ONE,
    interval: 3_600,
    grace_period: 0,
    active: true,
};

/// A file of version 1 or 2 with three modules, an event, a plan that was read, and folds of the old layout.
fn write_old(path: &std::path::Path, version: u32) {
    let database = redb::Database::create(path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut meta = transaction.open_table(META).unwrap();
        let cursor = Checkpoint {
            number: 100,
            hash: B256::repeat_byte(2),
            timestamp: Timestamp(200),
        };
        let mut put = |name, value: &[u8]| drop(meta.insert(name, value).unwrap());
        put(META_SCHEMA, &version.to_le_bytes());
        put(META_CURSOR, &encode(&cursor));
        put(META_UNSURE, &encode(&vec![cursor]));
        let mut modules = transaction.open_table(MODULES_V1).unwrap();
        for (n, synced_to) in [(1, Some(100)), (2, Some(60)), (3, None), (4, Some(101))] {
            let record = encode(&old_record(synced_to));
            modules.insert(&module(n).0.0.0, record.as_slice()).unwrap();
        }
        let event = created();
        let key = event_key(event.module, &event.subject(), event.position);
        let row = pack(&event, Vec::new());
        let mut events = transaction.open_table(EVENTS).unwrap();
        events.insert(key.as_slice(), row.as_slice()).unwrap();
        let plan = scoped_key(module(1), U256::from(2));
        let mut read = transaction.open_table(PLANS_READ).unwrap();
        read.insert(&plan, encode(&TERMS).as_slice()).unwrap();
        let mut plans = transaction.open_table(PLANS_V1).unwrap();
        plans.insert(&plan, encode(&TERMS).as_slice()).unwrap();
        // The seven fields of the old fold.
        let fold = encode(&(Some((module(5), 2_u8)), 0_u8, 0_u8, 0_u8, 0_u8, 0_u8, 0_u8));
        let mut subscriptions = transaction.open_table(SUBSCRIPTIONS_V1).unwrap();
        subscriptions.insert(&plan, fold.as_slice()).unwrap();
        let mut headers = transaction.open_table(HEADERS).unwrap();
        headers.insert(100, (&[2; 32], 200)).unwrap();
    }
    transaction.commit().unwrap();
}

#[test]
fn stores_of_versions_1_and_2_keep_their_place_and_fold_their_events_again() {
    for version in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        write_old(&path, version);
        // The second opening finds nothing left to do.
        for _ in 0..2 {
            let store = Store::open(&path).unwrap();
            let modules = store.modules().unwrap();
            let synced: Vec<_> = modules.values().map(|record| record.synced).collect();
            let (at_cursor, behind) = (Synced::ToCursor, Synced::To(Some(60)));
            assert_eq!(synced, [at_cursor, behind, Synced::To(None), at_cursor]);
            let record = &modules[&module(1)];
            assert_eq!(record.start_block, 7);
            assert_eq!(record.initial_processor, Address::repeat_byte(9));
            assert_eq!(store.cursor().unwrap().unwrap().number, 100);
            assert_eq!(store.plan(module(1), PlanId::from(2)).unwrap(), Some(TERMS));
            let state = store
                .subscription(module(1), SubscriptionId::from(1))
                .unwrap()
                .unwrap();
            let subscriber = (Wallet(Address::repeat_byte(5)), PlanId::from(2));
            assert_eq!(state.subscriber, Some(subscriber));
            assert_eq!(store.subscription_count().unwrap(), 1);
            assert_eq!(store.orphans().unwrap(), 1, "the plan was only read");
        }
        let database = redb::Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        assert!(!transaction.delete_table(MODULES_V1).unwrap());
        assert!(!transaction.delete_table(SUBSCRIPTIONS_V1).unwrap());
        assert!(!transaction.delete_table(PLANS_V1).unwrap());
        let meta = transaction.open_table(META).unwrap();
        assert!(meta.get(META_UNSURE).unwrap().is_none());
    }
}

#[test]
fn a_store_of_version_3_is_found_by_server_and_its_approvals_are_acts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = Store::open(&path).unwrap();
    let (guild, role, user) = (GuildId(7), RoleId(9), UserId(5));
    let entry = JournalEntry {
        at: Timestamp(5),
        block: 3,
        change: crate::domain::RoleChange {
            action: crate::domain::RoleAction::Grant,
            guild,
            user,
            role,
            cause: crate::domain::Cause::NoSubscription,
        },
        outcome: crate::domain::Outcome::Done,
    };
    store.settle(std::slice::from_ref(&entry)).unwrap();
    drop(store);
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.delete_table(SERVER_JOURNAL).unwrap();
    {
        let mut meta = transaction.open_table(META).unwrap();
        meta.remove(META_SEQUENCE).unwrap();
        meta.insert(META_SCHEMA, 3_u32.to_le_bytes().as_slice())
            .unwrap();
        let old = ApprovalV1 {
            at: Timestamp(8),
            guild,
            role,
            by: user,
            removals: 12,
        };
        let mut approvals = transaction.open_table(APPROVALS_V1).unwrap();
        approvals.insert(0, encode(&old).as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);

    for _ in 0..2 {
        let store = Store::open(&path).unwrap();
        let happened = store.happened_in(guild, u64::MAX, 10).unwrap();
        let removals = 12;
        let act = ActEntry {
            at: Timestamp(8),
            guild,
            by: Some(user),
            act: Act::Approved { role, removals },
        };
        let expected = [Happened::Act(act), Happened::Role(entry.clone())];
        assert_eq!(
            happened.into_iter().map(|(_, one)| one).collect::<Vec<_>>(),
            expected
        );
    }
}
