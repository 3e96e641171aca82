//! The store, and what of it shows that events are missing.

use crate::doctor::facts::{Facts, StoreFacts, StoreState};
use crate::domain::{Finding, unread_beginnings};
use crate::store::{Pages, RowsRead};
use crate::text::counted;

/// In seconds.
const DAY: u64 = 86_400;
/// From so many days on, a backup is old.
const OLD_BACKUP: u64 = 7;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let store = &facts.store;
    let path = store.path.display();
    match &store.state {
        StoreState::Absent => vec![Finding::ok(
            "store.open",
            format!("there is no store at {path} yet; it is made at the first start"),
        )],
        StoreState::Unusable(why) => vec![Finding::failure(
            "store.open",
            why.clone(),
            "do what the sentence says; the file was left as it is",
        )],
        StoreState::Open => {
            let block = store.cursor.map_or(0, |cursor| cursor.number);
            let gates = counted(store.gates as u64, "gate");
            vec![
                Finding::ok(
                    "store.open",
                    format!("{path} has the events up to block {block}, and {gates}"),
                ),
                health(store),
                orphans(store.orphans),
                unknown_logs(&store.unknown),
                backup(facts),
            ]
        }
    }
}

/// Whether the file is whole.
fn health(store: &StoreFacts) -> Finding {
    let name = "store.health";
    let RowsRead { rows, damaged } = &store.rows;
    if !damaged.is_empty() {
        let tables = damaged
            .iter()
            .map(|(table, rows)| format!("{rows} of {table}"));
        let tables: Vec<_> = tables.collect();
        return Finding::failure(
            name,
            format!("stored rows cannot be read: {}", tables.join(", ")),
            "stop the service and put the newest backup back (amser-roles restore FILE --replace)",
        );
    }
    match store.pages {
        Some(Pages::Whole) => Finding::ok(
            name,
            format!("every page is as it was written, and all {rows} rows can be read"),
        ),
        Some(Pages::Repaired) => Finding::warning(
            name,
            "pages did not fit together and were repaired, so the newest changes may be lost",
            "check the disk, and compare the gates and links with the newest backup",
        ),
        None => Finding::ok(
            name,
            format!(
                "all {rows} rows can be read; the pages are checked when the service is stopped"
            ),
        ),
    }
}

/// Links and their proofs are nowhere else.
fn backup(facts: &Facts) -> Finding {
    let name = "store.backup";
    let what_to_do = "run amser-roles backup FILE every day, and keep the file elsewhere";
    let links = facts.store.links;
    match facts.store.last_backup {
        _ if links == 0 => Finding::ok(name, "there are no links yet that a backup would keep"),
        None => Finding::warning(
            name,
            format!(
                "no backup was ever made of the members' {}",
                counted(links, "link")
            ),
            what_to_do,
        ),
        Some(last) => {
            let days = facts.now.0.saturating_sub(last.0) / DAY;
            let sentence = format!("the last backup is {} old", counted(days, "day"));
            match days < OLD_BACKUP {
                true => Finding::ok(name, sentence),
                false => Finding::warning(name, sentence, what_to_do),
            }
        }
    }
}

fn orphans(orphans: u64) -> Finding {
    let name = "store.orphans";
    match orphans {
        0 => Finding::ok(
            name,
            "every subscription and plan was read from its beginning",
        ),
        orphans => {
            let (sentence, what_to_do) = unread_beginnings(orphans);
            Finding::failure(name, sentence, what_to_do)
        }
    }
}

fn unknown_logs(unknown: &[(u64, String)]) -> Finding {
    let name = "store.unknown_logs";
    match unknown {
        [] => Finding::ok(name, "every event of the followed contracts is understood"),
        [(count, what), more @ ..] => {
            let others = match more.len() {
                0 => String::new(),
                kinds => format!(" (and {})", counted(kinds as u64, "other kind")),
            };
            Finding::warning(
                name,
                format!(
                    "{} could not be read, from {what}{others}",
                    counted(*count, "event")
                ),
                "add the ABI file of the deployed contract to chain.abi",
            )
        }
    }
}
