//! One question to one node: did this wallet sign this text?
//!
//! A contract is asked through `contracts/SignatureValidator.sol`, which bounds its gas and turns whatever it does into
//! one byte: an error of the call is always the node's. The chain id and the block's time come with that byte, out of the
//! same call, since another node behind the same URL may answer the next one. A node that lags would accept a key that the
//! wallet has removed since. The block's number would not do: on Arbitrum the EVM takes it from the parent chain.

use alloy::network::TransactionBuilder as _;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256, eip191_hash_message};
use alloy::rpc::types::TransactionRequest;
use alloy_sol_types::SolConstructor as _;
use serde_json::{Value, json};

use super::envelope::Envelope;
use crate::abi::SignatureValidator;
use crate::chain::node::RpcError;
use crate::domain::{ChainStatus, Checkpoint, SignatureVerdict, Timestamp, Wallet};

/// Gas of the whole call: enough for the validator's own limits, and below the 2^24 that a node may insist on (EIP-7825).
const CALL_GAS: u64 = 12_000_000;

/// The validator's answers.
const REFUSED: u8 = 0;
const VALID: u8 = 1;
const NO_CODE: u8 = 2;
const REFUSED_BY_DELEGATE: u8 = 3;
const OUT_OF_GAS: u8 = 4;

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
    /// Its EVM does not know an opcode of the check, and a contract stands at the wallet's address.
    #[error("its EVM does not run the check of smart wallets: {message}")]
    CannotRun {
        /// The node's sentence.
        message: String,
    },
    /// It did not answer, or not as a node of this chain.
    #[error(transparent)]
    Node(#[from] RpcError),
}

