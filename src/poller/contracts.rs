//! The round of the contracts: each question at least once a day, at once where it never was. A batch of 150 costs three or
//! four calls of a node that has Multicall3 (one call a question where it has not), so 1,000 (wallet, plan) pairs cost about 40
//! calls a day; fewer wait at most three hours for a full batch, so that they cost eight batches. What amser's API contradicts
//! is asked with the next batch.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use super::compare::expected;
use super::queue::{Queue, mixed};
use super::{ApiAnswers, Done, Poller, expectations};
use crate::clock::machine_time;
use crate::domain::{ActiveAnswer, ActiveQuestion, Expectations, SourceStatus, Timestamp};

/// What contradicted the events, or could not be answered, is asked again after this, seconds.
const SOON: u64 = 600;
/// Questions of a batch: as many as fit into one call.
const BATCH: usize = 150;
/// A question is asked again after this, seconds, and up to so much later: by chance, so that batches are spread over the day.
const AGAIN: u64 = 12 * 3_600;
const SPREAD: u64 = 8 * 3_600;
/// What is due waits for a full batch, at most for so long, seconds.
const WAITS: u64 = 3 * 3_600;
/// Between two batches.
const GAP: Duration = Duration::from_secs(2);
/// After one of which nothing was answered.
const PAUSE: Duration = Duration::from_secs(60);
/// Due questions that are kept until the next look.
const MOST_DUE: usize = 5_000;

/// The round.
#[derive(Debug, Default)]
pub(super) struct Contracts {
    pub(super) status: SourceStatus,
    /// The oldest of each question's newest check by either source.
    pub(super) oldest_check: Option<Timestamp>,
    due: VecDeque<ActiveQuestion>,
    /// Whether what is due has waited long enough.
    is_late: bool,
    /// When to ask again what contradicted the events, or could not be answered: a better node may be back soon.
    again: BTreeMap<ActiveQuestion, Timestamp>,
    /// What the API contradicts, and what it said.
    suspects: BTreeMap<ActiveQuestion, bool>,
    is_asking: bool,
    not_before: Option<Instant>,
}

/// The oldest of many moments, of which one that never was is older than all.
#[derive(Default)]
struct Oldest {
    found: Option<Timestamp>,
    is_never: bool,
}

impl Oldest {
    fn note(&mut self, at: Option<Timestamp>) {
        match at {
            Some(at) => self.found = Some(self.found.map_or(at, |found| found.min(at))),
            None => self.is_never = true,
        }
    }

    fn found(&self) -> Option<Timestamp> {
        self.found.filter(|_| !self.is_never)
    }
}

impl Contracts {
    /// Looks which questions are due, and how old the oldest check is. Returns the oldest answer of the API.
    pub(super) fn look(
        &mut self,
        queue: &Queue,
        answers: &ApiAnswers,
        now: Timestamp,
    ) -> Option<Timestamp> {
        // No more than are kept: of many questions nearly all may be due.
        let mut due = BinaryHeap::new();
        let [mut any, mut contract, mut api] = [(); 3].map(|()| Oldest::default());
        for question in queue.questions() {
            let row = answers.row(question);
            any.note(row.newest());
            contract.note(row.contract_at);
            api.note(row.api.map(|checked| checked.at));
            let again = self.again.get(question).copied();
            let at = again.unwrap_or_else(|| due_at(question, row.contract_at));
            if at <= now {
                due.push((at, *question));
                if due.len() > MOST_DUE {
                    due.pop();
                }
            }
        }
        let due = due.into_sorted_vec();
        self.oldest_check = any.found();
        self.status.oldest = contract.found();
        let is_late = |at: &Timestamp| at.plus(WAITS) <= now;
        self.is_late = due
            .iter()
            .any(|(at, question)| is_late(at) || self.again.contains_key(question));
        self.due = due.into_iter().map(|(_, question)| question).collect();
        self.again
            .retain(|question, _| queue.known(question).is_some());
        self.suspects
            .retain(|question, _| queue.known(question).is_some());
        api.found()
    }

    /// The API contradicts the events.
    pub(super) fn suspect(&mut self, question: ActiveQuestion, api_active: bool) {
        self.again.remove(&question);
        self.suspects.insert(question, api_active);
    }

    /// The API does not contradict the events any more.
    pub(super) fn withdraw(&mut self, question: &ActiveQuestion) {
        self.suspects.remove(question);
    }

    /// No node could say. Others have their turn before it is asked again, suspect or not: there are contracts that never can.
    fn unanswered(&mut self, question: ActiveQuestion, now: Timestamp) {
        self.status.unknown += 1;
        self.again.insert(question, now.plus(SOON));
    }

