//! Clients of servers on this machine: without the certificates that the system trusts, which take longer to read than most
//! tests to run, and without a proxy.

pub(crate) fn client() -> reqwest::Client {
    builder().build().unwrap()
}

pub(crate) fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder().no_proxy().tls_certs_only([])
}
