//! The checks beyond the file's shape.

use std::num::NonZeroU64;
use std::ops::Range;

use sha2::{Digest as _, Sha256};
use toml::Spanned;
use url::Url;

use super::{Lines, Raw, RawGate, line};
use crate::chain::ChainConfig;
use crate::config::{Amser, Config, ConfigError, Discord, Web};
use crate::domain::{Gate, GateId, GateOrigin, PlanId, Policy};
use crate::web::WalletConnect;

/// Checks what types alone cannot.
pub(in crate::config) fn check(
    raw: Raw,
    text: &str,
    name: &str,
    lines: Lines,
) -> Result<Config, ConfigError> {
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
    let relay_url = &raw.web.walletconnect_relay_url;
    if !matches!(relay_url.get_ref().scheme(), "ws" | "wss") {
        return Err(wrong(
            relay_url.span(),
            "web.walletconnect_relay_url",
            "must begin with wss:// (or ws:// on this machine)",
        ));
    }
    if let Some(id) = &raw.web.walletconnect_project_id {
        let letters = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        if id.get_ref().is_empty() || !id.get_ref().chars().all(letters) {
            return Err(wrong(
                id.span(),
                "web.walletconnect_project_id",
                "must be the project's id from WalletConnect's dashboard, letters and digits alone (leave the key out to do without WalletConnect)",
            ));
        }
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
            wallet_connect: raw.web.walletconnect_project_id.map(|id| WalletConnect {
                project_id: id.into_inner(),
                relay_url: raw.web.walletconnect_relay_url.into_inner(),
            }),
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
