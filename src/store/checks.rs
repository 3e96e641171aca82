//! What second sources said of access, by wallet, module and plan: answers survive a restart.

use redb::{ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use super::Store;
use super::codec::{decode, encode};
use super::tables::{CHECKS, LINKS};
use crate::domain::{ActiveQuestion, CheckRow, ModuleAddress, PlanId, Wallet};

/// Wallet, module, plan: the checks of one wallet lie together.
fn key(question: &ActiveQuestion) -> [u8; 72] {
    let mut key = [0; 72];
    key[..20].copy_from_slice(question.wallet.0.as_slice());
    key[20..40].copy_from_slice(question.module.0.as_slice());
    key[40..].copy_from_slice(&question.plan.0.to_be_bytes::<32>());
    key
}

fn question(key: &[u8; 72]) -> ActiveQuestion {
    use alloy::primitives::{Address, U256};
    ActiveQuestion {
        wallet: Wallet(Address::from_slice(&key[..20])),
        module: ModuleAddress(Address::from_slice(&key[20..40])),
        plan: PlanId(U256::from_be_slice(&key[40..])),
    }
}

impl Store {
    /// Hands every kept check to `each`.
    pub fn for_each_check(
        &self,
        mut each: impl FnMut(ActiveQuestion, CheckRow),
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_read()?;
        for row in transaction.open_table(CHECKS)?.iter()? {
            let (key, value) = row?;
            each(question(key.value()), decode(value.value())?);
        }
        Ok(())
    }

    /// The checks of these wallets.
    pub fn checks_of(&self, wallets: &[Wallet]) -> anyhow::Result<Vec<(ActiveQuestion, CheckRow)>> {
        let transaction = self.database.begin_read()?;
        let table = transaction.open_table(CHECKS)?;
        let mut found = Vec::new();
        for wallet in wallets {
            let (first, last) = bounds(*wallet);
            for row in table.range::<&[u8; 72]>(&first..=&last)? {
                let (key, value) = row?;
                found.push((question(key.value()), decode(value.value())?));
            }
        }
        Ok(found)
    }

    /// Keeps these checks, of linked wallets alone: whoever asked to be forgotten meanwhile stays so. Removes those of `gone`.
    pub fn save_checks(
        &self,
        checks: &[(ActiveQuestion, CheckRow)],
        gone: &[ActiveQuestion],
    ) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(CHECKS)?;
            let links = transaction.open_table(LINKS)?;
            for question in gone {
                table.remove(&key(question))?;
            }
            for (question, row) in checks {
                if links.get(&question.wallet.0.0.0)?.is_some() {
                    table.insert(&key(question), encode(row).as_slice())?;
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// The first and last of all keys of one wallet.
fn bounds(wallet: Wallet) -> ([u8; 72], [u8; 72]) {
    let (mut first, mut last) = ([0; 72], [0xff; 72]);
    first[..20].copy_from_slice(wallet.0.as_slice());
    last[..20].copy_from_slice(wallet.0.as_slice());
    (first, last)
}

/// Removes the checks of a wallet.
pub(super) fn forget(transaction: &WriteTransaction, wallet: Wallet) -> anyhow::Result<()> {
    let (first, last) = bounds(wallet);
    let mut table = transaction.open_table(CHECKS)?;
    table.retain_in::<&[u8; 72], _>(&first..=&last, |_, _| false)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;
    use crate::domain::{Checked, Link, Timestamp, UserId};

    fn asked(wallet: u8, plan: u64) -> ActiveQuestion {
        ActiveQuestion {
            module: ModuleAddress(Address::repeat_byte(1)),
            wallet: Wallet(Address::repeat_byte(wallet)),
            plan: PlanId::from(plan),
        }
    }

    fn kept(store: &Store) -> Vec<(ActiveQuestion, CheckRow)> {
        let mut kept = Vec::new();
        store
            .for_each_check(|question, row| kept.push((question, row)))
            .unwrap();
        kept
    }

    #[test]
    fn checks_are_kept_of_linked_wallets_and_go_with_them() {
        let store = Store::in_memory().unwrap();
        let link = Link {
            user: UserId(1),
            wallet: asked(5, 1).wallet,
            linked_at: Timestamp(1),
            proof: None,
        };
        store.link(&link, 5).unwrap();
        let row = CheckRow {
            api: Some(Checked {
                at: Timestamp(9),
                api_active: true,
                chain_active: false,
            }),
            contract_at: None,
        };
        let rows = [(asked(5, 1), row), (asked(5, 258), row), (asked(6, 1), row)];
        store.save_checks(&rows, &[]).unwrap();
        assert_eq!(kept(&store), rows[..2]);
        let of = |wallet| store.checks_of(&[asked(wallet, 1).wallet]).unwrap();
        assert_eq!((of(5), of(6)), (rows[..2].to_vec(), Vec::new()));
        store.save_checks(&[], &[asked(5, 258)]).unwrap();
        assert_eq!(kept(&store), rows[..1]);
        store.forget_member(UserId(1)).unwrap();
        assert_eq!(kept(&store), []);
    }
}
