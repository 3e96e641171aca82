//! What a member signs to link a wallet, and whether a signed text says that. The texts are kept as portable proofs, so what an
//! older version wrote must be understood for ever.

use super::siwe;
use crate::domain::{GuildId, UserId, Wallet};

/// How every statement begins, up to the account's name.
const BEGINNING: &str = "Link this wallet to the Discord account ";

/// What the member agrees to: the account and the server, each with its name and id, and whether the wallet leaves another
/// account.
pub(super) fn statement(
    (account, user): (&str, UserId),
    (server, guild): (&str, GuildId),
    moves: bool,
) -> String {
    let leaves = match moves {
        true => " It leaves the Discord account that it is linked to now.",
        false => "",
    };
    format!(
        "{BEGINNING}{} (id {user}), asked for in the server {} (id {guild}). It counts in every server that uses this bot.{leaves} Signing is free and moves nothing.",
        siwe::plain(account),
        siwe::plain(server),
    )
}

/// Why a text is no proof of a link. Each is a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoProof {
    /// Not a text of ours.
    #[error("the message is not one that this bot gives out to link a wallet")]
    NotOurs,
    /// By another wallet.
    #[error("the message names another wallet")]
    OtherWallet,
    /// For another account.
    #[error("the message names another Discord account")]
    OtherAccount,
}

/// Whether this text, once signed, links this wallet to this member. The signature is another question.
///
/// # Errors
/// Why it does not.
pub(super) fn proves(message: &str, wallet: Wallet, user: UserId) -> Result<(), NoProof> {
    if message.len() > siwe::LONGEST_MESSAGE {
        return Err(NoProof::NotOurs);
    }
    let (address, statement) = siwe::address_and_statement(message).ok_or(NoProof::NotOurs)?;
    let account = statement.strip_prefix(BEGINNING).ok_or(NoProof::NotOurs)?;
    // The first id is the account's: whoever named the server came after it.
    let (_, id) = account.split_once(" (id ").ok_or(NoProof::NotOurs)?;
    let (id, _) = id.split_once(')').ok_or(NoProof::NotOurs)?;
    if address != wallet {
        return Err(NoProof::OtherWallet);
    }
    match id == user.to_string() {
        true => Ok(()),
        false => Err(NoProof::OtherAccount),
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;
    use url::Url;

    use super::*;
    use crate::domain::Timestamp;

    fn message(account: &str, server: &str) -> String {
        let public_url: Url = "https://roles.example".parse().unwrap();
        siwe::write(&siwe::Terms {
            public_url: &public_url,
            wallet: Wallet(Address::repeat_byte(7)),
            statement: statement((account, UserId(5)), (server, GuildId(6)), true),
            chain_id: 1,
            nonce: "abcdefgh",
            request_id: "1".to_owned(),
            issued_at: Timestamp(1_700_000_000),
            expires_at: Timestamp(1_700_000_600),
        })
        .unwrap()
    }

    #[test]
    fn a_text_proves_its_own_wallet_and_account_alone() {
        let wallet = Wallet(Address::repeat_byte(7));
        let text = message("ada", "Club");
        assert_eq!(proves(&text, wallet, UserId(5)), Ok(()));
        assert_eq!(proves(&text, wallet, UserId(6)), Err(NoProof::OtherAccount));
        let other = Wallet(Address::repeat_byte(8));
        assert_eq!(proves(&text, other, UserId(5)), Err(NoProof::OtherWallet));
        for not_ours in ["", "hello", &text.replace("Link this", "Sell this")] {
            assert_eq!(proves(not_ours, wallet, UserId(5)), Err(NoProof::NotOurs));
        }
    }

    #[test]
    fn a_server_s_name_cannot_claim_another_account() {
        let text = message("ada", "Evil (id 99)");
        let wallet = Wallet(Address::repeat_byte(7));
        assert_eq!(
            proves(&text, wallet, UserId(99)),
            Err(NoProof::OtherAccount)
        );
        assert_eq!(proves(&text, wallet, UserId(5)), Ok(()));
    }
}
