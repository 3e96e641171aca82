//! The events and fields that the rules need, and the names under which deployed contracts may have them: the one
//! table to extend when a contract calls something otherwise.

/// An event of PROTOCOL.md that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum KnownEvent {
    PlanCreated,
    PlanStatusChanged,
    SubscriptionCreated,
    SubscriptionPaused,
    SubscriptionResumed,
    SubscriptionCancelled,
    SubscriptionExpiryUpdated,
    SubscriptionRecovered,
    SubscriberBlocked,
    SubscriberUnblocked,
    PaymentProcessorUpdated,
    ExecutionExecuted,
    ExecutionFailed,
}

/// The kind of contract that emits an event; the same log of any other contract means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contract {
    Module,
    Processor,
}

/// What is read from an event, or from the answer of `getPlan`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Module,
    Subscription,
    Subscriber,
    Plan,
    Payer,
    Amount,
    ExecutionTime,
    Reason,
    Token,
    Price,
    Interval,
    GracePeriod,
    Active,
    Budget,
    AllowanceExpiry,
    Expiry,
    NextChargeAt,
    Previous,
    Current,
}

/// How many fields there are.
pub(crate) const FIELDS: usize = Field::Current as usize + 1;

/// The ABI type that a field must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An unsigned integer of any width.
    Uint,
    Address,
    Bool,
    /// A type that no field has.
    Other,
}

/// Whether an ABI may do without an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Without it access would be given or taken wrongly.
    Always,
    /// The public documentation does not say that it exists, or no rule depends on it.
    Optional,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) event: KnownEvent,
    pub(crate) contract: Contract,
    pub(crate) need: Need,
    /// The name in PROTOCOL.md, then likely others.
    pub(crate) names: &'static [&'static str],
    /// Without these the event means nothing.
    pub(crate) fields: &'static [Field],
    /// Read where they exist.
    pub(crate) optional: &'static [Field],
}

/// Every event that is followed.
pub(crate) const WANTED: [Wanted; 13] = [
    Wanted {
        event: KnownEvent::PlanCreated,
        contract: Contract::Module,
        need: Need::Always,
        names: &["PlanCreated"],
        fields: &[
            Field::Plan,
            Field::Token,
            Field::Price,
            Field::Interval,
            Field::GracePeriod,
        ],
        optional: &[],
    },
    Wanted {
        event: KnownEvent::PlanStatusChanged,
        contract: Contract::Module,
        need: Need::Optional,
        names: &[
            "PlanStatusChanged",
            "PlanStatusUpdated",
            "PlanActiveChanged",
            "PlanToggled",
        ],
        fields: &[Field::Plan, Field::Active],
        optional: &[],
    },
    Wanted {
        event: KnownEvent::SubscriptionCreated,
        contract: Contract::Module,
        need: Need::Always,
        names: &["SubscriptionCreated"],
        fields: &[Field::Subscription, Field::Subscriber, Field::Plan],
        optional: &[Field::Budget, Field::AllowanceExpiry],
    },
    Wanted {
        event: KnownEvent::SubscriptionPaused,
        contract: Contract::Module,
        need: Need::Always,
        names: &["SubscriptionPaused"],
        fields: &[Field::Subscription],
        optional: &[],
    },
    Wanted {
        event: KnownEvent::SubscriptionResumed,
        contract: Contract::Module,
        need: Need::Always,
        names: &["SubscriptionResumed", "SubscriptionUnpaused"],
        fields: &[Field::Subscription],
        optional: &[],
    },
    Wanted {
        event: KnownEvent::SubscriptionCancelled,
        contract: Contract::Module,
        need: Need::Optional,
        names: &["SubscriptionCancelled", "SubscriptionCanceled"],
        fields: &[Field::Subscription],
        optional: &[],
    },
    Wanted {
        event: KnownEvent::SubscriptionExpiryUpdated,
        contract: Contract::Module,
        need: Need::Optional,
        names: &[
            "SubscriptionExpiryUpdated",
            "SubscriptionExpiryChanged",
            "SubscriptionExpiryModified",
        ],
        fields: &[Field::Subscription, Field::Expiry],
        optional: &[],
    },
    Wanted {
        event: KnownEvent::SubscriptionRecovered,
        contract: Contract::Module,
        need: Need::Optional,
        names: &["SubscriptionRecovered"],
        fields: &[Field::Subscription],
        optional: &[Field::NextChargeAt],
    },
    Wanted {
        event: KnownEvent::SubscriberBlocked,
        contract: Contract::Module,
        need: Need::Always,
        names: &["SubscriberBlocked", "UserBlocked", "SubscriptionBlocked"],
        fields: &[Field::Subscriber],
        optional: &[],
    },
    Wanted {
        event: KnownEvent::SubscriberUnblocked,
        contract: Contract::Module,
        need: Need::Always,
        names: &[
            "SubscriberUnblocked",
            "UserUnblocked",
            "SubscriptionUnblocked",
        ],
        fields: &[Field::Subscriber],
        optional: &[],
    },
    Wanted {
        event: KnownEvent::PaymentProcessorUpdated,
        contract: Contract::Module,
        need: Need::Optional,
        names: &[
            "PaymentProcessorUpdated",
            "PaymentProcessorChanged",
            "PaymentProcessorSet",
            "PaymentProcessorMigrated",
        ],
        fields: &[Field::Current],
        optional: &[Field::Previous],
    },
    Wanted {
        event: KnownEvent::ExecutionExecuted,
        contract: Contract::Processor,
        need: Need::Always,
        names: &["ExecutionExecuted"],
        fields: &[
            Field::Module,
            Field::Subscription,
            Field::Payer,
            Field::Amount,
            Field::ExecutionTime,
        ],
        optional: &[],
    },
    Wanted {
        event: KnownEvent::ExecutionFailed,
        contract: Contract::Processor,
        need: Need::Always,
        names: &["ExecutionFailed"],
        fields: &[Field::Module, Field::Subscription, Field::Reason],
        optional: &[],
    },
];

