//! The checks beyond the file's shape, section by section.

mod gates;

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alloy::primitives::Address;
use ipnet::IpNet;
use toml::Spanned;
use url::Url;

use super::{
    Lines, Raw, RawAmser, RawChain, RawDiscord, RawMembersIntent, RawPolicy, RawSignIn, RawWeb,
};
use crate::abi::Layouts;
use crate::chain::{ChainConfig, DEPLOYMENT_WITHIN, SECOND_LOOK_EVERY};
use crate::config::{Amser, Config, ConfigError, Discord, Web};
use crate::domain::{MembersIntent, Policy};
use crate::loopback::is_loopback;
use crate::web::WalletConnect;

/// More would put off every role for most of a day.
const MOST_CONFIRMATIONS: u64 = 10_000;

/// A hundred years.
const MOST_MONTHS: u32 = 1_200;

/// Where the values were read, to blame it in an error.
#[derive(Clone, Copy)]
struct Source<'a> {
    text: &'a str,
    name: &'a str,
    lines: Lines<'a>,
    /// Where relative paths to files that are read begin.
    folder: &'a Path,
}

impl Source<'_> {
    fn wrong(&self, span: Range<usize>, key: &str, message: &str) -> ConfigError {
        let place = self.lines.place(self.text, self.name, Some(&span), key);
        ConfigError(format!("{place}: {key}: {message}"))
    }

    /// `message` about `value` unless `holds`.
    fn ensure<T>(
        &self,
        holds: bool,
        value: &Spanned<T>,
        key: &str,
        message: &str,
    ) -> Result<(), ConfigError> {
        match holds {
            true => Ok(()),
            false => Err(self.wrong(value.span(), key, message)),
        }
    }

    /// An address to which secrets are sent: on any other machine, over TLS.
    fn web_url(&self, url: Spanned<Url>, key: &str) -> Result<Url, ConfigError> {
        let is_web = matches!(url.get_ref().scheme(), "http" | "https");
        self.ensure(is_web, &url, key, "must begin with http:// or https://")?;
        let is_safe = url.get_ref().scheme() == "https" || is_loopback(url.get_ref());
        let message = "must begin with https://; http:// is for this machine alone (127.0.0.1, [::1], localhost)";
        self.ensure(is_safe, &url, key, message)?;
        Ok(url.into_inner())
    }

    /// Addresses and ranges of addresses.
    fn ranges(&self, texts: &[Spanned<String>], key: &str) -> Result<Vec<IpNet>, ConfigError> {
        let range = |text: &Spanned<String>| {
            let range = text.get_ref().parse().ok();
            let range = range.or_else(|| Some(text.get_ref().parse::<IpAddr>().ok()?.into()));
            range.ok_or_else(|| {
                let message = "each must be an address or a range of addresses, like 10.0.0.0/8";
                self.wrong(text.span(), key, message)
            })
        };
        texts.iter().map(range).collect()
    }

    /// A contract's address. Capital letters must fit (EIP-55), so that a mistyped digit is noticed.
    fn contract(&self, text: &Spanned<String>, key: &str) -> Result<Address, ConfigError> {
        let wrong = |message| self.wrong(text.span(), key, message);
        let digits = text.get_ref().strip_prefix("0x").unwrap_or_default();
        let address: Address = text
            .get_ref()
            .parse()
            .ok()
            .filter(|_| !digits.is_empty())
            .ok_or_else(|| wrong("must be an address: 0x and 40 hexadecimal digits"))?;
        let has = |case: fn(&char) -> bool| digits.chars().any(|digit| case(&digit));
        let is_mixed = has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase);
        if is_mixed && Address::parse_checksummed(text.get_ref(), None).is_err() {
            return Err(wrong(
                "its capital and small letters do not fit together (EIP-55), so a digit is probably wrong; copy it again",
            ));
        }
        if address.is_zero() {
            return Err(wrong("is the zero address; name the contract's"));
        }
        Ok(address)
    }

    /// A template in which each of `needed` stands, and nothing in braces but these and `allowed`.
    fn template(
        &self,
        template: Spanned<String>,
        key: &str,
        needed: &[&str],
        allowed: &[&str],
    ) -> Result<String, ConfigError> {
        let names: Vec<_> = template
            .get_ref()
            .split('{')
            .skip(1)
            .map(|rest| rest.split_once('}').map_or("", |(name, _)| name))
            .collect();
        let unknown = names
            .iter()
            .find(|name| !needed.contains(name) && !allowed.contains(name));
        if let Some(unknown) = unknown {
            let message = format!("nothing is known to stand for {{{unknown}}}");
            return Err(self.wrong(template.span(), key, &message));
        }
        for name in needed {
            let message = format!("must contain {{{name}}}");
            self.ensure(names.contains(name), &template, key, &message)?;
        }
        Ok(template.into_inner())
    }
}

