//! The flags of `init`: each answers one of its questions.

use std::path::PathBuf;

use url::Url;

use crate::config;

/// What is given instead of asked for.
#[derive(clap::Args, Clone, Debug)]
pub struct Flags {
    /// The file to write; default: config.toml here, or the package's /etc/amser-roles/config.toml.
    #[arg(long = "config", value_name = "FILE", default_value_os_t = config::default_file(), hide_default_value = true)]
    pub config: PathBuf,
    /// A file with the bot's token.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// A file with the application's client secret, by which members prove who they are.
    #[arg(long, value_name = "FILE")]
    pub client_secret_file: Option<PathBuf>,
    /// A node of the chain (ws://, wss://, http:// or https://); several in order of preference.
    #[arg(long, value_name = "URL")]
    pub rpc_url: Vec<String>,
    /// The merchant's SubscriptionModule.
    #[arg(long, value_name = "ADDRESS")]
    pub module: Option<String>,
    /// The Discord server.
    #[arg(long, value_name = "ID")]
    pub guild: Option<String>,
    /// The role that the plans open.
    #[arg(long, value_name = "ID")]
    pub role: Option<String>,
    /// A plan of the module; several where each opens the role.
    #[arg(long, value_name = "ID")]
    pub plan: Vec<String>,
    /// How members reach this service: https://… behind a reverse proxy.
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Another Discord, for tests.
    #[arg(
        long,
        value_name = "URL",
        default_value = "https://discord.com",
        hide = true
    )]
    pub discord_api_url: Url,
}
