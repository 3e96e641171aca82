//! The program. All that it does is in the library: what is async is compiled where it is first polled, and is so once.

use std::process::ExitCode;

fn main() -> ExitCode {
    amser_roles::cli::main()
}
