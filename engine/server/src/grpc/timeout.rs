//! The deadline that gRPC carries.

use std::time::Duration;

use http::HeaderMap;

/// How long the caller waits from now on, when it says so (`grpc-timeout`: at most eight digits and a unit). A value that
/// is none is no deadline: the caller's own library keeps it anyway.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        let cases = [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("50000u", Some(Duration::from_millis(50))),
            ("7n", Some(Duration::from_nanos(7))),
            ("100000000m", None),
            ("m", None),
            ("", None),
            ("5", None),
            ("-5m", None),
            ("5x", None),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", value.parse().unwrap());
            assert_eq!(timeout(&headers), expected, "{value}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
