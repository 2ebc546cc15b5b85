//! Finds card numbers in text, written with or without separators.
//!
//! A candidate is a run of digit groups of 12 to 19 digits in all, groups apart by at most three characters that are
//! neither letters nor digits; it is a card number when its issuer's prefix, its length and its Luhn digit agree.
//! Sources: ISO/IEC 7812-1:2017 (numbering, annex B: Luhn), the networks' published ranges.

const LONGEST: usize = 19;
const SHORTEST: usize = 12;

/// Whether `text` holds something that must be taken for a card number.
pub fn is_within(text: &str) -> bool {
    // Most texts hold few digits: decide those in one pass and without a second look.
    if text.chars().filter(|&c| digit(c).is_some()).count() < SHORTEST {
        return false;
    }
    let groups = groups(text);
    let mut number = Vec::with_capacity(2 * LONGEST);
    for start in 0..groups.len() {
        number.clear();
        for (place, group) in groups[start..].iter().enumerate() {
            if (place > 0 && !group.joins) || number.len() > LONGEST {
                break;
            }
            number.extend_from_slice(&group.digits);
            if is_card_number(&number) {
                return true;
            }
        }
    }
    false
}

/// Contiguous digits, and whether they stand near enough to the group before to belong to one number.
struct Group {
    digits: Vec<u8>,
    joins: bool,
}

fn groups(text: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut apart = usize::MAX; // characters since the last digit; too many after a letter
    for character in text.chars() {
        match digit(character) {
            Some(value) if apart == 0 && !groups.is_empty() => {
                if let Some(last) = groups.last_mut() {
                    last.digits.push(value);
                }
            }
            Some(value) => {
                groups.push(Group {
                    digits: vec![value],
                    joins: apart <= 3,
                });
                apart = 0;
            }
            None if character.is_alphanumeric() => apart = usize::MAX,
            None => apart = apart.saturating_add(1),
        }
    }
    groups
}

/// The value of a decimal digit in the scripts that keyboards offer.
fn digit(character: char) -> Option<u8> {
    const ZEROS: [char; 5] = ['0', '\u{660}', '\u{6f0}', '\u{966}', '\u{ff10}'];
    ZEROS.iter().find_map(|&zero| {
        let value = u32::from(character).checked_sub(u32::from(zero))?;
        u8::try_from(value).ok().filter(|&value| value < 10)
    })
}

fn is_card_number(digits: &[u8]) -> bool {
    (SHORTEST..=LONGEST).contains(&digits.len()) && issued(digits) && luhn(digits)
}

/// Whether a network issues numbers of this prefix and length.
fn issued(digits: &[u8]) -> bool {
    let prefix = digits[..6].iter().fold(0_u32, |prefix, &d| prefix * 10 + u32::from(d));
    let length = digits.len();
    match prefix {
        400_000..=499_999 => matches!(length, 13 | 16 | 19),   // Visa
        510_000..=559_999 | 222_100..=272_099 => length == 16, // Mastercard
        340_000..=349_999 | 370_000..=379_999 => length == 15, // American Express
        300_000..=305_999 | 309_500..=309_599 => (14..=19).contains(&length), // Diners Club
        360_000..=369_999 | 380_000..=399_999 => (14..=19).contains(&length), // Diners Club
        352_800..=358_999 => (16..=19).contains(&length),      // JCB
        601_100..=601_199 | 644_000..=659_999 => (16..=19).contains(&length), // Discover
        620_000..=629_999 | 810_000..=817_199 => (16..=19).contains(&length), // UnionPay
        220_000..=220_499 => (16..=19).contains(&length),      // Mir
        600_000..=600_099 | 606_000..=608_999 => length == 16, // RuPay, Hipercard
        500_000..=509_999 | 560_000..=589_999 | 630_000..=639_999 | 670_000..=679_999 => true, // Maestro
        _ => false,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &d)| match (place % 2, u32::from(d) * 2) {
            (0, _) => u32::from(d),
            (_, doubled) if doubled > 9 => doubled - 9,
            (_, doubled) => doubled,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The networks' and processors' published test numbers.
    const NUMBERS: [&str; 11] = [
        "4111111111111111",
        "4222222222222",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "6011111111111117",
        "30569309025904",
        "36227206271667",
        "3530111333300000",
        "6205500000000000004",
        "6304000000000000",
    ];

    #[test]
    fn published_test_numbers_are_found_however_they_are_written() {
        for number in NUMBERS {
            let spaced: Vec<String> = number
                .as_bytes()
                .chunks(4)
                .map(|four| String::from_utf8_lossy(four).into_owned())
                .collect();
            let wide: String = number
                .chars()
                .map(|c| char::from_u32(u32::from(c) - 0x30 + 0xff10).unwrap())
                .collect();
            for text in [
                number.to_owned(),
                spaced.join(" "),
                spaced.join("-"),
                spaced.join(" . "),
                format!("paid with PAN{number}, thanks"),
                format!("ref 12 {}", spaced.join(" ")),
                format!("{number}=2512"),
                wide,
            ] {
                assert!(is_within(&text), "{text}");
            }
        }
    }

    #[test]
    fn a_wrong_check_digit_prefix_or_length_is_no_card_number() {
        for text in [
            "",
            "4111111111111112",
            "9111111111111111",
            "41111111111111",
            "2026-11-22 10:11:12.131415",
            "4111 1111 then 1111 1111",
            "4111111111111111111111111",
        ] {
            assert!(!is_within(text), "{text}");
        }
    }
}
