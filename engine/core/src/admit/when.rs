//! Times, as they may be sent.

use crate::{
    refusal::Refusal,
    transaction::{Clock, EventTime},
};

pub(super) fn event_time(field: &str, us: i64) -> Result<EventTime, Refusal> {
    /// The end of the year 9999, where calendars end.
    const LAST: i64 = 253_402_300_799_999_999;
    match us {
        0 => Err(Refusal::invalid(
            field,
            "is required, in microseconds since 1970-01-01T00:00:00Z",
        )),
        1..=LAST => Ok(EventTime(us)),
        _ => Err(Refusal::invalid(
            field,
            "must lie between 1970 and 9999, in microseconds since 1970-01-01T00:00:00Z",
        )),
    }
}

pub(super) fn utc_offset(minutes: i32) -> Result<i16, Refusal> {
    match i16::try_from(minutes) {
        Ok(minutes @ -1080..=1080) => Ok(minutes),
        _ => Err(Refusal::invalid(
            "utc_offset_minutes",
            "must be minutes from -1080 to 1080",
        )),
    }
}

pub(super) fn decide_by(us: i64) -> Result<Option<Clock>, Refusal> {
    match us {
        0 => Ok(None),
        1.. => Ok(Some(Clock(us))),
        _ => Err(Refusal::invalid(
            "decide_by_us",
            "must be microseconds since 1970-01-01T00:00:00Z",
        )),
    }
}
