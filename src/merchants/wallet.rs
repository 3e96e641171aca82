//! The merchant's wallet, and the modules whose on-chain `merchant()` it is.

use super::{Merchants, Refusal};
use crate::domain::{ModuleAddress, UserId, Wallet};

impl Merchants {
    /// The wallet that a user has shown to be theirs, as a merchant.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn wallet(&self, user: UserId) -> Result<Option<Wallet>, Refusal> {
        let _ = user;
        Err(super::unbuilt())
    }

    /// Keeps a user's wallet in place of the one before, with the text and the signature that show it; the caller checked
    /// them. Returns the modules that are its.
    ///
    /// # Errors
    /// As [`Merchants::modules`].
    pub async fn set_wallet(
        &self,
        user: UserId,
        wallet: Wallet,
        proof: (String, Vec<u8>),
    ) -> Result<Vec<ModuleAddress>, Refusal> {
        let _ = (user, wallet, proof);
        Err(super::unbuilt())
    }

    /// The modules of the user's wallet: found by the factory, or among those that are followed already. None without a
    /// wallet.
    ///
    /// # Errors
    /// [`Refusal::NodeUnavailable`].
    pub async fn modules(&self, user: UserId) -> Result<Vec<ModuleAddress>, Refusal> {
        let _ = user;
        Err(super::unbuilt())
    }

    /// Whether a module is the user's.
    ///
    /// # Errors
    /// [`Refusal::NoWallet`], [`Refusal::ForeignModule`], [`Refusal::NodeUnavailable`].
    pub async fn owns(&self, user: UserId, module: ModuleAddress) -> Result<(), Refusal> {
        let _ = (user, module);
        Err(super::unbuilt())
    }
}
