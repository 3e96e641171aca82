//! placeholder
pub mod abi;
pub mod sandbox;
