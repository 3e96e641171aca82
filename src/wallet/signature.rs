//! Whether a wallet signed a text: EIP-191 for keys, ERC-1271 for contracts, ERC-6492 for contracts not deployed yet.
//!
//! A contract is asked through `contracts/SignatureValidator.sol`, which bounds its gas and turns whatever it does into
//! one byte. An error of the call is therefore always the node's, and never an answer. The chain's id comes with that
//! byte, out of the same call: a URL that leads to another chain since the last question cannot slip in between. So does
//! the time of the block that was asked: a node that lags behind would let the key sign that its wallet has since put
//! away. Not the block's number, which the EVM of Arbitrum and its like takes from the parent chain; and not
//! `eth_blockNumber` beside the call, which another node behind the same URL may answer.

use std::time::Duration;

use alloy::network::{Ethereum, TransactionBuilder as _};
use alloy::primitives::{Address, B256, Bytes, Signature, TxKind, U256, eip191_hash_message};
use alloy::providers::Provider;
use alloy::rpc::types::TransactionRequest;
use alloy_sol_types::{SolConstructor as _, SolValue as _};

use crate::abi::SignatureValidator;
use crate::chain::node::RpcError;
use crate::chain::node::connection::understand;
use crate::domain::{SignatureVerdict, Timestamp, Wallet};

/// Gas of the whole call: enough for the validator's own limits, and below the 2^24 that a node may insist on (EIP-7825).
const CALL_GAS: u64 = 12_000_000;

/// How long the node may take.
const PATIENCE: Duration = Duration::from_secs(6);

/// The end of a signature that carries the wallet's deployment (ERC-6492).
const ERC6492_MAGIC: [u8; 32] =
    alloy::primitives::hex!("6492649264926492649264926492649264926492649264926492649264926492");

/// The validator's answers.
const REFUSED: u8 = 0;
const VALID: u8 = 1;
const NO_CODE: u8 = 2;

/// Checks a signature of `message` as EIP-191's personal message, on the chain `chain_id` as it is at `reached` or later.
///
/// # Errors
/// When the node did not answer, or stands at another chain or before `reached`: nothing is known then. Never
/// [`SignatureVerdict::Unavailable`].
pub async fn check_signature(
    provider: &impl Provider<Ethereum>,
    chain_id: u64,
    reached: Timestamp,
    wallet: Wallet,
    message: &str,
    signature: &[u8],
) -> Result<SignatureVerdict, RpcError> {
    let hash = eip191_hash_message(message);
    let without_contract = match recover(&hash, signature) {
        // A key's own signature needs no chain, and no contract can stand at the address of a known key.
        Some(signer) if signer == wallet.0 => return Ok(SignatureVerdict::Valid),
        Some(_) => SignatureVerdict::OtherKey,
        None => SignatureVerdict::Malformed,
    };
    let asking = ask(provider, wallet.0, hash, signature);
    let answer = tokio::time::timeout(PATIENCE, asking)
        .await
        .map_err(|_| RpcError::Timeout {
            message: "a signature was not checked in time".to_owned(),
        })?
        .map_err(|error| understand(&error))?;
    let answer = Answer::read(&answer)
        .ok_or_else(|| RpcError::unavailable("it did not run the check of a signature"))?;
    if answer.chain != U256::from(chain_id) {
        return Err(RpcError::WrongChain {
            expected: chain_id,
            actual: answer.chain.saturating_to(),
        });
    }
    if answer.time < U256::from(reached.0) {
        return Err(RpcError::unavailable(
            "it lags behind the node that is followed",
        ));
    }
    Ok(answer.verdict.unwrap_or(without_contract))
}

/// What the validator answers.
struct Answer {
    /// `None` for a wallet that is no contract.
    verdict: Option<SignatureVerdict>,
    /// The chain that gave it.
    chain: U256,
    /// The time there, in seconds.
    time: U256,
}

impl Answer {
    /// No node that runs the validator answers anything else.
    fn read(answer: &[u8]) -> Option<Self> {
        let (word, numbers) = answer.split_first()?;
        let (chain, time) = numbers.split_first_chunk::<32>()?;
        let verdict = match *word {
            VALID => Some(SignatureVerdict::Valid),
            REFUSED => Some(SignatureVerdict::RefusedByContract),
            NO_CODE => None,
            _ => return None,
        };
        Some(Self {
            verdict,
            chain: U256::from_be_bytes(*chain),
            time: U256::from_be_bytes::<32>(time.try_into().ok()?),
        })
    }
}

/// Whether the wallet is a key's and this is the key's signature: needs no chain.
pub fn is_signed_by_key(wallet: Wallet, message: &str, signature: &[u8]) -> bool {
    recover(&eip191_hash_message(message), signature) == Some(wallet.0)
}

/// Whose key made this signature; `None` when no key can have.
fn recover(hash: &B256, signature: &[u8]) -> Option<Address> {
    // Wallets count the recovery id from 0 or from 27; anything else is for transactions.
    let [.., 0 | 1 | 27 | 28] = signature else {
        return None;
    };
    if signature.len() != 65 {
        return None;
    }
    let signature = Signature::from_raw(signature).ok()?;
    // The other of the two equivalent forms is refused, as every wallet and contract library does (EIP-2).
    if signature.normalize_s().is_some() {
        return None;
    }
    signature.recover_address_from_prehash(hash).ok()
}

async fn ask(
    provider: &impl Provider<Ethereum>,
    wallet: Address,
    hash: B256,
    signature: &[u8],
) -> Result<Bytes, alloy::transports::TransportError> {
    let (factory, deployment, signature) = unwrap_erc6492(signature)
        .unwrap_or_else(|| (Address::ZERO, Bytes::new(), signature.to_vec().into()));
    let arguments = SignatureValidator::constructorCall {
        wallet,
        hash,
        signature,
        factory,
        deployment,
    };
    let mut code = SignatureValidator::BYTECODE.to_vec();
    code.extend(arguments.abi_encode());
    let call = TransactionRequest::default()
        .with_kind(TxKind::Create)
        .with_input(code)
        .with_gas_limit(CALL_GAS);
    provider.call(call).await
}

/// The factory, its call and the wallet's own signature out of an ERC-6492 wrapper.
fn unwrap_erc6492(signature: &[u8]) -> Option<(Address, Bytes, Bytes)> {
    let wrapped = signature.strip_suffix(&ERC6492_MAGIC)?;
    <(Address, Bytes, Bytes)>::abi_decode_params(wrapped).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_magic_is_that_of_erc_6492() {
        let text = "6492".repeat(16);
        assert_eq!(hex::encode(ERC6492_MAGIC), text);
    }

    #[test]
    fn the_other_form_of_a_signature_is_refused() {
        let signer = crate::sandbox::chain::wallet("signer");
        let hash = eip191_hash_message("hello");
        let signature = alloy::signers::SignerSync::sign_hash_sync(&signer, &hash).unwrap();
        assert_eq!(
            recover(&hash, &signature.as_bytes()),
            Some(signer.address())
        );
        let order = U256::from_str_radix(
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
            16,
        )
        .unwrap();
        let other = Signature::new(signature.r(), order - signature.s(), !signature.v());
        assert_eq!(recover(&hash, &other.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_and_not_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), magic in any::<bool>()) {
            let mut bytes = bytes;
            if magic {
                bytes.extend(ERC6492_MAGIC);
            }
            let _ = recover(&B256::ZERO, &bytes);
            let _ = unwrap_erc6492(&bytes);
        }
    }
}
