//! What of a node's URL may be shown, and what must not.

use url::Url;

/// The shortest part of a URL that is taken for a key.
const SHORTEST_KEY: usize = 10;

/// Host and port of a URL: all of it that may be shown.
pub(crate) fn host(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => "(no host)".to_owned(),
    }
}

/// The sentence without any part of the URL that may be a key: some providers repeat it when they refuse it.
pub(super) fn without_keys(url: &Url, sentence: &mut String) {
    let path = url.path_segments().into_iter().flatten().map(str::to_owned);
    let query = url.query_pairs().map(|(_, value)| value.into_owned());
    let user = [url.username(), url.password().unwrap_or_default()].map(str::to_owned);
    for key in path.chain(query).chain(user) {
        if key.len() >= SHORTEST_KEY && sentence.contains(&key) {
            *sentence = sentence.replace(&key, "…");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_of_the_url_stays_in_a_sentence() {
        let url = "https://user-name-1:password-22@rpc.example:8443/v2/0123456789abcdef?apikey=fedcba9876543210"
            .parse()
            .unwrap();
        let mut sentence =
            "keys 0123456789abcdef and fedcba9876543210 of user-name-1, password-22 \
                            are not for v2 at rpc.example"
                .to_owned();
        without_keys(&url, &mut sentence);
        assert_eq!(
            sentence,
            "keys … and … of …, … are not for v2 at rpc.example"
        );
        assert_eq!(host(&url), "rpc.example:8443");
    }
}
