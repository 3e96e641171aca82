//! One shard: connection after connection, each a new session or the old one resumed.

use std::time::Duration;

use tokio::time::Instant;

use super::close::Next;
use super::connection::{End, Session, Shard, connect};
use crate::discord::backoff::{delay, rare_delay};

/// A resumed connection that lasted so long is no failure when it breaks.
const PROVEN: Duration = Duration::from_secs(60);
/// After so many failures in a row, connections are tried ever more rarely.
const SOON: u32 = 5;
/// Discord asks to wait between one and five seconds after a session was declared invalid.
const INVALID: (f64, f64) = (1.0, 5.0);

/// Stays connected until the stop, or until something must happen that concerns all shards.
///
/// # Errors
/// When Discord refuses for good.
pub(super) async fn run(shard: Shard) -> anyhow::Result<Next> {
    let mut session: Option<Session> = None;
    let mut failures = 0;
    loop {
        let mut start = match session {
            Some(_) => None,
            None => {
                let start = shard.starts.acquire(shard.id, &shard.events.shared);
                match shard.stop.run_until_cancelled(start).await {
                    Some(start) => Some(start?),
                    None => return Ok(Next::Stop),
                }
            }
        };
        // The first try is at the session's own address; where that fails, the general one resumes it, too.
        let url = match &session {
            Some(session) if failures % 2 == 1 => session.url.clone(),
            _ => shard.url.clone(),
        };
        let (begun, could_resume) = (Instant::now(), session.is_some());
        let End { next, why } = connect(&shard, &url, &mut session, &mut start).await;
        let identified = !could_resume && start.is_none();
        drop(start);
        shard.events.down(shard.id);
        tracing::debug!(shard = shard.id, ?next, why, "a gateway connection ended");
        // A new session is none, however soon it ends: `Starts` spreads them over the day.
        let is_new = !could_resume && session.is_some();
        // Nor is that one is over: the tries to resume it say nothing of the next.
        let is_over = could_resume && next == Next::Identify;
        if is_new || is_over || begun.elapsed() >= PROVEN {
            failures = 0;
        }
        match next {
            Next::Resume => {}
            Next::Identify => session = None,
            other => return Ok(other),
        }
        if failures == SOON {
            tracing::warn!(
                shard = shard.id,
                why,
                "Discord's gateway does not stay connected"
            );
        }
        let pause = pause(next, identified, failures);
        failures += 1;
        let slept = tokio::time::sleep(pause);
        if shard.stop.run_until_cancelled(slept).await.is_none() {
            return Ok(Next::Stop);
        }
    }
}

/// How long to wait after so many earlier failures in a row. `identified`: this one used up one of the day's session starts.
fn pause(next: Next, identified: bool, failures: u32) -> Duration {
    let pause = match failures {
        0 => Duration::ZERO,
        _ if identified && failures > SOON => rare_delay(failures - SOON),
        _ => delay(failures - 1, rand::random()),
    };
    if next != Next::Identify {
        return pause;
    }
    let (least, most) = INVALID;
    pause.max(Duration::from_secs_f64(
        least + rand::random::<f64>() * (most - least),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_resume_is_at_once_and_sessions_that_end_at_once_use_up_no_days_allowance() {
        assert_eq!(pause(Next::Resume, false, 0), Duration::ZERO);
        assert!(pause(Next::Identify, true, 0) >= Duration::from_secs(1));
        let (day, mut time, mut failures) = (Duration::from_secs(86_400), Duration::ZERO, 0);
        while time < day {
            time += pause(Next::Resume, true, failures);
            failures += 1;
        }
        assert!(failures < 200, "{failures} sessions");
        assert!(
            (6..40).all(|failures| pause(Next::Resume, false, failures) <= Duration::from_secs(90))
        );
    }
}
