//! The log of a whole story names members, or wallets and subscriptions, and never both in one line.

use std::io;
use std::sync::{Arc, Mutex};

use amser_roles::domain::{EventKind, Timestamp};
use serde_json::json;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use super::{Story, event, executed, wallet};

#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A number that nothing else in a log is.
const SUBSCRIPTION: u64 = 987_654_321_987;

#[tokio::test(flavor = "multi_thread")]
async fn no_line_of_the_log_names_a_member_and_what_is_theirs_on_the_chain() {
    let logged = Logged::default();
    let writer = logged.clone();
    // Each test is its own process under nextest, so the global subscriber is this test's alone.
    tracing_subscriber::registry()
        .with(EnvFilter::new("amser_roles=trace,amser_roles::sandbox=off"))
        .with(
            fmt::layer()
                .with_ansi(false)
                .with_writer(move || writer.clone()),
        )
        .init();
    let mut story = Story::begin().await;
    let owner = story.local.owner(story.club).unwrap();
    let other = story.local.add_user("bob");
    story.local.add_member(story.club, other).unwrap();
    story.link(story.user, wallet(1));
    story.pay(SUBSCRIPTION, wallet(1));
    let payment = event(story.block, 1, executed(1, Timestamp(0))).transaction;
    story.until_role(story.club, story.paid, true).await;
    let who = ("member", json!(story.user.to_string()));
    let role = ("role", json!(story.paid.to_string()));
    for (name, options) in [
        ("amser whois", [who.clone()].as_slice()),
        ("amser why", &[who, role]),
    ] {
        story.run_as(story.club, owner, name, options).await;
    }
    for name in ["status", "wallets", "privacy export"] {
        story.run(name, &[]).await;
    }
    story.mine(vec![EventKind::SubscriberBlocked {
        subscriber: wallet(1),
    }]);
    story.until_role(story.club, story.paid, false).await;
    // The wallet moves to another member, who unlinks it.
    story.link(other, wallet(1));
    story.run("wallets", &[]).await;
    let option = [("wallet", json!(wallet(1).to_string()))];
    let reply = story.run_as(story.club, other, "unlink", &option).await;
    assert!(reply.text().contains("is unlinked"), "{reply:?}");
    let members = [story.user, other].map(|user| user.to_string());
    story.end();

    let log = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    let log = log.to_lowercase();
    assert!(log.contains(&members[0]), "members are named: {log}");
    let theirs = [
        wallet(1).to_string().to_lowercase(),
        SUBSCRIPTION.to_string(),
        payment.to_string(),
    ];
    for line in log.lines() {
        let names = |any: &[String]| any.iter().any(|text| line.contains(text.as_str()));
        assert!(!(names(&members) && names(&theirs)), "{line}");
    }
}
