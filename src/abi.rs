//! Bindings to the protocol's contracts for the local chain, and how the logs of any deployed ones are read
//! ([`Layouts`]).
//!
//! `abi/` is compiled from `contracts/` (`make abi`). A merchant whose deployed contracts differ names their ABI files
//! in `chain.abi`; a contract with other names altogether needs a row in `abi/wanted.rs`.

#![expect(
    clippy::too_many_arguments,
    reason = "sol! writes a function with an argument per event parameter"
)]

mod guess;
mod layout;
mod layouts;
mod plan;
mod wanted;
mod words;

pub use layouts::{AbiError, Layouts};
pub use plan::{PlanAnswerError, contradiction};

use alloy::primitives::{Address, address};
use alloy::sol;
pub(crate) use layout::Fields;
pub(crate) use wanted::{Contract, Field, KnownEvent};

/// Where Permit2 is on every chain of the protocol; it is older than any module (PROTOCOL.md).
pub const PERMIT2: Address = address!("000000000022D473030F116dDEE9F6B43aC78BA3");

/// The contract of each of these files.
macro_rules! contracts {
    ($($name:ident $file:tt)*) => {
        $(sol!(#[derive(Debug, PartialEq, Eq)] $name, $file);)*
    };
}

contracts! {
    Multicall3 "abi/Multicall3.json"
    SubscriptionModule "abi/SubscriptionModule.json"
    PaymentProcessor "abi/PaymentProcessor.json"
    RAIModuleFactory "abi/RAIModuleFactory.json"
    TestToken "abi/TestToken.json"
    Permit2 "abi/Permit2.json"
    TokenRegistry "abi/TokenRegistry.json"
    LookAlike "abi/LookAlike.json"
    DriftedModule "abi/DriftedModule.json"
    SignatureValidator "abi/SignatureValidator.json"
}
