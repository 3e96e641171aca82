//! What the bytes of a signature hold, before any chain is asked. Pure.

use alloy::primitives::{Address, B256, Bytes, Signature, U256, hex};
use alloy_sol_types::SolValue as _;

use crate::domain::SignatureVerdict;

/// The end of a signature that carries the wallet's deployment (ERC-6492).
const ERC6492_MAGIC: [u8; 32] =
    hex!("6492649264926492649264926492649264926492649264926492649264926492");

/// The ends of a signature that carries a delegation of the key's account (ERC-8010): the one that wallets write, and the
/// one of the ERC's newest draft.
const ERC8010_MAGICS: [[u8; 32]; 2] = [
    hex!("8010801080108010801080108010801080108010801080108010801080108010"),
    hex!("7702770277027702770277027702770277027702770277027702770277027702"),
];

/// How many bytes a key's signature has.
const KEY_SIGNATURE: usize = 65;

/// A signature as it was posted, taken out of what it is wrapped in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    /// The signature itself: a key's, or whatever the wallet's contract understands.
    pub(super) signature: Bytes,
    /// Who deploys the wallet if it does not exist yet; zero for nobody.
    pub(super) factory: Address,
    /// What the factory is called with.
    pub(super) deployment: Bytes,
    wrapper: Wrapper,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrapper {
    None,
    /// Made for a wallet whose code is not on the chain yet.
    Understood,
    /// It ends like a wrapper and holds none.
    Broken,
}

impl Envelope {
    /// Takes a signature out of its wrapper.
    ///
    /// Of ERC-8010 only the inner signature is used, never the delegation: whether an authorization still holds depends
    /// on the account's nonce at the moment of the check, and what it would install is code that the signature chose. So
    /// the inner signature counts if the account's own key made it, which no delegation can take away from the key, or if
    /// the code that stands at the account by now accepts it.
    pub(super) fn open(bytes: &[u8]) -> Self {
        if let Some(wrapped) = bytes.strip_suffix(&ERC6492_MAGIC) {
            let opened = <(Address, Bytes, Bytes)>::abi_decode_params(wrapped);
            return opened.map_or_else(
                |_| Self::plain(bytes, Wrapper::Broken),
                |(factory, deployment, signature)| Self {
                    signature,
                    factory,
                    deployment,
                    wrapper: Wrapper::Understood,
                },
            );
        }
        let wrapped = ERC8010_MAGICS
            .iter()
            .find_map(|magic| bytes.strip_suffix(magic));
        match wrapped.map(before_the_context) {
            Some(Some(signature)) => Self::plain(signature, Wrapper::Understood),
            Some(None) => Self::plain(bytes, Wrapper::Broken),
            None => Self::plain(bytes, Wrapper::None),
        }
    }

    fn plain(signature: &[u8], wrapper: Wrapper) -> Self {
        Self {
            signature: Bytes::copy_from_slice(signature),
            factory: Address::ZERO,
            deployment: Bytes::new(),
            wrapper,
        }
    }

    /// Whose key made the signature; `None` when no key can have.
    pub(super) fn signer(&self, hash: &B256) -> Option<Address> {
        recover(hash, &self.signature)
    }

    /// What is to be said when no contract stands at the wallet's address and the wallet's own key did not sign.
    pub(super) fn verdict_without_contract(&self, hash: &B256) -> SignatureVerdict {
        match (self.wrapper, self.signer(hash)) {
            (Wrapper::Understood, _) => SignatureVerdict::NotDeployed,
            (Wrapper::None, Some(_)) => SignatureVerdict::OtherKey,
            // Several owners' signatures, a passkey's, or anything else that only a contract can read.
            (Wrapper::None, None) if self.signature.len() > KEY_SIGNATURE => {
                SignatureVerdict::NotDeployed
            }
            (Wrapper::None | Wrapper::Broken, _) => SignatureVerdict::Malformed,
        }
    }
}

/// The inner signature out of an ERC-8010 wrapper without its end: signature, context, and the context's length as a word.
fn before_the_context(wrapped: &[u8]) -> Option<&[u8]> {
    let (rest, length) = wrapped.split_last_chunk::<32>()?;
    let length = usize::try_from(U256::from_be_bytes(*length)).ok()?;
    rest.get(..rest.len().checked_sub(length)?)
}

