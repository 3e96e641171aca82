//! A server's numbers day by day.

use std::collections::BTreeMap;

use super::{Manager, Merchants, Refusal, unbuilt};
use crate::domain::{ModuleAddress, PlanId, Timestamp};

/// The last days, oldest first; the last one is today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    /// Days of UTC, without gaps.
    pub days: Vec<Day>,
}

/// One day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// Its first second (UTC).
    pub start: Timestamp,
    /// Subscriptions that gave access at its end (of today: now), for each plan of the server's gates.
    pub active: BTreeMap<(ModuleAddress, PlanId), u64>,
    /// Roles given.
    pub grants: u64,
    /// Roles taken.
    pub revokes: u64,
    /// From the block of a payment to the role that Discord acknowledged; `None` where no payment gave one.
    pub block_to_role: Option<Latency>,
}

/// How long it took, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of them were not slower.
    pub median: u64,
    /// The slowest.
    pub slowest: u64,
}

impl Merchants {
    /// The numbers of the last `days` days (1 to 366).
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn series(&self, manager: &Manager, days: u16) -> Result<Series, Refusal> {
        let _ = (manager, days);
        Err(unbuilt())
    }
}
