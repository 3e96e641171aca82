//! Wallets of which the contract says something else than the events, and transactions that somebody names and no event
//! tells of: a node left something out. The blocks in question are read again, from every node (`compare`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use crate::clock::sleep_until;
use crate::domain::{ActiveQuestion, ModuleAddress};

/// How soon a module's blocks are read again for a second time; then after twice as long, and so on.
const AGAIN: Duration = Duration::from_secs(600);
/// The longest such pause: a contract that means something else by `isActive` costs one reading a day.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// What is doubted; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Doubts {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    modules: Mutex<BTreeMap<ModuleAddress, Doubted>>,
    /// Those who want everything to be read again.
    everything: Mutex<Vec<oneshot::Sender<()>>>,
    raised: Notify,
}

/// What must be read again of one module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Doubt {
    /// For these wallets: from the last payments that are known on.
    pub(super) questions: BTreeSet<ActiveQuestion>,
    /// These blocks, by another's word on their transactions.
    pub(super) blocks: Option<(u64, u64)>,
}

impl Doubt {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One module.
#[derive(Debug, Default)]
struct Doubted {
    /// What must be read again.
    doubt: Doubt,
    /// Not before this moment.
    not_before: Option<Instant>,
    /// The pause after the next reading.
    pause: Duration,
}

impl Doubts {
    /// The contract says something else of this wallet than the followed events: the module's blocks since the last payment
    /// that is known of it are read again, from every node. Costs nothing here; of one module that happens more and more rarely.
    pub fn raise(&self, question: ActiveQuestion) {
        let mut modules = self.modules();
        modules
            .entry(question.module)
            .or_default()
            .doubt
            .questions
            .insert(question);
        self.shared.raised.notify_one();
    }

    /// Somebody names transactions of the module in these blocks, and no event of them is known: the blocks are read again, as
    /// with [`Doubts::raise`].
    pub fn raise_blocks(&self, module: ModuleAddress, blocks: RangeInclusive<u64>) {
        let (from, to) = blocks.into_inner();
        let mut modules = self.modules();
        let blocks = &mut modules.entry(module).or_default().doubt.blocks;
        let (first, last) = blocks.unwrap_or((from, to));
        *blocks = Some((first.min(from), last.max(to)));
        self.shared.raised.notify_one();
    }

    /// Whoever runs the service wants everything that was read of the chain to be forgotten and read again. Answered once it
    /// is forgotten; until it is read nothing is concluded from what is missing.
    pub fn read_everything_again(&self) -> oneshot::Receiver<()> {
        let (forgotten, answer) = oneshot::channel();
        self.everything().push(forgotten);
        self.shared.raised.notify_one();
        answer
    }

    /// Those who want everything to be read again, if any do.
    pub(super) fn take_everything(&self) -> Vec<oneshot::Sender<()>> {
        std::mem::take(&mut *self.everything())
    }

    fn everything(&self) -> MutexGuard<'_, Vec<oneshot::Sender<()>>> {
        let everything = self.shared.everything.lock();
        everything.expect("never poisoned: no panic while held")
    }

    /// Returns when [`Doubts::take`] or [`Doubts::take_everything`] has something.
    pub(super) async fn are_due(&self) {
        loop {
            if !self.everything().is_empty() {
                return;
            }
            let next = self.next();
            if next.is_some_and(|at| at <= Instant::now()) {
                return;
            }
            tokio::select! {
                () = self.shared.raised.notified() => {}
                () = sleep_until(next) => {}
            }
        }
    }

    /// What is to be read again now, by module.
    pub(super) fn take(&self, now: Instant) -> BTreeMap<ModuleAddress, Doubt> {
        let mut taken = BTreeMap::new();
        for (module, doubted) in self.modules().iter_mut() {
            let is_due = doubted.not_before.is_none_or(|at| at <= now);
            if doubted.doubt.is_empty() || !is_due {
                continue;
            }
            let pause = doubted.pause.clamp(AGAIN, LONGEST);
            doubted.not_before = Some(now + pause);
            doubted.pause = pause * 2;
            taken.insert(*module, std::mem::take(&mut doubted.doubt));
        }
        taken
    }

    fn next(&self) -> Option<Instant> {
        let modules = self.modules();
        let doubted = modules.values().filter(|one| !one.doubt.is_empty());
        let at = doubted.map(|one| one.not_before.unwrap_or_else(Instant::now));
        at.min()
    }

    fn modules(&self) -> MutexGuard<'_, BTreeMap<ModuleAddress, Doubted>> {
        let modules = self.shared.modules.lock();
        modules.expect("never poisoned: no panic while held")
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;
    use crate::domain::{PlanId, Wallet};

    fn question(module: u8, wallet: u8) -> ActiveQuestion {
        ActiveQuestion {
            module: ModuleAddress(Address::repeat_byte(module)),
            wallet: Wallet(Address::repeat_byte(wallet)),
            plan: PlanId::from(1),
        }
    }

    fn taken(doubts: &Doubts, now: Instant) -> Vec<ActiveQuestion> {
        let taken = doubts.take(now).into_values();
        taken.flat_map(|doubt| doubt.questions).collect()
    }

    #[test]
    fn doubted_blocks_are_read_together() {
        let doubts = Doubts::default();
        let module = question(1, 1).module;
        doubts.raise_blocks(module, 9..=9);
        doubts.raise_blocks(module, 4..=5);
        let taken = doubts.take(Instant::now());
        assert_eq!(taken[&module].blocks, Some((4, 9)));
        assert!(taken[&module].questions.is_empty());
    }

    #[tokio::test]
    async fn a_module_is_read_again_at_once_and_then_more_and_more_rarely() {
        let doubts = Doubts::default();
        let start = Instant::now();
        let ask = |wallet| doubts.raise(question(1, wallet));
        ask(1);
        ask(2);
        ask(1);
        doubts.are_due().await;
        let both = [question(1, 1), question(1, 2)];
        assert_eq!(taken(&doubts, start), both);
        assert_eq!(taken(&doubts, start), []);
        doubts.raise(question(2, 1));
        assert_eq!(taken(&doubts, start), [question(2, 1)]);
        ask(1);
        let mut at = start;
        for pause in [AGAIN, AGAIN * 2, AGAIN * 4] {
            at += pause;
            assert_eq!(taken(&doubts, at - Duration::from_secs(1)), []);
            assert_eq!(taken(&doubts, at).len(), 1);
            ask(3);
        }
        for _ in 0..20 {
            at += LONGEST;
            assert!(taken(&doubts, at).contains(&question(1, 3)));
            ask(3);
        }
    }
}
