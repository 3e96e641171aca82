//! Role changes, their causes, and what is remembered of them.

use serde::{Deserialize, Serialize};

use super::{
    FailureReason, GuildId, Mark, ModuleAddress, PlanId, RoleId, SubscriptionId, Timestamp, UserId,
    Wallet,
};

/// Grant or revoke; grants order before revokes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleAction {
    /// Give the role.
    Grant,
    /// Take the role.
    Revoke,
}

impl RoleAction {
    /// In one word, for logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Revoke => "revoke",
        }
    }

    /// What undoes it.
    pub fn opposite(self) -> Self {
        match self {
            Self::Grant => Self::Revoke,
            Self::Revoke => Self::Grant,
        }
    }
}

/// A role of a member in a server.
pub type MemberRole = (GuildId, UserId, RoleId);

/// One change to make on Discord, and why. Orders by action first, so that a sorted plan grants before it revokes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RoleChange<Why = Cause> {
    /// What to do.
    pub action: RoleAction,
    /// Where.
    #[serde(rename = "guild_id")]
    pub guild: GuildId,
    /// To whom.
    #[serde(rename = "user_id")]
    pub user: UserId,
    /// Which role.
    #[serde(rename = "role_id")]
    pub role: RoleId,
    /// Why.
    pub cause: Why,
}

impl<Why> RoleChange<Why> {
    /// Whose role it is about.
    pub fn member_role(&self) -> MemberRole {
        (self.guild, self.user, self.role)
    }

    /// The same, for another reason.
    pub fn because<Other>(&self, cause: Other) -> RoleChange<Other> {
        let (action, (guild, user, role)) = (self.action, self.member_role());
        RoleChange {
            action,
            guild,
            user,
            role,
            cause,
        }
    }
}

/// Why a role came or went. Kept as a value, not as a sentence, so that receipts can be written later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A payment was executed; the paid window (grace included) ends at `until`.
    Paid {
        /// Module.
        module: ModuleAddress,
        /// Subscription.
        subscription: SubscriptionId,
        /// Plan.
        plan: PlanId,
        /// The payment.
        mark: Mark,
        /// End of access.
        until: Timestamp,
    },
    /// The subscriber resumed within the paid window.
    Resumed {
        /// Module.
        module: ModuleAddress,
        /// Subscription.
        subscription: SubscriptionId,
        /// The event.
        mark: Mark,
        /// End of access.
        until: Timestamp,
    },
    /// The paid window and its grace passed without a payment; there is no event.
    ExpiredAt {
        /// Module.
        module: ModuleAddress,
        /// Subscription.
        subscription: SubscriptionId,
        /// Last second of access.
        at: Timestamp,
    },
    /// A due payment failed.
    PaymentFailed {
        /// Module.
        module: ModuleAddress,
        /// Subscription.
        subscription: SubscriptionId,
        /// The event.
        mark: Mark,
        /// The protocol's reason.
        reason: FailureReason,
    },
    /// The subscriber paused.
    Paused {
        /// Module.
        module: ModuleAddress,
        /// Subscription.
        subscription: SubscriptionId,
        /// The event.
        mark: Mark,
    },
    /// The subscription was cancelled.
    Cancelled {
        /// Module.
        module: ModuleAddress,
        /// Subscription.
        subscription: SubscriptionId,
        /// The event.
        mark: Mark,
    },
    /// The merchant blocked the subscriber.
    Blocked {
        /// Module.
        module: ModuleAddress,
        /// Who.
        subscriber: Wallet,
        /// The event.
        mark: Mark,
    },
    /// The chain was reorganised and the payment is not on the new chain.
    Reorganised {
        /// The newest block that the old and the new chain share.
        fork_block: u64,
    },
    /// No linked wallet holds a subscription, and nothing tells why.
    NoSubscription,
    /// The gate that gave the role was changed or removed.
    GateRemoved,
    /// The member holds a gate's role by hand without being entitled (`manual_roles = "claim"`).
    ManualRole,
    /// The API or an on-chain read disagreed with the followed events.
    Drift,
    /// The member unlinked the wallet that held the subscription.
    Unlinked,
    /// Another member proved to hold that wallet's key, and linked it.
    WalletMoved,
    /// The member asked to be forgotten.
    Forgotten,
    /// A manager deleted the gate that gave the role, took a change of it back, or disconnected the server.
    ManagerAct,
    /// A manager gave the role for a time.
    Granted {
        /// The manager; the user 0 once that one asked to be forgotten.
        by: UserId,
        /// Until when (machine clock).
        until: Timestamp,
    },
    /// That time is over, or a manager ended it early.
    GrantEnded {
        /// Who gave it, or ended it early.
        by: UserId,
        /// When it ended (machine clock).
        at: Timestamp,
    },
    /// amser's API says that there is access, while the chain cannot be followed.
    ApiSays {
        /// Module.
        module: ModuleAddress,
        /// Plan.
        plan: PlanId,
    },
    /// The role was given on that word alone, and the chain, which is followed again, does not tell of access.
    ApiUnconfirmed,
}

