//! Two sources, one truth: what the service does while the chain or amser's API fails, in every combination, and what it does
//! when another program changes its roles back.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fallback;
mod flips;
mod matrix;
mod world;

use std::time::Duration;

use amser_roles::app::Timing;
use amser_roles::domain::{Act, GuildId};
use amser_roles::store::Store;

/// So soon the API is listened to here.
fn soon() -> Timing {
    Timing {
        fallback_after: Duration::from_millis(300),
        ..Timing::default()
    }
}

/// Whether the API is listened to, by the newest line of the server's journal about that.
fn is_fallback(store: &Store, guild: GuildId) -> bool {
    let acts = store.acts(guild, usize::MAX).unwrap().into_iter();
    let mut modes = acts.filter_map(|entry| match entry.act {
        Act::FallbackBegan => Some(true),
        Act::FallbackEnded => Some(false),
        _ => None,
    });
    modes.next() == Some(true)
}