/// Whose key made this signature; `None` when no key can have.
fn recover(hash: &B256, signature: &[u8]) -> Option<Address> {
    // Wallets count the recovery id from 0 or from 27; anything else is for transactions.
    let [.., 0 | 1 | 27 | 28] = signature else {
        return None;
    };
    if signature.len() != KEY_SIGNATURE {
        return None;
    }
    let signature = Signature::from_raw(signature).ok()?;
    // The other of the two equivalent forms is refused, as every wallet and contract library does (EIP-2).
    if signature.normalize_s().is_some() {
        return None;
    }
    signature.recover_address_from_prehash(hash).ok()
}

#[cfg(test)]
mod tests {
    use alloy::primitives::eip191_hash_message;
    use alloy::signers::SignerSync as _;
    use proptest::prelude::*;

    use super::*;

    /// The key `signer`'s signature of "hello", as ERC-8010 wraps it with a context of this length.
    fn wrapped(context: usize, said: usize, magic: [u8; 32]) -> Vec<u8> {
        let signer = crate::sandbox::chain::wallet("signer");
        let hash = eip191_hash_message("hello");
        let mut bytes = signer.sign_hash_sync(&hash).unwrap().as_bytes().to_vec();
        bytes.extend(vec![7; context]);
        bytes.extend(U256::from(said).to_be_bytes::<32>());
        bytes.extend(magic);
        bytes
    }

    #[test]
    fn the_magics_are_those_of_the_standards() {
        for (magic, word) in [
            (ERC6492_MAGIC, "6492"),
            (ERC8010_MAGICS[0], "8010"),
            (ERC8010_MAGICS[1], "7702"),
        ] {
            assert_eq!(hex::encode(magic), word.repeat(16));
        }
    }

    #[test]
    fn the_key_that_signed_is_found_inside_an_erc_8010_wrapper() {
        let signer = crate::sandbox::chain::wallet("signer");
        let hash = eip191_hash_message("hello");
        for magic in ERC8010_MAGICS {
            for context in [0, 320, 1_000] {
                let opened = Envelope::open(&wrapped(context, context, magic));
                assert_eq!(opened.signer(&hash), Some(signer.address()));
                let not_deployed = SignatureVerdict::NotDeployed;
                assert_eq!(opened.verdict_without_contract(&hash), not_deployed);
            }
        }
    }

    #[test]
    fn a_wrapper_that_says_a_wrong_length_holds_no_signature() {
        let hash = eip191_hash_message("hello");
        for said in [319, 321, 386, usize::MAX] {
            let opened = Envelope::open(&wrapped(320, said, ERC8010_MAGICS[0]));
            assert_eq!(opened.signer(&hash), None, "{said}");
        }
        let broken = Envelope::open(&wrapped(320, 386, ERC8010_MAGICS[0]));
        let malformed = SignatureVerdict::Malformed;
        assert_eq!(broken.verdict_without_contract(&hash), malformed);
    }

    #[test]
    fn what_only_a_contract_could_read_is_told_from_what_nobody_can() {
        let hash = eip191_hash_message("hello");
        let signer = crate::sandbox::chain::wallet("signer");
        let by_a_key = signer.sign_hash_sync(&hash).unwrap().as_bytes();
        let two_owners = [by_a_key, by_a_key].concat();
        let verdict = |bytes: &[u8]| Envelope::open(bytes).verdict_without_contract(&hash);
        assert_eq!(verdict(&by_a_key), SignatureVerdict::OtherKey);
        assert_eq!(verdict(&two_owners), SignatureVerdict::NotDeployed);
        for nonsense in [&[][..], &[1; 64], &[9; 65], &ERC6492_MAGIC] {
            assert_eq!(verdict(nonsense), SignatureVerdict::Malformed);
        }
    }

    #[test]
    fn the_other_form_of_a_signature_is_refused() {
        let signer = crate::sandbox::chain::wallet("signer");
        let hash = eip191_hash_message("hello");
        let signature = signer.sign_hash_sync(&hash).unwrap();
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
        fn any_bytes_are_opened_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), end in 0..4_usize) {
            let mut bytes = bytes;
            let magics = [ERC6492_MAGIC, ERC8010_MAGICS[0], ERC8010_MAGICS[1]];
            bytes.extend(magics.get(end).into_iter().flatten());
            let _ = Envelope::open(&bytes).verdict_without_contract(&B256::ZERO);
        }
    }
}
