//! What contracts said, so that pages need not ask again: of themselves, which does not change, for a day; of what renewals draw
//! on for a minute.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::Address;

use crate::cache::Cache;
use crate::domain::{ModuleAddress, Wallet};
use crate::forecast::Outlook;
use crate::views::TokenFacts;

const KEPT: Duration = Duration::from_secs(24 * 3600);
/// What is not there may be deployed at any moment.
const NOT_THERE: Duration = Duration::from_secs(10);
/// Modules, wallets and tokens that are remembered, of each.
const MOST: usize = 20_000;

/// Whose modules are.
pub(super) struct Owners {
    /// The merchant of each module; `None`: it is no module.
    pub(super) merchants: Cache<ModuleAddress, Option<Wallet>>,
    /// The module of each merchant, by the factory's word.
    pub(super) modules: Cache<Wallet, Option<ModuleAddress>>,
}

impl Default for Owners {
    fn default() -> Self {
        Self {
            merchants: Cache::new(MOST, lifetime),
            modules: Cache::new(MOST, lifetime),
        }
    }
}

fn lifetime<T>(known: &Option<T>) -> Duration {
    match known {
        Some(_) => KEPT,
        None => NOT_THERE,
    }
}

/// How amounts of each token are written.
pub(super) struct Tokens(pub(super) Cache<Address, TokenFacts>);

impl Default for Tokens {
    fn default() -> Self {
        Self(Cache::new(MOST, |_| KEPT))
    }
}

/// For how long one look at the renewals of some modules serves everybody: it costs some 200 calls per 10,000 of them.
pub const OUTLOOK_KEPT: Duration = Duration::from_secs(60);
/// Sets of modules whose outlook is remembered; each may be long.
const MOST_OUTLOOKS: usize = 100;

/// What is to be expected of the renewals of each set of modules: the outlook, and for how long it is kept.
pub(super) struct Outlooks(pub(super) Cache<BTreeSet<ModuleAddress>, (Arc<Outlook>, Duration)>);

impl Default for Outlooks {
    fn default() -> Self {
        Self(Cache::new(MOST_OUTLOOKS, |(_, kept)| *kept))
    }
}