/// Checks a signature on the chain `chain_id`; `ask` makes one JSON-RPC call, and has no timeout. Never returns
/// [`SignatureVerdict::Unavailable`].
///
/// # Errors
/// When the node did not answer, is on another chain, or lags behind `reached`: nothing is known then.
pub async fn check_signature<F>(
    ask: impl Fn(&'static str, Value) -> F,
    chain_id: u64,
    reached: Reached,
    text: SignedText<'_>,
) -> Result<SignatureVerdict, CheckError>
where
    F: Future<Output = Result<Bytes, RpcError>> + Send,
{
    let hash = eip191_hash_message(text.message);
    let envelope = Envelope::open(text.signature);
    let signer = envelope.signer(&hash);
    // A key's own signature needs no chain, and no contract can stand at the address of a known key.
    if signer == Some(text.wallet.0) {
        return Ok(SignatureVerdict::Valid);
    }
    let without_contract = envelope.verdict_without_contract(&hash);
    let call = json!([question(text.wallet.0, hash, envelope), "latest"]);
    let answer = match ask("eth_call", call).await {
        Ok(answer) => answer,
        Err(error) if is_unknown_opcode(&error) => {
            let code = ask("eth_getCode", json!([text.wallet.0, "latest"]));
            return match code.await?.is_empty() {
                true => Ok(without_contract),
                false => Err(CheckError::CannotRun {
                    message: error.to_string(),
                }),
            };
        }
        Err(error) => return Err(error.into()),
    };
    let answer = Answer::read(&answer)
        .ok_or_else(|| RpcError::unavailable("it did not run the check of a signature"))?;
    if answer.chain != U256::from(chain_id) {
        return Err(CheckError::Node(RpcError::WrongChain {
            expected: chain_id,
            actual: answer.chain.saturating_to(),
        }));
    }
    let verdict = match answer.said {
        Said::Verdict(verdict) => verdict,
        Said::NoCode => without_contract,
        // The account is a key's, whose owner need not know of the contract that acts for it.
        Said::RefusedByDelegate if signer.is_some() => SignatureVerdict::OtherKey,
        Said::RefusedByDelegate => SignatureVerdict::RefusedByContract,
    };
    let needed = match verdict {
        SignatureVerdict::Valid => reached.confirmed,
        _ => reached.newest,
    };
    if answer.time < U256::from(needed.0) {
        return Err(CheckError::Lags);
    }
    Ok(verdict)
}

/// Whether a node says that its EVM lacks an opcode. The wallet's own failures never become an error of the call.
fn is_unknown_opcode(error: &RpcError) -> bool {
    let text = error.to_string().to_ascii_lowercase();
    // go-ethereum and ganache; revm's names as reth and anvil print them; Nethermind and OpenEthereum; Besu.
    [
        "invalid opcode",
        "notactivated",
        "opcodenotfound",
        "badinstruction",
        "bad instruction",
        "invalid_operation",
    ]
    .iter()
    .any(|words| text.contains(words))
}

/// What the validator answers.
struct Answer {
    said: Said,
    /// The chain that gave it.
    chain: U256,
    /// The time there, in seconds.
    time: U256,
}

/// What the wallet's contract made of the signature.
enum Said {
    Verdict(SignatureVerdict),
    /// There is no contract, also not after the deployment that the signature brought along.
    NoCode,
    /// The account is a key's that lets a contract act for it (EIP-7702).
    RefusedByDelegate,
}

impl Answer {
    /// No node that runs the validator answers anything else.
    fn read(answer: &[u8]) -> Option<Self> {
        let (word, numbers) = answer.split_first()?;
        let (chain, time) = numbers.split_first_chunk::<32>()?;
        let said = match *word {
            VALID => Said::Verdict(SignatureVerdict::Valid),
            REFUSED => Said::Verdict(SignatureVerdict::RefusedByContract),
            OUT_OF_GAS => Said::Verdict(SignatureVerdict::OutOfGas),
            NO_CODE => Said::NoCode,
            REFUSED_BY_DELEGATE => Said::RefusedByDelegate,
            _ => return None,
        };
        Some(Self {
            said,
            chain: U256::from_be_bytes(*chain),
            time: U256::from_be_bytes::<32>(time.try_into().ok()?),
        })
    }
}

/// Whether this is the signature of the wallet's own key: needs no chain.
pub fn is_signed_by_key(text: SignedText<'_>) -> bool {
    let signer = Envelope::open(text.signature).signer(&eip191_hash_message(text.message));
    signer == Some(text.wallet.0)
}

/// The call that runs the validator.
fn question(wallet: Address, hash: B256, envelope: Envelope) -> TransactionRequest {
    let arguments = SignatureValidator::constructorCall {
        wallet,
        hash,
        signature: envelope.signature,
        factory: envelope.factory,
        deployment: envelope.deployment,
    };
    let mut code = SignatureValidator::BYTECODE.to_vec();
    code.extend(arguments.abi_encode());
    TransactionRequest::default()
        .with_kind(TxKind::Create)
        .with_input(code)
        .with_gas_limit(CALL_GAS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opcodes that came after London: PUSH0, TLOAD, TSTORE, MCOPY, BLOBHASH, BLOBBASEFEE.
    const NEWER: [u8; 6] = [0x5f, 0x5c, 0x5d, 0x5e, 0x49, 0x4a];

    #[test]
    fn the_validator_runs_on_an_evm_of_2021() {
        let mut code = SignatureValidator::BYTECODE.iter().copied();
        while let Some(opcode) = code.next() {
            assert!(!NEWER.contains(&opcode), "{opcode:#x}");
            // What PUSH1 to PUSH32 push is data.
            for _ in 0x60..=opcode.min(0x7f) {
                code.next();
            }
        }
    }

    #[test]
    fn a_missing_opcode_is_told_from_other_errors() {
        let other = |message: &str| RpcError::Other {
            code: -32_000,
            message: message.to_owned(),
        };
        for message in [
            "invalid opcode: MCOPY",
            "VM Exception while processing transaction: invalid opcode",
            "EVM error NotActivated",
            "EVM error OpcodeNotFound",
        ] {
            assert!(is_unknown_opcode(&other(message)), "{message}");
        }
        for message in ["header not found", "out of gas", "execution reverted"] {
            assert!(!is_unknown_opcode(&other(message)), "{message}");
        }
    }
}
