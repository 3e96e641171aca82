//! Whoever asked to be forgotten: what is left of them, table by table.

use redb::{
    Key, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition,
    TableHandle as _, Value,
};

use super::*;
use crate::domain::{
    Act, ActEntry, ActiveQuestion, Cause, CheckRow, Grant, GrantTerms, GuildId, Intent,
    JournalEntry, Link, Mark, Outcome, RoleAction, RoleChange, RoleId, UserId,
};
use crate::store::tables::{EachTable, each_kept, each_short_lived};
use crate::store::{Challenge, MerchantWallet, RequestState, ServerRecord, Session, Usable};

/// Ids that nothing else in the store looks like.
const USER: UserId = UserId(0xf123_4567_89ab_cdef);
const OTHER: UserId = UserId(0xe123_4567_89ab_cdef);
const WALLET: Wallet = Wallet(Address::repeat_byte(0xd1));
const TRANSACTION: B256 = B256::repeat_byte(0xd2);
const SUBSCRIPTION: SubscriptionId = SubscriptionId(U256::from_be_bytes([0xd3; 32]));
const SIGNATURE: [u8; 65] = [0xd4; 65];
const NONCE: &str = "a nonce of seventeen";
const GUILD: GuildId = GuildId(7);
const ROLE: RoleId = RoleId(9);

/// A row of any table as it is stored.
struct Row {
    table: &'static str,
    bytes: Vec<u8>,
}

impl Row {
    fn has(&self, needle: &[u8]) -> bool {
        self.bytes
            .windows(needle.len())
            .any(|window| window == needle)
    }

    /// In keys as eight bytes, in values as postcard writes numbers.
    fn names(&self, user: UserId) -> bool {
        let varint = postcard::to_allocvec(&user.0).unwrap();
        self.has(&user.0.to_le_bytes()) || self.has(&varint)
    }
}

struct Dump<'a> {
    transaction: &'a ReadTransaction,
    rows: Vec<Row>,
}

impl EachTable for Dump<'_> {
    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        table: TableDefinition<'static, K, V>,
    ) -> anyhow::Result<()> {
        let (name, _version) = table.name().rsplit_once("_v").unwrap();
        // The test's tables are few.
        let name: &'static str = Box::leak(name.to_uppercase().into_boxed_str());
        for row in self.transaction.open_table(table)?.iter()? {
            let (key, value) = row?;
            let mut bytes = K::as_bytes(&key.value()).as_ref().to_vec();
            bytes.extend_from_slice(V::as_bytes(&value.value()).as_ref());
            self.rows.push(Row { table: name, bytes });
        }
        Ok(())
    }
}

/// Every row of every table.
fn dump(store: &Store) -> Vec<Row> {
    let transaction = store.database.begin_read().unwrap();
    let mut dump = Dump {
        transaction: &transaction,
        rows: Vec::new(),
    };
    each_kept(&mut dump).unwrap();
    each_short_lived(&mut dump).unwrap();
    dump.rows
}

fn change(action: RoleAction) -> RoleChange {
    RoleChange {
        action,
        guild: GUILD,
        user: USER,
        role: ROLE,
        cause: Cause::Paid {
            module: module(1),
            subscription: SUBSCRIPTION,
            plan: PlanId::from(1),
            mark: Mark {
                position: Position {
                    block: 5,
                    log_index: 0,
                },
                transaction: TRANSACTION,
            },
            until: Timestamp(900),
        },
    }
}

fn intent(action: RoleAction) -> Intent {
    Intent {
        change: change(action),
        block: 5,
        just_now: false,
    }
}

fn done(action: RoleAction) -> JournalEntry {
    JournalEntry {
        at: Timestamp(100),
        block: 5,
        change: change(action),
        outcome: Outcome::Done,
    }
}

fn link(store: &Store, user: UserId, wallet: Wallet) {
    let link = Link {
        user,
        wallet,
        linked_at: Timestamp(50),
        // Of another member it is another one.
        proof: (user == USER).then(|| (format!("text with {NONCE}"), SIGNATURE.to_vec())),
    };
    store.link(&link, 5).unwrap();
}

