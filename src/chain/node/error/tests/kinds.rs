//! Every other kind: what it is, and what a person reads.

use super::*;

#[test]
fn timeouts_are_recognised_also_when_they_advise_on_ranges() {
    for (code, message) in [
        (
            -32000,
            "Query timeout exceeded. Consider reducing your block range.",
        ),
        (-32005, "query timeout exceeded"),
        (-32002, "request timed out"),
        (-32000, "context deadline exceeded"),
        (-32000, "log query timed out"),
    ] {
        let error = answer(code, message, "");
        assert!(
            matches!(error, RpcError::Timeout { .. }),
            "{message}: {error:?}"
        );
    }
}

#[test]
fn a_node_that_lacks_the_blocks_or_refuses_the_client_is_unavailable() {
    for (code, message) in [
        (-32602, "block range extends beyond current head block"),
        (-32602, "invalid block range params"),
        (-32000, "header not found"),
        (-39001, "Unknown block"),
        // Case a02.
        (-32000, "pending block is not available"),
        (-32001, "8633830 could not be found"),
        (-32011, "no backend is currently healthy to serve traffic"),
        (
            -32000,
            "Unauthorized: You must authenticate your request with an API key.",
        ),
        (-32002, "rejected due to project ID settings"),
    ] {
        let error = answer(code, message, "");
        assert!(
            matches!(error, RpcError::Unavailable { .. }),
            "{message}: {error:?}"
        );
    }
}

#[test]
fn anything_else_stays_what_it_is() {
    for (code, message) in [
        (-32601, "the method eth_foo does not exist"),
        (
            -32601,
            "the method eth_getState does not exist/is not available",
        ),
        // EIP-1474's code with nothing more said: too many results at some nodes, too many calls at others.
        (-32005, "limit exceeded"),
        (-32099, "please be more modest"),
        (-32603, "internal error"),
    ] {
        let error = answer(code, message, "");
        assert!(
            matches!(error, RpcError::Other { code: kept, .. } if kept == code),
            "{error:?}"
        );
    }
}

#[test]
fn a_contracts_own_words_are_not_taken_for_the_nodes() {
    for (code, message) in [
        (3, "execution reverted: Unauthorized"),
        (3, "execution reverted: header not found"),
        (-32000, "execution reverted: rate limit, try again in 300s"),
        (-32000, "Execution reverted"),
        (-32015, "VM execution error."),
        (
            -32603,
            "Error: VM Exception while processing transaction: reverted with reason string 'timeout'",
        ),
        (-32000, "out of gas"),
        (-32000, "invalid opcode: INVALID"),
        (-32603, "EVM error InvalidFEOpcode"),
    ] {
        let said = answer(code, message, "");
        assert!(matches!(said, RpcError::Refused { .. }), "{said:?}");
    }
    let body = br#"{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"execution reverted"}}"#;
    let said = RpcError::from_status(StatusCode::INTERNAL_SERVER_ERROR, None, body);
    assert!(matches!(said, RpcError::Refused { .. }), "{said:?}");
}

#[test]
fn dropped_history_is_a_kind_of_its_own_that_names_the_start_block() {
    for (code, message) in [
        // Case a11.
        (4444, "pruned history unavailable"),
        (-32000, "history has been pruned for this block"),
        (
            -32000,
            "missing trie node 5e1b (path ) state 0x5e1b is not available, not found",
        ),
        (-32000, "state 0x5e1b is not available"),
        (-32000, "required historical state unavailable (reexec=128)"),
        (
            -32000,
            "block 100 is before the earliest available block 5000",
        ),
        (
            -32603,
            "distance to target block exceeds maximum proof window",
        ),
        (-32000, "old data not available due to pruning"),
        (-32002, "project ID does not have access to archive state"),
    ] {
        let error = answer(code, message, "");
        assert!(
            matches!(error, RpcError::Pruned { .. }),
            "{message}: {error:?}"
        );
        assert!(error.to_string().contains("chain.start_block"), "{error}");
        assert!(!error.is_temporary());
    }
}

#[test]
fn refusals_of_batches_are_recognised() {
    for (code, message) in [
        // Case h03.
        (-32600, "batch too large"),
        (
            -32000,
            "batch limit 100 exceeded (can increase by --rpc.batch.limit). Requested batch of size: 101",
        ),
        (
            31,
            "Batch of more than 3 requests are not allowed on free tier",
        ),
        (-32600, "batch requests are not supported"),
    ] {
        let error = answer(code, message, "");
        assert!(
            matches!(error, RpcError::BatchRefused { .. }),
            "{message}: {error:?}"
        );
    }
}

#[test]
fn a_refused_client_is_told_to_check_its_key() {
    for (status, body) in [
        (StatusCode::UNAUTHORIZED, ""),
        (StatusCode::FORBIDDEN, "<html>Cloudflare</html>"),
        (
            StatusCode::FORBIDDEN,
            r#"{"error":{"code":-32052,"message":"API key is not allowed to access method"}}"#,
        ),
        (
            StatusCode::FORBIDDEN,
            r#"{"error":{"code":-32601,"message":"not on this plan"}}"#,
        ),
    ] {
        let error = RpcError::from_status(status, None, body.as_bytes());
        assert!(matches!(error, RpcError::Unavailable { .. }), "{error:?}");
        let sentence = error.to_string();
        let hint = "it refuses this client (check the URL's API key)";
        assert_eq!(sentence.matches(hint).count(), 1, "{sentence}");
    }
}