/// The outputs of `getPlan` that are read.
pub(crate) const PLAN_FIELDS: [Field; 5] = [
    Field::Token,
    Field::Price,
    Field::Interval,
    Field::GracePeriod,
    Field::Active,
];

impl Wanted {
    /// The row of an event with this name.
    pub(crate) fn named(name: &str) -> Option<&'static Wanted> {
        const ROWS: &[Wanted] = &WANTED;
        ROWS.iter().find(|row| row.names.contains(&name))
    }

    /// The name in PROTOCOL.md.
    pub(crate) fn name(&self) -> &'static str {
        self.names[0]
    }
}

impl Field {
    /// The type that it must have.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Module
            | Self::Subscriber
            | Self::Payer
            | Self::Token
            | Self::Previous
            | Self::Current => Kind::Address,
            Self::Active => Kind::Bool,
            Self::Subscription
            | Self::Plan
            | Self::Amount
            | Self::ExecutionTime
            | Self::Reason
            | Self::Price
            | Self::Interval
            | Self::GracePeriod
            | Self::Budget
            | Self::AllowanceExpiry
            | Self::Expiry
            | Self::NextChargeAt => Kind::Uint,
        }
    }

    /// Likely names of the parameter, the more telling ones first. Capitals and underscores do not matter.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Module => &["module", "moduleAddress", "subscriptionModule"],
            Self::Subscription => &[
                "subscriptionId",
                "subId",
                "subscription",
                "id",
                "executionId",
            ],
            Self::Subscriber => &["subscriber", "user", "account", "owner", "wallet"],
            Self::Plan => &["planId", "plan"],
            Self::Payer => &["payer", "subscriber", "user", "account", "from"],
            Self::Amount => &["amount", "grossAmount", "price", "value"],
            Self::ExecutionTime => &[
                "executionTime",
                "executedAt",
                "executionTimestamp",
                "paidAt",
                "timestamp",
            ],
            Self::Reason => &["reason", "failureReason", "reasonCode", "code"],
            Self::Token => &["token", "paymentToken", "tokenAddress", "currency", "asset"],
            Self::Price => &["price", "amount", "planPrice"],
            Self::Interval => &["interval", "billingInterval", "period", "duration"],
            Self::GracePeriod => &["gracePeriod", "grace", "graceInterval"],
            Self::Active => &["active", "isActive", "enabled"],
            Self::Budget => &[
                "executionBudget",
                "budget",
                "maxExecutions",
                "remainingExecutions",
            ],
            Self::AllowanceExpiry => &["allowanceExpiry", "expiry", "expiresAt", "expiration"],
            Self::Expiry => &[
                "newExpiry",
                "expiry",
                "expiresAt",
                "newExpiration",
                "expiration",
                "newAllowanceExpiry",
                "allowanceExpiry",
            ],
            Self::NextChargeAt => &["nextChargeAt", "nextCharge", "nextExecutionAt", "dueAt"],
            Self::Previous => &[
                "previous",
                "previousProcessor",
                "previousPaymentProcessor",
                "oldProcessor",
                "oldPaymentProcessor",
                "old",
            ],
            Self::Current => &[
                "current",
                "currentProcessor",
                "newProcessor",
                "newPaymentProcessor",
                "new",
                "paymentProcessor",
                "processor",
            ],
        }
    }
}

/// A parameter's name in small letters and without underscores, by which names are compared.
pub(crate) fn normal(name: &str) -> String {
    let letters = name.chars().filter(|letter| *letter != '_');
    letters.flat_map(char::to_lowercase).collect()
}
