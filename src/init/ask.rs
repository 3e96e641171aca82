//! Asks a person at a terminal, again until the answer holds.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use tokio::sync::oneshot;

/// Whether and how something can be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asking {
    is_terminal: bool,
}

impl Asking {
    pub(super) fn of_terminal() -> Self {
        Self {
            is_terminal: std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        }
    }

    pub(super) fn can_ask(&self) -> bool {
        self.is_terminal
    }

    /// The flag's value, if it is given and holds; else what the person answers once that holds.
    ///
    /// # Errors
    /// A given value that does not hold; standard input that ends.
    pub(super) async fn settle<T>(
        &self,
        (flag, given): (&str, Option<String>),
        question: &str,
        check: impl AsyncFn(&str) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        match given {
            Some(given) => check(given.trim()).await.context(flag.to_owned()),
            None => ask_until(question, false, check).await,
        }
    }

    /// The same for a secret, which is not shown while it is typed.
    ///
    /// # Errors
    /// As [`Asking::settle`].
    pub(super) async fn settle_secret<T>(
        &self,
        question: &str,
        check: impl AsyncFn(&str) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        ask_until(question, true, check).await
    }
}

async fn ask_until<T>(
    question: &str,
    is_secret: bool,
    check: impl AsyncFn(&str) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    loop {
        let answer = read(question, is_secret).await?;
        match check(answer.trim()).await {
            Ok(settled) => return Ok(settled),
            Err(error) => say(&format!("{error:#}"))?,
        }
    }
}

/// Tells the person at the terminal something, beside what the command prints.
pub(super) fn say(sentence: &str) -> anyhow::Result<()> {
    writeln!(std::io::stderr().lock(), "{sentence}").context("cannot write to the terminal")
}

/// Reads one answer, on a thread that nothing waits for: the answer may never come, and a signal ends the program all the same.
async fn read(question: &str, is_secret: bool) -> anyhow::Result<String> {
    let question = format!("{question}: ");
    let (answered, answer) = oneshot::channel();
    std::thread::spawn(move || {
        let line = match is_secret {
            true => rpassword::prompt_password(question),
            false => read_line(&question),
        };
        // Whoever asked may have gone.
        let _gone = answered.send(line);
    });
    answer
        .await?
        .context("nothing more can be read from the terminal")
}

/// Leaves standard error unlocked while it waits: why the program is ended meanwhile is told there.
fn read_line(question: &str) -> std::io::Result<String> {
    let mut terminal = std::io::stderr();
    terminal.write_all(question.as_bytes())?;
    terminal.flush()?;
    let mut line = String::new();
    match std::io::stdin().read_line(&mut line)? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line),
    }
}
