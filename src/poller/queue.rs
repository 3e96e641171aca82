//! PURE. Which question is next: what changed, newest first; then what was never asked; then what was asked longest ago.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, BuildHasherDefault};
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHasher};

use crate::domain::{ActiveQuestion, Known, Timestamp};

/// The questions.
#[derive(Debug, Default)]
pub struct Queue {
    entries: FxHashMap<ActiveQuestion, Entry>,
    /// What is to be asked soon; the newest last.
    urgent: BTreeMap<u64, ActiveQuestion>,
    /// By when it was asked last. Questions of one second are mixed: one merchant's would come in a row otherwise.
    rest: BTreeSet<(Timestamp, u64, ActiveQuestion)>,
    /// What becomes urgent at a moment.
    later: BTreeSet<(Instant, ActiveQuestion)>,
    counter: u64,
    /// Whether all questions of the start are here: what is new then is new to everyone.
    is_complete: bool,
}

#[derive(Debug)]
struct Entry {
    known: Known,
    /// When it changed last; `None`: not since the start.
    changed_at: Option<Instant>,
    asked: Timestamp,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Urgent(u64),
    Rest,
    UnderWay,
}

impl Queue {
    /// Takes the questions that there are now, with what is known of each. `asked`: when one that is new here was answered
    /// last, if ever.
    pub fn update(
        &mut self,
        known: &BTreeMap<ActiveQuestion, Known>,
        asked: impl Fn(&ActiveQuestion) -> Option<Timestamp>,
        now: Instant,
    ) {
        let gone = self.entries.keys().filter(|one| !known.contains_key(one));
        for question in gone.copied().collect::<Vec<_>>() {
            self.remove(&question);
        }
        for (question, known) in known {
            match self.entries.get_mut(question) {
                Some(entry) if entry.known == *known => {}
                Some(entry) => {
                    entry.known = *known;
                    entry.changed_at = Some(now);
                    self.hurry(question);
                }
                None => {
                    let asked = asked(question);
                    let entry = Entry {
                        known: *known,
                        changed_at: self.is_complete.then_some(now),
                        asked: asked.unwrap_or_default(),
                        place: Place::Rest,
                    };
                    let at = entry.asked;
                    self.entries.insert(*question, entry);
                    self.rest.insert((at, mixed(question), *question));
                    if asked.is_none() {
                        self.hurry(question);
                    }
                }
            }
        }
    }

    /// All questions of the start were given.
    pub fn complete(&mut self) {
        self.is_complete = true;
    }

    /// How many questions there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The questions.
    pub fn questions(&self) -> impl Iterator<Item = &ActiveQuestion> {
        self.entries.keys()
    }

    /// What is known of a question; `None` where it is none any more.
    pub fn known(&self, question: &ActiveQuestion) -> Option<&Known> {
        self.entries.get(question).map(|entry| &entry.known)
    }

    /// Whether what is known of it changed within this time.
    pub fn is_fresh(&self, question: &ActiveQuestion, within: Duration, now: Instant) -> bool {
        let entry = self.entries.get(question);
        let changed_at = entry.and_then(|entry| entry.changed_at);
        changed_at.is_some_and(|at| now.saturating_duration_since(at) < within)
    }

    /// Whether anything is to be asked soon.
    pub fn is_urgent(&self) -> bool {
        !self.urgent.is_empty()
    }

    /// Whether all questions are under way.
    pub fn is_idle(&self) -> bool {
        self.urgent.is_empty() && self.rest.is_empty()
    }

    /// When the next of those that wait for a moment becomes urgent.
    pub fn next_later(&self) -> Option<Instant> {
        self.later.first().map(|(at, _)| *at)
    }

    /// Makes urgent what waited for this moment.
    pub fn wake(&mut self, now: Instant) {
        while let Some((at, question)) = self.later.first().copied() {
            if at > now {
                return;
            }
            self.later.pop_first();
            self.hurry(&question);
        }
    }

    /// Takes the next question. It stays away until [`Queue::put_back`].
    pub fn take(&mut self) -> Option<ActiveQuestion> {
        let question = match self.urgent.pop_last() {
            Some((_, question)) => question,
            None => self.rest.pop_first()?.2,
        };
        let entry = self.entries.get_mut(&question)?;
        entry.place = Place::UnderWay;
        Some(question)
    }

    /// It was asked.
    pub fn put_back(&mut self, question: ActiveQuestion, asked: Timestamp) {
        let Some(entry) = self.entries.get_mut(&question) else {
            return;
        };
        // It may have changed meanwhile, and be urgent again.
        if entry.place == Place::UnderWay {
            entry.place = Place::Rest;
            entry.asked = asked;
            self.rest.insert((asked, mixed(&question), question));
        }
    }

    /// It is to be asked soon.
    pub fn hurry(&mut self, question: &ActiveQuestion) {
        let Some(entry) = self.entries.get_mut(question) else {
            return;
        };
        match entry.place {
            Place::Urgent(at) => drop(self.urgent.remove(&at)),
            Place::Rest => drop(self.rest.remove(&(entry.asked, mixed(question), *question))),
            Place::UnderWay => {}
        }
        self.counter += 1;
        entry.place = Place::Urgent(self.counter);
        self.urgent.insert(self.counter, *question);
    }

