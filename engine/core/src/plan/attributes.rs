//! Names: what they may look like, and which must never be declared.
//!
//! PCI DSS v4.0.1 requirement 3.3: card verification values, PINs and track data are not retained after authorisation. The
//! result of checking one may be. The same rule stands in `features/refused.py`; a test holds the two together.

/// Names begin with a lower-case letter and go on with lower-case letters, digits and underscores; at most 64 bytes.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Whether a name is one for sensitive authentication data.
pub(super) fn is_sensitive(name: &str) -> bool {
    let words: Vec<&str> = name
        .split('_')
        .map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()))
        .collect();
    if words.last().is_some_and(|last| RESULT_WORDS.contains(last)) {
        return false;
    }
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    words.iter().any(|word| SENSITIVE_WORDS.contains(word)) || SENSITIVE_PARTS.iter().any(|part| letters.contains(part))
}

/// Last words of names for the outcome of a check, which may be kept.
const RESULT_WORDS: [&str; 9] = [
    "result", "response", "match", "matched", "verified", "present", "presence", "tries", "attempts",
];

/// Words that make a name sensitive, without trailing digits.
const SENSITIVE_WORDS: [&str; 13] = [
    "cav", "cid", "csc", "cvc", "cvn", "cvv", "icvv", "dcvv", "pin", "pins", "pvv", "track", "tracks",
];

/// Runs of letters that make a name sensitive wherever they stand, underscores and digits left out.
const SENSITIVE_PARTS: [&str; 22] = [
    "cardpin",
    "cardsecuritycode",
    "cardsecurityvalue",
    "cardverificationcode",
    "cardverificationnumber",
    "cardverificationvalue",
    "cvccode",
    "cvcvalue",
    "cvvcode",
    "cvvvalue",
    "cardcvc",
    "cardcvv",
    "encryptedpin",
    "magneticstripe",
    "magstripedata",
    "pinblock",
    "pincode",
    "pinnumber",
    "pinoffset",
    "securitycode",
    "trackdata",
    "tracktwo",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensitive_authentication_data_is_known_by_its_names() {
        let refused = [
            "cvv",
            "cvv2",
            "card_cvc",
            "cardcvv2",
            "cid",
            "pin",
            "pin_block",
            "pinblock",
            "track2",
            "track_2_data",
        ];
        for name in refused {
            assert!(is_sensitive(name), "{name}");
        }
        for name in [
            "card_verification_result",
            "cvv_result",
            "shipping_km",
            "tracking_age",
            "spin",
            "acid",
            "pin_tries",
        ] {
            assert!(!is_sensitive(name), "{name}");
        }
    }
}
