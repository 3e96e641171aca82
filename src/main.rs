//! Command line, logs and signals; the work is in `app`.

use std::process::ExitCode;

use amser_roles::cli::{self, Cli};
use clap::Parser as _;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli::start_logs(&cli);
    let runtime =
        tokio::runtime::Runtime::new().expect("the system gives a thread and an epoll handle");
    let code = runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(cli::stop_on_signal(stop.clone()));
        match cli::execute(cli, stop).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if cli::reader_left(&error) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("amser-roles: {error:#}");
                cli::exit_code(&error)
            }
        }
    });
    // Blocking work that outlives its part (a hanging disk, say) must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    code
}
