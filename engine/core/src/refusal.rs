//! Why something is not taken. A refusal names the field, what is wrong and what would be right; it never repeats a value
//! that was sent, because that value may be a card number.

use prost::Message;
use prost_types::{Any, Duration};
use std::borrow::Cow;

use crate::wire;

/// The reasons for which an input changes nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// A field is missing or wrong.
    Invalid(Violation),
    /// An event time lies too far ahead of the clock.
    TooFarAhead(Violation),
    /// The id is known, with another payload.
    IdReused,
    /// The identity may not call this service.
    NotAllowed,
    /// The message is larger than its cap, in bytes.
    TooLarge {
        /// The cap, in bytes.
        cap: usize,
    },
    /// The queue is full.
    Overloaded {
        /// When to come back, in microseconds.
        retry_after_us: i64,
    },
    /// The deadline had passed when it came.
    TooLate {
        /// When to come back, in microseconds.
        retry_after_us: i64,
    },
    /// The program has no model, declares no default, and a score was asked.
    NoModel,
    /// The journal takes nothing more for now, and only a fold was asked.
    JournalFull,
    /// State is still being recovered, and no answer was asked that needs none.
    Recovering,
    /// The scorer is shutting down.
    Draining,
}

/// One field and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// The field's path: `entities[2].value`.
    pub field: String,
    /// What is wrong and what would be right.
    pub description: Cow<'static, str>,
}

impl Refusal {
    /// A wrong field.
    pub fn invalid(field: impl Into<String>, description: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal::Invalid(Violation {
            field: field.into(),
            description: description.into(),
        })
    }

    /// The same refusal, told of a message that stands at `place` of a larger one.
    #[must_use]
    pub fn within(mut self, place: &str) -> Refusal {
        if let Refusal::Invalid(violation) | Refusal::TooFarAhead(violation) = &mut self {
            violation.field = if violation.field.is_empty() {
                place.to_owned()
            } else {
                format!("{place}.{}", violation.field)
            };
        }
        self
    }

    /// The gRPC status code (google.rpc.Code).
    pub fn code(&self) -> i32 {
        match self {
            Refusal::Invalid(_) => 3,
            Refusal::IdReused => 6,
            Refusal::NotAllowed => 7,
            Refusal::TooLarge { .. } | Refusal::Overloaded { .. } | Refusal::TooLate { .. } => 8,
            Refusal::TooFarAhead(_) => 11,
            Refusal::NoModel | Refusal::JournalFull | Refusal::Recovering | Refusal::Draining => 14,
        }
    }

    /// What is wrong, for a person.
    pub fn message(&self) -> Cow<'static, str> {
        match self {
            Refusal::Invalid(violation) | Refusal::TooFarAhead(violation) => {
                Cow::Owned(format!("{}: {}", violation.field, violation.description))
            }
            Refusal::IdReused => "id: known with another payload; an id stands for one transaction".into(),
            Refusal::NotAllowed => "the client certificate's identity is not allowed to call this service".into(),
            Refusal::TooLarge { cap } => format!("the message is larger than {cap} bytes").into(),
            Refusal::Overloaded { .. } => "the queue is full; retry later".into(),
            Refusal::TooLate { .. } => "the deadline had passed when it came".into(),
            Refusal::NoModel => "the program has no model and declares no default; only MODE_FOLD is taken".into(),
            Refusal::JournalFull => "the journal cannot be written to; retry later".into(),
            Refusal::Recovering => "state is still being recovered; retry later".into(),
            Refusal::Draining => "the scorer is shutting down; ask another".into(),
        }
    }

    /// As google.rpc.Status, with BadRequest, RetryInfo or ErrorInfo.
    pub fn status(&self) -> wire::Status {
        let detail = match self {
            Refusal::Invalid(violation) | Refusal::TooFarAhead(violation) => {
                let violation = wire::bad_request::FieldViolation {
                    field: violation.field.clone(),
                    description: violation.description.clone().into_owned(),
                };
                any(
                    "BadRequest",
                    &wire::BadRequest {
                        field_violations: vec![violation],
                    },
                )
            }
            Refusal::Overloaded { retry_after_us } | Refusal::TooLate { retry_after_us } => any(
                "RetryInfo",
                &wire::RetryInfo {
                    retry_delay: Some(duration(*retry_after_us)),
                },
            ),
            Refusal::IdReused => error_info("ID_REUSED"),
            Refusal::NotAllowed => error_info("IDENTITY_NOT_ALLOWED"),
            Refusal::TooLarge { .. } => error_info("MESSAGE_TOO_LARGE"),
            Refusal::NoModel => error_info("NO_MODEL"),
            Refusal::JournalFull => error_info("JOURNAL_FULL"),
            Refusal::Recovering => error_info("RECOVERING"),
            Refusal::Draining => error_info("DRAINING"),
        };
        wire::Status {
            code: self.code(),
            message: self.message().into_owned(),
            details: vec![detail],
        }
    }
}

fn error_info(reason: &str) -> Any {
    any(
        "ErrorInfo",
        &wire::ErrorInfo {
            reason: reason.to_owned(),
            domain: "fraudgate".to_owned(),
        },
    )
}

fn any(name: &str, message: &impl Message) -> Any {
    Any {
        type_url: format!("type.googleapis.com/google.rpc.{name}"),
        value: message.encode_to_vec(),
    }
}

fn duration(us: i64) -> Duration {
    let nanos = i32::try_from(us.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    Duration {
        seconds: us.div_euclid(1_000_000),
        nanos,
    }
}