    /// It is to be asked at this moment.
    pub fn ask_at(&mut self, question: ActiveQuestion, at: Instant) {
        if self.entries.contains_key(&question) {
            self.later.insert((at, question));
        }
    }

    fn remove(&mut self, question: &ActiveQuestion) {
        let Some(entry) = self.entries.remove(question) else {
            return;
        };
        match entry.place {
            Place::Urgent(at) => drop(self.urgent.remove(&at)),
            Place::Rest => drop(self.rest.remove(&(entry.asked, mixed(question), *question))),
            Place::UnderWay => {}
        }
    }
}

/// The same number for a question each time, and no other order than that.
pub(super) fn mixed(question: &ActiveQuestion) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(question)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::poller::tests::{number, question};

    fn known(until: u64) -> Known {
        Known {
            paid_until: Some(Timestamp(until)),
            is_ambiguous: false,
            is_open: true,
        }
    }

    fn all(known_until: &[(u64, u64)]) -> BTreeMap<ActiveQuestion, Known> {
        let known = known_until
            .iter()
            .map(|(wallet, until)| (question(*wallet), known(*until)));
        known.collect()
    }

    fn taken(queue: &mut Queue) -> Vec<u64> {
        let taken = std::iter::from_fn(|| queue.take());
        taken.map(|question| number(&question)).collect()
    }

    #[test]
    fn what_changed_comes_first_and_the_rest_by_when_it_was_asked_last() {
        let now = Instant::now();
        let mut queue = Queue::default();
        let last = |question: &ActiveQuestion| {
            let wallet = number(question);
            (wallet != 4).then_some(Timestamp(100 - wallet))
        };
        let mut three = all(&[(1, 9), (2, 9), (3, 9), (4, 9)]);
        queue.update(&three, last, now);
        // The fourth was never asked.
        assert_eq!(taken(&mut queue), [4, 3, 2, 1]);
        for wallet in [1, 2, 3, 4] {
            queue.put_back(question(wallet), Timestamp(200 + wallet));
        }
        three.insert(question(3), known(10));
        queue.update(&three, last, now);
        three.insert(question(2), known(10));
        queue.update(&three, last, now);
        three.remove(&question(1));
        queue.update(&three, last, now);
        assert_eq!(taken(&mut queue), [2, 3, 4]);
        assert!(queue.is_fresh(&question(2), Duration::from_secs(1), now));
        assert!(!queue.is_fresh(&question(4), Duration::from_secs(1), now));
    }

    #[test]
    fn what_is_new_after_the_start_is_fresh_even_where_there_was_nothing_before() {
        let now = Instant::now();
        let is_fresh = |queue: &Queue, wallet: u64| {
            queue.is_fresh(&question(wallet), Duration::from_secs(1), now)
        };
        let mut queue = Queue::default();
        queue.update(&all(&[(1, 9)]), |_| None, now);
        assert!(!is_fresh(&queue, 1), "it was there before the start");
        let mut queue = Queue::default();
        queue.update(&BTreeMap::new(), |_| None, now);
        queue.complete();
        queue.update(&all(&[(1, 9)]), |_| None, now);
        assert!(is_fresh(&queue, 1), "the first member who links");
    }

    #[test]
    fn what_changes_while_it_is_asked_is_asked_again() {
        let now = Instant::now();
        let mut queue = Queue::default();
        queue.update(&all(&[(1, 9)]), |_| None, now);
        assert_eq!(taken(&mut queue), [1]);
        queue.update(&all(&[(1, 10)]), |_| None, now);
        queue.put_back(question(1), Timestamp(5));
        assert!(queue.is_urgent());
        assert_eq!(taken(&mut queue), [1]);
        queue.put_back(question(1), Timestamp(6));
        let then = now + Duration::from_secs(30);
        queue.ask_at(question(1), then);
        queue.wake(now);
        assert!(!queue.is_urgent());
        assert_eq!(queue.next_later(), Some(then));
        queue.wake(then);
        assert!(queue.is_urgent());
    }

    proptest! {
        #[test]
        fn every_question_is_at_one_place_and_none_is_lost(steps in prop::collection::vec((0_u8..5, 1_u64..6, 0_u64..3), 0..120)) {
            let now = Instant::now();
            let mut queue = Queue::default();
            let (mut there, mut under_way) = (BTreeMap::new(), BTreeSet::new());
            for (step, wallet, until) in steps {
                match step {
                    0 => {
                        there.insert(question(wallet), known(until));
                        queue.update(&there, |_| None, now);
                    }
                    1 => {
                        there.remove(&question(wallet));
                        queue.update(&there, |_| None, now);
                    }
                    2 => under_way.extend(queue.take()),
                    3 => if under_way.remove(&question(wallet)) {
                        queue.put_back(question(wallet), Timestamp(until));
                    },
                    _ => queue.hurry(&question(wallet)),
                }
            }
            for question in under_way {
                queue.put_back(question, Timestamp(1));
            }
            let taken: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
            let each: BTreeSet<_> = taken.iter().copied().collect();
            prop_assert_eq!(each.len(), taken.len());
            prop_assert_eq!(each, there.into_keys().collect());
        }
    }
}
