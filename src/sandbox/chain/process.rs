//! A node's process, usually anvil: found, started on a free port, and never left behind.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use tokio::sync::oneshot;

/// Starting takes well under a second; a machine busy with other tests may need longer.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// Runs a program and kills it when this shell's standard input ends.
///
/// The kernel closes our end of that pipe however we die, kill -9 included, so the program never outlives us. (A
/// parent-death signal would need unsafe code, and follows the thread that spawned rather than the process.)
const KEEPER: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- 2>&1 &
program=$!
(read -r _ <&3; kill -9 "$program" 2>/dev/null) &
watcher=$!
wait "$program"
status=$?
kill "$watcher" 2>/dev/null
exit "$status"
"#;

/// A running node. Dropping it kills the process and waits until it is gone.
#[derive(Debug)]
pub(super) struct NodeProcess {
    keeper: Child,
    stdin: Option<ChildStdin>,
    /// Where it listens, on loopback.
    pub(super) address: SocketAddr,
}

/// The anvil to run: `AMSER_ROLES_ANVIL` if set, else the one that `make` installs into `anvil/`.
///
/// # Errors
/// When there is no such file.
pub fn anvil_program() -> Result<PathBuf> {
    find_program(
        std::env::var_os("AMSER_ROLES_ANVIL"),
        Path::new(env!("CARGO_MANIFEST_DIR")),
    )
}

fn find_program(named: Option<OsString>, checkout: &Path) -> Result<PathBuf> {
    if let Some(path) = named.map(PathBuf::from) {
        ensure!(
            path.is_file(),
            "AMSER_ROLES_ANVIL names {}, which is not a file",
            path.display()
        );
        return Ok(path);
    }
    // The package's own launcher is a Node script whose child outlives its kill; this is the program it would run.
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let path = checkout.join(format!(
        "anvil/node_modules/@foundry-rs/anvil-{os}-{arch}/bin/anvil"
    ));
    ensure!(
        path.is_file(),
        "the local chain is not installed ({} is missing): run `make sandbox` or `make test`, or set AMSER_ROLES_ANVIL",
        path.display()
    );
    Ok(path)
}

impl NodeProcess {
    /// Starts a node with these arguments in this folder and waits until it says where it listens.
    pub(super) async fn start(program: &Path, arguments: &[String], folder: &Path) -> Result<Self> {
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "node-keeper"])
            .arg(program)
            .args(arguments)
            .current_dir(folder)
            // A group of its own, so that Ctrl-C reaches us alone and we stop things in order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("start /bin/sh to run a node")?;
        let stdin = keeper.stdin.take();
        let stdout = keeper
            .stdout
            .take()
            .context("the node's output is not piped")?;
        let mut node = Self {
            keeper,
            stdin,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let (ready, listening) = oneshot::channel();
        std::thread::Builder::new()
            .name("node-output".into())
            .spawn(move || read_output(stdout, ready))
            .context("start the thread that reads the node's output")?;
        node.address = tokio::time::timeout(START_DEADLINE, listening)
            .await
            .context("the node did not start listening in time")?
            .context("the node's output could not be read")??;
        Ok(node)
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Ends the keeper's standard input: it kills the node and exits.
        self.stdin = None;
        if let Err(error) = self.keeper.wait() {
            tracing::warn!(%error, "the node's keeper could not be waited for");
        }
    }
}

/// Reports the listening address (or the node's last words), then drains the output so that the node never blocks on it.
fn read_output(stdout: ChildStdout, ready: oneshot::Sender<Result<SocketAddr>>) {
    let mut ready = Some(ready);
    let mut said = String::new();
    for line in BufReader::new(stdout)
        .lines()
        .map_while(std::io::Result::ok)
    {
        if ready.is_none() {
            tracing::trace!(target: "node", "{line}");
            continue;
        }
        if let Some(address) = listening_address(&line) {
            let address = address
                .parse::<SocketAddr>()
                .with_context(|| format!("the node says {line:?}"));
            if let Some(ready) = ready.take() {
                // The receiver is gone only when the start was abandoned; then there is no one to tell.
                ready.send(address).ok();
            }
        } else {
            said.push_str(&line);
            said.push('\n');
        }
    }
    if let Some(ready) = ready {
        ready
            .send(Err(anyhow!(
                "the node stopped before it listened; it said:\n{said}"
            )))
            .ok();
    }
}

/// The address in the line with which a node says that it listens: `Listening on` of anvil and Ganache, `server at` of
/// Hardhat.
fn listening_address(line: &str) -> Option<&str> {
    let (_, address) = ["Listening on ", "JSON-RPC server at http://"]
        .iter()
        .find_map(|words| line.split_once(words))?;
    Some(address.trim().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_anvil_is_one_sentence_that_says_what_to_run() {
        let checkout = tempfile::tempdir().expect("a temporary directory");
        let error = find_program(None, checkout.path()).expect_err("nothing is installed");
        let text = format!("{error:#}");
        assert!(text.contains("run `make sandbox` or `make test`"), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }

    #[test]
    fn the_address_is_found_in_the_words_of_every_node() {
        for line in [
            "Listening on 127.0.0.1:8545",
            "RPC Listening on 127.0.0.1:8545",
            "Started HTTP and WebSocket JSON-RPC server at http://127.0.0.1:8545/",
        ] {
            assert_eq!(listening_address(line), Some("127.0.0.1:8545"), "{line}");
        }
        assert_eq!(listening_address("Available Accounts"), None);
    }

    #[test]
    fn a_named_anvil_is_used_and_must_exist() {
        let checkout = tempfile::tempdir().expect("a temporary directory");
        let program = checkout.path().join("anvil");
        let error =
            find_program(Some(program.clone().into()), checkout.path()).expect_err("no file");
        assert!(format!("{error:#}").contains("AMSER_ROLES_ANVIL"));
        std::fs::write(&program, "").expect("write a file");
        let found = find_program(Some(program.clone().into()), checkout.path()).expect("a file");
        assert_eq!(found, program);
    }

    #[tokio::test]
    async fn a_node_that_stops_at_once_tells_its_last_words() {
        let arguments = [
            "-c".to_owned(),
            "echo no such option >&2; exit 2".to_owned(),
        ];
        let error = NodeProcess::start(Path::new("/bin/sh"), &arguments, Path::new("."))
            .await
            .expect_err("it stopped");
        assert!(format!("{error:#}").contains("no such option"), "{error:#}");
    }
}
