//! From a cell to a field's value, or what is wrong with it: moments, amounts, numbers, ids. What is said never repeats
//! what stood there.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use fraudgate_core::currency::Currency;

use super::{
    cell::Cell,
    mapping::{Amount, Time},
};

/// What is wrong with a value, and what would be right.
pub(super) type Wrong = &'static str;

const US_A_MINUTE: i64 = 60_000_000;
const TOO_FAR: Wrong = "lies too far from 1970 for 64 bits of microseconds";

/// A moment in microseconds since 1970, and the offset that its text states, in minutes. None where there is none.
pub(super) fn moment(time: &Time, cell: Cell) -> Result<Option<(i64, Option<i32>)>, Wrong> {
    let local = |us: i64| {
        us.checked_sub(i64::from(time.zone_minutes) * US_A_MINUTE)
            .map(|us| Some((us, None)))
            .ok_or(TOO_FAR)
    };
    match cell {
        Cell::Null => Ok(None),
        Cell::Boolean(_) => Err("must be a time, not a boolean"),
        Cell::Moment { us: None, .. } => Err(TOO_FAR),
        Cell::Moment {
            us: Some(us),
            zoned: true,
        } => Ok(Some((us, None))),
        Cell::Moment {
            us: Some(us),
            zoned: false,
        } => local(us),
        Cell::Whole(count) => {
            let us = i64::try_from(count)
                .ok()
                .and_then(|count| count.checked_mul(time.unit_us));
            let us = us.and_then(|us| us.checked_add(time.origin_us)).ok_or(TOO_FAR)?;
            Ok(Some((us, None)))
        }
        Cell::Real(count) if count.is_nan() => Ok(None),
        Cell::Real(count) => real(time, count).map(Some),
        Cell::Decimal(..) => Err("must be a time: a timestamp, a whole number, or a text"),
        Cell::Text(text) => match text.trim() {
            "" => Ok(None),
            // As R writes a hundred thousand: 1e+05.
            text if time.format.is_none()
                && whole(text).is_none()
                && let Some(count) = finite(text) =>
            {
                real(time, count).map(Some)
            }
            text => match stated(time, text)? {
                (naive, None) => local(naive.and_utc().timestamp_micros()),
                (naive, Some(minutes)) => {
                    let us = naive.and_utc().timestamp_micros();
                    let us = us.checked_sub(i64::from(minutes) * US_A_MINUTE).ok_or(TOO_FAR)?;
                    Ok(Some((us, Some(minutes))))
                }
            },
        },
    }
}

/// A count of units since the mapping's origin.
fn real(time: &Time, count: f64) -> Result<(i64, Option<i32>), Wrong> {
    let us = count * time.unit_us as f64;
    // Whole microseconds below 2^53 are exact.
    if us.abs() >= 9_007_199_254_740_992.0 {
        return Err("is a real number too large to be exact; give whole numbers");
    }
    let us = (us.round_ties_even() as i64)
        .checked_add(time.origin_us)
        .ok_or(TOO_FAR)?;
    Ok((us, None))
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// What a text states: a local time, and its offset from UTC in minutes where it has one.
fn stated(time: &Time, text: &str) -> Result<(NaiveDateTime, Option<i32>), Wrong> {
    let zoned = |moment: DateTime<chrono::FixedOffset>| {
        (
            moment.naive_local(),
            Some(moment.offset().local_minus_utc().div_euclid(60)),
        )
    };
    if let Some(format) = &time.format {
        const WRONG: Wrong = "is not a time of the mapping's format";
        if let Ok(moment) = DateTime::parse_from_str(text, format) {
            return Ok(zoned(moment));
        }
        if let Ok(moment) = NaiveDateTime::parse_from_str(text, format) {
            return Ok((moment, None));
        }
        let date = NaiveDate::parse_from_str(text, format).map_err(|_| WRONG)?;
        return date.and_hms_opt(0, 0, 0).map(|moment| (moment, None)).ok_or(WRONG);
    }
    const WRONG: Wrong = "is not a time such as 2018-08-08T12:00:00+02:00; state the mapping's format";
    if let Some(count) = whole(text) {
        let us = i64::try_from(count)
            .ok()
            .and_then(|count| count.checked_mul(time.unit_us));
        let us = us.and_then(|us| us.checked_add(time.origin_us)).ok_or(WRONG)?;
        let moment = DateTime::from_timestamp_micros(us).ok_or(WRONG)?;
        return Ok((moment.naive_utc(), Some(0)));
    }
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(zoned(moment));
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
        if let Ok(moment) = DateTime::parse_from_str(text, format) {
            return Ok(zoned(moment));
        }
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"] {
        if let Ok(moment) = NaiveDateTime::parse_from_str(text, format) {
            return Ok((moment, None));
        }
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| WRONG)?;
    date.and_hms_opt(0, 0, 0).map(|moment| (moment, None)).ok_or(WRONG)
}

