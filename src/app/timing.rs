//! How long the parts wait before they act, where tests cannot wait as long.

use std::time::Duration;

use crate::merchants::OUTLOOK_KEPT;
use crate::roles::fallback;

/// The waits; the default is what a service runs with.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// How long the chain is away before amser's API is listened to.
    pub fallback_after: Duration,
    /// For how long one forecast serves everybody who asks for it.
    pub outlook_kept: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            fallback_after: fallback::AFTER,
            outlook_kept: OUTLOOK_KEPT,
        }
    }
}
