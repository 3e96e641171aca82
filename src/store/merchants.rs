//! The wallets that merchants showed, and the modules that are theirs.

use std::collections::BTreeSet;

use alloy::primitives::Address;
use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::Store;
use super::codec::{encode, read, wallets_of};
use super::tables::{MERCHANT_MODULES, MERCHANT_WALLETS};
use super::touched::Touched;
use crate::domain::{ModuleAddress, Timestamp, UserId, Wallet};

/// Modules of one merchant that are followed before they have a gate. One wallet has one module of each kind.
const MOST_MODULES: usize = 8;

/// A merchant's wallet, as they showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MerchantWallet {
    /// The wallet.
    pub wallet: Wallet,
    /// When (machine clock).
    pub at: Timestamp,
    /// The signed ERC-4361 text.
    pub message: String,
    /// Its signature.
    pub signature: Vec<u8>,
}

impl Store {
    /// Keeps a merchant's wallet in place of the one before, whose modules are no longer theirs.
    pub fn set_merchant_wallet(&self, user: UserId, wallet: &MerchantWallet) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        forget(&transaction, user)?;
        transaction
            .open_table(MERCHANT_WALLETS)?
            .insert(user.0, encode(wallet).as_slice())?;
        transaction.commit()?;
        self.touched.put(touched());
        Ok(())
    }

    /// A merchant's wallet.
    pub fn merchant_wallet(&self, user: UserId) -> anyhow::Result<Option<MerchantWallet>> {
        let transaction = self.database.begin_read()?;
        read(transaction.open_table(MERCHANT_WALLETS)?.get(user.0)?)
    }

    /// Keeps that these modules are a merchant's, so that they are followed; whether one is new. Beyond
    /// [`MOST_MODULES`] those stay that were kept first. Nothing is kept where the merchant has another wallet by now, or asked to be
    /// forgotten: a node was asked meanwhile.
    pub fn add_merchant_modules(
        &self,
        user: UserId,
        wallet: Wallet,
        modules: &[ModuleAddress],
    ) -> anyhow::Result<bool> {
        // Each page asks, and a page must not wait for whoever is writing.
        let known = self.modules_of_merchant(user)?;
        if modules.iter().all(|module| known.contains(module)) {
            return Ok(false);
        }
        let transaction = self.database.begin_write()?;
        let shown: Option<MerchantWallet> =
            read(transaction.open_table(MERCHANT_WALLETS)?.get(user.0)?)?;
        if shown.is_none_or(|shown| shown.wallet != wallet) {
            return Ok(false);
        }
        let is_new = {
            let mut table = transaction.open_table(MERCHANT_MODULES)?;
            let mut count = table.range(wallets_of(user))?.count();
            let before = count;
            for module in modules {
                let key = (user.0, &module.0.0.0);
                if count < MOST_MODULES && table.insert(key, ())?.is_none() {
                    count += 1;
                }
            }
            count > before
        };
        if is_new {
            transaction.commit()?;
            self.touched.put(touched());
        }
        Ok(is_new)
    }

    /// The modules of all merchants.
    pub fn merchant_modules(&self) -> anyhow::Result<BTreeSet<ModuleAddress>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(MERCHANT_MODULES)?;
        let rows = table.iter()?;
        rows.map(|row| Ok(ModuleAddress(Address::from(*row?.0.value().1))))
            .collect()
    }

    /// The modules of one merchant.
    pub fn modules_of_merchant(&self, user: UserId) -> anyhow::Result<BTreeSet<ModuleAddress>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(MERCHANT_MODULES)?;
        let rows = table.range(wallets_of(user))?;
        rows.map(|row| Ok(ModuleAddress(Address::from(*row?.0.value().1))))
            .collect()
    }
}

pub(super) fn touched() -> Touched {
    Touched {
        merchants: true,
        ..Touched::default()
    }
}

