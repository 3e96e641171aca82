//! The store, and what of it shows that events are missing.

use crate::doctor::facts::{Facts, StoreState};
use crate::domain::Finding;

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
            let gates = store.gates;
            vec![
                Finding::ok(
                    "store.open",
                    format!("{path} has the events up to block {block}, and {gates} gates"),
                ),
                orphans(store.orphans),
                unknown_logs(&store.unknown),
            ]
        }
    }
}

fn orphans(orphans: u64) -> Finding {
    let name = "store.orphans";
    match orphans {
        0 => Finding::ok(
            name,
            "of every subscription and plan the beginning was read",
        ),
        orphans => Finding::failure(
            name,
            format!(
                "of {orphans} subscriptions or plans the beginning was not read, so who pays for them gets no role"
            ),
            "use an archive node that keeps old receipts, or set chain.start_block to a block before the modules' first event",
        ),
    }
}

fn unknown_logs(unknown: &[(u64, String)]) -> Finding {
    let name = "store.unknown_logs";
    match unknown {
        [] => Finding::ok(name, "every event of the followed contracts is understood"),
        [(count, what), more @ ..] => {
            let others = match more.len() {
                0 => String::new(),
                kinds => format!(" (and {kinds} other kinds)"),
            };
            Finding::warning(
                name,
                format!("{count} events could not be read, from {what}{others}"),
                "add the ABI file of the deployed contract to chain.abi",
            )
        }
    }
}