/// A member with everything that is ever stored of one.
fn known() -> Store {
    let store = Store::in_memory().unwrap();
    link(&store, USER, WALLET);
    let moved = Wallet(Address::repeat_byte(0xd5));
    link(&store, USER, moved);
    link(&store, OTHER, moved);
    store.saw(&[(USER, GUILD), (OTHER, GUILD)]).unwrap();
    store.opt_out(USER, true).unwrap();
    let warned = (Timestamp(90), false);
    store
        .set_warned(USER, module(1), SUBSCRIPTION, warned)
        .unwrap();
    let absent = [USER, OTHER].into();
    store.note_absent(&absent, Timestamp(50), 1_000).unwrap();
    let approval = ActEntry {
        at: Timestamp(60),
        guild: GUILD,
        by: Some(USER),
        act: Act::Approved {
            role: ROLE,
            removals: 12,
        },
    };
    store.note_act(&approval).unwrap();
    let (by, at) = (USER, Timestamp(61));
    let connected = ServerRecord { by, at };
    store.connect_server(GUILD, connected).unwrap();
    let shown = MerchantWallet {
        wallet: WALLET,
        at,
        message: format!("text with {NONCE}"),
        signature: SIGNATURE.to_vec(),
    };
    store.set_merchant_wallet(USER, &shown).unwrap();
    assert!(
        store
            .add_merchant_modules(USER, WALLET, &[module(1)])
            .unwrap()
    );
    let (request, expires_at) = ([6; 32], Timestamp(700));
    store
        .open_request(&request, USER, GUILD, expires_at)
        .unwrap();
    let challenge = Challenge {
        request,
        user: USER,
        nonce: NONCE.to_owned(),
        wallet: WALLET,
        message: format!("text with {NONCE}"),
        expires_at,
        state: RequestState::Open,
    };
    let put = store.put_challenge(&challenge, Timestamp(100)).unwrap();
    assert_eq!(put, Usable::Yes);
    store
        .offer_handover(&request, &[0xd6; 32], Timestamp(220))
        .unwrap();
    let session = Session {
        user: USER,
        servers: vec![GUILD],
        csrf: "a secret".to_owned(),
        expires_at,
        idle_seconds: None,
        link: None,
    };
    store.start_session(&[8; 32], &session, None).unwrap();
    let asked = ActiveQuestion {
        module: module(1),
        wallet: WALLET,
        plan: PlanId::from(1),
    };
    store
        .save_checks(&[(asked, CheckRow::default())], &[])
        .unwrap();
    store.intend(&[intent(RoleAction::Grant)]).unwrap();
    store.settle(&[done(RoleAction::Grant)]).unwrap();
    // The member was given a role by another one, and gave one to that one.
    for (user, by) in [(USER, OTHER), (OTHER, USER)] {
        let (at, until) = (Timestamp(70), Timestamp(900));
        let reason = "thanks".to_owned();
        let terms = GrantTerms {
            by,
            at,
            until,
            reason,
        };
        store
            .grant(&Grant {
                guild: GUILD,
                user,
                role: ROLE,
                terms,
            })
            .unwrap();
        let mut entry = done(RoleAction::Grant);
        (entry.change.user, entry.change.cause) = (user, Cause::Granted { by, until });
        if user == OTHER {
            store.settle(&[entry]).unwrap();
        }
    }
    store
}

fn tables_that_name(rows: &[Row], user: UserId) -> Vec<&'static str> {
    let named = rows.iter().filter(|row| row.names(user));
    let mut tables: Vec<_> = named.map(|row| row.table).collect();
    tables.sort_unstable();
    tables
}

/// Whether the row tells of anything that a member did or holds on the chain, or signed.
fn tells(row: &Row) -> bool {
    let needles: [&[u8]; 5] = [
        WALLET.0.as_slice(),
        TRANSACTION.as_slice(),
        &[0xd3; 32],
        &SIGNATURE,
        NONCE.as_bytes(),
    ];
    needles.iter().any(|needle| row.has(needle))
}

#[test]
fn of_a_forgotten_member_only_server_member_and_role_are_left_until_the_role_is_gone() {
    let store = known();
    let before = tables_that_name(&dump(&store), USER);
    for table in [
        "LINKS",
        "CHALLENGES",
        "JOURNAL",
        "NOTICES",
        "DIRECT_MESSAGES",
        "WARNED",
        "APPLIED",
        "SEEN_IN",
        "ABSENT_SINCE",
        "GRANTS",
        "ACTS",
        "SERVERS",
        "MERCHANT_WALLETS",
        "MERCHANT_MODULES",
        "SESSIONS",
    ] {
        assert!(before.contains(&table), "{table} of {before:?}");
    }
    store.forget_member(USER).unwrap();
    let left = |store: &Store| {
        let rows = dump(store);
        assert_eq!(tables_that_name(&rows, USER), ["APPLIED", "FORGOTTEN"]);
        let telling: Vec<_> = rows.iter().filter(|row| tells(row)).collect();
        let tables: Vec<_> = telling.iter().map(|row| row.table).collect();
        assert_eq!(tables, Vec::<&str>::new());
    };
    left(&store);
    // Discord shows them in the server, where the role still is.
    store.saw(&[(USER, GUILD)]).unwrap();
    left(&store);
    // A grant that was under way is acknowledged, and the role is to be taken away.
    store.settle(&[done(RoleAction::Grant)]).unwrap();
    left(&store);
    store.intend(&[intent(RoleAction::Revoke)]).unwrap();
    left(&store);
    let refused = JournalEntry {
        outcome: Outcome::Failed {
            code: 50013,
            message: "Missing Permissions".to_owned(),
        },
        ..done(RoleAction::Revoke)
    };
    store.settle(&[refused]).unwrap();
    left(&store);
    store.settle(&[done(RoleAction::Revoke)]).unwrap();
    let rows = dump(&store);
    assert_eq!(tables_that_name(&rows, USER), Vec::<&str>::new());
    assert!(!rows.iter().any(tells));
    assert!(rows.iter().all(|row| row.table != "HANDOVERS"));
    assert!(!tables_that_name(&rows, OTHER).is_empty(), "others stay");
}