/// Checks what types alone cannot.
pub(in crate::config) fn check(
    raw: Raw,
    text: &str,
    name: &str,
    lines: Lines<'_>,
    folder: &Path,
) -> Result<Config, ConfigError> {
    let source = Source {
        text,
        name,
        lines,
        folder,
    };
    let path = &raw.store.path;
    let is_named = path.get_ref() != Path::new("");
    source.ensure(is_named, path, "store.path", "name the store's file")?;
    let is_folder = path.get_ref().is_dir();
    let message = "is a folder; name a file in it";
    source.ensure(!is_folder, path, "store.path", message)?;
    let (months, key) = (&raw.store.journal_months, "store.journal_months");
    let is_bearable = *months.get_ref() <= MOST_MONTHS;
    let message = format!("must be at most {MOST_MONTHS}; 0 keeps the journal for ever");
    source.ensure(is_bearable, months, key, &message)?;
    Ok(Config {
        chain: chain(&source, raw.chain)?,
        amser: amser(&source, raw.amser)?,
        discord: discord(&source, raw.discord)?,
        web: web(&source, raw.web)?,
        store_path: raw.store.path.into_inner(),
        journal_months: NonZeroU32::new(raw.store.journal_months.into_inner()),
        policy: policy(&source, raw.policy)?,
        gates: gates::gates(&source, raw.gates)?,
        servers: gates::servers(&source, raw.servers)?,
        file: None,
        repeats: Vec::new(),
    })
}

fn chain(source: &Source<'_>, raw: RawChain) -> Result<ChainConfig, ConfigError> {
    let (urls, key) = (&raw.rpc_urls, "chain.rpc_urls");
    let has_one = !urls.get_ref().is_empty();
    source.ensure(has_one, urls, key, "name at least one RPC endpoint")?;
    let mut rpc_urls = Vec::new();
    for (index, text) in raw.rpc_urls.into_inner().into_iter().enumerate() {
        // Never the text itself: a provider's key is part of it.
        let url = Url::parse(text.get_ref()).map_err(|_| {
            let message = format!(
                "entry {} is no whole address, like wss://node.example.org",
                index + 1
            );
            source.wrong(text.span(), key, &message)
        })?;
        let is_node = matches!(url.scheme(), "http" | "https" | "ws" | "wss") && url.has_host();
        let message = "each must begin with ws://, wss://, http:// or https://";
        source.ensure(is_node, &text, key, message)?;
        rpc_urls.push(url);
    }
    let (id, key) = (&raw.chain_id, "chain.chain_id");
    let message = "no chain has the id 0; Base is 8453, Base Sepolia 84532";
    source.ensure(*id.get_ref() != 0, id, key, message)?;
    let (confirmations, key) = (&raw.confirmations, "chain.confirmations");
    let is_bearable = *confirmations.get_ref() <= MOST_CONFIRMATIONS;
    let message = format!("must be at most {MOST_CONFIRMATIONS}");
    source.ensure(is_bearable, confirmations, key, &message)?;
    Ok(ChainConfig {
        rpc_urls,
        chain_id: raw.chain_id.into_inner(),
        confirmations: raw.confirmations.into_inner(),
        start_block: raw.start_block,
        layouts: layouts(source, raw.abi)?,
        failure_reasons: raw.failure_reasons,
        second_look_every: SECOND_LOOK_EVERY,
        deployment_within: DEPLOYMENT_WITHIN,
    })
}

