//! Where each field of an event sits in its logs, as an ABI file says. Pure.

use alloy::primitives::{Address, B256, U256};
use alloy_json_abi::Event;

use super::wanted::{FIELDS, Field, KnownEvent, Wanted};
use super::words::{Check, Leaf, Parameter, WORD, find, head, indexed, lacks};

/// How many topics a log can have.
const MOST_TOPICS: usize = 4;

/// Where a word sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WordPosition {
    /// Nowhere.
    Absent,
    /// Topic n; 0 is the event's own.
    Topic(u8),
    /// Word n of the data.
    Word(u32),
}

/// One way in which an event is laid out.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    topic: B256,
    topics: usize,
    event: KnownEvent,
    positions: [WordPosition; FIELDS],
    checks: Box<[(WordPosition, Check)]>,
    /// Bytes of the data's head.
    head: usize,
    /// Whether more may follow the head.
    is_dynamic: bool,
}

/// A log that fits its layout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    layout: &'a Layout,
    topics: &'a [B256],
    data: &'a [u8],
}

impl Layout {
    /// The layout of an event that the rules know as `wanted`.
    ///
    /// # Errors
    /// A half-sentence on the first needed field that the event lacks.
    pub(super) fn of(event: &Event, wanted: &Wanted) -> Result<Self, String> {
        let mut leaves: Vec<Leaf> = Vec::new();
        let mut positions = Vec::new();
        let mut topics = 1_u8;
        if event.num_topics() > MOST_TOPICS {
            return Err("it has more than three indexed parameters".to_owned());
        }
        for input in event.inputs.iter().filter(|input| input.indexed) {
            if let Some(leaf) = indexed(&Parameter::from(input)) {
                leaves.push(leaf);
                positions.push(WordPosition::Topic(topics));
            }
            topics += 1;
        }
        let in_data = event.inputs.iter().filter(|input| !input.indexed);
        let head = head(in_data.map(Parameter::from));
        for leaf in head.leaves {
            let word = u32::try_from(leaf.word).map_err(|_| "it is too long".to_owned())?;
            leaves.push(leaf);
            positions.push(WordPosition::Word(word));
        }
        let mut by_field = [WordPosition::Absent; FIELDS];
        for field in wanted.fields.iter().chain(wanted.optional) {
            match find(*field, &leaves) {
                Some(found) => by_field[*field as usize] = positions[found],
                None if wanted.fields.contains(field) => return Err(lacks(*field, &leaves)),
                None => {}
            }
        }
        let checks = leaves.iter().zip(&positions);
        Ok(Self {
            topic: event.selector(),
            topics: usize::from(topics),
            event: wanted.event,
            positions: by_field,
            checks: checks
                .filter_map(|(leaf, position)| Some((*position, leaf.check?)))
                .collect(),
            head: head.words.saturating_mul(WORD),
            is_dynamic: head.is_dynamic,
        })
    }

    /// What such logs are told by: the first topic and the number of topics.
    pub(super) fn key(&self) -> (B256, usize) {
        (self.topic, self.topics)
    }

    /// Which event it is.
    pub(super) fn event(&self) -> KnownEvent {
        self.event
    }

    /// Whether both read every log alike.
    pub(super) fn reads_like(&self, other: &Self) -> bool {
        self.event == other.event && self.positions == other.positions
    }

    /// The log's fields, if every word of it is a value of its type.
    pub(super) fn read<'a>(&'a self, topics: &'a [B256], data: &'a [u8]) -> Option<Fields<'a>> {
        let fits = match self.is_dynamic {
            false => data.len() == self.head,
            true => data.len() >= self.head,
        };
        let fields = Fields {
            layout: self,
            topics,
            data,
        };
        let is_valid = |(position, check): &(WordPosition, Check)| {
            fields
                .word(*position)
                .is_some_and(|word| check.passes(word))
        };
        (fits && self.checks.iter().all(is_valid)).then_some(fields)
    }
}

impl<'a> Fields<'a> {
    /// Which event it is.
    pub(crate) fn event(&self) -> KnownEvent {
        self.layout.event
    }

    /// The value of an unsigned integer; `None` where this layout does not have it, as in all that follow.
    pub(crate) fn uint(&self, field: Field) -> Option<U256> {
        self.get(field).map(|word| U256::from_be_bytes(*word))
    }

    /// The same where it must fit into 64 bits.
    pub(crate) fn short(&self, field: Field) -> Option<u64> {
        let (high, low) = self.get(field)?.split_last_chunk()?;
        let fits = high.iter().all(|byte| *byte == 0);
        fits.then(|| u64::from_be_bytes(*low))
    }

    /// An address.
    pub(crate) fn address(&self, field: Field) -> Option<Address> {
        self.get(field)
            .map(|word| Address::from_word(B256::new(*word)))
    }

    /// A bool.
    pub(crate) fn flag(&self, field: Field) -> Option<bool> {
        self.get(field).map(|word| word[WORD - 1] == 1)
    }

    fn get(&self, field: Field) -> Option<&'a [u8; WORD]> {
        self.word(self.layout.positions[field as usize])
    }

    fn word(&self, position: WordPosition) -> Option<&'a [u8; WORD]> {
        match position {
            WordPosition::Absent => None,
            WordPosition::Topic(topic) => self.topics.get(usize::from(topic)).map(|topic| &topic.0),
            WordPosition::Word(word) => self.data.get(word as usize * WORD..)?.first_chunk(),
        }
    }
}
