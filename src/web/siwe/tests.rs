//! The standard's own examples, every way to break one, and every difference from the text that was given out.

use alloy::primitives::Address;
use proptest::prelude::*;

use super::*;

const ADDRESS: &str = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2";

/// The example message of ERC-4361, "Example message", by its first line's domain.
fn example(domain: &str) -> String {
    format!(
        "{domain} wants you to sign in with your Ethereum account:\n{ADDRESS}\n\nI accept the ExampleOrg Terms of Service: https://example.com/tos\n\nURI: https://example.com/login\nVersion: 1\nChain ID: 1\nNonce: 32891756\nIssued At: 2021-09-30T16:25:24Z\nResources:\n- ipfs://bafybeiemxf5abjwjbikoz4mc3a3dla6ual3jsgpdr4cjr3oz3evfyavhwq/\n- https://example.com/my-web2-claim.json"
    )
}

/// A message with every field.
fn full() -> String {
    let optional = "Expiration Time: 2021-10-01T00:00:00.123Z\nNot Before: 2021-09-30T00:00:00+02:00\nRequest ID: some-id\nResources:";
    example("example.com").replace("Resources:", optional)
}

#[test]
fn the_standards_examples_are_accepted() {
    for domain in ["example.com", "example.com:3388", "https://example.com"] {
        let parsed = parse(&example(domain)).unwrap_or_else(|| panic!("{domain}"));
        assert_eq!(parsed.message.nonce, "32891756");
        assert_eq!(parsed.scheme.is_some(), domain.starts_with("https"));
    }
}

#[test]
fn every_form_that_the_standard_allows_is_accepted() {
    let example = example("example.com");
    let without_resources = example.split("\nResources:").next().unwrap().to_owned();
    let statement = "I accept the ExampleOrg Terms of Service: https://example.com/tos\n";
    for (form, text) in [
        ("all fields", full()),
        ("no optional field", without_resources.clone()),
        ("no statement", example.replace(statement, "")),
        ("fractions of a second", example.replace("24Z", "24.000Z")),
        ("an offset", example.replace("24Z", "24+01:00")),
        (
            "an address as domain",
            example.replacen("example.com", "127.0.0.1", 1),
        ),
        (
            "an IPv6 address",
            example.replacen("example.com", "[::1]:8080", 1),
        ),
        (
            "user information",
            example.replacen("example.com", "me@127.0.0.1:8080", 1),
        ),
        (
            "an empty request id",
            format!("{without_resources}\nRequest ID: "),
        ),
        (
            "no resource in the list",
            format!("{without_resources}\nResources:"),
        ),
    ] {
        assert!(parse(&text).is_some(), "{form}: {text}");
    }
}

#[test]
fn every_broken_message_is_refused() {
    let full = full();
    let bare = full.split("\nResources:").next().unwrap().to_owned();
    let without = |start: &str| -> String {
        let lines = full.split('\n').filter(|line| !line.starts_with(start));
        lines.collect::<Vec<_>>().join("\n")
    };
    let swapped = |first: &str, second: &str| -> String {
        let mut lines: Vec<_> = full.split('\n').collect();
        let at = |start: &str| full.split('\n').position(|line| line.starts_with(start));
        lines.swap(at(first).unwrap(), at(second).unwrap());
        lines.join("\n")
    };
    let lower = ADDRESS.to_lowercase();
    let mut broken = vec![
        ("empty", String::new()),
        ("no domain", full.replacen("example.com", "", 1)),
        (
            "a path in the domain",
            full.replacen("example.com", "example.com/a", 1),
        ),
        (
            "a space in the domain",
            full.replacen("example.com", "example .com", 1),
        ),
        (
            "an odd scheme",
            full.replacen("example.com", "1x://example.com", 1),
        ),
        ("other words", full.replace("wants you", "would like you")),
        ("no address", full.replace(ADDRESS, "")),
        ("an address without checksum", full.replace(ADDRESS, &lower)),
        ("a short address", full.replace(ADDRESS, &ADDRESS[..40])),
        (
            "a filled line after the address",
            full.replace(&format!("{ADDRESS}\n\n"), &format!("{ADDRESS}\nx\n")),
        ),
        (
            "a filled line after the statement",
            full.replace("/tos\n\n", "/tos\nx\n"),
        ),
        (
            "a statement in two lines",
            full.replace("Service: ", "Service:\n"),
        ),
        (
            "a statement beyond ASCII",
            full.replace("I accept", "I áccept"),
        ),
        ("an extra line", full.replace("URI:", "\nURI:")),
        (
            "a URI that is none",
            full.replace("URI: https://example.com/login", "URI: not_a_uri"),
        ),
        ("another version", full.replace("Version: 1", "Version: 2")),
        (
            "a chain that is no number",
            full.replace("Chain ID: 1", "Chain ID: ?"),
        ),
        (
            "a chain with a sign",
            full.replace("Chain ID: 1", "Chain ID: +1"),
        ),
        ("a short nonce", full.replace("32891756", "3289175")),
        ("a nonce with marks", full.replace("32891756", "3289-1756")),
        (
            "a date in words",
            full.replace("2021-09-30T16:25:24Z", "Thu Sep 30 2021 16:25:24 GMT"),
        ),
        (
            "an end in words",
            full.replace("2021-10-01T00:00:00.123Z", "tomorrow"),
        ),
        (
            "a start in words",
            full.replace("2021-09-30T00:00:00+02:00", "today"),
        ),
        (
            "resources in one line",
            full.replace("/\n- https", "/ - https"),
        ),
        (
            "a resource that is none",
            full.replace("- https://example.com", "- example"),
        ),
        ("a word after the end", format!("{full}\nand so on")),
        ("a line end after the end", format!("{full}\n")),
        ("a line end after no list", format!("{bare}\n")),
        (
            "a line end after an empty list",
            format!("{bare}\nResources:\n"),
        ),
        ("two empty lists", format!("{bare}\nResources:\nResources:")),
        ("two lists", format!("{full}\nResources:")),
        ("Windows line ends", full.replace('\n', "\r\n")),
        ("two spaces", full.replace("URI: ", "URI:  ")),
        ("a lower-case tag", full.replace("Nonce:", "nonce:")),
    ];
    for field in ["URI:", "Version:", "Chain ID:", "Nonce:", "Issued At:"] {
        broken.push((field, without(field)));
    }
    let fields = [
        "URI:",
        "Version:",
        "Chain ID:",
        "Nonce:",
        "Issued At:",
        "Expiration Time:",
        "Not Before:",
        "Request ID:",
    ];
    for pair in fields.windows(2) {
        broken.push((pair[0], swapped(pair[0], pair[1])));
    }
    for (how, text) in broken {
        assert_eq!(parse(&text), None, "{how}: {text}");
    }
}

