//! Bindings to the protocol's contracts, generated from `abi/`, and the table of the events that the bot reads.
//!
//! `abi/` is compiled from `contracts/` (`make abi`). A merchant whose deployed contracts differ corrects `abi/`,
//! and nothing else: names and parameters come from there.

#![expect(
    clippy::too_many_arguments,
    reason = "sol! writes a function with an argument per event parameter"
)]

mod watched;

pub use watched::{Emitter, WATCHED_EVENTS, WatchedEvent, watched_event};

use alloy::sol;

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
