//! The week's numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use amser_roles::discord::{Discord, Settings};
use amser_roles::domain::{
    Cause, ChainStatus, DiscordStatus, JournalEntry, MembersIntent, Outcome, RoleAction,
    RoleChange, RoleId, Timestamp, UserId,
};
use amser_roles::notices;
use amser_roles::sandbox::discord::LocalDiscord;
use amser_roles::store::Store;
use secrecy::SecretString;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{channel, logged, read, set};
use crate::support::notices::inputs;
use crate::support::scene::patient;
use crate::support::stage::{new_guild, wait};

/// 2026-01-05T09:00:00Z, a Monday.
const MONDAY: u64 = 1_767_603_600;
const DAY: u64 = 86_400;

#[tokio::test]
async fn the_week_is_told_on_monday_once_also_over_a_restart() {
    let local = LocalDiscord::start(patient()).await.unwrap();
    let (guild, _) = new_guild(&local, "Club", &["Gold"]);
    let log = channel(&local, guild);
    let settings = Settings {
        application_id: local.options().application_id.get().try_into().unwrap(),
        api_url: local.base_url().parse().unwrap(),
        members_intent: MembersIntent::Used,
    };
    let token = SecretString::from(local.options().token);
    let status = watch::Sender::new(DiscordStatus::default());
    let discord = Discord::new(&settings, &token, status).unwrap();
    let store = Store::in_memory().unwrap();
    set(&store, guild, logged(log));
    let (_chain, chain) = watch::channel(ChainStatus::default());
    let now = Arc::new(AtomicU64::new(MONDAY - 5 * DAY));
    let start = || {
        let stop = CancellationToken::new();
        let now = Arc::clone(&now);
        let clock = move || Timestamp(now.load(Ordering::Relaxed));
        let told = inputs(&discord, &store, &chain, clock);
        let running = tokio::spawn(notices::run(told, stop.clone()));
        (stop, running)
    };
    let begun = Timestamp(MONDAY - 5 * DAY);
    assert_eq!(store.last_digest(guild, begun).unwrap(), begun);
    let (stop, running) = start();
    let lost = |user, at| JournalEntry {
        at: Timestamp(at),
        block: 1,
        change: RoleChange {
            action: RoleAction::Revoke,
            guild,
            user: UserId(user),
            role: RoleId(9),
            cause: Cause::NoSubscription,
        },
        outcome: Outcome::Done,
    };
    let week = [
        lost(11, MONDAY - 8 * DAY),
        lost(12, MONDAY - 2 * DAY),
        lost(13, MONDAY - DAY),
    ];
    store.settle(&week).unwrap();
    // No chain answers here, so it is told without the renewals after an hour.
    now.store(MONDAY + 3_600, Ordering::Relaxed);
    let digests = || {
        let all = read(&local, log);
        let digests = all.into_iter().filter(|text| text.starts_with("📊"));
        digests.collect::<Vec<_>>()
    };
    wait("the week is told", || digests().len() == 1).await;
    assert!(
        digests()[0].contains("2 members lost a role: no subscription was found (2)."),
        "{:?}",
        digests()
    );
    stop.cancel();
    running.await.unwrap().unwrap();
    let (stop, running) = start();
    now.store(MONDAY + 7 * DAY + 3_600, Ordering::Relaxed);
    wait("the next week is told", || digests().len() > 1).await;
    assert_eq!(digests().len(), 2);
    assert!(digests()[1].contains("0 members lost a role."));
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(local.violations(), []);
}
