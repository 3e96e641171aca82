//! Streaming decoder of `eth_getLogs` answers: eats body chunks as they arrive and hands out each log as soon as its
//! last byte is there. It borrows from the chunk, never builds JSON values and never holds more than one log.
//! Tolerates any key order, whitespace, unknown keys, error answers and a `null` result.

mod object;
mod scan;

use std::ops::ControlFlow;

pub use object::{Data, Log};
use scan::{Cursor, Stop};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Longest single value that is kept while waiting for its end; a longer one is not a log.
const LONGEST_VALUE: usize = 64 << 20;

/// The `error` member of a JSON-RPC answer.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ErrorAnswer {
    /// JSON-RPC or provider-specific code.
    #[serde(default)]
    pub code: i64,
    /// The provider's sentence.
    #[serde(default)]
    pub message: String,
    /// Whatever else it sent along, as JSON text.
    #[serde(default)]
    pub data: Option<Box<RawValue>>,
}

/// Why an answer gave no (further) logs.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LogsError {
    /// Not the JSON of a log answer.
    #[error("the node's answer is not a list of logs: {0}")]
    Malformed(&'static str),
    /// The body ended in the middle.
    #[error("the node's answer ends in the middle")]
    Truncated,
    /// `"result": null`.
    #[error("the node answered null")]
    Null,
    /// The node answered with an error.
    #[error("{} ({})", .0.message, .0.code)]
    Answer(ErrorAnswer),
}

/// What the elements of the result are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    /// `eth_getLogs`.
    Log,
    /// `eth_getBlockReceipts`: objects with a `logs` list.
    Receipt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the answer's `{`.
    Start,
    /// Between members of the answer.
    Member,
    /// At the value of `result`.
    Result,
    /// Between elements of the result.
    Elements,
    /// The whole answer was read.
    Done,
}

/// Feeds on chunks of one answer.
#[derive(Debug)]
pub struct Decoder {
    /// The beginning of a value whose end has not arrived.
    carry: Vec<u8>,
    state: State,
    element: Element,
    /// Whether the input is the bare result, without the JSON-RPC envelope.
    bare: bool,
    has_result: bool,
    error: Option<ErrorAnswer>,
}

impl Decoder {
    fn with(state: State, element: Element, bare: bool) -> Self {
        Self {
            carry: Vec::new(),
            state,
            element,
            bare,
            has_result: false,
            error: None,
        }
    }

    /// For the body of an `eth_getLogs` answer.
    pub fn logs() -> Self {
        Self::with(State::Start, Element::Log, false)
    }

    /// For the body of an `eth_getBlockReceipts` answer.
    pub fn receipts() -> Self {
        Self::with(State::Start, Element::Receipt, false)
    }

    /// For an input that is the `result` alone, as a websocket client hands it out.
    pub fn bare(self) -> Self {
        Self::with(State::Result, self.element, true)
    }

