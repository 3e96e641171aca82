//! What the package has besides the program: a man page for each command, and completions for three shells.

use std::fs::create_dir_all;
use std::path::Path;

use anyhow::Context as _;
use clap::Command;
use clap_complete::Shell;

/// Writes them into `folder`.
pub(super) fn write_files(program: &Command, folder: &Path) -> anyhow::Result<()> {
    create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut shown = shown(program);
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut shown, program.get_name(), folder)
            .with_context(|| format!("cannot write the completions for {shell}"))?;
    }
    clap_mangen::generate_to(shown, folder).context("cannot write the man pages")
}

/// The program without what is hidden, which some shells would offer otherwise.
fn shown(program: &Command) -> Command {
    let commands = program
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    Command::new(env!("CARGO_PKG_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .about(program.get_about().cloned().unwrap_or_default())
        .args(program.get_arguments().cloned())
        .subcommands(commands.cloned())
        .disable_help_subcommand(true)
        .subcommand_required(true)
}
