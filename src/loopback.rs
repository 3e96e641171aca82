//! Addresses of this machine, which no proxy of the environment can reach.

use url::{Host, Url};

/// Whether the URL is one of this machine's own.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_in_every_notation() {
        for (url, expected) in [
            ("http://127.0.0.1:8545", true),
            ("http://127.8.0.1/key", true),
            ("ws://[::1]:8546", true),
            ("http://localhost:8545", true),
            ("http://anvil.localhost", true),
            ("http://localhost.example", false),
            ("http://192.168.1.2:8545", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
