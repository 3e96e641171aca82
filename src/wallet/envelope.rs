//! What the bytes of a signature hold, before any chain is asked. Pure.

use alloy::primitives::{Address, B256, Bytes, Signature};
use alloy_sol_types::SolValue as _;

/// The end of a signature that carries the wallet's deployment (ERC-6492).
const ERC6492_MAGIC: [u8; 32] =
    alloy::primitives::hex!("6492649264926492649264926492649264926492649264926492649264926492");

/// Whose key made this signature; `None` when no key can have.
pub(super) fn recover(hash: &B256, signature: &[u8]) -> Option<Address> {
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

/// The factory, its call and the wallet's own signature out of an ERC-6492 wrapper.
pub(super) fn unwrap_erc6492(signature: &[u8]) -> Option<(Address, Bytes, Bytes)> {
    let wrapped = signature.strip_suffix(&ERC6492_MAGIC)?;
    <(Address, Bytes, Bytes)>::abi_decode_params(wrapped).ok()
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{U256, eip191_hash_message};
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