/// Reads the ABI files.
fn layouts(
    source: &Source<'_>,
    paths: Spanned<Vec<Spanned<PathBuf>>>,
) -> Result<Arc<Layouts>, ConfigError> {
    let key = "chain.abi";
    let mut files = Vec::new();
    for path in paths.get_ref() {
        let name = path.get_ref().display().to_string();
        let place = source.folder.join(path.get_ref());
        let text = std::fs::read_to_string(&place).map_err(|error| {
            let message = format!(
                "cannot read {}: {error}; a relative path begins at the folder of the configuration file",
                place.display()
            );
            source.wrong(path.span(), key, &message)
        })?;
        files.push((name, text));
    }
    Layouts::with(&files).map_err(|error| {
        let file = error.file.and_then(|file| paths.get_ref().get(file));
        let span = file.map_or_else(|| paths.span(), Spanned::span);
        source.wrong(span, key, &error.message)
    })
}

fn amser(source: &Source<'_>, raw: RawAmser) -> Result<Amser, ConfigError> {
    let (pointer, key) = (&raw.active_pointer, "amser.active_pointer");
    let is_pointer = pointer.get_ref().starts_with('/');
    source.ensure(is_pointer, pointer, key, "a JSON pointer begins with /")?;
    let (check, key) = (&raw.auth_check, "amser.auth_check");
    let is_path = check.get_ref().starts_with('/');
    source.ensure(is_path, check, key, "a path begins with /")?;
    let factory = raw.factory.as_ref();
    let (checkout, key) = (&raw.checkout_url, "amser.checkout_url");
    // Filled in as it will be: a link on pages and in messages.
    let filled = checkout.get_ref().replace(['{', '}'], "");
    let url = Url::parse(&filled).ok();
    let is_page = url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let message = "must begin with https:// or http://";
    source.ensure(is_page, checkout, key, message)?;
    Ok(Amser {
        api_url: source.web_url(raw.api_url, "amser.api_url")?,
        auth_check: source.template(
            raw.auth_check,
            "amser.auth_check",
            &["address", "module", "plan_id"],
            &["chain_id"],
        )?,
        active_pointer: raw.active_pointer.into_inner(),
        factory: factory
            .map(|text| source.contract(text, "amser.factory"))
            .transpose()?,
        checkout_url: source.template(raw.checkout_url, key, &["module", "plan_id"], &[])?,
    })
}

fn discord(source: &Source<'_>, raw: RawDiscord) -> Result<Discord, ConfigError> {
    let id = &raw.application_id;
    let application_id = id.get_ref().parse::<NonZeroU64>().map_err(|_| {
        let message = "must be the application's id, a number in quotes (developer portal, General Information)";
        source.wrong(id.span(), "discord.application_id", message)
    })?;
    Ok(Discord {
        application_id,
        api_url: source.web_url(raw.api_url, "discord.api_url")?,
        members_intent: match raw.members_intent {
            RawMembersIntent::Auto => MembersIntent::Used,
            RawMembersIntent::Never => MembersIntent::Never,
        },
    })
}

