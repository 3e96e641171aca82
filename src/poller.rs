//! Asks second sources what they say of each member's access, and compares: amser's API round and round, the contracts'
//! own `isActive` at least once a day. The contracts decide; what they contradict is read again from the chain.

mod answers;

pub use answers::ApiAnswers;
