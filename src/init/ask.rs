//! Asks a person at a terminal, again until the answer holds.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;

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
        if let Some(given) = given {
            return check(given.trim()).await.context(flag.to_owned());
        }
        loop {
            let answer = read(question, false).await?;
            match check(answer.trim()).await {
                Ok(settled) => return Ok(settled),
                Err(error) => say(&format!("{error:#}"))?,
            }
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
        loop {
            let answer = read(question, true).await?;
            match check(answer.trim()).await {
                Ok(settled) => return Ok(settled),
                Err(error) => say(&format!("{error:#}"))?,
            }
        }
    }
}

/// Tells the person at the terminal something, beside what the command prints.
pub(super) fn say(sentence: &str) -> anyhow::Result<()> {
    writeln!(std::io::stderr().lock(), "{sentence}").context("cannot write to the terminal")
}

async fn read(question: &str, is_secret: bool) -> anyhow::Result<String> {
    let question = format!("{question}: ");
    let reading = tokio::task::spawn_blocking(move || {
        if is_secret {
            return rpassword::prompt_password(question);
        }
        let mut terminal = std::io::stderr().lock();
        terminal.write_all(question.as_bytes())?;
        terminal.flush()?;
        let mut line = String::new();
        match std::io::stdin().read_line(&mut line)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    });
    reading
        .await?
        .context("nothing more can be read from the terminal")
}
