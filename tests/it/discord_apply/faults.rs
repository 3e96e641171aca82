//! Rate limits and Discord's passing failures: nothing too early, nothing lost, the others go on.

use amser_roles::sandbox::discord::{Allowance, Bucket, Fault, RateLimits, Times};

use super::*;

const ADD: Option<Route> = Some(Route::AddMemberRole);

/// Half the time after which a request that hangs is given up: what took no longer did not wait for one.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn the_buckets_window_is_waited_for_without_a_single_429() {
    let mut rate_limits = RateLimits::realistic();
    rate_limits
        .buckets
        .insert(Bucket::MemberRoles, Allowance::new(5, 1));
    let mut story = Story::begin_with(
        Options {
            rate_limits,
            ..Options::default()
        },
        17,
    )
    .await;
    story.ready().await;
    story.local.clear_log();
    let begun = Instant::now();
    for user in &story.users {
        story.set(RoleAction::Grant, *user);
    }
    story.settled().await;
    assert_eq!(story.holders().len(), 17);
    assert_eq!(story.role_requests(), 17, "so none was refused");
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(2500), "{took:?}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_paid_just_now_does_not_wait_behind_three_thousand() {
    let options = Options {
        rate_limits: RateLimits::realistic(),
        ..Options::default()
    };
    let mut story = Story::begin_with(options, 3_001).await;
    story.ready().await;
    let (payer, crowd) = story.users.split_last().unwrap();
    for user in crowd {
        story.set(RoleAction::Grant, *user);
    }
    let (guild, paid, payer) = (story.guild, story.paid, *payer);
    let busy = move |local: &LocalDiscord| local.members_with(guild, paid).len() >= 8;
    let busy = story.local.wait_until("some are given it", DEADLINE, busy);
    busy.await.unwrap();
    let begun = Instant::now();
    story.discord.send([Intent {
        just_now: true,
        ..story.intent(RoleAction::Grant, guild, payer, paid)
    }]);
    let given = move |local: &LocalDiscord| local.has_role(guild, payer, paid);
    let given = story.local.wait_until("the payer has it", DEADLINE, given);
    given.await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
    let waits = story.status.borrow().servers[&guild].queue_wait;
    assert!(waits > Duration::from_secs(40 * 60), "{waits:?}");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_a_second_are_enough_for_many_servers() {
    let options = Options {
        rate_limits: RateLimits::realistic(),
        ..Options::default()
    };
    let mut story = Story::begin_with(options, 1).await;
    story.ready().await;
    let guilds: Vec<_> = (0..20)
        .map(|number| {
            let guild = story.local.add_guild(&format!("Guild {number}"));
            let role = story.local.add_role(guild, "Paid").unwrap();
            story
                .local
                .set_role_order(guild, &[role, story.local.bot_role(guild).unwrap()])
                .unwrap();
            let users = story.local.add_members(guild, 5).unwrap();
            (guild, role, users)
        })
        .collect();
    for (guild, role, users) in &guilds {
        for user in users {
            story.send(RoleAction::Grant, *guild, *user, *role);
        }
    }
    story.settled().await;
    for (guild, role, _) in guilds {
        assert_eq!(story.local.members_with(guild, role).len(), 5);
    }
    assert_eq!(story.local.invalid_requests(), 0);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_429_is_waited_out() {
    // What is on its way at the refusal comes in the first half, also on a busy machine.
    let retry_after = Duration::from_secs(4);
    for (fault, counts) in [
        (Fault::RateLimited(retry_after), 1),
        (Fault::SharedRateLimited(retry_after), 0),
        (Fault::GlobalRateLimited(retry_after), 1),
        (Fault::CloudflareRateLimited(retry_after), 1),
    ] {
        let mut story = Story::begin(3).await;
        story.ready().await;
        story.local.inject(ADD, fault.clone(), Times::Next(1));
        let begun = Instant::now();
        for user in &story.users {
            story.set(RoleAction::Grant, *user);
        }
        story.settled().await;
        assert!(begun.elapsed() >= retry_after, "{fault:?}");
        assert_eq!(story.holders().len(), 3);
        assert_eq!(story.role_requests(), 4, "{fault:?}");
        assert_eq!(story.local.invalid_requests(), counts, "{fault:?}");
        // A rate limit is not reported.
        story.reports(3).await;
        story.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_server_errors_delays_but_loses_nothing() {
    let mut story = Story::begin(10).await;
    story.ready().await;
    story
        .local
        .inject(ADD, Fault::ServerError(503), Times::Next(15));
    for user in &story.users {
        story.set(RoleAction::Grant, *user);
    }
    story.settled().await;
    assert_eq!(story.holders().len(), 10);
    assert_eq!(story.role_requests(), 25);
    let told = story.reports(20).await.into_iter();
    let done = told.filter(|report| report.outcome == Some(Outcome::Done));
    assert_eq!(done.count(), 10, "each failure once, each success once");
    assert_eq!(story.status.borrow().failing, BTreeMap::new());
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_and_a_reset_request_are_tried_again_while_others_go_on() {
    for fault in [Fault::Hang, Fault::Reset] {
        let mut story = Story::begin(4).await;
        story.ready().await;
        story.local.inject(ADD, fault, Times::Next(1));
        for user in &story.users {
            story.set(RoleAction::Grant, *user);
        }
        let failed = story.report().await;
        assert_eq!(
            (failed.intent.change.user, code(&failed)),
            (story.users[0], Some(0))
        );
        // On a busy machine it may be time to try it again before the last of the others is sent.
        let rest = story.reports(4).await.into_iter();
        let done: BTreeMap<_, _> = rest
            .map(|report| (report.intent.change.user, report.outcome))
            .collect();
        let expected = story.users.iter().map(|user| (*user, Some(Outcome::Done)));
        assert_eq!(done, expected.collect());
        story.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn role_changes_go_on_while_the_server_itself_cannot_be_read() {
    // A busy machine may take as long by itself once; changes that wait for the reading do each time.
    for _ in 0..5 {
        if changes_go_on_while_the_server_is_read().await {
            return;
        }
    }
    panic!("the changes waited for the reading");
}

/// Whether all changes were made sooner than a reading that hangs is given up.
async fn changes_go_on_while_the_server_is_read() -> bool {
    const GET: Option<Route> = Some(Route::GetGuild);
    let mut story = Story::begin(6).await;
    story.ready().await;
    story.set(RoleAction::Grant, story.users[0]);
    story.settled().await;
    story.local.clear_log();
    story.local.inject(GET, Fault::Hang, Times::UntilCleared);
    let rename = |name| story.local.rename_role(story.guild, story.paid, name);
    rename("Renamed").unwrap();
    let asked = |times| {
        let asked = move |local: &LocalDiscord| local.count(Route::GetGuild) == times;
        story
            .local
            .wait_until("the roles are asked for", DEADLINE, asked)
    };
    asked(1).await.unwrap();
    let begun = Instant::now();
    for user in &story.users[1..5] {
        story.set(RoleAction::Grant, *user);
    }
    story.settled().await;
    let first = begun.elapsed();
    assert_eq!(story.holders(), story.users[..5].iter().copied().collect());
    // Nobody waits for the second try in vain.
    asked(2).await.unwrap();
    let begun = Instant::now();
    story.set(RoleAction::Grant, story.users[5]);
    story.settled().await;
    let second = begun.elapsed();
    story.local.clear_faults(None);
    story.end().await;
    println!("the changes took {first:?} and {second:?}");
    first < SOON && second < SOON
}
