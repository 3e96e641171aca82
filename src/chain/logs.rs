//! Streaming decoder of `eth_getLogs` answers: hands out each log as soon as its last byte has arrived. It borrows from the
//! chunk, builds no JSON values and holds one log at most. It also reads a batch of two answers in any order: the logs, and
//! the header of the range's last block, whose text it keeps.

mod object;
mod scan;

use std::ops::ControlFlow;

pub use object::Log;
use scan::{Cursor, Stop};
use serde::Deserialize;
use serde_json::value::{RawValue, Value, to_raw_value};

/// Longest single value that is kept while waiting for its end; a longer one is not a log.
const LONGEST_VALUE: usize = 64 << 20;

/// The id of the `eth_getLogs` call of a batch.
pub const LOGS_ID: u64 = 1;
/// The id of the batch's call for the header.
pub const HEADER_ID: u64 = 2;

/// The `error` member of a JSON-RPC answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Value")]
pub struct ErrorAnswer {
    /// JSON-RPC or provider-specific code; 0 where there is none.
    pub code: i64,
    /// The provider's sentence.
    pub message: String,
    /// Whatever else it sent along, as JSON text.
    pub data: Option<Box<RawValue>>,
}

impl From<Value> for ErrorAnswer {
    /// Gateways in front of nodes send the sentence alone, or an object without some of the members.
    fn from(value: Value) -> Self {
        let message = value.as_str().or_else(|| value["message"].as_str());
        Self {
            code: value["code"].as_i64().unwrap_or_default(),
            message: message.unwrap_or_default().to_owned(),
            data: value
                .get("data")
                .filter(|data| !data.is_null())
                .and_then(|data| to_raw_value(data).ok()),
        }
    }
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
    /// One of a batch's calls has no answer.
    #[error("the node answered only a part of a batch")]
    Missing,
    /// The node answered with an error.
    #[error("{} ({})", .0.message, .0.code)]
    Answer(ErrorAnswer),
    /// The node answered a batch as a whole with one error.
    #[error("{} ({})", .0.message, .0.code)]
    Batch(ErrorAnswer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the body's first bracket.
    Start,
    /// Between the answers of a batch.
    Answers,
    /// Between members of an answer.
    Member,
    /// At the value of `result`.
    Result,
    /// Between the logs.
    Logs,
    /// The whole answer was read.
    Done,
}

/// What the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// One JSON-RPC answer.
    Answer,
    /// The answers to a batch.
    Batch,
    /// One answer, where a batch's were expected.
    InsteadOfBatch,
}

/// The answer that is being read.
#[derive(Debug, Default)]
struct Current {
    /// `None` until it was read: it may stand behind the result.
    id: Option<u64>,
    result: Option<Shape>,
    error: Option<ErrorAnswer>,
}

/// A result; its shape says which call it answers where the id is not known yet.
#[derive(Debug)]
enum Shape {
    Null,
    Logs,
    Header(Box<[u8]>),
}

/// Reads the chunks of one answer.
#[derive(Debug)]
pub struct Decoder {
    /// The beginning of a value whose end has not arrived.
    carry: Vec<u8>,
    state: State,
    body: Body,
    current: Current,
    /// Whether the logs were answered with a list, or with `null`.
    logs: Option<bool>,
    /// The header's text, once it was answered; `None` inside where the node does not have the block.
    header: Option<Option<Box<[u8]>>>,
    error: Option<ErrorAnswer>,
}

impl Decoder {
    fn with(body: Body) -> Self {
        Self {
            carry: Vec::new(),
            state: State::Start,
            body,
            current: Current::default(),
            logs: None,
            header: None,
            error: None,
        }
    }

    /// For the body of an `eth_getLogs` answer.
    pub fn logs() -> Self {
        Self::with(Body::Answer)
    }

    /// For the body of the answers to `eth_getLogs` (id [`LOGS_ID`]) and a call for one header (id [`HEADER_ID`]).
    pub fn logs_and_header() -> Self {
        Self::with(Body::Batch)
    }