/// What a removal is concluded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// Somebody did something on our own pages or by a command: a member about a wallet or the account, a manager about a gate or
    /// about when a role ends.
    PersonAct,
    /// An event on the chain.
    ChainEvent,
    /// Something is not there (any more): a payment, a subscription, a gate. A node, a backup or a person who leaves
    /// something out looks the same, so the chain is asked first and the brake counts it.
    Absence,
    /// The same of what the chain never told of. It is asked first; the brake does not count it.
    NeverConfirmed,
}

impl Cause {
    /// The manager whom it names, if it names one.
    pub fn manager_mut(&mut self) -> Option<&mut UserId> {
        match self {
            Self::Granted { by, .. } | Self::GrantEnded { by, .. } => Some(by),
            _ => None,
        }
    }

    /// What a removal for this cause is concluded from.
    pub fn evidence(&self) -> Evidence {
        match self {
            Self::Unlinked
            | Self::WalletMoved
            | Self::Forgotten
            | Self::ManagerAct
            | Self::Granted { .. }
            | Self::GrantEnded { .. } => Evidence::PersonAct,
            Self::Paid { .. }
            | Self::Resumed { .. }
            | Self::PaymentFailed { .. }
            | Self::Paused { .. }
            | Self::Cancelled { .. }
            | Self::Blocked { .. } => Evidence::ChainEvent,
            Self::ApiSays { .. } | Self::ApiUnconfirmed => Evidence::NeverConfirmed,
            Self::ExpiredAt { .. }
            | Self::Reorganised { .. }
            | Self::NoSubscription
            | Self::GateRemoved
            | Self::ManualRole
            | Self::Drift => Evidence::Absence,
        }
    }
}

impl Cause {
    /// The event that it names, if it names one.
    pub fn mark(&self) -> Option<Mark> {
        match self {
            Self::Paid { mark, .. }
            | Self::Resumed { mark, .. }
            | Self::PaymentFailed { mark, .. }
            | Self::Paused { mark, .. }
            | Self::Cancelled { mark, .. }
            | Self::Blocked { mark, .. } => Some(*mark),
            _ => None,
        }
    }
}

/// How a member came to lose a wallet's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkEnd {
    /// The member unlinked it.
    Unlinked,
    /// Another member linked it.
    Moved,
}

impl From<LinkEnd> for Cause {
    fn from(end: LinkEnd) -> Self {
        match end {
            LinkEnd::Unlinked => Self::Unlinked,
            LinkEnd::Moved => Self::WalletMoved,
        }
    }
}

/// A wallet's link to a member.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Link {
    /// The member.
    pub user: UserId,
    /// The wallet.
    pub wallet: Wallet,
    /// When it was linked (machine clock; for display only).
    pub linked_at: Timestamp,
    /// The signed ERC-4361 message and its signature: a portable proof. `None` for links made in the sandbox.
    pub proof: Option<(String, Vec<u8>)>,
}

/// A change whose intent is durable, on its way to Discord: it is sent until it is acknowledged or replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// What to do, and why.
    pub change: RoleChange,
    /// The newest confirmed block at the decision.
    pub block: u64,
    /// Whether the member paid or verified just now, and so goes before everyone else.
    pub just_now: bool,
}

/// One line of the journal of role changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JournalEntry {
    /// When (machine clock; for display only).
    pub at: Timestamp,
    /// The newest confirmed block at the decision.
    pub block: u64,
    /// What and why.
    pub change: RoleChange,
    /// What came of it.
    pub outcome: Outcome,
}

/// What Discord answered to a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Done,
    /// Refused or not reachable; tried again on its own schedule.
    Failed {
        /// Discord's error code, 0 where there was none.
        code: u32,
        /// One sentence.
        message: String,
    },
}
