//! The public address, the proxy in front of it, and who sees the numbers.

use crate::doctor::facts::{Facts, Reached, WebFacts};
use crate::domain::Finding;
use crate::loopback::is_loopback;
use crate::text::count;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let web = &facts.web;
    let mut findings = vec![address(web), reached(web)];
    findings.extend(proxy(web));
    if !web.signs_in {
        findings.push(Finding::warning(
            "web.sign_in",
            "nobody proves who they are: whoever has a member's link can link a wallet in that member's name",
            "set web.sign_in = \"discord\" and the client secret",
        ));
    }
    if let Some(address) = web.monitor_listen {
        findings.push(match (&web.monitor_trouble, address.ip().is_loopback()) {
            (Some(why), _) => Finding::failure(
                "web.monitors",
                format!("cannot listen on {address} (web.monitor_listen): {why}"),
                "stop what uses the address, or change web.monitor_listen",
            ),
            (None, true) => Finding::ok(
                "web.monitors",
                format!("{address} is for this machine alone"),
            ),
            (None, false) => Finding::warning(
                "web.monitors",
                format!("/metrics and /api/status answer on {address} to whoever reaches it"),
                "let a firewall keep everybody but your monitor out, or listen on 127.0.0.1",
            ),
        });
    }
    findings
}

fn address(web: &WebFacts) -> Finding {
    let (name, url) = ("web.public_url", &web.public_url);
    if is_loopback(url) && web.is_for_others {
        Finding::failure(
            name,
            format!("web.public_url is {url}, which members' browsers cannot reach"),
            "set it to the https address under which the reverse proxy serves this",
        )
    } else {
        Finding::ok(name, format!("members come to {url}"))
    }
}

fn reached(web: &WebFacts) -> Finding {
    let (name, url) = ("web.reach", &web.public_url);
    match &web.reached {
        Reached::Itself(_) => Finding::ok(name, format!("{url} leads here")),
        Reached::CannotListen(why) => Finding::failure(
            "web.listen",
            format!("cannot listen on {}: {why}", web.listen),
            "stop what uses the address, or change web.listen",
        ),
        Reached::Unreachable(why) => Finding::failure(
            name,
            format!("{url} does not answer: {why}"),
            "check the name in DNS, the certificate, and that the reverse proxy leads to web.listen",
        ),
        Reached::SomethingElse(status) => Finding::failure(
            name,
            format!("something else answers at {url} (status {status})"),
            format!("let the reverse proxy lead to {}", web.listen),
        ),
    }
}

fn proxy(web: &WebFacts) -> Option<Finding> {
    let name = "web.proxy";
    let Reached::Itself(arrival) = &web.reached else {
        return None;
    };
    let share = "all visitors share one limit of requests";
    let Some(arrival) = arrival else {
        // The service itself speaks no TLS.
        return (web.public_url.scheme() == "https" && web.proxies == 0).then(|| {
            Finding::warning(
                name,
                format!("a reverse proxy must be in front of an https address, and web.behind_proxy is false: {share}"),
                "set web.behind_proxy = true",
            )
        });
    };
    Some(match (web.proxies, arrival.forwarded) {
        (0, 0) => Finding::ok(name, "no proxy is in front"),
        (0, hops) => Finding::warning(
            name,
            format!(
                "requests come through {}, and web.behind_proxy is false: {share}",
                count(hops, "proxy", "proxies")
            ),
            "set web.behind_proxy = true, and web.proxy_hops where there is more than one",
        ),
        (_, 0) => Finding::warning(
            name,
            format!("web.behind_proxy is true, and the proxy sends no X-Forwarded-For: {share}"),
            "let the proxy add the address that asked it to X-Forwarded-For",
        ),
        _ if !arrival.is_trusted => Finding::warning(
            name,
            format!(
                "the proxy asks from an address that is not among web.trusted_proxies: {share}"
            ),
            "add the proxy's address to web.trusted_proxies",
        ),
        (proxies, hops) if proxies != hops => Finding::warning(
            name,
            format!(
                "requests come through {}, and the configuration says {proxies}",
                count(hops, "proxy", "proxies")
            ),
            format!("set web.proxy_hops = {hops}"),
        ),
        (proxies, _) => Finding::ok(
            name,
            format!(
                "requests come through {}, as configured",
                count(proxies, "proxy", "proxies")
            ),
        ),
    })
}
