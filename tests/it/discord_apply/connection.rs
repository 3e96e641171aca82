//! How connections to the gateway break, and that each break ends in a new connection or in one clear sentence.

use amser_roles::sandbox::discord::{Allowance, Fault, Times};
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use super::gateway::Logged;
use super::*;

async fn until(story: &Story, what: &str, condition: impl Fn(&LocalDiscord) -> bool) {
    let met = story.local.wait_until(what, DEADLINE, condition);
    met.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_resumed_at_the_address_that_discord_named() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    story.local.drop_gateway();
    until(&story, "it is resumed", |local| local.resumed() == 1).await;
    assert_eq!(story.local.resumed_where_told(), 1);
    story.local.ask_to_reconnect();
    until(&story, "it is resumed again", |local| local.resumed() == 2).await;
    assert_eq!(story.local.identified(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_acknowledgements_is_replaced_and_its_session_resumed() {
    let options = Options {
        heartbeat_interval: Duration::from_millis(600),
        ..Options::default()
    };
    let mut story = Story::begin_with(options, 1).await;
    story.ready().await;
    story.local.set_deaf(true);
    story.status(|status| !status.connected).await;
    story.local.set_deaf(false);
    until(&story, "it is resumed", |local| local.resumed() > 0).await;
    story.status(|status| status.connected).await;
    assert_eq!(story.local.identified(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_without_a_code_and_an_unknown_code_are_resumed() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    story.local.close_gateway_without_code();
    until(&story, "it is resumed", |local| local.resumed() == 1).await;
    story.local.close_gateway(4999);
    until(&story, "it is resumed again", |local| local.resumed() == 2).await;
    assert_eq!(story.local.identified(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn close_codes_that_end_the_session_begin_another() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    for (code, sessions) in [(4003, 2), (4009, 3)] {
        story.local.close_gateway(code);
        let begun = move |local: &LocalDiscord| local.identified() == sessions;
        until(&story, "another session is begun", begun).await;
        story.status(|status| status.connected).await;
    }
    assert_eq!(story.local.resumed(), 0);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over_after_many_failures_is_replaced_at_once() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    // As many as make the start of a session rare.
    for times in 1..=6 {
        story.local.drop_gateway();
        let resumed = move |local: &LocalDiscord| local.resumed() == times;
        until(&story, "it is resumed", resumed).await;
    }
    story.local.invalidate_sessions();
    until(&story, "another session is begun", |local| {
        local.identified() == 2
    })
    .await;
    story.status(|status| status.connected).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_has_grown_connects_with_more_shards() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    story.local.require_shards(2);
    until(&story, "two shards are connected", |local| {
        local.gateway_connections() == 2
    })
    .await;
    story
        .observed(|observation| *observation == Observation::Connected)
        .await;
    assert_eq!(story.local.identified(), 3);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_is_one_sentence() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    story.local.close_gateway(4012);
    let task = story.task.take().unwrap();
    let ended = tokio::time::timeout(DEADLINE, task).await.unwrap();
    let error = ended.unwrap().unwrap_err().to_string();
    assert!(error.contains("4012") && !error.contains('\n'), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_hangs_is_given_up() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    story.local.hang_handshakes(1);
    story.local.drop_gateway();
    until(&story, "it is resumed", |local| local.resumed() == 1).await;
    story.status(|status| status.connected).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_an_outage_is_neither_gone_nor_there() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    story.local.set_unavailable(story.guild, true).unwrap();
    story.local.invalidate_sessions();
    let first = story.observed(|_| true).await;
    assert_eq!(first, Observation::Connected);
    story.local.set_unavailable(story.guild, false).unwrap();
    let next = story.observed(|_| true).await;
    assert_eq!(next, Observation::GuildAvailable(story.guild));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_was_removed_while_no_session_told_of_it_learns_it_with_the_next() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    story.set(RoleAction::Grant, story.users[0]);
    story.settled().await;
    story.local.invalidate_sessions();
    story.local.kick_bot(story.guild).unwrap();
    let guild = story.guild;
    story
        .observed(|observation| *observation == Observation::GuildGone(guild))
        .await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cloudflares_refusals_are_waited_out() {
    let internal = Fault::Refused {
        status: 403,
        code: 40333,
        message: "internal network error",
    };
    let local = LocalDiscord::start(Options::default()).await.unwrap();
    let gateway = Some(Route::GetGatewayBot);
    local.inject(gateway, internal.clone(), Times::Next(1));
    local.inject(gateway, Fault::ServerError(403), Times::Next(1));
    let mut story = Story::begin_at(local, 1).await;
    story.status(|status| status.connected).await;
    let add = Some(Route::AddMemberRole);
    story.local.inject(add, internal, Times::Next(2));
    story
        .local
        .inject(add, Fault::ServerError(403), Times::Next(2));
    story.set(RoleAction::Grant, story.users[0]);
    story.settled().await;
    assert_eq!(story.holders().len(), 1);
    assert_eq!(story.status.borrow().failing, BTreeMap::new());
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_end_at_once_never_use_up_more_than_the_days_allowance() {
    let day = Duration::from_secs(14);
    let options = Options {
        identify_gap: Duration::from_millis(500),
        session_starts: Allowance {
            requests: 2,
            window: day,
        },
        ..Options::default()
    };
    let begun = Instant::now();
    let mut story = Story::begin_with(options, 1).await;
    story.ready().await;
    for sessions in [2, 3] {
        story.local.invalidate_sessions();
        let identified = move |local: &LocalDiscord| local.identified() == sessions;
        until(&story, "another session is begun", identified).await;
    }
    // A fourth IDENTIFY of one day would have been answered as a wrong token, which ends the connection.
    assert!(begun.elapsed() >= day, "{:?}", begun.elapsed());
    story.status(|status| status.connected).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_refused_for_hours_says_until_when() {
    let logged = Logged::default();
    let writer = logged.clone();
    let lines = fmt::layer()
        .with_ansi(false)
        .with_writer(move || writer.clone());
    tracing_subscriber::registry().with(lines).init();
    let local = LocalDiscord::start(Options::default()).await.unwrap();
    let hours = Fault::RateLimited(Duration::from_secs(82_721));
    local.inject(Some(Route::GetGatewayBot), hours, Times::Next(1));
    let story = Story::begin_at(local, 1).await;
    let said = async {
        while !logged.text().contains("before then") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, said).await.unwrap();
    let text = logged.text();
    let line = text.lines().find(|line| line.contains("before then"));
    let line = line.unwrap();
    assert!(
        line.contains("until=20") && line.contains("gateway/bot"),
        "{line}"
    );
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_wants_a_role_in_may_remove_the_bot() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    let guild = story.guild;
    story.discord.watch(guild, &BTreeSet::new());
    story.local.kick_bot(guild).unwrap();
    story
        .observed(|observation| *observation == Observation::GuildGone(guild))
        .await;
    let failing = story.status(|_| true).await.failing;
    assert!(failing.is_empty(), "{failing:?}");
    story.end().await;
}
