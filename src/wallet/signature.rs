//! One question to one node: did this wallet sign this text?
//!
//! A contract is asked through `contracts/SignatureValidator.sol`, which bounds its gas and turns whatever it does into
//! one byte. An error of the call is therefore always the node's, and never an answer. The chain's id comes with that
//! byte, out of the same call: a URL that leads to another chain since the last question cannot slip in between. So does
//! the time of the block that was asked: a node that lags behind would let the key sign that its wallet has since put
//! away. Not the block's number, which the EVM of Arbitrum and its like takes from the parent chain; and not
//! `eth_blockNumber` beside the call, which another node behind the same URL may answer.

use alloy::network::{Ethereum, TransactionBuilder as _};
use alloy::primitives::{Address, B256, Bytes, TxKind, U256, eip191_hash_message};
use alloy::providers::Provider;
use alloy::rpc::types::TransactionRequest;
use alloy_sol_types::SolConstructor as _;

use super::envelope::{recover, unwrap_erc6492};
use crate::abi::SignatureValidator;
use crate::chain::node::RpcError;
use crate::chain::node::connection::understand;
use crate::domain::{ChainStatus, Checkpoint, SignatureVerdict, Timestamp, Wallet};

/// Gas of the whole call: enough for the validator's own limits, and below the 2^24 that a node may insist on (EIP-7825).
const CALL_GAS: u64 = 12_000_000;

/// The validator's answers.
const REFUSED: u8 = 0;
const VALID: u8 = 1;
const NO_CODE: u8 = 2;

/// A text, and the signature that a wallet is said to have given it as EIP-191's personal message.
#[derive(Clone, Copy, Debug)]
pub struct SignedText<'a> {
    /// Who is said to have signed.
    pub wallet: Wallet,
    /// The text as it was shown.
    pub message: &'a str,
    /// A key's 65 bytes, or whatever the wallet's contract understands.
    pub signature: &'a [u8],
}

/// What the follower has seen of the chain: the least that a node must have reached for its answer to count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reached {
    /// The time of the newest confirmed block: an older yes could be by a key that the wallet has removed since.
    pub confirmed: Timestamp,
    /// The time of the newest block: an older no could be from before the wallet was deployed.
    pub newest: Timestamp,
}

impl Reached {
    /// What this status shows; nothing is asked of a node where it shows no block.
    pub fn by(status: &ChainStatus) -> Self {
        let time = |block: Option<Checkpoint>| block.map_or(Timestamp(0), |block| block.timestamp);
        let confirmed = time(status.confirmed);
        Self {
            confirmed,
            newest: confirmed.max(time(status.head)),
        }
    }
}

/// Why a node gave no verdict.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Its newest block is older than one that the follower has seen. The same URL may answer a moment later.
    #[error("it lags behind the node that is followed")]
    Lags,
    /// It did not answer, or not as a node of this chain.
    #[error(transparent)]
    Node(#[from] RpcError),
}

/// Checks a signature on the chain `chain_id`. Does not time out by itself. Never [`SignatureVerdict::Unavailable`].
///
/// # Errors
/// When the node did not answer, is on another chain, or lags behind `reached`: nothing is known then.
pub async fn check_signature(
    provider: &impl Provider<Ethereum>,
    chain_id: u64,
    reached: Reached,
    text: SignedText<'_>,
) -> Result<SignatureVerdict, CheckError> {
    let hash = eip191_hash_message(text.message);
    let without_contract = match recover(&hash, text.signature) {
        // A key's own signature needs no chain, and no contract can stand at the address of a known key.
        Some(signer) if signer == text.wallet.0 => return Ok(SignatureVerdict::Valid),
        Some(_) => SignatureVerdict::OtherKey,
        None => SignatureVerdict::Malformed,
    };
    let answer = ask(provider, text.wallet.0, hash, text.signature)
        .await
        .map_err(|error| understand(&error))?;
    let answer = Answer::read(&answer)
        .ok_or_else(|| RpcError::unavailable("it did not run the check of a signature"))?;
    if answer.chain != U256::from(chain_id) {
        return Err(CheckError::Node(RpcError::WrongChain {
            expected: chain_id,
            actual: answer.chain.saturating_to(),
        }));
    }
    let verdict = answer.verdict.unwrap_or(without_contract);
    let needed = match verdict {
        SignatureVerdict::Valid => reached.confirmed,
        _ => reached.newest,
    };
    if answer.time < U256::from(needed.0) {
        return Err(CheckError::Lags);
    }
    Ok(verdict)
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
pub fn is_signed_by_key(text: SignedText<'_>) -> bool {
    recover(&eip191_hash_message(text.message), text.signature) == Some(text.wallet.0)
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
