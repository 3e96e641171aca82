//! A cursor over JSON text that finds where values end and reads hex in place.

use memchr::{memchr, memchr2};

/// Why a token could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Its end is not in the input yet.
    NeedMore,
    /// It can never become what is expected.
    Malformed(&'static str),
}

/// A read position in a piece of JSON text.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn advance(&mut self) {
        self.at += 1;
    }

    fn byte(&self) -> Result<u8, Stop> {
        self.input.get(self.at).copied().ok_or(Stop::NeedMore)
    }

    /// The next byte that is not whitespace; the cursor stands on it.
    #[inline]
    pub(super) fn peek_token(&mut self) -> Result<u8, Stop> {
        loop {
            match self.byte()? {
                b' ' | b'\n' | b'\r' | b'\t' => self.at += 1,
                byte => return Ok(byte),
            }
        }
    }

    /// The raw text between the quotes of a string, escapes left as they are.
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'a [u8], Stop> {
        if self.peek_token()? != b'"' {
            return Err(Stop::Malformed("a string is missing"));
        }
        let start = self.at + 1;
        let mut from = start;
        loop {
            let tail = self.input.get(from..).ok_or(Stop::NeedMore)?;
            let end = from + memchr(b'"', tail).ok_or(Stop::NeedMore)?;
            let text = &self.input[start..end];
            let backslashes = text.iter().rev().take_while(|byte| **byte == b'\\').count();
            if backslashes % 2 == 0 {
                self.at = end + 1;
                return Ok(text);
            }
            from = end + 1;
        }
    }

    /// A member's key; the cursor then stands at its value.
    #[inline]
    pub(super) fn key(&mut self) -> Result<&'a [u8], Stop> {
        let key = self.string()?;
        if self.peek_token()? != b':' {
            return Err(Stop::Malformed("a colon is missing"));
        }
        self.at += 1;
        self.peek_token()?;
        Ok(key)
    }

    /// The text of one value of any kind.
    pub(super) fn value(&mut self) -> Result<&'a [u8], Stop> {
        let first = self.peek_token()?;
        let start = self.at;
        match first {
            b'"' => {
                self.string()?;
            }
            b'{' | b'[' => self.nested()?,
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                // A bare word ends at the first byte that cannot belong to it, which must be there to be sure.
                while let b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' =
                    self.byte()?
                {
                    self.at += 1;
                }
            }
            _ => return Err(Stop::Malformed("a value is missing")),
        }
        Ok(&self.input[start..self.at])
    }

    fn nested(&mut self) -> Result<(), Stop> {
        let mut depth = 0_u32;
        loop {
            match self.byte()? {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b'"' => {
                    self.string()?;
                    continue;
                }
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// The digits of a `"0x…"` string whose length is known, found without searching for its end.
    #[inline]
    pub(super) fn hex<const DIGITS: usize>(&mut self) -> Result<&'a [u8; DIGITS], Stop> {
        let tail = self.input.get(self.at..).unwrap_or_default();
        if tail.first().is_some_and(|first| *first != b'"') {
            return Err(Stop::Malformed("a hex string is missing"));
        }
        let text = tail.get(..DIGITS + 4).ok_or(Stop::NeedMore)?;
        let digits = text[3..].first_chunk::<DIGITS>();
        match digits {
            Some(digits) if text.starts_with(b"\"0x") && text[DIGITS + 3] == b'"' => {
                self.at += DIGITS + 4;
                Ok(digits)
            }
            _ => Err(Stop::Malformed("a hex string has another length")),
        }
    }

    /// A quantity: `"0x1a"`, or a plain number, which some nodes send instead.
    #[inline]
    pub(super) fn quantity(&mut self) -> Result<u64, Stop> {
        const BAD: Stop = Stop::Malformed("a quantity is not a number of 64 bits");
        let (digits, radix) = match self.value()? {
            [b'"', b'0', b'x', digits @ .., b'"'] => (digits, 16),
            digits => (digits, 10),
        };
        if digits.is_empty() || digits.len() > 20 {
            return Err(BAD);
        }
        let mut number = 0_u64;
        for digit in digits {
            let digit = char::from(*digit).to_digit(radix).ok_or(BAD)?;
            number = number
                .checked_mul(u64::from(radix))
                .and_then(|number| number.checked_add(u64::from(digit)))
                .ok_or(BAD)?;
        }
        Ok(number)
    }

    /// Text without any escape, which hex never needs.
    #[inline]
    pub(super) fn plain_string(&mut self) -> Result<&'a [u8], Stop> {
        if self.peek_token()? != b'"' {
            return Err(Stop::Malformed("a string is missing"));
        }
        let start = self.at + 1;
        let tail = self.input.get(start..).ok_or(Stop::NeedMore)?;
        let length = memchr2(b'"', b'\\', tail).ok_or(Stop::NeedMore)?;
        if tail[length] == b'\\' {
            return Err(Stop::Malformed("hex with an escape"));
        }
        self.at = start + length + 1;
        Ok(&tail[..length])
    }
}
