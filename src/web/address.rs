//! Whom a request comes from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Clients are limited per IPv4 address and per IPv6 /64, because a subscriber usually gets a whole /64.
pub(super) fn rate_limit_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// The client in front of so many proxies, by the values of `X-Forwarded-For`: each proxy adds whom it was asked by at
/// the end, and what stands before those entries is whatever the client wrote. Fewer entries come from a request that
/// went past the outer proxies.
pub(super) fn forwarded<'a>(
    headers: impl DoubleEndedIterator<Item = &'a str>,
    proxies: usize,
) -> Option<IpAddr> {
    let entries = headers.rev().flat_map(|header| header.rsplit(','));
    let trusted: Vec<_> = entries.take(proxies).collect();
    entry(trusted.last()?.trim())
}

/// An address as proxies write it: some with the port, and IPv6 then in brackets.
fn entry(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse().ok();
    address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(headers: &[&str], proxies: usize) -> Option<String> {
        let address = forwarded(headers.iter().copied(), proxies)?;
        Some(address.to_string())
    }

    #[test]
    fn only_the_entries_of_our_own_proxies_count() {
        for (headers, proxies, expected) in [
            (&["6.6.6.6, 1.2.3.4"][..], 1, Some("1.2.3.4")),
            (&["6.6.6.6", "1.2.3.4"], 1, Some("1.2.3.4")),
            (&["1.2.3.4, nonsense"], 1, None),
            (&["1.2.3.4, "], 1, None),
            (&[], 1, None),
            (&["6.6.6.6, 1.2.3.4, 10.0.0.1"], 2, Some("1.2.3.4")),
            (&["6.6.6.6, 1.2.3.4", "10.0.0.1"], 2, Some("1.2.3.4")),
            (
                &["6.6.6.6", "1.2.3.4,10.0.0.2", "10.0.0.1"],
                3,
                Some("1.2.3.4"),
            ),
            // Past the outer proxy: the inner one alone says who it was.
            (&["1.2.3.4"], 2, Some("1.2.3.4")),
        ] {
            let seen = client(headers, proxies);
            assert_eq!(seen.as_deref(), expected, "{headers:?} behind {proxies}");
        }
    }

    #[test]
    fn ports_and_brackets_do_not_matter() {
        for (text, expected) in [
            ("1.2.3.4:5678", Some("1.2.3.4")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[::1]:80", Some("::1")),
            ("1.2.3.4:port", None),
            ("[1.2.3.4", None),
            ("unknown", None),
        ] {
            assert_eq!(client(&[text], 1).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn one_subscriber_is_one_address() {
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let other: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        assert_eq!(rate_limit_key(one), rate_limit_key(other));
        let mapped: IpAddr = "::ffff:1.2.3.4".parse().unwrap();
        assert_eq!(rate_limit_key(mapped), IpAddr::from([1, 2, 3, 4]));
    }
}