    /// Reads the next bytes. `on_log` is called for every log that they complete; its `Break` ends the decoding.
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
            match self.token(&carry, on_log) {
                Err(Stop::NeedMore) => {
                    if carry.len() > LONGEST_VALUE {
                        return Err(LogsError::Malformed("a value is too long"));
                    }
                    rest = &rest[take..];
                    self.carry = carry;
                }
                Ok(ControlFlow::Continue(end)) => {
                    rest = &rest[end.saturating_sub(had)..];
                    carry.clear();
                    // The allocation is kept for the next split value.
                    self.carry = carry;
                }
                Ok(ControlFlow::Break(())) => return Ok(ControlFlow::Break(())),
                Err(Stop::Malformed(why)) => return Err(LogsError::Malformed(why)),
            }
        }
        loop {
            match self.token(rest, on_log) {
                Ok(ControlFlow::Continue(end)) => rest = &rest[end..],
                Err(Stop::NeedMore) => {
                    self.carry.extend_from_slice(rest);
                    return Ok(ControlFlow::Continue(()));
                }
                Ok(ControlFlow::Break(())) => return Ok(ControlFlow::Break(())),
                Err(Stop::Malformed(why)) => return Err(LogsError::Malformed(why)),
            }
        }
    }

    /// The body has ended. Returns the header's text: `None` where none was asked for, or the node does not have the block.
    ///
    /// # Errors
    /// The node's own error, `null` for the logs, half an answer, or a batch of which one half is missing.
    pub fn finish(self) -> Result<Option<Box<[u8]>>, LogsError> {
        match (self.error, self.body) {
            (Some(error), Body::InsteadOfBatch) => return Err(LogsError::Batch(error)),
            (Some(error), _) => return Err(LogsError::Answer(error)),
            (None, Body::InsteadOfBatch) if self.state == State::Done => {
                return Err(LogsError::Missing);
            }
            (None, _) => {}
        }
        match (self.state, self.logs, self.header) {
            (State::Done, Some(false), _) => Err(LogsError::Null),
            (State::Done, Some(true), Some(header)) => Ok(header),
            (State::Done, Some(true), None) if self.body != Body::Batch => Ok(None),
            (State::Done, None, _) if self.body != Body::Batch => Err(LogsError::Null),
            (State::Done, _, _) => Err(LogsError::Missing),
            _ => Err(LogsError::Truncated),
        }
    }

    /// Reads exactly one token (a bracket, a member, a log…) from the front of `input`: where it ends, or `Break` from `on_log`.
    fn token(
        &mut self,
        input: &[u8],
        on_log: &mut dyn FnMut(&Log<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), usize>, Stop> {
        let cursor = &mut Cursor::new(input);
        let next = cursor.peek_token()?;
        match self.state {
            State::Start => {
                self.state = match (next, self.body) {
                    (b'[', Body::Batch) => State::Answers,
                    (b'{', Body::Batch) => {
                        self.body = Body::InsteadOfBatch;
                        State::Member
                    }
                    (b'{', _) => State::Member,
                    _ => return Err(Stop::Malformed("not an object")),
                };
                cursor.advance();
            }
            State::Answers => {
                self.state = match next {
                    b',' => State::Answers,
                    b'{' => State::Member,
                    b']' => State::Done,
                    _ => return Err(Stop::Malformed("a batch holds something else")),
                };
                cursor.advance();
            }
            State::Member => match next {
                b',' => cursor.advance(),
                b'}' => {
                    cursor.advance();
                    self.end_answer()?;
                }
                _ => match cursor.key()? {
                    b"result" => self.state = State::Result,
                    b"error" => {
                        let value = cursor.value()?;
                        if value != b"null" {
                            self.current.error = Some(
                                serde_json::from_slice(value)
                                    .map_err(|_| Stop::Malformed("its error is unreadable"))?,
                            );
                        }
                    }
                    b"id" => self.current.id = id(cursor.value()?),
                    _ => {
                        cursor.value()?;
                    }
                },
            },
            State::Result => {
                if next == b'[' {
                    cursor.advance();
                    self.current.result = Some(Shape::Logs);
                    self.state = State::Logs;
                } else {
                    let value = cursor.value()?;
                    self.current.result = Some(match next {
                        b'{' if self.body == Body::Batch => Shape::Header(value.into()),
                        _ if value == b"null" => Shape::Null,
                        _ => return Err(Stop::Malformed("the result is not a list")),
                    });
                    self.state = State::Member;
                }
            }
            State::Logs => match next {
                b',' => cursor.advance(),
                b']' => {
                    cursor.advance();
                    self.state = State::Member;
                }
                _ => {
                    if on_log(&object::log(cursor)?).is_break() {
                        self.state = State::Done;
                        return Ok(ControlFlow::Break(()));
                    }
                }
            },
            // Some servers end the body with a newline or padding.
            State::Done => cursor.advance(),
        }
        Ok(ControlFlow::Continue(cursor.position()))
    }

    /// Files the answer that was just read under the call that it belongs to.
    fn end_answer(&mut self) -> Result<(), Stop> {
        let Current { id, result, error } = std::mem::take(&mut self.current);
        let is_batch = self.body == Body::Batch;
        self.state = if is_batch {
            State::Answers
        } else {
            State::Done
        };
        if let Some(error) = error {
            self.error.get_or_insert(error);
            return Ok(());
        }
        let id = if is_batch { id } else { Some(LOGS_ID) };
        let is_second = match (result, id) {
            (Some(Shape::Logs), None | Some(LOGS_ID)) => self.logs.replace(true).is_some(),
            (Some(Shape::Null), Some(LOGS_ID)) => self.logs.replace(false).is_some(),
            (Some(Shape::Header(text)), None | Some(HEADER_ID)) => {
                self.header.replace(Some(text)).is_some()
            }
            (Some(Shape::Null), Some(HEADER_ID)) => self.header.replace(None).is_some(),
            // Without a result: the call counts as not answered.
            (None, _) => false,
            _ => return Err(Stop::Malformed("an answer fits none of the calls")),
        };
        if is_second {
            return Err(Stop::Malformed("a call has two answers"));
        }
        Ok(())
    }
}

/// A call's id; some servers send it back as text.
fn id(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value)
        .ok()?
        .trim_matches('"')
        .parse()
        .ok()
}

#[cfg(test)]
pub(super) mod tests;
