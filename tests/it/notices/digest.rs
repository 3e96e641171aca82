//! The week's numbers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use amser_roles::discord::{Discord, Settings};
use amser_roles::domain::{
    Cause, ChainStatus, ChannelId, DiscordStatus, JournalEntry, MembersIntent, Outcome, RoleAction,
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
use crate::support::stage::{Stage, new_guild, wait};

/// 2026-01-05T09:00:00Z, a Monday.
const MONDAY: u64 = 1_767_603_600;
const DAY: u64 = 86_400;

/// The digests in a channel.
fn digests(local: &LocalDiscord, log: ChannelId) -> Vec<String> {
    let all = read(local, log).into_iter();
    all.filter(|text| text.starts_with("📊")).collect()
}

#[tokio::test]
async fn the_running_service_tells_who_came_who_went_and_why_and_who_is_at_risk_once_a_week() {
    let mut stage = Stage::open().await;
    let (ada, _) = stage.subscriber("ada").await;
    let (bob, bobs) = stage.subscriber("bob").await;
    let (cleo, cleos) = stage.subscriber("cleo").await;
    let (dan, dans) = stage.subscriber("dan").await;
    // Two pause, one cancels, and ada's next payment will find an empty wallet.
    for subscription in [bobs, cleos] {
        stage.chain.pause(stage.module, subscription).await.unwrap();
    }
    stage.chain.cancel(stage.module, dans).await.unwrap();
    stage.chain.burn_all(ada.wallet).await.unwrap();
    for person in [bob, cleo, dan] {
        stage.until_role(person, false).await;
        stage.until_journaled(person, RoleAction::Revoke).await;
    }
    stage.stop().await;
    // What the service did is moved into the week that ended last Monday, of which nobody was told yet.
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since_epoch.unwrap().as_secs() - MONDAY;
    let monday = Timestamp(MONDAY + since - since % (7 * DAY));
    let people = [ada, bob, cleo, dan].map(|person| person.user);
    let mut week = stage.store.journal(usize::MAX).unwrap();
    week.retain(|entry| people.contains(&entry.change.user));
    for entry in &mut week {
        entry.at = Timestamp(monday.0 - DAY);
    }
    week.reverse();
    stage.store.settle(&week).unwrap();
    let log = channel(&stage.discord, stage.guild);
    set(&stage.store, stage.guild, logged(log));
    let week_before = Timestamp(monday.0 - 7 * DAY);
    stage.store.set_digest(stage.guild, week_before).unwrap();
    stage.start();
    let digests = |stage: &Stage| digests(&stage.discord, log);
    wait("the week is told", || !digests(&stage).is_empty()).await;
    let told = digests(&stage).concat();
    for line in [
        "• 4 members got a role.",
        "• 3 members lost a role: paused (2), cancelled (1).",
        "• 1 renewal of the next seven days looks unlikely; `/amser forecast` lists it.",
    ] {
        assert!(told.contains(line), "{told}");
    }
    // Until the next Monday there is none, also after a restart: what happens later is told alone.
    stage.stop().await;
    stage.start();
    let (eve, _) = stage.subscriber("eve").await;
    wait("eve is told", || stage.lines_about(log, eve, "got") == 1).await;
    assert_eq!(digests(&stage).len(), 1);
    stage.assert_no_violations();
}

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
    now.store(MONDAY, Ordering::Relaxed);
    let minute = || now.fetch_add(60, Ordering::Relaxed);
    let digests = || digests(&local, log);
    wait("the week is told", || {
        minute();
        digests().len() == 1
    })
    .await;
    assert!(
        digests()[0].contains("2 members lost a role: no subscription was found (2)."),
        "{:?}",
        digests()
    );
    stop.cancel();
    running.await.unwrap().unwrap();
    let (stop, running) = start();
    now.store(MONDAY + 7 * DAY, Ordering::Relaxed);
    wait("the next week is told", || {
        minute();
        digests().len() > 1
    })
    .await;
    assert_eq!(digests().len(), 2);
    assert!(digests()[1].contains("0 members lost a role."));
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(local.violations(), []);
}
