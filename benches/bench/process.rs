//! This program as its own child: one task per process, measured alone.

use std::process::Stdio;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A running task; killed when dropped.
pub(crate) struct Task {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl Task {
    pub(crate) fn start(task: &str, options: &impl Serialize) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut child = Command::new(program)
            .args(["task", task, &serde_json::to_string(options)?])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting the task {task}"))?;
        let output = child.stdout.take().context("the task has no output")?;
        Ok(Self {
            child,
            output: BufReader::new(output).lines(),
        })
    }

    /// The task's next line of output.
    pub(crate) async fn line<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let line = self.output.next_line().await?;
        let line = line.context("the task ended without a result")?;
        serde_json::from_str(&line).with_context(|| format!("reading the task's line {line:?}"))
    }
}

impl Task {
    /// Ends it at once, as `kill -9` does.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill().await.context("killing a task")
    }
}

/// Runs a task to its end and returns its one line of output.
pub(crate) async fn run<T: DeserializeOwned>(
    task: &str,
    options: &impl Serialize,
) -> anyhow::Result<T> {
    let mut running = Task::start(task, options)?;
    let result = running.line().await;
    let status = running.child.wait().await?;
    anyhow::ensure!(status.success(), "the task {task} failed");
    result
}

/// What a task was started with.
pub(crate) fn options<T: DeserializeOwned>(arguments: &[String]) -> anyhow::Result<T> {
    let text = arguments.first().context("a task needs its options")?;
    serde_json::from_str(text).context("reading the task's options")
}

/// A task says something to its parent.
pub(crate) fn say(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// Most memory that this process has held (`VmHWM`), in MB of 10^6 bytes.
pub(crate) fn peak_memory() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("the kernel does not tell VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1.024 / 1000.0)
}

/// Bytes that this process has written to files and sockets so far.
pub(crate) fn written() -> anyhow::Result<u64> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("wchar:"));
    Ok(line
        .context("the kernel does not tell wchar")?
        .trim()
        .parse()?)
}

/// Seconds of processor time that this process has used so far, all threads together.
pub(crate) fn cpu_seconds() -> anyhow::Result<f64> {
    /// Ticks per second, which Linux tells every program the same.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The program's name, in brackets, may hold spaces.
    let (_, rest) = stat.rsplit_once(')').context("the kernel tells no name")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || -> anyhow::Result<f64> {
        let field = fields.next().context("the kernel tells no times")?;
        Ok(field.parse()?)
    };
    Ok((ticks()? + ticks()?) / TICKS)
}
