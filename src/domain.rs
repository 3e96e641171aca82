//! The nouns that every other module speaks: ids, chain events, subscriptions, gates and role changes.
//!
//! No I/O and no async. Everything is ordered, so that plans are stable and tests can compare exactly.

mod counts;
mod event;
mod gate;
mod id;
mod proof;
mod question;
mod role;
mod status;
mod subscription;

pub use counts::Counts;
pub use event::{
    Batch, ChainEvent, Checkpoint, EventKind, FailureReason, ModuleRecord, Position, Subject,
    UnknownLogs,
};
pub use gate::{Gate, GateMatch, GateOrigin, ManualRoles, OnLapse, Policy, checkout};
pub use id::{
    GateId, GuildId, ModuleAddress, PlanId, RoleId, SubscriptionId, Timestamp, UserId, Wallet,
};
pub use proof::SignatureVerdict;
pub use question::{
    GateStanding, MemberStanding, PlannedChanges, Question, RoleStanding, SubscriptionStanding,
    Synced,
};
pub use role::{Applied, AppliedState, Cause, JournalEntry, Link, Outcome, RoleAction, RoleChange};
pub use status::{ChainStatus, DiscordStatus};
pub use subscription::{Mark, Plan, Subscription};
