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

use alloy::sol;
pub(crate) use layout::Fields;
pub(crate) use wanted::{Field, KnownEvent};

sol!(
    #[derive(Debug, PartialEq, Eq)]
    SubscriptionModule,
    "abi/SubscriptionModule.json"
);
sol!(
    #[derive(Debug, PartialEq, Eq)]
    PaymentProcessor,
    "abi/PaymentProcessor.json"
);
sol!(
    #[derive(Debug, PartialEq, Eq)]
    RAIModuleFactory,
    "abi/RAIModuleFactory.json"
);
sol!(
    #[derive(Debug, PartialEq, Eq)]
    TestToken,
    "abi/TestToken.json"
);
sol!(
    #[derive(Debug, PartialEq, Eq)]
    Permit2,
    "abi/Permit2.json"
);
sol!(
    #[derive(Debug, PartialEq, Eq)]
    TokenRegistry,
    "abi/TokenRegistry.json"
);
sol!(
    #[derive(Debug, PartialEq, Eq)]
    LookAlike,
    "abi/LookAlike.json"
);
sol!(
    #[derive(Debug, PartialEq, Eq)]
    DriftedModule,
    "abi/DriftedModule.json"
);
sol!(
    #[derive(Debug, PartialEq, Eq)]
    SignatureValidator,
    "abi/SignatureValidator.json"
);
