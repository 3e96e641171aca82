//! What was answered last, question by question: in memory, and kept in the store in batches.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::Notify;

use crate::domain::{ActiveQuestion, CheckRow, Checked, Timestamp};
use crate::store::Store;

/// The newest answers; clones share them.
#[derive(Clone, Debug, Default)]
pub struct ApiAnswers {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    content: Mutex<Content>,
    heard: Notify,
}

#[derive(Debug, Default)]
struct Content {
    rows: FxHashMap<ActiveQuestion, CheckRow>,
    /// What is not stored yet.
    unsaved: FxHashSet<ActiveQuestion>,
    /// Questions that are not asked any more and whose rows are still stored.
    gone: BTreeSet<ActiveQuestion>,
    /// What was answered since that was taken last.
    heard: BTreeSet<ActiveQuestion>,
}

/// Rows for the store.
pub(super) type Unsaved = (Vec<(ActiveQuestion, CheckRow)>, Vec<ActiveQuestion>);

impl ApiAnswers {
    /// What the last run knew.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn load(store: &Store) -> anyhow::Result<Self> {
        let answers = Self::default();
        {
            let mut content = answers.content();
            store.for_each_check(|question, row| {
                content.rows.insert(question, row);
            })?;
        }
        Ok(answers)
    }

    /// The newest answer that was not unknown.
    pub fn newest(&self, question: &ActiveQuestion) -> Option<Checked> {
        self.row(question).api
    }

    /// Waits until the API answered. Returns at once if it did before the call; one waits at a time.
    pub async fn heard(&self) {
        self.shared.heard.notified().await;
    }

    /// Takes what it answered since the last call, also where it only said the same again: what it said of the time before the
    /// chain went away does not count while the chain is away, and the repetition does.
    pub fn take_heard(&self) -> BTreeSet<ActiveQuestion> {
        std::mem::take(&mut self.content().heard)
    }

    /// What is kept of a question.
    pub(super) fn row(&self, question: &ActiveQuestion) -> CheckRow {
        let content = self.content();
        content.rows.get(question).copied().unwrap_or_default()
    }

    /// Takes an answer of the API; what was its last one.
    pub fn answered(&self, question: ActiveQuestion, checked: Checked) -> Option<Checked> {
        let mut content = self.content();
        let row = content.rows.entry(question).or_default();
        let before = row.api.replace(checked);
        content.unsaved.insert(question);
        content.heard.insert(question);
        self.shared.heard.notify_one();
        before
    }

    /// A contract answered.
    pub(super) fn contract_answered(&self, question: ActiveQuestion, at: Timestamp) {
        let mut content = self.content();
        content.rows.entry(question).or_default().contract_at = Some(at);
        content.unsaved.insert(question);
    }

    /// Forgets what is not asked any more, and has room for an answer to each of the `questions` that are: a table that grows
    /// while they are answered is there twice now and then.
    pub(super) fn retain(&self, questions: usize, is_asked: impl Fn(&ActiveQuestion) -> bool) {
        let mut content = self.content();
        let rows = content.rows.keys();
        let gone: Vec<_> = rows
            .filter(|question| !is_asked(question))
            .copied()
            .collect();
        for question in gone {
            content.rows.remove(&question);
            content.unsaved.remove(&question);
            content.gone.insert(question);
        }
        let more = questions.saturating_sub(content.rows.len());
        content.rows.reserve(more);
    }

    /// Takes what is to be stored.
    pub(super) fn take_unsaved(&self) -> Unsaved {
        let mut content = self.content();
        let unsaved = std::mem::take(&mut content.unsaved);
        let rows = unsaved
            .into_iter()
            .filter_map(|question| Some((question, *content.rows.get(&question)?)))
            .collect();
        let gone = std::mem::take(&mut content.gone).into_iter().collect();
        (rows, gone)
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        let content = self.shared.content.lock();
        content.expect("no holder of this lock can panic")
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::domain::{Link, UserId};
    use crate::poller::tests::question;

    fn checked(at: u64, api_active: bool) -> Checked {
        Checked {
            at: Timestamp(at),
            api_active,
            chain_active: true,
        }
    }

    #[test]
    fn an_answer_is_heard_once_and_so_is_its_repetition() {
        let answers = ApiAnswers::default();
        assert_eq!(answers.answered(question(1), checked(1, true)), None);
        for at in [2, 3] {
            assert!(answers.heard().now_or_never().is_some());
            assert_eq!(answers.take_heard(), [question(1)].into());
            assert!(answers.take_heard().is_empty());
            let before = answers.answered(question(1), checked(at, true));
            assert_eq!(before, Some(checked(at - 1, true)));
        }
        assert_eq!(answers.newest(&question(1)), Some(checked(3, true)));
    }

    #[test]
    fn answers_survive_a_restart_and_what_is_not_asked_any_more_goes() {
        let store = Store::in_memory().unwrap();
        for wallet in [1, 2] {
            let link = Link {
                user: UserId(1),
                wallet: question(wallet).wallet,
                linked_at: Timestamp(1),
                proof: None,
            };
            store.link(&link, 5).unwrap();
        }
        let answers = ApiAnswers::default();
        answers.answered(question(1), checked(1, true));
        answers.contract_answered(question(2), Timestamp(7));
        let save = |answers: &ApiAnswers| {
            let (rows, gone) = answers.take_unsaved();
            store.save_checks(&rows, &gone).unwrap();
        };
        save(&answers);
        assert_eq!(answers.take_unsaved(), (vec![], vec![]));
        let again = ApiAnswers::load(&store).unwrap();
        assert_eq!(again.newest(&question(1)), Some(checked(1, true)));
        assert_eq!(again.row(&question(2)).contract_at, Some(Timestamp(7)));
        again.retain(1, |asked| *asked == question(1));
        save(&again);
        let last = ApiAnswers::load(&store).unwrap();
        assert_eq!(last.row(&question(2)), CheckRow::default());
        assert_eq!(last.newest(&question(1)), Some(checked(1, true)));
    }
}