fn web(source: &Source<'_>, raw: RawWeb) -> Result<Web, ConfigError> {
    let url = raw.public_url.get_ref();
    let is_bare = url.username().is_empty() && url.password().is_none();
    let is_origin =
        is_bare && url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let message = "must be scheme, host and port alone, like https://roles.example.org";
    source.ensure(is_origin, &raw.public_url, "web.public_url", message)?;
    if let Some(monitor) = &raw.monitor_listen {
        let message = "is the address of web.listen; choose another port, or leave it out";
        let is_another = *monitor.get_ref() != raw.listen || raw.listen.port() == 0;
        source.ensure(is_another, monitor, "web.monitor_listen", message)?;
    }
    let (limit, key) = (&raw.rate_limit_per_minute, "web.rate_limit_per_minute");
    source.ensure(*limit.get_ref() > 0, limit, key, "must be at least 1")?;
    let (links, key) = (&raw.links_per_member, "web.links_per_member");
    source.ensure(*links.get_ref() > 0, links, key, "must be at least 1")?;
    let (relay, key) = (&raw.walletconnect_relay_url, "web.walletconnect_relay_url");
    let is_socket = matches!(relay.get_ref().scheme(), "ws" | "wss");
    let message = "must begin with wss:// (or ws:// on this machine)";
    source.ensure(is_socket, relay, key, message)?;
    if let Some(id) = &raw.walletconnect_project_id {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        let is_id = !id.get_ref().is_empty() && id.get_ref().chars().all(fits);
        let message = "must be the project's id from WalletConnect's dashboard, letters and digits alone (leave the key out to do without WalletConnect)";
        source.ensure(is_id, id, "web.walletconnect_project_id", message)?;
    }
    if let Some(contact) = &raw.contact {
        let is_said = !contact.get_ref().trim().is_empty();
        source.ensure(is_said, contact, "web.contact", "say how you are reached")?;
    }
    if let Some(url) = &raw.privacy_url {
        let is_web = matches!(url.get_ref().scheme(), "http" | "https");
        let message = "must begin with https:// or http://";
        source.ensure(is_web, url, "web.privacy_url", message)?;
    }
    let proxies = match (&raw.proxy_hops, raw.behind_proxy) {
        (None, behind_proxy) => usize::from(behind_proxy),
        (Some(hops), behind_proxy) => {
            let key = "web.proxy_hops";
            source.ensure(*hops.get_ref() > 0, hops, key, "must be at least 1")?;
            let message = "counts with web.behind_proxy = true alone";
            source.ensure(behind_proxy, hops, key, message)?;
            *hops.get_ref()
        }
    };
    Ok(Web {
        listen: raw.listen,
        public_url: source.web_url(raw.public_url, "web.public_url")?,
        rate_limit_per_minute: raw.rate_limit_per_minute.into_inner(),
        proxies,
        trusted_proxies: source.ranges(raw.trusted_proxies.get_ref(), "web.trusted_proxies")?,
        links_per_member: raw.links_per_member.into_inner(),
        signs_in: matches!(raw.sign_in, RawSignIn::Discord),
        monitor_listen: raw.monitor_listen.map(Spanned::into_inner),
        contact: raw.contact.map(Spanned::into_inner),
        privacy_url: raw.privacy_url.map(Spanned::into_inner),
        wallet_connect: raw.walletconnect_project_id.map(|id| WalletConnect {
            project_id: id.into_inner(),
            relay_url: raw.walletconnect_relay_url.into_inner(),
        }),
    })
}

fn policy(source: &Source<'_>, raw: RawPolicy) -> Result<Policy, ConfigError> {
    let (share, key) = (&raw.max_revoke_share, "policy.max_revoke_share");
    let is_share = (0.0..=1.0).contains(share.get_ref());
    source.ensure(is_share, share, key, "must be between 0 and 1")?;
    Ok(Policy {
        payment_failed: raw.payment_failed,
        paused: raw.paused,
        cancelled: raw.cancelled,
        max_revoke_share: raw.max_revoke_share.into_inner(),
        max_revoke_floor: raw.max_revoke_floor,
        manual_roles: raw.manual_roles,
        expiry_leeway: raw.expiry_leeway,
    })
}
