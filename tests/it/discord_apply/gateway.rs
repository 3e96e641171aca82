//! What the gateway tells, in order and across its own failures.

use std::io;
use std::sync::{Arc, Mutex};

use amser_roles::sandbox::discord::Allowance;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_with_connected_and_the_servers() {
    let mut story = Story::begin(1).await;
    let first = story.observed(|_| true).await;
    assert_eq!(first, Observation::Connected);
    story.ready().await;
    story.status(|status| status.connected).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_two_shards_is_connected_when_both_are() {
    let local = LocalDiscord::start(Options::default()).await.unwrap();
    local.set_recommended_shards(2);
    let mut story = Story::begin_at(local, 1).await;
    let first = story
        .observed(|observation| !matches!(observation, Observation::GuildAvailable(_)))
        .await;
    assert_eq!(first, Observation::Connected);
    assert_eq!(
        (story.local.gateway_connections(), story.local.identified()),
        (2, 2)
    );
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_and_coming_back_are_told_in_order() {
    let mut story = Story::begin(0).await;
    story.ready().await;
    let user = story.local.add_user("restless");
    let (guild, paid) = (story.guild, story.paid);
    for _ in 0..200 {
        story.local.add_member(guild, user).unwrap();
        story.local.give_role(guild, user, paid).unwrap();
        story.local.remove_member(guild, user).unwrap();
    }
    for round in 0..200 {
        let mut told = Vec::new();
        for _ in 0..3 {
            told.push(story.observed(|_| true).await);
        }
        let seen = |roles: &[RoleId]| seen(guild, user, roles, false);
        assert_eq!(
            told,
            [
                seen(&[]),
                seen(&[paid]),
                Observation::MemberLeft { guild, user }
            ],
            "round {round}"
        );
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_gateway_resumes_and_role_changes_never_stop() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    // Each time, something happens while the gateway is away.
    for round in 1..=3 {
        story.local.drop_gateway();
        story.set(RoleAction::Grant, story.users[0]);
        story.settled().await;
        let (guild, user) = (story.guild, story.users[0]);
        let told = story.observed(|_| true).await;
        assert_eq!(told, seen(guild, user, &[story.paid], false));
        story.local.take_role(guild, user, story.paid).unwrap();
        let told = story.observed(|_| true).await;
        assert_eq!(told, seen(guild, user, &[], false));
        assert_eq!(
            (story.local.resumed(), story.local.identified()),
            (round, 1)
        );
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_session_begins_anew_and_says_so() {
    let mut story = Story::begin(1).await;
    story.ready().await;
    story.local.invalidate_sessions();
    story
        .observed(|observation| *observation == Observation::Connected)
        .await;
    story.ready().await;
    assert_eq!(story.local.identified(), 2);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_begun_when_none_is_left_for_the_day() {
    // Longer where a busy machine does not come to look before it is over.
    for day in [7, 14, 28] {
        if waits_for_the_next_day(Duration::from_secs(day)).await {
            return;
        }
    }
    panic!("this machine is too slow to look within a day");
}

/// Whether there was time to look before the day was over.
async fn waits_for_the_next_day(day: Duration) -> bool {
    let options = Options {
        session_starts: Allowance {
            requests: 1,
            window: day,
        },
        ..Options::default()
    };
    let begun = Instant::now();
    let mut story = Story::begin_with(options, 0).await;
    story.ready().await;
    let local = story.local.clone();
    story.end().await;
    let before = local.count(Route::GetGatewayBot);
    let mut story = Story::begin_at(local, 1).await;
    let asked = story
        .local
        .wait_until("the bot asks for the gateway", DEADLINE, move |local| {
            local.count(Route::GetGatewayBot) > before
        });
    asked.await.unwrap();
    // Meanwhile roles are given.
    story.set(RoleAction::Grant, story.users[0]);
    story.settled().await;
    assert_eq!(story.holders().len(), 1);
    let sessions = story.local.identified();
    if begun.elapsed() >= day {
        return false;
    }
    assert_eq!(sessions, 1);
    story.status(|status| status.connected).await;
    assert!(begun.elapsed() >= day, "{:?}", begun.elapsed());
    assert_eq!(story.local.identified(), 2);
    story.end().await;
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stays_away_is_shown() {
    let mut story = Story::begin(1).await;
    story.status(|status| status.connected).await;
    story.local.stop();
    story.status(|status| !status.connected).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_one_sentence() {
    let local = LocalDiscord::start(Options::default()).await.unwrap();
    let channels = Channels {
        observations: mpsc::unbounded_channel().0,
        reports: mpsc::channel(1).0,
        status: watch::channel(DiscordStatus::default()).0,
    };
    let token = SecretString::from("another.token.than-the-right-one");
    let stop = CancellationToken::new();
    let connected = discord::connect(settings(&local), token, channels.clone(), stop.clone());
    let (_discord, connection) = connected.unwrap();
    let error = tokio::time::timeout(DEADLINE, connection.run(NoCommands))
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        error.to_string().contains("AMSER_ROLES_DISCORD_TOKEN"),
        "{error:#}"
    );
    for unfit in ["", "  ", "two words", "line\nbreak"] {
        let result = discord::connect(
            settings(&local),
            unfit.into(),
            channels.clone(),
            stop.clone(),
        );
        let Err(error) = result.map(drop) else {
            panic!("{unfit:?} is no token")
        };
        assert!(
            error.to_string().contains("AMSER_ROLES_DISCORD_TOKEN"),
            "{error:#}"
        );
    }
}

/// Everything that is logged in this process, at the most talkative level.
#[derive(Clone, Default)]
pub(super) struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_in_no_log_and_no_debug_output() {
    let logged = Logged::default();
    let writer = logged.clone();
    let filter = EnvFilter::new("trace,tungstenite::protocol=trace,serenity::http::client=trace");
    // Each test is its own process under nextest, so the global subscriber is this test's alone.
    tracing_subscriber::registry()
        .with(filter)
        .with(filter_fn(discord::may_log))
        .with(
            fmt::layer()
                .with_ansi(false)
                .with_span_events(fmt::format::FmtSpan::FULL)
                .with_writer(move || writer.clone()),
        )
        .init();
    let mut story = Story::begin(1).await;
    story.ready().await;
    story.set(RoleAction::Grant, story.users[0]);
    story.settled().await;
    story.local.drop_gateway();
    let resumed = story
        .local
        .wait_until("it is resumed", DEADLINE, |local| local.resumed() == 1);
    resumed.await.unwrap();
    let token = story.local.options().token;
    let debug = format!("{:?}", story.discord);
    story.end().await;
    let text = logged.text();
    assert!(text.contains("role change answered"), "something is logged");
    assert!(text.contains("TRACE"), "even the most talkative level");
    let secret = token.rsplit('.').next().unwrap();
    for line in text.lines().chain([debug.as_str()]) {
        // The local Discord's own view of its options is no part of the program.
        assert!(!line.contains(secret), "{line}");
    }
}
