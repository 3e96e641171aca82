//! A year of one server in six minutes: monthly payers, members who come and go, providers that fail, and a program that is
//! stopped, killed, moved and upgraded. At each simulated day's end the roles are what the chain says, and once a month
//! what the program takes up is compared with `docs/figures.md`.
//!
//! The chain's clock makes the days. What the service does by the machine's clock (the brake's hour, sessions, timed
//! grants, the age of the journal) sees the minutes that really pass.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod club;
mod figures;
mod host;
mod old_store;
mod providers;

use std::path::{Path, PathBuf};

use crate::support::knob;
use crate::support::stage::Setting;

use self::club::Club;
use self::figures::Figures;
use self::host::{Host, Upkeep};
use self::providers::Providers;

/// How many days to play.
fn days() -> u64 {
    knob("YEAR_DAYS", 20)
}

/// The last day on which the program is stopped or killed; from then on one process runs, so that what its memory does
/// over months can be seen.
const LAST_UPKEEP: u64 = 240;
/// The program of an older version, which runs until [`NEW_FROM`].
fn older() -> Option<PathBuf> {
    std::env::var_os("AMSER_ROLES_TEST_YEAR_OLDER").map(PathBuf::from)
}

/// The upgrade at which an older program is replaced by this one: by then it was killed once, and moved once.
const NEW_FROM: u64 = 35;

/// Blocks on top of an event's block before it counts.
const CONFIRMATIONS: u64 = 2;

/// What the host does on this day.
fn upkeep_of(day: u64) -> Option<Upkeep> {
    if day % 10 != 5 || day > LAST_UPKEEP {
        return None;
    }
    let turn = [
        Upkeep::Upgrade,
        Upkeep::Kill,
        Upkeep::Move,
        Upkeep::Upgrade,
        Upkeep::Rebuild,
    ];
    Some(turn[(day / 10) as usize % turn.len()])
}

async fn lives(seed: u64, days: u64, older: Option<&Path>) {
    assert!(older.is_none() || days > NEW_FROM, "it is never upgraded");
    let mut club = Club::found(seed, CONFIRMATIONS).await;
    let providers = Providers::start(&club.chain).await;
    let setting = Setting {
        // A year in minutes: many windows end within the brake's hour.
        policy: "max_revoke_floor = 1000000",
        confirmations: CONFIRMATIONS,
        rpc_urls: providers.urls(),
        ..Setting::default()
    };
    let mut host = Host::new(&club, &setting, older);
    host.write_old_store(&club.take_newcomers());
    host.start();
    let mut figures = Figures::read();
    for day in 1..=days {
        let context = format!("seed {seed}, day {day}");
        let trouble = providers.fail(&mut club.dice);
        let upkeep = upkeep_of(day);
        if let Some(upkeep) = upkeep {
            host.stop(upkeep).await;
        }
        club.morning(day).await;
        if let Some(upkeep) = upkeep {
            if day == NEW_FROM && host.is_older() {
                host.upgrade();
                // Those who were not invited meanwhile.
                club.invite(2).await;
            }
            // Newcomers' links are written as this version writes them.
            if upkeep == Upkeep::Upgrade && !host.is_older() {
                club.invite(2).await;
            }
            host.maintain(upkeep, &club.take_newcomers()).await;
            host.start();
        }
        club.evening(day).await;
        // One of the two works again. The other may stay as it is over night.
        providers.mend_one(&club.chain, &mut club.dice);
        let end = club.end_of_day(day).await;
        let context = format!("{context}, {trouble}, {upkeep:?}");
        host.until_at_rest(&club, &end, &context).await;
        providers.mend_all(&club.chain);
        if figures.wants(day) && !host.is_older() {
            figures.note(day, host.measure().await);
        }
    }
    host.stop(Upkeep::Upgrade).await;
    assert_eq!(club.discord.violations(), [], "seed {seed}");
    figures.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_end_of_every_day_of_a_year_the_roles_are_what_the_chain_says() {
    lives(knob("SEED", 7), days(), older().as_deref()).await;
}
