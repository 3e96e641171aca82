//! No answer without evidence: nodes that answer wrongly without an error (FIELD.md, N), what following costs, and what goes
//! on beside the tip. Whatever the node does, the store comes to equal the chain, or the log says what is missing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod beside;
mod cost;
mod crowd;
mod foreign;
mod history;
mod liars;
mod second_look;
mod start;
mod stopped;
mod views;

use std::io::Write;
use std::sync::{Arc, Mutex};

use amser_roles::chain::ChainConfig;
use amser_roles::sandbox::chain::{ChainOptions, LocalChain};
use amser_roles::store::Store;
use tracing::subscriber::DefaultGuard;

use crate::support::following::{Following, config};
use crate::support::rpc_proxy::RpcProxy;
use crate::support::scene::Scene;

/// The id of a chain that is not the local one: what is forgiven there is not forgiven here.
const PUBLIC_CHAIN: u64 = 4_242;

/// What the follower logs as a warning. Every task of a test runs on its thread.
struct Warnings {
    lines: Lines,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Warnings {
    fn listen() -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        Self {
            lines,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The warnings so far that hold this text.
    fn with(&self, text: &str) -> Vec<String> {
        let all = String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap();
        let lines = all.lines().filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }
}

/// A chain that is not the local one, with the machine's clock in its blocks.
async fn public_chain() -> LocalChain {
    let options = ChainOptions {
        chain_id: PUBLIC_CHAIN,
        timestamp_step_seconds: None,
        ..ChainOptions::default()
    };
    LocalChain::start(options).await.unwrap()
}

/// Follows the scene's module with no confirmations.
fn follow(scene: &Scene, urls: &[String]) -> Following {
    follow_with(config(&scene.chain, urls, 0), scene)
}

fn follow_with(config: ChainConfig, scene: &Scene) -> Following {
    Following::start(config, Store::in_memory().unwrap(), [scene.module])
}

/// Waits for a second look, and another one: what was asked for in between was compared.
async fn two_looks(proxy: &RpcProxy) {
    let ranges = proxy.faults().ranges + 3;
    crate::support::stage::wait("the newest blocks were looked at", || {
        proxy.faults().ranges >= ranges
    })
    .await;
}