    /// Eats the next bytes. `on_log` is called for every log that they complete; its `Break` ends the decoding for
    /// good: what follows is not looked at.
    ///
    /// # Errors
    /// When the bytes are no answer, or a log lacks a part.
    pub fn feed(
        &mut self,
        chunk: &[u8],
        on_log: &mut dyn FnMut(&Log<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, LogsError> {
        let mut rest = chunk;
        // A value that began in an earlier chunk is completed in `carry`; the bytes after it are read in place.
        while !self.carry.is_empty() {
            if rest.is_empty() {
                return Ok(ControlFlow::Continue(()));
            }
            let had = self.carry.len();
            let take = rest.len().min(had.max(1024));
            let mut carry = std::mem::take(&mut self.carry);
            carry.extend_from_slice(&rest[..take]);
            match self.step(&carry, on_log)? {
                Step::NeedMore => {
                    if carry.len() > LONGEST_VALUE {
                        return Err(LogsError::Malformed("a value is too long"));
                    }
                    rest = &rest[take..];
                    self.carry = carry;
                }
                Step::Ate(end) => {
                    rest = &rest[end.saturating_sub(had)..];
                    carry.clear();
                    // The allocation is kept for the next split value.
                    self.carry = carry;
                }
                Step::Break => return Ok(ControlFlow::Break(())),
            }
        }
        loop {
            match self.step(rest, on_log)? {
                Step::Ate(end) => rest = &rest[end..],
                Step::NeedMore => {
                    self.carry.extend_from_slice(rest);
                    return Ok(ControlFlow::Continue(()));
                }
                Step::Break => return Ok(ControlFlow::Break(())),
            }
        }
    }

    /// The body has ended: was the answer whole, and was it a list?
    ///
    /// # Errors
    /// When it was not: the node's own error, `null`, or half an answer.
    pub fn finish(self) -> Result<(), LogsError> {
        if let Some(error) = self.error {
            return Err(LogsError::Answer(error));
        }
        match self.state {
            State::Done if self.has_result => Ok(()),
            State::Done => Err(LogsError::Null),
            _ => Err(LogsError::Truncated),
        }
    }

    /// Eats exactly one token (a brace, a member's key, an element…) from the front of `input`.
    fn step(
        &mut self,
        input: &[u8],
        on_log: &mut dyn FnMut(&Log<'_>) -> ControlFlow<()>,
    ) -> Result<Step, LogsError> {
        match self.token(&mut Cursor::new(input), on_log) {
            Ok(step) => Ok(step),
            Err(Stop::NeedMore) => Ok(Step::NeedMore),
            Err(Stop::Malformed(why)) => Err(LogsError::Malformed(why)),
        }
    }

    fn token(
        &mut self,
        cursor: &mut Cursor<'_>,
        on_log: &mut dyn FnMut(&Log<'_>) -> ControlFlow<()>,
    ) -> Result<Step, Stop> {
        let next = cursor.peek_token()?;
        match self.state {
            State::Start => {
                if next != b'{' {
                    return Err(Stop::Malformed("not an object"));
                }
                cursor.advance();
                self.state = State::Member;
            }
            State::Member => match next {
                b',' => cursor.advance(),
                b'}' => {
                    cursor.advance();
                    self.state = State::Done;
                }
                _ => match cursor.key()? {
                    b"result" => self.state = State::Result,
                    b"error" => {
                        let value = cursor.value()?;
                        if value != b"null" {
                            self.error = Some(
                                serde_json::from_slice(value)
                                    .map_err(|_| Stop::Malformed("its error is unreadable"))?,
                            );
                        }
                    }
                    _ => {
                        cursor.value()?;
                    }
                },
            },
            State::Result => {
                if next == b'[' {
                    cursor.advance();
                    self.has_result = true;
                    self.state = State::Elements;
                } else if cursor.value()? == b"null" {
                    self.leave_result();
                } else {
                    return Err(Stop::Malformed("the result is not a list"));
                }
            }
            State::Elements => match next {
                b',' => cursor.advance(),
                b']' => {
                    cursor.advance();
                    self.leave_result();
                }
                _ if self.element == Element::Log => {
                    if on_log(&object::log(cursor)?).is_break() {
                        self.state = State::Done;
                        return Ok(Step::Break);
                    }
                }
                _ => {
                    if object::receipt(cursor, on_log)?.is_break() {
                        self.state = State::Done;
                        return Ok(Step::Break);
                    }
                }
            },
            // Some servers end the body with a newline or padding.
            State::Done => cursor.advance(),
        }
        Ok(Step::Ate(cursor.position()))
    }

    fn leave_result(&mut self) {
        self.state = if self.bare {
            State::Done
        } else {
            State::Member
        };
    }
}

enum Step {
    /// A token ended at this offset.
    Ate(usize),
    /// The token's end has not arrived.
    NeedMore,
    /// The caller wants no more.
    Break,
}

#[cfg(test)]
mod tests;
