//! `check-config`.

use std::path::Path;

use crate::config::{self, Config};
use crate::terminal::print_line;
use crate::text::counted;

/// Says whether the file is valid, and what it is worth looking at; or prints the values in force.
pub(super) fn check(path: &Path, config: &Config, dump: bool) -> anyhow::Result<()> {
    if dump {
        return Ok(print_line(config::dump(path)?.trim_end())?);
    }
    for note in config.notes() {
        print_line(format!("note: {note}"))?;
    }
    let gates = counted(config.gates.len() as u64, "gate");
    Ok(print_line(format!("{} is valid: {gates}", path.display()))?)
}