    /// Suspects that are to be asked about now.
    fn urgent(&self) -> impl Iterator<Item = ActiveQuestion> + '_ {
        let suspects = self.suspects.keys().copied();
        suspects.filter(|question| !self.again.contains_key(question))
    }

    fn is_due(&self) -> bool {
        self.urgent().next().is_some()
            || self.due.len() >= BATCH
            || (self.is_late && !self.due.is_empty())
    }

    fn next_batch(&mut self) -> Vec<ActiveQuestion> {
        let urgent: BTreeSet<_> = self.urgent().take(BATCH).collect();
        let mut batch: Vec<_> = urgent.iter().copied().collect();
        while batch.len() < BATCH
            && let Some(question) = self.due.pop_front()
        {
            if !urgent.contains(&question) {
                batch.push(question);
            }
        }
        batch
    }
}

/// When the contract is asked: at once where it never was.
fn due_at(question: &ActiveQuestion, asked: Option<Timestamp>) -> Timestamp {
    asked.map_or(Timestamp::default(), |at| {
        at.plus(AGAIN + mixed(question) % SPREAD)
    })
}

/// What the events said of a question while a contract was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Events {
    /// This, before and afterwards.
    Say(bool),
    /// Something else afterwards than before: an event came in meanwhile.
    Changed,
    /// The contract may say either.
    Unsure,
}

fn said_by_events(
    question: &ActiveQuestion,
    before: &Expectations,
    after: &Expectations,
) -> Events {
    if before.known.get(question) != after.known.get(question) {
        return Events::Changed;
    }
    let said = |at: &Expectations| {
        let known = at.known.get(question).filter(|_| at.at_tip)?;
        expected(known, at.now)
    };
    match (said(before), said(after)) {
        (Some(said), Some(again)) if said == again => Events::Say(said),
        _ => Events::Unsure,
    }
}

impl Poller {
    /// When the next batch is asked; `None`: not before something else happens. Away from the tip nothing is: the events that
    /// are there are old.
    pub(super) fn contracts_at(&self, now: Instant) -> Option<Instant> {
        let contracts = &self.contracts;
        let may = self.at_tip && !contracts.is_asking && contracts.is_due();
        may.then(|| contracts.not_before.map_or(now, |at| at.max(now)))
    }

    /// Asks the next batch, and what the events say before and afterwards.
    pub(super) fn ask_contracts(&mut self) {
        let batch = self.contracts.next_batch();
        if batch.is_empty() {
            return;
        }
        self.contracts.is_asking = true;
        let ask = self.inputs.contracts.clone();
        let questions = self.inputs.questions.clone();
        self.tasks.spawn(async move {
            let before = expectations(&questions, Some(batch.clone())).await;
            let (_, answers) = ask(batch.clone()).await;
            // The block that was asked lies between the two.
            let after = expectations(&questions, Some(batch.clone())).await;
            let answers = batch.into_iter().zip(answers).collect();
            Done::Contracts(answers, before.zip(after))
        });
    }

