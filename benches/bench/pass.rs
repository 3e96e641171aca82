//! A pass over 100,000 linked members: with nothing to do, and with 100 changes.

use std::hint::black_box;
use std::time::Instant;

use alloy::primitives::{Address, B256, U256};
use amser_roles::domain::{
    AppliedState, Batch, ChainEvent, Checkpoint, Coverage, EventKind, Gate, GateId, GateMatch,
    GateOrigin, GuildId, Intent, MembersQuery, ModuleAddress, PlanId, Policy, Position, RoleId,
    SubscriptionId, Timestamp, UserId, Wallet,
};
use amser_roles::roles;
use amser_roles::roles::members::page;
use amser_roles::roles::people::People;
use amser_roles::roles::plan::{Decision, plan};
use amser_roles::store::Store;
use rustc_hash::FxHashMap;

use crate::floors::Disk;
use crate::process;
use crate::table::{Table, median};

const MEMBERS: u64 = 100_000;
const CHANGES: u64 = 100;
const ROUNDS: usize = 21;
/// What a pass may cost in hash look-ups, and its changes in bare fsyncs. A pass of 28 ms was 54 look-ups of every member on a
/// quiet machine of two cores, and 35 to 67 on a busy one.
const MOST_LOOK_UPS: f64 = 80.0;
const MOST_SYNCS: f64 = 25.0;
/// What the first page of a server's members may cost in hash look-ups of all of them: 50 ms for 10,000 would be 1,000 or so.
const MOST_LOOK_UPS_FOR_A_PAGE: f64 = 400.0;
/// How often every member is looked up in one measurement of the floor.
const LOOK_UPS_AT_ONCE: u32 = 20;
const GUILD: GuildId = GuildId(1);
const ROLE: RoleId = RoleId(2);
const PLAN: PlanId = PlanId(U256::ONE);
const MODULE: ModuleAddress = ModuleAddress(Address::repeat_byte(0xaa));
const INTERVAL: u64 = 86_400;

/// Members `1..=MEMBERS`, each with a wallet and a paid subscription; the first `CHANGES` paid a day earlier.
pub(crate) async fn pass(table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(&folder.path().join("pass.redb"))?;
    store.add_module(MODULE, 0, Address::ZERO)?;
    store.ingest(history())?;
    let mut people = people(&store)?;
    let paid = Timestamp(10 * INTERVAL);
    let everyone = paid.plus(1);
    let some_lapsed = paid.plus(INTERVAL / 2);
    let members: FxHashMap<UserId, u64> = (1..=MEMBERS).map(|user| (UserId(user), user)).collect();
    let mut disk: Option<Disk> = None;
    let (mut looked_up, mut idle, mut synced, mut intended) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        // As long as a pass: a busy machine interrupts what is longer more often.
        let started = Instant::now();
        for _ in 0..LOOK_UPS_AT_ONCE {
            let everyone = people.everyone();
            let found: u64 = everyone
                .filter_map(|member| members.get(&black_box(member)))
                .sum();
            anyhow::ensure!(
                found == MEMBERS * (MEMBERS + 1) / 2,
                "every member is found"
            );
        }
        let millis = started.elapsed().as_secs_f64() * 1e3;
        looked_up.push(millis / f64::from(LOOK_UPS_AT_ONCE));

        let started = Instant::now();
        let decisions = everybody(&people, everyone);
        idle.push(started.elapsed().as_secs_f64() * 1e3);
        anyhow::ensure!(decisions.is_empty(), "nothing was to be done");

        let decisions = everybody(&people, some_lapsed);
        let written = process::written()?;
        let started = Instant::now();
        let changes = roles::to_changes(&store, &decisions, some_lapsed)?;
        let intents = changes.into_iter().map(|change| Intent {
            change,
            block: 1,
            just_now: false,
        });
        let changes: Vec<_> = intents.collect();
        store.intend(&changes)?;
        intended.push(started.elapsed().as_secs_f64() * 1e3);
        let bytes = process::written()? - written;
        anyhow::ensure!(changes.len() as u64 == CHANGES, "{} changes", changes.len());
        let disk = match &mut disk {
            Some(disk) => disk,
            None => disk.insert(Disk::new(folder.path(), bytes)?),
        };
        synced.push(disk.sync()?);
    }
    // What a tick really does when one block comes: only those whose window ended are looked at.
    let started = Instant::now();
    let dirty = people.take_dirty(some_lapsed);
    let decisions = plan(&people, dirty, some_lapsed).changes;
    let tick = started.elapsed().as_secs_f64() * 1e3;
    anyhow::ensure!(
        decisions.len() as u64 == CHANGES,
        "{} decisions",
        decisions.len()
    );
    let members = first_page(&people, everyone)?;
    let (floor, idle) = (median(&looked_up), median(&idle));
    table.ratio(
        &format!("pass over {MEMBERS} linked members, nothing to do"),
        format!("{idle:.1} ms, 0 changes"),
        format!("{floor:.2} ms: one hash look-up for every member"),
        idle / floor,
        MOST_LOOK_UPS,
    );
    let (floor, intended) = (median(&synced), median(&intended));
    table.ratio(
        &format!("causes and durable intents of {CHANGES} changes that a pass finds"),
        format!("{intended:.1} ms, {CHANGES} changes"),
        format!("{floor:.2} ms: a bare fsync of as many bytes"),
        intended / floor,
        MOST_SYNCS,
    );
    table.ratio(
        &format!("first page of the table of {MEMBERS} members"),
        format!("{members:.1} ms"),
        format!(
            "{:.2} ms: one hash look-up for every member",
            median(&looked_up)
        ),
        members / median(&looked_up),
        MOST_LOOK_UPS_FOR_A_PAGE,
    );
    table.note(
        "a tick that finds those changes by their expiry",
        format!("{tick:.2} ms"),
    );
    Ok(())
}

