//! What the commands print on standard output. Unlike with `println!`, a reader that has left (`| head -1`) is an error
//! like any other, so that everything that was started is stopped first.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

/// A line could not be printed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub struct Unprinted(#[from] std::io::Error);

impl Unprinted {
    /// Whether nobody reads any more, which is the reader's good right and not a failure.
    pub fn reader_left(&self) -> bool {
        self.0.kind() == ErrorKind::BrokenPipe
    }
}

/// Prints a line at once.
///
/// # Errors
/// When standard output is closed or full.
pub fn print_line(line: impl Display) -> Result<(), Unprinted> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    Ok(output.flush()?)
}
