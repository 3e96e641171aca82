//! The file's shape, and the checks that go beyond it. Unknown keys are refused.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::PathBuf;

use alloy::primitives::Address;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use toml::Spanned;
use url::Url;

use super::{Amser, Config, ConfigError, Discord, Web};
use crate::chain::ChainConfig;
use crate::domain::{
    Gate, GateId, GateMatch, GateOrigin, GuildId, ManualRoles, ModuleAddress, OnLapse, PlanId,
    Policy, RoleId,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChain {
    rpc_urls: Spanned<Vec<Spanned<Url>>>,
    chain_id: u64,
    #[serde(default = "two")]
    confirmations: Spanned<u64>,
    start_block: Option<u64>,
}

fn two() -> Spanned<u64> {
    Spanned::new(0..0, 2)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawAmser {
    api_url: Spanned<Url>,
    auth_check: Spanned<String>,
    active_pointer: Spanned<String>,
    factory: Option<Address>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDiscord {
    application_id: Spanned<String>,
    #[serde(default = "discord_com")]
    api_url: Spanned<Url>,
}

fn discord_com() -> Spanned<Url> {
    Spanned::new(
        0..0,
        Url::parse("https://discord.com").expect("a constant URL is valid"),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawWeb {
    listen: SocketAddr,
    public_url: Spanned<Url>,
    rate_limit_per_minute: Spanned<u32>,
    behind_proxy: bool,
    links_per_member: Spanned<usize>,
}

impl Default for RawWeb {
    fn default() -> Self {
        let url = Url::parse("http://127.0.0.1:8787").expect("a constant URL is valid");
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8787)),
            public_url: Spanned::new(0..0, url),
            rate_limit_per_minute: Spanned::new(0..0, 60),
            behind_proxy: false,
            links_per_member: Spanned::new(0..0, 5),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawStore {
    path: PathBuf,
}

impl Default for RawStore {
    fn default() -> Self {
        Self {
            path: "data/amser-roles.redb".into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawPolicy {
    payment_failed: OnLapse,
    paused: OnLapse,
    cancelled: OnLapse,
    max_revoke_share: Spanned<f64>,
    max_revoke_floor: u32,
    manual_roles: ManualRoles,
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
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGate {
    guild_id: GuildId,
    module: ModuleAddress,
    plan_ids: Spanned<BTreeSet<u64>>,
    #[serde(default, rename = "match")]
    matching: GateMatch,
    role_ids: Spanned<BTreeSet<RoleId>>,
}

/// Whether the lines of a text are those of the user's file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    Known,
    Lost,
}

/// Reads the shape.
pub(super) fn parse(text: &str, name: &str, lines: Lines) -> Result<Raw, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let span = error.span().filter(|_| lines == Lines::Known);
        let place = span.map_or_else(String::new, |span| format!(", line {}", line(text, &span)));
        ConfigError(format!("{name}{place}: {}", keyed_message(error)))
    })
}

/// The error's own words on one line, behind the key that they are about.
pub(super) fn keyed_message(mut error: toml::de::Error) -> String {
    error.set_input(None);
    let told = error.to_string();
    let told = told.trim_end();
    match told.rsplit_once("\nin `") {
        Some((message, key)) => {
            let message = message.replace('\n', " ");
            format!("{}: {message}", key.trim_end_matches('`'))
        }
        None => told.replace('\n', " "),
    }
}

fn line(text: &str, span: &Range<usize>) -> usize {
    text.as_bytes()
        .iter()
        .take(span.start)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// Checks what types alone cannot.
pub(super) fn check(raw: Raw, text: &str, name: &str, lines: Lines) -> Result<Config, ConfigError> {
    let wrong = |span: Range<usize>, key: &str, message: &str| {
        let place = if span.is_empty() || lines == Lines::Lost {
            String::new()
        } else {
            format!(", line {}", line(text, &span))
        };
        ConfigError(format!("{name}{place}: {key}: {message}"))
    };
    let web_url = |url: &Spanned<Url>, key: &str| match url.get_ref().scheme() {
        "http" | "https" => Ok(url.get_ref().clone()),
        _ => Err(wrong(
            url.span(),
            key,
            "must begin with http:// or https://",
        )),
    };
    if raw.chain.rpc_urls.get_ref().is_empty() {
        return Err(wrong(
            raw.chain.rpc_urls.span(),
            "chain.rpc_urls",
            "name at least one RPC endpoint",
        ));
    }
    for url in raw.chain.rpc_urls.get_ref() {
        if !matches!(url.get_ref().scheme(), "http" | "https" | "ws" | "wss") {
            return Err(wrong(
                url.span(),
                "chain.rpc_urls",
                "each must begin with ws://, wss://, http:// or https://",
            ));
        }
    }
    if *raw.chain.confirmations.get_ref() > 10_000 {
        return Err(wrong(
            raw.chain.confirmations.span(),
            "chain.confirmations",
            "must be at most 10000",
        ));
    }
    for (template, key) in [
        (&raw.amser.auth_check, "amser.auth_check"),
        (&raw.amser.checkout_url, "amser.checkout_url"),
    ] {
        if !template.get_ref().contains("{module}") || !template.get_ref().contains("{plan_id}") {
            return Err(wrong(
                template.span(),
                key,
                "must contain {module} and {plan_id}",
            ));
        }
    }
    if !raw.amser.active_pointer.get_ref().starts_with('/') {
        return Err(wrong(
            raw.amser.active_pointer.span(),
            "amser.active_pointer",
            "a JSON pointer begins with /",
        ));
    }
    let application_id = raw.discord.application_id.get_ref().parse::<NonZeroU64>().map_err(|_| {
        let message = "must be the application's id, a number in quotes (developer portal, General Information)";
        wrong(raw.discord.application_id.span(), "discord.application_id", message)
    })?;
    let public_url = web_url(&raw.web.public_url, "web.public_url")?;
    if public_url.path() != "/" || public_url.query().is_some() || public_url.fragment().is_some() {
        return Err(wrong(
            raw.web.public_url.span(),
            "web.public_url",
            "must be scheme, host and port alone, like https://roles.example.org",
        ));
    }
    if *raw.web.rate_limit_per_minute.get_ref() == 0 {
        return Err(wrong(
            raw.web.rate_limit_per_minute.span(),
            "web.rate_limit_per_minute",
            "must be at least 1",
        ));
    }
    if *raw.web.links_per_member.get_ref() == 0 {
        return Err(wrong(
            raw.web.links_per_member.span(),
            "web.links_per_member",
            "must be at least 1",
        ));
    }
    let share = *raw.policy.max_revoke_share.get_ref();
    if !(0.0..=1.0).contains(&share) {
        return Err(wrong(
            raw.policy.max_revoke_share.span(),
            "policy.max_revoke_share",
            "must be between 0 and 1",
        ));
    }
    let mut gates = Vec::new();
    for (index, gate) in raw.gates.into_iter().enumerate() {
        if gate.plan_ids.get_ref().is_empty() {
            return Err(wrong(
                gate.plan_ids.span(),
                &format!("gates[{index}].plan_ids"),
                "name at least one plan",
            ));
        }
        if gate.role_ids.get_ref().is_empty() {
            return Err(wrong(
                gate.role_ids.span(),
                &format!("gates[{index}].role_ids"),
                "name at least one role",
            ));
        }
        gates.push(to_gate(gate));
    }
    Ok(Config {
        chain: ChainConfig {
            rpc_urls: raw
                .chain
                .rpc_urls
                .into_inner()
                .into_iter()
                .map(Spanned::into_inner)
                .collect(),
            chain_id: raw.chain.chain_id,
            confirmations: raw.chain.confirmations.into_inner(),
            start_block: raw.chain.start_block,
        },
        amser: Amser {
            api_url: web_url(&raw.amser.api_url, "amser.api_url")?,
            auth_check: raw.amser.auth_check.into_inner(),
            active_pointer: raw.amser.active_pointer.into_inner(),
            factory: raw.amser.factory,
            checkout_url: raw.amser.checkout_url.into_inner(),
        },
        discord: Discord {
            application_id,
            api_url: web_url(&raw.discord.api_url, "discord.api_url")?,
        },
        web: Web {
            listen: raw.web.listen,
            public_url,
            rate_limit_per_minute: raw.web.rate_limit_per_minute.into_inner(),
            behind_proxy: raw.web.behind_proxy,
            links_per_member: raw.web.links_per_member.into_inner(),
        },
        store_path: raw.store.path,
        policy: Policy {
            payment_failed: raw.policy.payment_failed,
            paused: raw.policy.paused,
            cancelled: raw.policy.cancelled,
            max_revoke_share: share,
            max_revoke_floor: raw.policy.max_revoke_floor,
            manual_roles: raw.policy.manual_roles,
        },
        gates,
    })
}

/// A gate of the file has no id of its own: its content is its identity, so that it is the same gate after a restart.
fn to_gate(raw: RawGate) -> Gate {
    let mut gate = Gate {
        id: GateId(0),
        guild: raw.guild_id,
        module: raw.module,
        plans: raw
            .plan_ids
            .into_inner()
            .into_iter()
            .map(PlanId::from)
            .collect(),
        matching: raw.matching,
        roles: raw.role_ids.into_inner(),
        origin: GateOrigin::Config,
    };
    let content = serde_json::to_vec(&gate).expect("a gate always serialises");
    let hash = Sha256::digest(content);
    let start = hash.first_chunk().expect("a SHA-256 hash has 32 bytes");
    gate.id = GateId(u64::from_be_bytes(*start));
    gate
}
