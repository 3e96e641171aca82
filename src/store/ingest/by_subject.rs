//! A batch's events grouped by what they are about.

use rustc_hash::FxHashMap;

use crate::domain::ChainEvent;
use crate::store::codec::{SubjectKey, subject_key};

/// A batch's events by subject, each subject's in chain order.
pub(in crate::store) struct BySubject<'a> {
    /// Each subject with the end of its events, in the order of the keys.
    ends: Vec<(SubjectKey, usize)>,
    events: Vec<&'a ChainEvent>,
}

impl<'a> BySubject<'a> {
    /// The events are put into the subjects' places: sorting the few subjects costs a fraction of sorting the many
    /// events, which stay where they are. Of each subject they mostly come in chain order already.
    pub(in crate::store) fn of(events: impl IntoIterator<Item = &'a ChainEvent>) -> Self {
        let events: Vec<&ChainEvent> = events.into_iter().collect();
        let mut numbers = FxHashMap::<SubjectKey, u32>::default();
        let mut subjects = Vec::<(SubjectKey, usize)>::new();
        let mut number_of = Vec::with_capacity(events.len());
        for event in &events {
            let key = subject_key(event.module, &event.subject());
            let number = *numbers.entry(key).or_insert_with(|| {
                subjects.push((key, 0));
                subjects.len() as u32 - 1
            });
            subjects[number as usize].1 += 1;
            number_of.push(number);
        }
        let mut order: Vec<u32> = (0..subjects.len() as u32).collect();
        order.sort_unstable_by_key(|number| subjects[*number as usize].0);
        let mut next = vec![0; subjects.len()];
        let mut ends = Vec::with_capacity(subjects.len());
        let mut end = 0;
        for number in order {
            let (key, count) = subjects[number as usize];
            next[number as usize] = end;
            end += count;
            ends.push((key, end));
        }
        let mut placed = events.clone();
        for (event, number) in events.into_iter().zip(number_of) {
            let place = &mut next[number as usize];
            placed[*place] = event;
            *place += 1;
        }
        let mut start = 0;
        for (_, end) in &ends {
            placed[start..*end].sort_by_key(|event| event.position);
            start = *end;
        }
        Self {
            ends,
            events: placed,
        }
    }

    /// The events of each subject.
    pub(in crate::store) fn groups(&self) -> impl Iterator<Item = &[&'a ChainEvent]> {
        let mut start = 0;
        self.ends.iter().map(move |(_, end)| {
            let group = &self.events[start..*end];
            start = *end;
            group
        })
    }

    /// How many events there are.
    pub(in crate::store) fn events(&self) -> usize {
        self.events.len()
    }

    /// How many subjects the batch is about.
    pub(in crate::store) fn subjects(&self) -> usize {
        self.ends.len()
    }

    /// The newest block of the events; `None` when there are none.
    pub(in crate::store) fn newest_block(&self) -> Option<u64> {
        self.events.iter().map(|event| event.position.block).max()
    }
}
