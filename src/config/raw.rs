//! The file's shape. Unknown keys are refused.

mod check;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use url::Url;

use super::ConfigError;
use crate::chain::FAILURE_REASONS;
use crate::domain::{GateMatch, GuildId, ManualRoles, OnLapse, Policy, RoleId, ServerEntry};
pub(super) use check::check;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "the sections of a configuration")]
pub(super) struct Raw {
    chain: RawChain,
    #[serde(default)]
    amser: RawAmser,
    discord: RawDiscord,
    #[serde(default)]
    web: RawWeb,
    #[serde(default)]
    store: RawStore,
    #[serde(default)]
    policy: RawPolicy,
    #[serde(default)]
    gates: Vec<RawGate>,
    #[serde(default)]
    servers: Vec<ServerEntry<Spanned<GuildId>>>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a section, [chain]")]
struct RawChain {
    rpc_urls: Spanned<Vec<Spanned<String>>>,
    chain_id: Spanned<u64>,
    #[serde(default = "two")]
    confirmations: Spanned<u64>,
    start_block: Option<u64>,
    #[serde(default = "no_files")]
    abi: Spanned<Vec<Spanned<PathBuf>>>,
    #[serde(default = "failure_reasons")]
    failure_reasons: BTreeSet<u8>,
}

fn no_files() -> Spanned<Vec<Spanned<PathBuf>>> {
    Spanned::new(0..0, Vec::new())
}

fn failure_reasons() -> BTreeSet<u8> {
    FAILURE_REASONS.into()
}

fn two() -> Spanned<u64> {
    Spanned::new(0..0, 2)
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a section, [amser]")]
struct RawAmser {
    api_url: Spanned<Url>,
    auth_check: Spanned<String>,
    active_pointer: Spanned<String>,
    factory: Option<Spanned<String>>,
    checkout_url: Spanned<String>,
}

impl Default for RawAmser {
    fn default() -> Self {
        let url = |text: &str| Url::parse(text).expect("a constant URL is valid");
        Self {
            api_url: Spanned::new(0..0, url("https://api.amser.io")),
            auth_check: Spanned::new(
                0..0,
                "/v0/auth/check?address={address}&module_address={module}&plan_id={plan_id}&chain_id={chain_id}"
                    .to_owned(),
            ),
            active_pointer: Spanned::new(0..0, "/active".to_owned()),
            factory: None,
            checkout_url: Spanned::new(
                0..0,
                "https://app.amser.io/subscribe/{module}/{plan_id}".to_owned(),
            ),
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a section, [discord]")]
struct RawDiscord {
    application_id: Spanned<String>,
    #[serde(default = "discord_com")]
    api_url: Spanned<Url>,
    #[serde(default)]
    members_intent: RawMembersIntent,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum RawMembersIntent {
    #[default]
    Auto,
    Never,
}

fn discord_com() -> Spanned<Url> {
    Spanned::new(
        0..0,
        Url::parse("https://discord.com").expect("a constant URL is valid"),
    )
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a section, [web]")]
struct RawWeb {
    listen: SocketAddr,
    public_url: Spanned<Url>,
    rate_limit_per_minute: Spanned<u32>,
    behind_proxy: bool,
    proxy_hops: Option<Spanned<usize>>,
    trusted_proxies: Spanned<Vec<Spanned<String>>>,
    links_per_member: Spanned<usize>,
    sign_in: RawSignIn,
    monitor_listen: Option<Spanned<SocketAddr>>,
    contact: Option<Spanned<String>>,
    privacy_url: Option<Spanned<Url>>,
    walletconnect_project_id: Option<Spanned<String>>,
    walletconnect_relay_url: Spanned<Url>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum RawSignIn {
    #[default]
    Discord,
    None,
}

impl Default for RawWeb {
    fn default() -> Self {
        let url = |text| Spanned::new(0..0, Url::parse(text).expect("a constant URL is valid"));
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8787)),
            public_url: url("http://127.0.0.1:8787"),
            rate_limit_per_minute: Spanned::new(0..0, 60),
            behind_proxy: false,
            proxy_hops: None,
            trusted_proxies: Spanned::new(0..0, trusted_proxies()),
            links_per_member: Spanned::new(0..0, 5),
            sign_in: RawSignIn::Discord,
            monitor_listen: None,
            contact: None,
            privacy_url: None,
            walletconnect_project_id: None,
            // The default of WalletConnect's own client (@walletconnect/sign-client 2.21.8).
            walletconnect_relay_url: url("wss://relay.walletconnect.org"),
        }
    }
}

/// This machine.
fn trusted_proxies() -> Vec<Spanned<String>> {
    ["127.0.0.0/8", "::1"]
        .map(|range| Spanned::new(0..0, range.to_owned()))
        .into()
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a section, [store]")]
struct RawStore {
    path: Spanned<PathBuf>,
    journal_months: Spanned<u32>,
}

impl Default for RawStore {
    fn default() -> Self {
        Self {
            path: Spanned::new(0..0, "data/amser-roles.redb".into()),
            journal_months: Spanned::new(0..0, 12),
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a section, [policy]")]
struct RawPolicy {
    payment_failed: OnLapse,
    paused: OnLapse,
    cancelled: OnLapse,
    max_revoke_share: Spanned<f64>,
    max_revoke_floor: u32,
    manual_roles: ManualRoles,
    expiry_leeway: u64,
}

impl Default for RawPolicy {
    fn default() -> Self {
        let policy = Policy::default();
        Self {
            payment_failed: policy.payment_failed,
            paused: policy.paused,
            cancelled: policy.cancelled,
            max_revoke_share: Spanned::new(0..0, policy.max_revoke_share),
            max_revoke_floor: policy.max_revoke_floor,
            manual_roles: policy.manual_roles,
            expiry_leeway: policy.expiry_leeway,
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "a section, [[gates]]")]
struct RawGate {
    guild_id: GuildId,
    module: Spanned<String>,
    plan_ids: Spanned<BTreeSet<u64>>,
    #[serde(default, rename = "match")]
    matching: GateMatch,
    role_ids: Spanned<BTreeSet<RoleId>>,
}

/// What people take for keys of the file.
const SECRETS: [&str; 5] = ["token", "client_secret", "secret", "api_key", "cookie_key"];

/// Where a mistake is looked for.
#[derive(Clone, Copy)]
pub(super) enum Lines<'a> {
    /// In the text, which is the user's file.
    OfText,
    /// In the file, whose values are merged with those of the environment.
    OfFile {
        /// The lines of the file's keys that no variable sets.
        of_keys: &'a BTreeMap<String, usize>,
        /// The file with the variables, for mistakes that are not the file's.
        merged: &'a str,
    },
}

impl Lines<'_> {
    /// What an error names: the file and the line, as far as they are known.
    fn place(self, text: &str, name: &str, span: Option<&Range<usize>>, key: &str) -> String {
        let line = match self {
            Self::OfText => span
                .filter(|span| !span.is_empty())
                .map(|span| line(text, span)),
            Self::OfFile { of_keys, .. } => of_keys.get(key).copied(),
        };
        match (line, self) {
            (Some(line), _) => format!("{name}, line {line}"),
            (None, Self::OfFile { merged, .. }) => merged.to_owned(),
            (None, Self::OfText) => name.to_owned(),
        }
    }
}

/// Reads the shape.
pub(super) fn parse(text: &str, name: &str, lines: Lines<'_>) -> Result<Raw, ConfigError> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        // An empty file has no first character; its mistakes are in line 1 all the same.
        let span = error
            .span()
            .map(|span| span.start..span.end.max(span.start + 1));
        // The one message of the parser that does not name its key.
        let twice = error.message() == "duplicate key";
        let said = keyed_message(error);
        let key = span
            .clone()
            .filter(|_| twice)
            .and_then(|span| text.get(span))
            .map_or_else(String::new, |key| format!("{key}: "));
        let about = said.split(": ").next().unwrap_or_default();
        let place = lines.place(text, name, span.as_ref(), about);
        ConfigError(format!("{place}: {key}{said}"))
    })
}

/// The error's own words on one line, behind the key that they are about.
pub(super) fn keyed_message(mut error: toml::de::Error) -> String {
    error.set_input(None);
    let mut told = error.to_string();
    for (jargon, plain) in [
        ("a sequence", "a list"),
        ("expected u8", "expected a code from 0 to 255"),
        ("expected u64", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("expected usize", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("wanted string or table", "expected a word in quotes"),
        (
            "invalid socket address syntax",
            "must be an address and a port, like 127.0.0.1:8787",
        ),
        (
            "relative URL without a base",
            "must be a whole address, like https://roles.example.org",
        ),
    ] {
        told = told.replace(jargon, plain);
    }
    let told = told.trim_end();
    match told.rsplit_once("\nin `") {
        Some((message, key)) => {
            let message = message.replace('\n', " ");
            format!("{}: {}", key.trim_end_matches('`'), with_advice(message))
        }
        None => match told.strip_prefix("missing field `") {
            Some(section) => format!("the section [{}] is missing", section.trim_end_matches('`')),
            None => told.replace('\n', " "),
        },
    }
}

/// The parser's message, or what to do where many make the same mistake.
fn with_advice(message: String) -> String {
    let between = |before: &str| message.strip_prefix(before)?.split_once('`');
    if let Some((number, ", expected a string")) = between("invalid type: integer `") {
        return format!("must be in quotes: \"{number}\"");
    }
    let is_secret = |(field, _): &(&str, &str)| SECRETS.contains(field);
    match between("unknown field `").filter(is_secret) {
        Some((field, _)) => format!(
            "`{field}` is a secret, which this file does not hold: put it into a variable or a file of its own (docs/configure.md)"
        ),
        None => without_value(&message),
    }
}

/// The message without the text of a value, which serde repeats in double quotes: a provider's key may be part of it.
fn without_value(message: &str) -> String {
    match (message.split_once('"'), message.rsplit_once('"')) {
        (Some((before, _)), Some((_, after))) => {
            let told = before.trim_end_matches([':', ' ']).to_owned() + after;
            told.trim_start().to_owned()
        }
        _ => message.to_owned(),
    }
}

pub(super) fn line(text: &str, span: &Range<usize>) -> usize {
    text.as_bytes()
        .iter()
        .take(span.start)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}