fn public_url() -> Url {
    Url::parse("https://roles.example:8443").unwrap()
}

fn given_out() -> String {
    write(&Terms {
        public_url: &public_url(),
        wallet: Wallet(ADDRESS.parse().unwrap()),
        statement: plain("Link to @ada (id 1) in Ada's \"Café\" (id 2)\nnow"),
        chain_id: 8453,
        nonce: "abcdefgh12345678",
        request_id: "0011".to_owned(),
        issued_at: Timestamp(1_800_000_000),
        expires_at: Timestamp(1_800_000_600),
    })
    .unwrap()
}

const NOW: Timestamp = Timestamp(1_800_000_300);

#[test]
fn the_text_to_sign_says_everything() {
    let expected = "roles.example:8443 wants you to sign in with your Ethereum account:\n0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2\n\nLink to @ada (id 1) in Ada's _Caf__ (id 2)_now\n\nURI: https://roles.example:8443/verify\nVersion: 1\nChain ID: 8453\nNonce: abcdefgh12345678\nIssued At: 2027-01-15T08:00:00Z\nExpiration Time: 2027-01-15T08:10:00Z\nRequest ID: 0011";
    assert_eq!(given_out(), expected);
}

#[test]
fn each_difference_has_its_own_name() {
    let out = given_out();
    assert_eq!(check(&out, &out, NOW), Ok(()));
    let other = Address::repeat_byte(7).to_string();
    for (mismatch, text) in [
        (Mismatch::TooLong, out.replace("Link", &"L".repeat(8192))),
        (Mismatch::NotSiwe, out.replace("Version: 1", "Version: 2")),
        (Mismatch::NotSiwe, "hello".to_owned()),
        (
            Mismatch::Domain,
            out.replacen("roles.example", "evil.example", 1),
        ),
        (Mismatch::Domain, format!("https://{out}")),
        (Mismatch::Uri, out.replace("8443/verify", "8443/other")),
        (Mismatch::ChainId, out.replace("8453", "1")),
        (Mismatch::Expired, out.replace("08:10:00Z", "08:05:00Z")),
        (
            Mismatch::Expired,
            out.replace("Expiration Time: 2027-01-15T08:10:00Z\n", ""),
        ),
        (Mismatch::Address, out.replace(ADDRESS, &other)),
        (Mismatch::Nonce, out.replace("abcdefgh", "hgfedcba")),
        (Mismatch::RequestId, out.replace("0011", "1100")),
        (Mismatch::RequestId, out.replace("\nRequest ID: 0011", "")),
        (Mismatch::Statement, out.replace("Link to", "Link  to")),
        (Mismatch::Edited, out.replace("08:00:00Z", "08:00:01Z")),
        (Mismatch::Edited, out.replace("08:10:00Z", "09:10:00Z")),
        (
            Mismatch::Edited,
            format!("{out}\nResources:\n- https://a.example/"),
        ),
        (Mismatch::Edited, format!("{out}\nResources:")),
    ] {
        assert_eq!(check(&out, &text, NOW), Err(mismatch), "{text}");
    }
}

#[test]
fn a_text_ends_with_the_second_that_it_names() {
    let out = given_out();
    assert_eq!(check(&out, &out, Timestamp(1_800_000_599)), Ok(()));
    assert_eq!(
        check(&out, &out, Timestamp(1_800_000_600)),
        Err(Mismatch::Expired)
    );
    assert_eq!(
        check(&out, &out, Timestamp(u64::MAX)),
        Err(Mismatch::Expired)
    );
}

proptest! {
    #[test]
    fn any_text_is_an_answer_and_not_a_panic(text in any::<String>()) {
        let _ = parse(&text);
        let _ = check(&given_out(), &text, NOW);
    }

    #[test]
    fn any_one_byte_changed_is_refused(at in any::<prop::sample::Index>(), byte in 0x20u8..0x7f) {
        let out = given_out();
        let mut bytes = out.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let text = String::from_utf8(bytes).unwrap();
        prop_assert_eq!(check(&out, &text, NOW).is_ok(), text == out);
    }

    #[test]
    fn any_name_can_stand_in_a_statement(name in any::<String>()) {
        let plain = plain(&name);
        prop_assert!(plain.chars().all(is_plain) && plain.len() <= 100);
    }
}