/// An amount in minor units of its currency; none where there is none. Whether it may be negative the gate decides.
pub(super) fn minor_units(amount: &Amount, currency: Currency, cell: Cell) -> Result<Option<i64>, Wrong> {
    const TOO_LARGE: Wrong = "must be at most 10^14 minor units";
    // Digits behind the point that a minor unit has.
    let digits = if amount.minor { 0 } else { currency.scale().ilog10() };
    let scaled = |units: i128, scale: u32| -> Result<Option<i64>, Wrong> {
        let exact = match digits.checked_sub(scale) {
            Some(missing) => units.checked_mul(10_i128.pow(missing)).ok_or(TOO_LARGE)?,
            None => {
                let part = 10_i128
                    .checked_pow(scale - digits)
                    .ok_or("has too many digits behind the point")?;
                let (quotient, rest) = (units.div_euclid(part), units.rem_euclid(part));
                match (rest == 0, amount.round) {
                    (true, _) => quotient,
                    (false, true) if rest * 2 > part || (rest * 2 == part && quotient % 2 != 0) => quotient + 1,
                    (false, true) => quotient,
                    (false, false) => return Err("is not a whole number of minor units"),
                }
            }
        };
        i64::try_from(exact).map(Some).map_err(|_| TOO_LARGE)
    };
    match cell {
        Cell::Null => Ok(None),
        Cell::Boolean(_) | Cell::Moment { .. } => Err("must be an amount"),
        Cell::Whole(units) => scaled(units, 0),
        Cell::Decimal(units, scale) => match u32::try_from(scale) {
            Ok(scale) => scaled(units, scale),
            Err(_) => Err("is a decimal of a negative scale"),
        },
        Cell::Real(value) if value.is_nan() => Ok(None),
        Cell::Real(value) => {
            let units = value * 10_f64.powi(digits as i32);
            let nearest = units.round_ties_even();
            if nearest.abs() > 1e15 {
                return Err(TOO_LARGE);
            }
            // What a decimal text of so many digits became in binary lies far nearer than this to it.
            if !amount.round && (units - nearest).abs() > 1e-6 * nearest.abs().clamp(1.0, 1e3) {
                return Err("is not a whole number of minor units");
            }
            Ok(Some(nearest as i64))
        }
        Cell::Text(text) => match text.trim() {
            "" => Ok(None),
            text => match decimal(text) {
                Some((units, scale)) => scaled(units, scale),
                None => Err("is not a decimal number such as 57.16"),
            },
        },
    }
}

/// A number; none where there is none. Whether it is finite the gate decides.
pub(super) fn number(cell: Cell) -> Result<Option<f64>, Wrong> {
    match cell {
        Cell::Null => Ok(None),
        Cell::Boolean(value) => Ok(Some(f64::from(value))),
        Cell::Whole(value) => Ok(Some(value as f64)),
        Cell::Real(value) => Ok((!value.is_nan()).then_some(value)),
        Cell::Decimal(units, scale) => Ok(Some(units as f64 / 10_f64.powi(scale.into()))),
        Cell::Moment { .. } => Err("must be a number, not a time"),
        Cell::Text(text) => match text.trim() {
            "" => Ok(None),
            text => match text.parse::<f64>() {
                Ok(value) if value.is_nan() => Ok(None),
                Ok(value) => Ok(Some(value)),
                Err(_) => Err("is not a number"),
            },
        },
    }
}

/// A whole number written in digits, with a sign or without.
fn whole(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// A decimal number as text: its digits as one whole number, and how many stand behind the point.
fn decimal(text: &str) -> Option<(i128, u32)> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
    if before.is_empty() && behind.is_empty() || before.len() + behind.len() > 36 {
        return None;
    }
    let mut units: i128 = 0;
    for byte in before.bytes().chain(behind.bytes()) {
        units = units * 10 + i128::from(byte.is_ascii_digit().then(|| byte - b'0')?);
    }
    Some((sign * units, behind.len() as u32))
}
