//! What the service manager is told: that the service runs, that it still does, and that it stops (systemd: `Type=notify`,
//! `WatchdogSec=`). Where none listens, nothing happens.

use std::collections::{BTreeMap, BTreeSet};
use std::future;

use sd_notify::NotifyState;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::domain::{GuildId, Question, UserId};

/// Tells the service manager something.
pub(super) fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd was not told how the service is");
    }
}

/// Says that the service runs once the loop that keeps the roles answers, says so again in time for the watchdog as long as it
/// answers, and says at `stop` that it stops.
pub(super) async fn keep_told(questions: mpsc::Sender<Question>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tell_while_alive(&questions) => {}
    }
    tell(&[NotifyState::Stopping]);
}

/// Ends never: once the loop is gone, the service stops or the watchdog stops it.
async fn tell_while_alive(questions: &mpsc::Sender<Question>) {
    if loop_answers(questions).await.is_some() {
        tell(&[NotifyState::Ready]);
    }
    if let Some(limit) = sd_notify::watchdog_enabled() {
        // More often than half of the limit, as sd_watchdog_enabled(3) recommends.
        let pause = limit / 3;
        while loop_answers(questions).await.is_some() {
            tell(&[NotifyState::Watchdog]);
            tokio::time::sleep(pause).await;
        }
    }
    future::pending().await
}

/// The cheapest question: it touches neither the store nor the network, but waits until the loop's turn is over.
async fn loop_answers(questions: &mpsc::Sender<Question>) -> Option<BTreeMap<UserId, String>> {
    let (answer, answered) = oneshot::channel();
    let question = Question::Names {
        guild: GuildId(0),
        users: BTreeSet::new(),
        answer,
    };
    questions.send(question).await.ok()?;
    answered.await.ok()
}