    pub(super) fn take_contracts(
        &mut self,
        answers: Vec<(ActiveQuestion, ActiveAnswer)>,
        around: Option<(Expectations, Expectations)>,
    ) {
        let now = Instant::now();
        self.contracts.is_asking = false;
        let mut is_answered = false;
        for (question, answer) in answers {
            let active = match answer {
                ActiveAnswer::Active => Some(true),
                ActiveAnswer::Inactive => Some(false),
                // Nothing more can be learned: the events decide.
                ActiveAnswer::NoView => None,
                ActiveAnswer::Unknown(_) => {
                    self.contracts.unanswered(question, machine_time());
                    continue;
                }
            };
            is_answered = true;
            let events = around.as_ref().map_or(Events::Unsure, |(before, after)| {
                said_by_events(&question, before, after)
            });
            // The answer may be of the time before: it is asked again.
            if events == Events::Changed {
                continue;
            }
            self.contracts.status.checks += u64::from(active.is_some());
            self.inputs
                .answers
                .contract_answered(question, machine_time());
            self.contracts.again.remove(&question);
            let said = self.contracts.suspects.remove(&question);
            let Events::Say(expected) = events else {
                continue;
            };
            if active.is_some_and(|active| active != expected) {
                (self.inputs.doubt)(question);
                let again = machine_time().plus(SOON);
                self.contracts.again.insert(question, again);
            } else if said.is_some_and(|said| said != expected) {
                self.api.disagrees(now);
            }
        }
        let pause = if is_answered { GAP } else { PAUSE };
        self.contracts.not_before = Some(now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Known;
    use crate::poller::tests::{number, question};

    fn queue(questions: u64) -> Queue {
        let known = Known {
            paid_until: None,
            is_ambiguous: false,
            is_open: false,
        };
        let all = (0..questions).map(|wallet| (question(wallet), known));
        let mut queue = Queue::default();
        queue.update(&all.collect(), |_| None, Instant::now());
        queue
    }

    #[test]
    fn what_the_events_say_counts_where_they_said_it_before_and_after_the_contract_was_asked() {
        let seen = |paid_until: u64, now: u64, at_tip: bool| {
            let known = Known {
                paid_until: Some(Timestamp(paid_until)),
                is_ambiguous: false,
                is_open: false,
            };
            Expectations {
                now: Timestamp(now),
                at_tip,
                known: [(question(1), known)].into(),
            }
        };
        let said = |before, after| said_by_events(&question(1), &before, &after);
        let lapsed = || seen(10_000, 11_000, true);
        assert_eq!(said(lapsed(), lapsed()), Events::Say(false));
        // Paid between the two: the contract may have been asked before that.
        assert_eq!(said(lapsed(), seen(20_000, 11_000, true)), Events::Changed);
        // The paid time ended between the two.
        assert_eq!(said(seen(10_000, 9_000, true), lapsed()), Events::Unsure);
        // The events may be old.
        assert_eq!(said(lapsed(), seen(10_000, 11_000, false)), Events::Unsure);
    }

    #[test]
    fn every_question_is_asked_at_least_once_a_day_in_few_batches() {
        for questions in [1, 40, 1_000] {
            let (queue, answers) = (queue(questions), ApiAnswers::default());
            let mut contracts = Contracts::default();
            let (mut batches, mut longest) = (0, 0);
            let mut last = vec![None; questions as usize];
            // Four days, a look every ten minutes.
            for look in 0..576 {
                let now = Timestamp(1_000_000 + look * 600);
                contracts.look(&queue, &answers, now);
                while contracts.is_due() {
                    batches += 1;
                    for question in contracts.next_batch() {
                        let number = number(&question) as usize;
                        if let Some(last) = last[number].replace(now.0) {
                            longest = longest.max(now.0 - last);
                        }
                        answers.contract_answered(question, now);
                    }
                }
            }
            assert!(longest <= 24 * 3_600, "{longest} s");
            assert!(last.iter().all(Option::is_some));
            let a_day = batches / 4;
            let most = if questions == 1_000 { 15 } else { 9 };
            assert!(a_day <= most, "{a_day} batches a day for {questions}");
        }
    }

    #[test]
    fn what_no_contract_answers_keeps_no_other_from_its_turn() {
        let (queue, answers) = (queue(400), ApiAnswers::default());
        let mut contracts = Contracts::default();
        let mut asked = BTreeSet::new();
        for look in 0..3 {
            let now = Timestamp(9_999 + look * 60);
            contracts.look(&queue, &answers, now);
            for question in contracts.next_batch() {
                contracts.unanswered(question, now);
                asked.insert(question);
            }
        }
        assert_eq!(asked.len(), 400);
        contracts.look(&queue, &answers, Timestamp(9_999 + 60 + SOON));
        assert_eq!(contracts.next_batch().len(), BATCH, "asked again");
    }

    #[test]
    fn what_the_api_contradicts_and_no_contract_answers_keeps_no_other_from_its_turn() {
        let (queue, answers) = (queue(400), ApiAnswers::default());
        let mut contracts = Contracts::default();
        let now = Timestamp(9_999);
        contracts.look(&queue, &answers, now);
        for n in 0..2 * BATCH as u64 {
            contracts.suspect(question(n), true);
        }
        let mut asked = BTreeSet::new();
        for _ in 0..3 {
            contracts.look(&queue, &answers, now);
            for question in contracts.next_batch() {
                contracts.unanswered(question, now);
                asked.insert(question);
            }
        }
        assert!(asked.len() > 2 * BATCH, "{}", asked.len());
        // What the API said of them is kept for the answer.
        assert_eq!(contracts.suspects.len(), 2 * BATCH);
    }

    #[test]
    fn what_the_api_contradicts_is_part_of_the_next_batch() {
        let (queue, answers) = (queue(400), ApiAnswers::default());
        let mut contracts = Contracts::default();
        contracts.look(&queue, &answers, Timestamp(9_999));
        contracts.suspect(question(399), true);
        let batch = contracts.next_batch();
        assert_eq!(batch.len(), BATCH);
        assert_eq!(batch[0], question(399));
        assert_eq!(contracts.oldest_check, None);
    }
}
