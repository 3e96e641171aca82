//! `healthcheck`: whether the running service answers, for containers without curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};

use crate::config::Config;
use crate::http::local_client;
use crate::unreachable::cause_of;

/// Longer than any service that works takes to answer.
const WITHIN: Duration = Duration::from_secs(5);

/// Asks the service of this configuration for `/healthz`.
///
/// # Errors
/// When it does not answer, or something else does; one sentence.
pub async fn healthcheck(config: &Config) -> anyhow::Result<()> {
    let address = reachable(config.web.listen);
    let client = local_client()
        .timeout(WITHIN)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("cannot set up the HTTP client")?;
    let asked = client.get(format!("http://{address}/healthz")).send().await;
    let answer = asked.map_err(|error| {
        let cause = cause_of(error);
        anyhow!("no service answers at {address} (web.listen): {cause}")
    })?;
    let status = answer.status();
    let body = answer.text().await.unwrap_or_default();
    ensure!(
        status.is_success() && body.trim() == "ok",
        "what answers at {address} (web.listen) is not a healthy amser-roles: status {status}"
    );
    Ok(())
}

/// The address at which a listener is asked from the same machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_this_machine_s_own() {
        for (listen, asked) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
