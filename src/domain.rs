//! The nouns that every other module speaks: ids, chain events, subscriptions, gates and role changes.
//!
//! No I/O and no async. Everything is ordered, so that plans are stable and tests can compare exactly.

mod act;
mod active;
mod applied;
mod counts;
mod drift;
mod event;
mod finding;
mod gate;
mod grant;
mod id;
mod member;
mod notice;
mod plan_row;
mod preview;
mod proof;
mod question;
mod renewal;
mod role;
mod rules;
#[cfg(test)]
pub(crate) mod samples;
mod server;
mod sign_in;
mod status;
mod subscription;

pub use act::{Act, ActEntry, Happened};
pub use active::{ActiveAnswer, ActiveQuestion, SourcesSay};
pub use applied::{Applied, AppliedState};
pub use counts::Counts;
pub use drift::{
    ApiAnswer, CheckRow, Checked, Drift, DriftMode, DriftStatus, Expectations, Known, SourceStatus,
};
pub use event::{
    Batch, ChainEvent, Checkpoint, Coverage, EventKind, FAILURE_REASONS, FailureReason, Mined,
    ModuleRecord, Position, Subject, Synced, UnknownLogs,
};
pub use finding::{Finding, Level};
pub use gate::{Gate, GateDraft, GateMatch, GateOrigin, ManualRoles, OnLapse, Policy, checkout};
pub use grant::{Grant, GrantTerms};
pub use id::{
    ChannelId, GateId, GuildId, ModuleAddress, PlanId, RoleId, SubscriptionId, Timestamp, UserId,
    Wallet,
};
pub use member::{MemberPage, MemberRow, MemberState, NoSuchState};
pub use notice::{
    Alert, AlertKind, AlertPhase, AlertRow, DirectMessages, Message, START_NOTICES, STOP_NOTICES,
    TextChannel, Unsent,
};
pub use plan_row::PlanRow;
pub use preview::{Holders, Named, Preview};
pub use proof::SignatureVerdict;
pub use question::{
    Approved, GateStanding, MemberStanding, MembersQuery, PlannedChanges, PreviewQuestion,
    Question, RoleStanding, SubscriptionStanding, SyncOutcome,
};
pub use renewal::{
    Amount, AtRisk, ForecastRow, Permitted, Renewal, RenewalsOf, Risk, ServerForecast,
};
pub use role::{
    Cause, Evidence, Intent, JournalEntry, Link, LinkEnd, MemberRole, Outcome, RoleAction,
    RoleChange,
};
pub use rules::Rules;
pub use server::{ServerEntry, ServerSettings};
pub use sign_in::{SignInCode, SignedInVisitor};
pub use status::{
    ChainStatus, Contested, DiscordStatus, GateTrouble, GateTroubles, HeldBack, LOCAL_CHAIN,
    MembersIntent, REVIEWED_FROM, ReadingState, ServerStatus, is_for_sale,
};
pub use subscription::{Mark, Plan, Subscription, unread_beginnings};
