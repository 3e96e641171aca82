//! The real program with files of its own, as somebody who hosts it has it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use alloy::primitives::{Address, U256};
use amser_roles::domain::{GuildId, RoleId};
use amser_roles::sandbox::chain::LocalChain;
use amser_roles::sandbox::discord::LocalDiscord;
use tokio::process::{Child, Command};

use super::stage::{Setting, configuration};

/// Longer than any command takes, so that only a hang reaches it.
const DEADLINE: Duration = Duration::from_secs(60);

/// The program of this build.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_amser-roles");

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) output: String,
    /// Standard error.
    pub(crate) errors: String,
}

/// The program's files.
pub(crate) struct Installation {
    program: PathBuf,
    folder: tempfile::TempDir,
    token: String,
    client_secret: String,
}

impl Installation {
    /// Writes a configuration for these parts. `gates` are its last lines.
    pub(crate) fn new(
        setting: &Setting,
        chain: &LocalChain,
        discord: &LocalDiscord,
        gates: &str,
    ) -> Self {
        let installation = Self {
            program: PROGRAM.into(),
            folder: tempfile::tempdir().unwrap(),
            token: discord.options().token,
            client_secret: discord.options().client_secret,
        };
        let store = installation.store_path().display().to_string();
        let text = configuration(setting, chain, discord, &store);
        installation.configure(&format!("{text}{gates}"));
        installation
    }

    /// Installs a program in the place of the one before.
    pub(crate) fn install(&mut self, program: &Path) {
        self.program = program.to_owned();
    }

    /// Writes the configuration.
    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.config_path(), text).unwrap();
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.folder.path().join("config.toml")
    }

    pub(crate) fn store_path(&self) -> PathBuf {
        self.folder.path().join("life.redb")
    }

    /// A path beside the store, as text.
    pub(crate) fn beside(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Puts other lines into the configuration.
    pub(crate) fn reconfigure(&self, before: &str, after: &str) {
        let text = std::fs::read_to_string(self.config_path()).unwrap();
        assert!(text.contains(before), "{text}");
        self.configure(&text.replace(before, after));
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// A command of the program (one word, or two) with this configuration; killed when it is dropped.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = self.typed(name.split(' '));
        command.arg("--config").arg(self.config_path());
        command
    }

    /// What somebody types in the folder of the configuration.
    pub(crate) fn typed<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = silent(&self.program);
        command
            .args(words)
            .current_dir(self.folder.path())
            .env("AMSER_ROLES_DISCORD_TOKEN", &self.token)
            .env("AMSER_ROLES_DISCORD_CLIENT_SECRET", &self.client_secret);
        command
    }

    /// Another machine, to which the configuration was copied.
    pub(crate) fn copied(&self) -> Self {
        let copy = Self {
            program: self.program.clone(),
            folder: tempfile::tempdir().unwrap(),
            token: self.token.clone(),
            client_secret: self.client_secret.clone(),
        };
        copy.copy_from(self);
        let here = self.folder.path().display().to_string();
        copy.reconfigure(&here, &copy.folder.path().display().to_string());
        copy
    }

    /// Copies each file that is not here yet, but the store and what is beside it under its name.
    pub(crate) fn copy_from(&self, other: &Self) {
        for entry in std::fs::read_dir(other.folder.path()).unwrap() {
            let entry = entry.unwrap();
            let copy = self.folder.path().join(entry.file_name());
            let is_store = entry.file_name().to_string_lossy().starts_with("life.");
            if !is_store && !copy.exists() {
                std::fs::copy(entry.path(), copy).unwrap();
            }
        }
    }

    /// Starts the service; its log goes to a file.
    pub(crate) fn start(&self) -> Child {
        let log = File::create(self.log_path()).unwrap();
        let mut command = self.command("run");
        command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, name: &str, more: &[&str]) -> Ended {
        end(self.command(name).args(more)).await
    }
}

/// The program without arguments.
pub(crate) fn program() -> Command {
    silent(Path::new(PROGRAM))
}

/// A program that is asked nothing.
fn silent(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.kill_on_drop(true).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) async fn end(command: &mut Command) -> Ended {
    let ended = tokio::time::timeout(DEADLINE, command.output()).await;
    let ended = ended.expect("the command ends in time").unwrap();
    Ended {
        code: ended.status.code(),
        output: String::from_utf8(ended.stdout).unwrap(),
        errors: String::from_utf8(ended.stderr).unwrap(),
    }
}

/// Sends a signal to a running program.
pub(crate) async fn signal(program: &Child, name: &str) {
    let id = program.id().expect("it still runs").to_string();
    let sent = Command::new("kill").args(["-s", name, &id]).status().await;
    assert!(sent.unwrap().success());
}

/// The lines of one gate.
pub(crate) fn gate(guild: GuildId, module: Address, plan: U256, role: RoleId) -> String {
    format!(
        "[[gates]]\nguild_id = \"{guild}\"\nmodule = \"{module}\"\nplan_ids = [{plan}]\nrole_ids = [\"{role}\"]\n"
    )
}

/// What a program wrote into its log.
pub(crate) fn log(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}
