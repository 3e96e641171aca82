//! Throws away what is too old to be kept: role changes in the journal, and the links of members who left every server.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::machine_time;
use crate::domain::{Question, Timestamp};
use crate::store::Store;

/// The twelfth part of a mean year, in seconds.
const MONTH: u64 = 2_629_746;
/// Links of members in no server are kept for this long, in seconds: 90 days.
const ABSENCE: u64 = 90 * 24 * 3_600;
/// How often it is looked for what is too old.
const EVERY: Duration = Duration::from_secs(3_600);

/// Keeps `months` of the journal (without them, all of it) and links for 90 days, until `stop`.
pub(super) async fn keep(
    store: Store,
    months: Option<NonZeroU32>,
    questions: mpsc::Sender<Question>,
    stop: CancellationToken,
) {
    let forgetting = async {
        loop {
            if let Some(months) = months {
                said(forget_journal(store.clone(), months, machine_time()).await);
            }
            tokio::time::sleep(EVERY).await;
            said(forget_absent(store.clone(), &questions, machine_time()).await);
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = forgetting => {}
    }
}

fn said(result: anyhow::Result<()>) {
    if let Err(error) = result {
        let error = format!("{error:#}");
        warn!(
            error,
            "what is too old could not be removed; it is tried again"
        );
    }
}

async fn forget_journal(store: Store, months: NonZeroU32, now: Timestamp) -> anyhow::Result<()> {
    let age = u64::from(months.get()) * MONTH;
    let before = Timestamp(now.0.saturating_sub(age));
    let forget = move || store.forget_journal(before);
    let forgotten = tokio::task::spawn_blocking(forget).await??;
    if forgotten > 0 {
        info!(forgotten, months, "old role changes left the journal");
    }
    Ok(())
}

async fn forget_absent(
    store: Store,
    questions: &mpsc::Sender<Question>,
    now: Timestamp,
) -> anyhow::Result<()> {
    let (answer, answered) = oneshot::channel();
    // A service that stops answers nothing.
    if questions.send(Question::Absent { answer }).await.is_err() {
        return Ok(());
    }
    let Ok(Some(absent)) = answered.await else {
        return Ok(());
    };
    let note = move || store.note_absent(&absent, now, ABSENCE);
    let gone = tokio::task::spawn_blocking(note).await??;
    if !gone.is_empty() {
        let members = gone.len();
        info!(
            members,
            "links of members in no server for 90 days were removed"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