/// Nothing stays of a merchant's wallet; what was mapped to it goes on.
pub(super) fn forget(transaction: &WriteTransaction, user: UserId) -> anyhow::Result<()> {
    transaction.open_table(MERCHANT_WALLETS)?.remove(user.0)?;
    let mut modules = transaction.open_table(MERCHANT_MODULES)?;
    modules.retain_in(wallets_of(user), |_, ()| false)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;
    use crate::domain::GuildId;
    use crate::store::ServerRecord;

    const MERCHANT: UserId = UserId(1);
    const OTHER: UserId = UserId(2);

    fn wallet(byte: u8) -> MerchantWallet {
        MerchantWallet {
            wallet: Wallet(Address::repeat_byte(byte)),
            at: Timestamp(5),
            message: "sign".to_owned(),
            signature: vec![1, 2],
        }
    }

    fn module(byte: u8) -> ModuleAddress {
        ModuleAddress(Address::repeat_byte(byte))
    }

    #[test]
    fn a_merchant_has_one_wallet_and_with_another_the_modules_are_those_of_that_one() {
        let store = Store::in_memory().unwrap();
        store.set_merchant_wallet(MERCHANT, &wallet(1)).unwrap();
        store.set_merchant_wallet(OTHER, &wallet(3)).unwrap();
        let add = |user, byte: u8, modules: &[ModuleAddress]| {
            let wallet = wallet(byte).wallet;
            store.add_merchant_modules(user, wallet, modules).unwrap()
        };
        assert!(add(MERCHANT, 1, &[module(7)]));
        assert!(!add(MERCHANT, 1, &[module(7)]));
        assert!(add(OTHER, 3, &[module(7), module(8)]));
        assert!(
            store.take_touched().merchants,
            "the follower is told of new modules"
        );
        store.set_merchant_wallet(MERCHANT, &wallet(2)).unwrap();
        assert_eq!(store.merchant_wallet(MERCHANT).unwrap(), Some(wallet(2)));
        assert!(!add(MERCHANT, 1, &[module(9)]), "a node answered late");
        assert!(store.modules_of_merchant(MERCHANT).unwrap().is_empty());
        assert_eq!(
            store.merchant_modules().unwrap(),
            [module(7), module(8)].into()
        );
    }

    #[test]
    fn a_merchant_cannot_make_the_follower_read_any_number_of_modules() {
        let store = Store::in_memory().unwrap();
        let many: Vec<_> = (0..50).map(module).collect();
        let shown = wallet(1);
        store.set_merchant_wallet(MERCHANT, &shown).unwrap();
        let added = store.add_merchant_modules(MERCHANT, shown.wallet, &many);
        assert!(added.unwrap());
        assert_eq!(store.merchant_modules().unwrap().len(), MOST_MODULES);
    }

    #[test]
    fn who_asks_to_be_forgotten_leaves_neither_wallet_nor_name() {
        let store = Store::in_memory().unwrap();
        let at = Timestamp(9);
        let by = |by| ServerRecord { by, at };
        assert!(store.connect_server(GuildId(3), by(MERCHANT)).unwrap());
        assert!(
            !store.connect_server(GuildId(3), by(OTHER)).unwrap(),
            "the first one stays"
        );
        store.connect_server(GuildId(4), by(OTHER)).unwrap();
        store.set_merchant_wallet(MERCHANT, &wallet(1)).unwrap();
        let add = || store.add_merchant_modules(MERCHANT, wallet(1).wallet, &[module(7)]);
        assert!(add().unwrap());
        store.forget_member(MERCHANT).unwrap();
        assert!(!add().unwrap(), "a node answered late");
        assert_eq!(store.merchant_wallet(MERCHANT).unwrap(), None);
        assert!(store.merchant_modules().unwrap().is_empty());
        let expected = [(GuildId(3), by(UserId(0))), (GuildId(4), by(OTHER))];
        assert_eq!(store.connected_servers().unwrap(), expected.into());
    }
}
