//! The next charges of subscriptions, and why one of them will fail.

use alloy::primitives::{Address, U256};

use super::{ModuleAddress, PlanId, SubscriptionId, Timestamp, UserId, Wallet};

/// Why a charge will fail, unless the subscriber or the merchant does something before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Risk {
    /// The wallet holds less of the token than is due.
    BalanceTooLow,
    /// The Permit2 allowance for the processor, or the token's approval to Permit2, is lower than what is due.
    AllowanceTooLow,
    /// The Permit2 allowance ends at this time, before the charge.
    AllowanceEnds(Timestamp),
    /// The subscription allows charges until this time, which is before the charge.
    ExpiryEnds(Timestamp),
    /// The time for the charge has passed; nobody can charge before `recoverSubscription`.
    WindowMissed,
    /// The subscription allows no further charge.
    Exhausted,
    /// The protocol's token registry has the token switched off.
    TokenDisabled,
}

impl Risk {
    /// Its name in the JSON API.
    pub fn name(self) -> &'static str {
        match self {
            Self::BalanceTooLow => "balance_too_low",
            Self::AllowanceTooLow => "allowance_too_low",
            Self::AllowanceEnds(_) => "allowance_ends",
            Self::ExpiryEnds(_) => "expiry_ends",
            Self::WindowMissed => "window_missed",
            Self::Exhausted => "exhausted",
            Self::TokenDisabled => "token_disabled",
        }
    }
}

/// A subscription with access whose renewal will fail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AtRisk {
    /// The merchant's module.
    pub module: ModuleAddress,
    /// The plan.
    pub plan: PlanId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The subscriber.
    pub wallet: Wallet,
    /// When the charge that will fail is due. In the past where it is due already and was not made yet.
    pub due_at: Timestamp,
    /// The end of the window that is paid by then, grace included.
    pub access_until: Timestamp,
    /// What is due, in the token's smallest unit.
    pub price: U256,
    /// The token.
    pub token: Address,
    /// Why it will fail.
    pub risk: Risk,
    /// Whether this very charge was tried already and failed.
    pub has_failed: bool,
}

/// What is to be expected of the subscribers of a server's plans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerForecast {
    /// The chain's time at the block that was asked about.
    pub now: Timestamp,
    /// Whose renewal will fail, the first to be due first.
    pub rows: Vec<ForecastRow>,
    /// What these renewals are worth together, by token.
    pub worth: Vec<Amount>,
    /// Subscriptions that will be due and of which not everything could be read.
    pub unread: usize,
    /// Whether it is not known of some tokens if the protocol has them switched on.
    pub registry_unread: bool,
}

/// One renewal that will fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForecastRow {
    /// The member of the server who linked the wallet, with their name; `None` where no member did.
    pub member: Option<(UserId, String)>,
    /// What will fail, when and why.
    pub at_risk: AtRisk,
    /// What is due.
    pub price: Amount,
}

/// An amount of a token, and how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// The token.
    pub token: Address,
    /// In its smallest unit.
    pub amount: U256,
    /// Its decimals, where it says so.
    pub decimals: Option<u8>,
    /// Its symbol, where it says so.
    pub symbol: Option<String>,
}

/// A paid subscription and its next charge, as its events tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The merchant's module.
    pub module: ModuleAddress,
    /// The plan.
    pub plan: PlanId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The subscriber.
    pub wallet: Wallet,
    /// The token, and whose processor moves it.
    pub token: Address,
    /// The module's payment processor.
    pub processor: Address,
    /// What is due, in the token's smallest unit.
    pub price: U256,
    /// Seconds between charges.
    pub interval: u64,
    /// Seconds of access after a missed charge.
    pub grace_period: u64,
    /// The canonical time of the last charge.
    pub paid_at: Timestamp,
    /// When the next one is due.
    pub due_at: Timestamp,
    /// How many more charges it allows; `None`: no limit that is known.
    pub remaining: Option<U256>,
    /// Until when (Unix seconds) it allows charges; `None`: not known.
    pub expiry: Option<U256>,
    /// Whether the charge that is due was tried and failed.
    pub has_failed: bool,
}

/// Which renewals are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenewalsOf {
    /// All of these modules.
    Modules(std::collections::BTreeSet<ModuleAddress>),
    /// These subscriptions.
    Subscriptions(std::collections::BTreeSet<(ModuleAddress, SubscriptionId)>),
}

/// What Permit2 says of an owner, a token and a spender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permitted {
    /// How much the spender may move, in the token's smallest unit.
    pub amount: U256,
    /// Until when, inclusive.
    pub until: Timestamp,
}
