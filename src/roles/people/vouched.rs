//! What amser's API says of wallets while the chain cannot be followed, and whether it is listened to.

use rustc_hash::FxHashSet;

use crate::domain::ActiveQuestion;

/// Which sources a grant may stand on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sources {
    /// The followed events.
    #[default]
    Events,
    /// The followed events, and the API where they tell of no access.
    Both,
    /// The API alone: the followed events are old.
    Api,
}

/// The API's word.
#[derive(Debug, Default)]
pub(super) struct Vouched {
    pub(super) sources: Sources,
    /// What it says is active.
    pub(super) active: FxHashSet<ActiveQuestion>,
}

impl super::People {
    /// Which sources a grant may stand on now.
    pub fn sources(&self) -> Sources {
        self.vouched.sources
    }

    /// Sets which sources a grant may stand on. Without the API its words are forgotten.
    pub fn set_sources(&mut self, sources: Sources) {
        self.vouched.sources = sources;
        if sources == Sources::Events {
            self.vouched.active = FxHashSet::default();
        }
    }

    /// Sets whether the API says that there is access.
    pub fn set_vouched(&mut self, question: ActiveQuestion, active: bool) {
        match active {
            true => self.vouched.active.insert(question),
            false => self.vouched.active.remove(&question),
        };
    }

    /// Whether the API says so and is listened to.
    pub fn is_vouched(&self, question: &ActiveQuestion) -> bool {
        self.vouched.sources != Sources::Events && self.vouched.active.contains(question)
    }
}
