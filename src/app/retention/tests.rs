use std::collections::BTreeSet;

use alloy::primitives::Address;

use super::*;
use crate::config::Config;
use crate::domain::{
    Cause, GuildId, JournalEntry, Link, Outcome, RoleAction, RoleChange, RoleId, UserId, Wallet,
};

const NOW: Timestamp = Timestamp(2_000_000_000);
const DAY: u64 = 86_400;

/// A role change that was made so many days before now.
fn entry(days: u64) -> JournalEntry {
    JournalEntry {
        at: Timestamp(NOW.0 - days * DAY),
        block: 1,
        change: RoleChange {
            action: RoleAction::Grant,
            guild: GuildId(1),
            user: UserId(days),
            role: RoleId(1),
            cause: Cause::NoSubscription,
        },
        outcome: Outcome::Done,
    }
}

/// A link of this member.
fn link(user: u64) -> Link {
    Link {
        user: UserId(user),
        wallet: Wallet(Address::repeat_byte(user as u8)),
        linked_at: Timestamp(0),
        proof: None,
    }
}

#[tokio::test]
async fn by_default_a_role_change_stays_in_the_journal_for_a_year() {
    let shipped = include_str!("../../../config.toml");
    let config = Config::parse(shipped, "config.toml", []).unwrap();
    let months = config.journal_months.expect("there is an end");
    let unset: String = shipped
        .lines()
        .filter(|line| !line.starts_with("journal_months"))
        .collect::<Vec<_>>()
        .join("\n");
    let unset = Config::parse(&unset, "config.toml", []).unwrap();
    assert_eq!(unset.journal_months, Some(months));
    assert_eq!(months.get(), 12);

    let store = Store::in_memory().unwrap();
    let entries = [entry(500), entry(366), entry(365), entry(1)];
    store.settle(&entries).unwrap();
    forget_journal(store.clone(), months, NOW).await.unwrap();
    let left = store.journal(usize::MAX).unwrap();
    let left: BTreeSet<_> = left.iter().map(|entry| entry.change.user.0).collect();
    assert_eq!(left, [365, 1].into());
}

#[tokio::test]
async fn links_of_who_is_in_no_server_go_after_90_days() {
    let store = Store::in_memory().unwrap();
    for user in [1, 2] {
        store.link(&link(user), 5).unwrap();
    }
    let (questions, mut asked) = mpsc::channel(1);
    let answering = tokio::spawn(async move {
        while let Some(question) = asked.recv().await {
            let Question::Absent { answer } = question else {
                panic!("nothing else is asked");
            };
            let _gone = answer.send(Some([UserId(1)].into()));
        }
    });
    for (days, links) in [(0, 2), (89, 2), (90, 1)] {
        let now = Timestamp(NOW.0 + days * DAY);
        forget_absent(store.clone(), &questions, now).await.unwrap();
        assert_eq!(store.link_count().unwrap(), links, "after {days} days");
    }
    assert_eq!(store.wallets_of(UserId(1)).unwrap(), []);
    drop(questions);
    answering.await.unwrap();
}

#[tokio::test]
async fn nobody_is_taken_for_absent_while_a_server_cannot_be_read() {
    let store = Store::in_memory().unwrap();
    store.link(&link(1), 5).unwrap();
    let (questions, mut asked) = mpsc::channel(1);
    let answering = tokio::spawn(async move {
        while let Some(Question::Absent { answer }) = asked.recv().await {
            let _gone = answer.send(None);
        }
    });
    for days in [0, 1_000] {
        let now = Timestamp(NOW.0 + days * DAY);
        forget_absent(store.clone(), &questions, now).await.unwrap();
    }
    assert_eq!(store.link_count().unwrap(), 1);
    assert_eq!(store.absent_since(UserId(1)).unwrap(), None);
    drop(questions);
    answering.await.unwrap();
}
