//! The files that pages load: styles, scripts and icon, in the program itself.
//!
//! One hash over all of them stands in each address, so that browsers keep a file for good, and a script's relative imports
//! belong to the same release as the script.

use std::io::Write as _;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

use super::Site;
use super::error::WebError;

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const ICON: &str = "icon.svg";

/// Name, type and content of every file. `walletconnect.js` and `qr.js` are generated (src/web/walletconnect), the former
/// loaded only by visitors who choose it; the licences of what they bundle must be passed on with them.
const FILES: [(&str, &str, &[u8]); 14] = [
    ("dashboard.css", CSS, include_bytes!("assets/dashboard.css")),
    (
        "dashboard.js",
        SCRIPT,
        include_bytes!("assets/dashboard.js"),
    ),
    ("page.css", CSS, include_bytes!("assets/page.css")),
    ("handover.js", SCRIPT, include_bytes!("assets/handover.js")),
    ("outcome.js", SCRIPT, include_bytes!("assets/outcome.js")),
    ("page.js", SCRIPT, include_bytes!("assets/page.js")),
    ("qr.js", SCRIPT, include_bytes!("assets/qr.js")),
    ("signing.js", SCRIPT, include_bytes!("assets/signing.js")),
    ("verify.js", SCRIPT, include_bytes!("assets/verify.js")),
    ("wallets.js", SCRIPT, include_bytes!("assets/wallets.js")),
    ("words.js", SCRIPT, include_bytes!("assets/words.js")),
    (
        "walletconnect.js",
        SCRIPT,
        include_bytes!("assets/walletconnect.js"),
    ),
    (
        "walletconnect.licenses.txt",
        "text/plain; charset=utf-8",
        include_bytes!("assets/walletconnect.licenses.txt"),
    ),
    (ICON, "image/svg+xml", include_bytes!("assets/icon.svg")),
];

/// What is derived from [`FILES`] when the first page is made: constant, though too much work for the compiler.
struct Release {
    /// The first 8 bytes of SHA-256 over all names and contents, hex.
    hash: String,
    /// Compressed with gzip, in the order of `FILES`.
    compressed: Vec<Bytes>,
}

static RELEASE: LazyLock<Release> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (name, _, content) in FILES {
        hash.update(name);
        hash.update(content.len().to_le_bytes());
        hash.update(content);
    }
    Release {
        hash: hex::encode(&hash.finalize()[..8]),
        compressed: FILES.map(|(_, _, content)| gzip(content)).into(),
    }
});

fn gzip(content: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(content).and_then(|()| encoder.finish());
    written.expect("writing to memory cannot fail").into()
}

/// The address of a file of [`FILES`], from the root.
pub(super) fn path(name: &str) -> String {
    debug_assert!(FILES.iter().any(|(known, _, _)| *known == name), "{name}");
    format!("/assets/{}/{name}", RELEASE.hash)
}

/// Every file at its address; the icon also where browsers look for one.
pub(super) fn router() -> Router<Arc<Site>> {
    let file = async |Path((hash, name)): Path<(String, String)>, headers: HeaderMap| {
        if hash != RELEASE.hash {
            // Of another release: its page is reloaded, not mixed with ours.
            return WebError::NotFound.into_response();
        }
        serve(&name, "public, max-age=31536000, immutable", &headers)
    };
    let icon = async |headers: HeaderMap| serve(ICON, "public, max-age=86400", &headers);
    Router::new()
        .route("/assets/{hash}/{name}", get(file))
        .route("/favicon.ico", get(icon))
}

fn serve(name: &str, keep: &'static str, headers: &HeaderMap) -> Response {
    let Some(index) = FILES.iter().position(|(known, _, _)| *known == name) else {
        return WebError::NotFound.into_response();
    };
    let (_, kind, content) = FILES[index];
    let about = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, keep),
        (VARY, "accept-encoding"),
    ];
    if accepts_gzip(headers) {
        let encoding = [(CONTENT_ENCODING, "gzip")];
        return (about, encoding, RELEASE.compressed[index].clone()).into_response();
    }
    (about, content).into_response()
}

/// Whether the client takes gzip (RFC 9110, 12.5.3): named without `q=0`. Who names nothing gets the plain file.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let named = headers.get_all(ACCEPT_ENCODING).iter();
    let named = named.filter_map(|value: &HeaderValue| value.to_str().ok());
    named.flat_map(|list| list.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        is_gzip && quality.is_none_or(|q| q.parse().is_ok_and(|q: f32| q > 0.0))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn every_file_has_an_address_with_the_hash_and_unpacks_to_itself() {
        for ((name, _, content), packed) in FILES.iter().zip(&RELEASE.compressed) {
            let path = path(name);
            let parts: Vec<_> = path.split('/').collect();
            assert_eq!(parts, ["", "assets", RELEASE.hash.as_str(), name]);
            let mut unpacked = Vec::new();
            GzDecoder::new(packed.as_ref())
                .read_to_end(&mut unpacked)
                .unwrap();
            assert_eq!(unpacked, *content, "{name}");
        }
        assert_eq!(RELEASE.hash.len(), 16);
    }

    #[test]
    fn gzip_is_sent_to_those_who_ask_for_it_alone() {
        let accepts = |value: &'static str| {
            accepts_gzip(&HeaderMap::from_iter([(
                ACCEPT_ENCODING,
                HeaderValue::from_static(value),
            )]))
        };
        for yes in ["gzip", "deflate, gzip;q=0.5", "br, GZIP, *;q=0"] {
            assert!(accepts(yes), "{yes}");
        }
        for no in [
            "",
            "identity",
            "br",
            "gzip;q=0",
            "gzip; q=0.0, br",
            "gzipped",
        ] {
            assert!(!accepts(no), "{no}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
