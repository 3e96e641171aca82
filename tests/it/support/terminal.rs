//! A person at a terminal: a program is run in one, and its questions are answered as they come.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Longer than anything takes that is waited for.
const DEADLINE: Duration = Duration::from_secs(60);

/// A program at a terminal.
pub(crate) struct Terminal {
    script: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    /// Everything that was shown.
    shown: String,
    /// What was shown before the last answer.
    answered: usize,
}

impl Terminal {
    /// Runs a shell command.
    pub(crate) fn run(command: &str) -> Self {
        // A terminal for a program that is asked questions; part of every Linux.
        let mut script = Command::new("script");
        script
            .args(["-q", "-e", "-c", command, "/dev/null"])
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut script = script.spawn().unwrap();
        Self {
            keys: script.stdin.take().unwrap(),
            screen: script.stdout.take().unwrap(),
            script,
            shown: String::new(),
            answered: 0,
        }
    }

    /// Answers the next question, which must have these words.
    pub(crate) async fn answer(&mut self, question: &str, answer: &str) {
        let shown = async {
            while !self.shown[self.answered..].contains(question) {
                assert!(self.read().await, "it ended: {}", self.shown);
            }
        };
        let shown = tokio::time::timeout(DEADLINE, shown).await;
        assert!(shown.is_ok(), "{question} is not asked: {}", self.shown);
        self.answered = self.shown.len();
        let line = format!("{answer}\n");
        self.keys.write_all(line.as_bytes()).await.unwrap();
    }

    /// How the program ended, and everything that was shown.
    pub(crate) async fn end(mut self) -> (ExitStatus, String) {
        let ended = async {
            while self.read().await {}
            self.script.wait().await.unwrap()
        };
        let ended = tokio::time::timeout(DEADLINE, ended).await;
        (ended.expect("it ends in time"), self.shown)
    }

    /// Reads what comes next; `false` at the end.
    async fn read(&mut self) -> bool {
        let mut bytes = [0; 4_096];
        let count = self.screen.read(&mut bytes).await.unwrap();
        self.shown += &String::from_utf8_lossy(&bytes[..count]);
        count > 0
    }
}
