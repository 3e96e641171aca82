//! What amser's API says of wallets while the chain cannot be followed, and whether it is listened to.

use rustc_hash::FxHashSet;

use crate::domain::ActiveQuestion;

/// Which sources a grant may stand on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Sources {
    /// The followed events.
    #[default]
    Events,
    /// The followed events, and the API where they tell of no access.
    Both,
    /// The API alone: the followed events are old.
    Api,
}

impl super::People {
    /// Which sources a grant may stand on now.
    pub(crate) fn sources(&self) -> Sources {
        self.sources
    }

    /// Sets which sources a grant may stand on. Without the API its words are forgotten.
    pub(crate) fn set_sources(&mut self, sources: Sources) {
        self.sources = sources;
        if sources == Sources::Events {
            self.vouched = FxHashSet::default();
        }
    }

    pub(crate) fn set_vouched(&mut self, question: ActiveQuestion, active: bool) {
        match active {
            true => self.vouched.insert(question),
            false => self.vouched.remove(&question),
        };
    }

    /// Whether the API says so and is listened to.
    pub(crate) fn is_vouched(&self, question: &ActiveQuestion) -> bool {
        self.sources != Sources::Events && self.vouched.contains(question)
    }
}
