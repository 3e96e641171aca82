//! The merchant's wallet, and the modules whose on-chain `merchant()` it is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Merchants, Refusal};
use crate::domain::{ModuleAddress, UserId, Wallet};
use crate::store::MerchantWallet;

/// How long a page waits for the nodes.
const TIME_TO_ASK: Duration = Duration::from_secs(15);

/// Waits for the nodes as long as a page may. On the heap: what a connection does is large, and stands deep inside what a
/// page does.
pub(super) fn asked<'a, T: 'a>(
    asking: impl Future<Output = anyhow::Result<T>> + Send + 'a,
) -> BoxFuture<'a, Result<T, Refusal>> {
    Box::pin(async move {
        let answer = tokio::time::timeout(TIME_TO_ASK, asking).await;
        let answer = answer.map_err(anyhow::Error::from).flatten();
        answer.map_err(|error| {
            tracing::debug!(
                error = format!("{error:#}"),
                "no node answered a merchant's question"
            );
            Refusal::NodeUnavailable
        })
    })
}

impl Merchants {
    /// The wallet that a user has shown to be theirs, as a merchant.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn wallet(&self, user: UserId) -> Result<Option<Wallet>, Refusal> {
        let wallet = self
            .with_store(move |store| store.merchant_wallet(user))
            .await?;
        Ok(wallet.map(|known| known.wallet))
    }

    /// Keeps a user's wallet in place of the one before, with the text and the signature that show it; the caller checked
    /// them. Returns the modules that are its.
    ///
    /// # Errors
    /// As [`Merchants::modules`]; the wallet is kept also then.
    pub async fn set_wallet(
        &self,
        user: UserId,
        wallet: Wallet,
        proof: (String, Vec<u8>),
    ) -> Result<Vec<ModuleAddress>, Refusal> {
        let (message, signature) = proof;
        let shown = MerchantWallet {
            wallet,
            at: self.now(),
            message,
            signature,
        };
        self.with_store(move |store| store.set_merchant_wallet(user, &shown))
            .await?;
        self.modules(user).await
    }

    /// The modules of the user's wallet: found by the factory, or among those that are followed already. None without a
    /// wallet. They are followed from then on.
    ///
    /// # Errors
    /// [`Refusal::NodeUnavailable`].
    pub async fn modules(&self, user: UserId) -> Result<Vec<ModuleAddress>, Refusal> {
        let Some(wallet) = self.wallet(user).await? else {
            return Ok(Vec::new());
        };
        let mut candidates = self
            .with_store(|store| {
                let mut modules = store.merchant_modules()?;
                modules.extend(store.gates()?.into_iter().map(|gate| gate.module));
                modules.extend(store.modules()?.into_keys());
                Ok(modules)
            })
            .await?;
        candidates.extend(self.module_of(wallet).await?);
        let merchants = self.merchants_of(&candidates).await?;
        let own = merchants.into_iter().filter(|(_, of)| *of == Some(wallet));
        let own: Vec<_> = own.map(|(module, _)| module).collect();
        self.follow(user, wallet, &own).await?;
        Ok(own)
    }

    /// Whether a module is the user's; it is followed from then on.
    ///
    /// # Errors
    /// [`Refusal::NoWallet`], [`Refusal::ForeignModule`], [`Refusal::NodeUnavailable`]; [`Refusal::NotRead`] for a module
    /// of theirs that is too new.
    pub async fn owns(&self, user: UserId, module: ModuleAddress) -> Result<(), Refusal> {
        let wallet = self.wallet(user).await?.ok_or(Refusal::NoWallet)?;
        let merchants = self.merchants_of(&[module].into()).await?;
        match merchants.get(&module) {
            Some(Some(merchant)) if *merchant == wallet => {
                self.follow(user, wallet, &[module]).await
            }
            Some(None) if self.module_of(wallet).await? == Some(module) => Err(Refusal::NotRead(
                "This module was deployed just now. Try again in a few seconds.".to_owned(),
            )),
            _ => Err(Refusal::ForeignModule),
        }
    }

    /// The plans and subscribers of these modules are to be known before a gate asks about them.
    async fn follow(
        &self,
        user: UserId,
        wallet: Wallet,
        modules: &[ModuleAddress],
    ) -> Result<(), Refusal> {
        let modules = modules.to_vec();
        self.with_store(move |store| store.add_merchant_modules(user, wallet, &modules))
            .await?;
        Ok(())
    }

    /// The factory's word on which module is a wallet's.
    async fn module_of(&self, wallet: Wallet) -> Result<Option<ModuleAddress>, Refusal> {
        let inputs = self.inputs();
        let Some(factory) = inputs.factory else {
            return Ok(None);
        };
        let asking = asked(inputs.views.module_of(factory, wallet));
        self.owners().modules.get(wallet, asking).await
    }

    /// The merchant of each of these modules, `None` for what is no module. What is not known is asked in one request.
    async fn merchants_of(
        &self,
        modules: &BTreeSet<ModuleAddress>,
    ) -> Result<BTreeMap<ModuleAddress, Option<Wallet>>, Refusal> {
        let cache = &self.owners().merchants;
        let (mut known, unknown) = cache.kept_of(modules.iter().copied());
        if unknown.is_empty() {
            return Ok(known);
        }
        let merchants = asked(self.inputs().views.merchants_of(&unknown)).await?;
        for (module, merchant) in unknown.into_iter().zip(merchants) {
            cache.put(module, merchant);
            known.insert(module, merchant);
        }
        Ok(known)
    }
}
