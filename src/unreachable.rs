//! Why an HTTP request failed, as it may be told.

/// The innermost cause: what stands above it names layers of libraries. Without the address, which may hold a key or name a
/// member.
pub(crate) fn cause_of(error: reqwest::Error) -> String {
    let error = anyhow::Error::new(error.without_url());
    error.root_cause().to_string()
}
