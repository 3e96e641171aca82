mod kinds;
mod limits;
mod rates;

use super::*;

fn answer(code: i64, message: &str, data: &str) -> RpcError {
    let data = (!data.is_empty())
        .then(|| serde_json::value::RawValue::from_string(data.to_owned()).unwrap());
    RpcError::from_answer(
        &ErrorAnswer {
            code,
            message: message.to_owned(),
            data,
        },
        None,
    )
}

#[test]
fn the_body_of_an_http_error_says_more_than_its_status() {
    let body = br#"{"jsonrpc":"2.0","id":56,"error":{"code":-32614,"message":"eth_getLogs is limited to a 10,000 range"}}"#;
    let error = RpcError::from_status(StatusCode::PAYLOAD_TOO_LARGE, None, body);
    assert!(
        matches!(
            error,
            RpcError::RangeTooWide {
                max: Some(10_000),
                ..
            }
        ),
        "{error:?}"
    );
    let error = RpcError::from_status(StatusCode::PAYLOAD_TOO_LARGE, None, b"");
    assert!(
        matches!(error, RpcError::TooManyResults { .. }),
        "{error:?}"
    );
    let wait = Some(Duration::from_secs(7));
    for status in [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ] {
        let error = RpcError::from_status(status, wait, b"<html>");
        assert!(
            matches!(error, RpcError::RateLimited { retry_after, .. } if retry_after == wait),
            "{error:?}"
        );
    }
    let body = br#"{"error":{"code":1015,"message":"slow down"}}"#;
    let error = RpcError::from_status(StatusCode::TOO_MANY_REQUESTS, wait, body);
    assert!(matches!(error, RpcError::RateLimited { .. }), "{error:?}");
    let error = RpcError::from_status(StatusCode::GATEWAY_TIMEOUT, None, b"");
    assert!(matches!(error, RpcError::Timeout { .. }), "{error:?}");
    for status in [
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::UNAUTHORIZED,
    ] {
        let error = RpcError::from_status(status, None, b"");
        assert!(matches!(error, RpcError::Unavailable { .. }), "{error:?}");
    }
}

#[test]
fn retry_after_is_read_as_seconds_and_as_a_date() {
    let wait = |text: &str| {
        let mut headers = reqwest::header::HeaderMap::new();
        headers.insert("retry-after", text.parse().unwrap());
        retry_after(&headers)
    };
    assert_eq!(wait("3"), Some(Duration::from_secs(3)));
    assert_eq!(wait("0.25"), Some(Duration::from_millis(250)));
    assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
    let far = wait("Fri, 31 Dec 2100 23:59:59 GMT");
    assert_eq!(far, Some(Duration::from_secs(24 * 3_600)));
    assert_eq!(wait("soon"), None);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_classification_panic(code: i64, message in ".*", data in ".*") {
        let _ = text::classify(Refusal {
            code,
            message: &message,
            data: &data,
            ..Refusal::default()
        });
    }

    #[test]
    fn limits_of_any_size_are_read(max in 2_u64..1_000_000) {
        let error = answer(-32602, &format!("query exceeds max block range {max}"), "");
        let is_read = matches!(error, RpcError::RangeTooWide { max: Some(read), .. } if read == max);
        proptest::prop_assert!(is_read, "{:?}", error);
    }
}
