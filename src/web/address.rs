//! Whom a request comes from.

use std::net::{IpAddr, Ipv6Addr};

/// What counts as one address: a whole /64 of IPv6, which one household has.
pub(super) fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// The client behind the nearest proxy: the last entry of `X-Forwarded-For`, the only one that this proxy wrote itself.
pub(super) fn forwarded(header: &str) -> Option<IpAddr> {
    header.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_entry_of_the_nearest_proxy_counts() {
        assert_eq!(forwarded("6.6.6.6, 1.2.3.4"), Some([1, 2, 3, 4].into()));
        assert_eq!(forwarded("1.2.3.4, nonsense"), None);
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let other: IpAddr = "2001:db8::ffff:2".parse().unwrap();
        assert_eq!(household(one), household(other));
        let mapped: IpAddr = "::ffff:1.2.3.4".parse().unwrap();
        assert_eq!(household(mapped), IpAddr::from([1, 2, 3, 4]));
    }
}