/// How many milliseconds the first page of the server's members takes.
fn first_page(people: &People, now: Timestamp) -> anyhow::Result<f64> {
    let mut taken = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let (rows, next) = page(people, GUILD, &MembersQuery::default(), now, &|_| None);
        taken.push(started.elapsed().as_secs_f64() * 1e3);
        anyhow::ensure!(rows.len() == 100 && next.is_some(), "a full page");
    }
    Ok(median(&taken))
}

fn wallet(user: u64) -> Wallet {
    Wallet(Address::from_word(B256::from(U256::from(user))))
}

fn history() -> Batch {
    let event = |block, log_index, kind| ChainEvent {
        module: MODULE,
        position: Position { block, log_index },
        transaction: B256::from(U256::from(log_index)),
        timestamp: None,
        kind,
    };
    let mut events = vec![event(
        1,
        0,
        EventKind::PlanCreated {
            plan: PLAN,
            token: Address::ZERO,
            price: U256::ONE,
            interval: INTERVAL,
            grace_period: 0,
        },
    )];
    for user in 1..=MEMBERS {
        let subscription = SubscriptionId::from(user);
        let index = u32::try_from(user).expect("fewer than 2^32 members");
        let subscriber = wallet(user);
        events.push(event(
            2,
            index,
            EventKind::SubscriptionCreated {
                subscription,
                subscriber,
                plan: PLAN,
                execution_budget: U256::MAX,
                allowance_expiry: U256::MAX,
            },
        ));
        let early = if user <= CHANGES { INTERVAL - 2 } else { 0 };
        let paid = ChainEvent {
            position: Position {
                block: 3,
                log_index: index,
            },
            ..event(
                3,
                index,
                EventKind::ExecutionExecuted {
                    subscription,
                    payer: subscriber.0,
                    amount: U256::ONE,
                    execution_time: Timestamp(10 * INTERVAL - early),
                },
            )
        };
        events.push(paid);
    }
    let to = Checkpoint {
        number: 3,
        hash: B256::ZERO,
        timestamp: Timestamp(10 * INTERVAL),
    };
    let coverage = Coverage::Cursor {
        joined: vec![MODULE],
        left: Vec::new(),
    };
    Batch {
        events,
        ..Batch::new(to, coverage)
    }
}

fn everybody(people: &People, now: Timestamp) -> Vec<Decision> {
    plan(people, people.everyone().map(|user| (user, false)), now).changes
}

/// Everyone linked, in the server, and holding the role by our grant.
fn people(store: &Store) -> anyhow::Result<People> {
    let mut people = People::new(Policy::default());
    store.for_each_plan(|module, id, plan| people.set_plans([((module, id), Some(plan))]))?;
    store.for_each_subscription(|module, id, state| {
        people.set_subscription(module, id, Some(&state));
    })?;
    people.set_gates(vec![Gate {
        id: GateId(1),
        guild: GUILD,
        module: MODULE,
        plans: [PLAN].into(),
        matching: GateMatch::Any,
        roles: [ROLE].into(),
        origin: GateOrigin::Config,
    }]);
    for user in (1..=MEMBERS).map(UserId) {
        people.set_wallets(user, vec![wallet(user.0)]);
        people.set_applied((GUILD, user, ROLE), Some(AppliedState::Granted));
        people.see(GUILD, user, &[ROLE], false);
    }
    people.set_complete(store.complete_modules()?);
    people.take_dirty(Timestamp(10 * INTERVAL));
    Ok(people)
}
