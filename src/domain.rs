//! The nouns that every other module speaks: ids, chain events, subscriptions, gates and role changes.
//!
//! No I/O and no async. Everything is ordered, so that plans are stable and tests can compare exactly.

mod active;
mod counts;
mod event;
mod gate;
mod id;
mod proof;
mod question;
mod role;
mod rules;
mod sign_in;
mod status;
mod subscription;

pub use active::{ActiveAnswer, ActiveQuestion};
pub use counts::Counts;
pub use event::{
    Batch, ChainEvent, Checkpoint, Coverage, EventKind, FAILURE_REASONS, FailureReason,
    ModuleRecord, Position, Subject, Synced, UnknownLogs,
};
pub use gate::{Gate, GateMatch, GateOrigin, ManualRoles, OnLapse, Policy, checkout};
pub use id::{
    GateId, GuildId, ModuleAddress, PlanId, RoleId, SubscriptionId, Timestamp, UserId, Wallet,
};
pub use proof::SignatureVerdict;
pub use question::{
    Approved, GateStanding, MemberStanding, PlannedChanges, Question, RoleStanding,
    SubscriptionStanding, SyncOutcome,
};
pub use role::{
    Applied, AppliedState, Approval, Cause, Evidence, Intent, JournalEntry, Link, LinkEnd, Outcome,
    RoleAction, RoleChange,
};
pub use rules::Rules;
pub use sign_in::{SignInCode, SignedInVisitor};
pub use status::{ChainStatus, DiscordStatus, HeldBack, MembersIntent, ReadingState, ServerStatus};
pub use subscription::{Mark, Plan, Subscription};
