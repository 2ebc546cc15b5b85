//! What a file's columns mean: the mapping that a door over files is given, read once, with every word in it resolved.
//!
//! Python reads it as TOML and gives it as JSON. A member that is not known is refused.

use std::collections::HashMap;

use fraudgate_core::{currency::Currency, wire};
use serde::Deserialize;

use super::TableError;

/// Columns by the fields that they hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The column of ids; without one a row's number is its transaction's id.
    pub transaction_id: Option<String>,
    /// When it happened.
    pub event_time: Time,
    /// When it was taken in, which is the order of inputs where it is known.
    pub ingest_time: Option<Time>,
    /// Local time less UTC.
    #[serde(default)]
    pub utc_offset: UtcOffset,
    /// What it is.
    pub kind: Words,
    /// The column of events' names.
    pub event_name: Option<String>,
    /// What it moves; events alone need none.
    pub amount: Option<Amount>,
    /// The amount in the program's reference currency, where `amount` may be in another.
    pub reference_amount: Option<Amount>,
    /// Names of entities, and their columns.
    #[serde(default)]
    pub entities: Vec<Named>,
    /// Names of numbers, and their columns.
    #[serde(default)]
    pub numbers: Vec<Named>,
    /// Names of texts, and their columns.
    #[serde(default)]
    pub texts: Vec<Named>,
    /// What it turned out to be.
    pub label: Option<Label>,
    /// What became of it.
    pub outcome: Option<Outcome>,
}

/// A name of the plan and the column that holds its values.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// As the plan has it.
    pub name: String,
    /// As the file has it.
    pub column: String,
}

/// A column of moments. Timestamps are taken as they are; numbers count units since an origin; texts are ISO 8601, or of
/// a format of their own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// The column.
    pub column: String,
    /// Microseconds in one of what numbers count.
    pub unit_us: i64,
    /// What they count from, in microseconds since 1970.
    pub origin_us: i64,
    /// The form of texts, as `strftime` writes it.
    pub format: Option<String>,
    /// Local time less UTC of what names no zone, in minutes.
    pub zone_minutes: i32,
}

/// Where a transaction's own local time is taken from.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum UtcOffset {
    /// Local time is UTC.
    #[default]
    Utc,
    /// A column of minutes.
    Column(String),
    /// What the text of the event time says.
    EventTime,
    /// The same for all.
    Minutes(i32),
}

/// An amount.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// The column.
    pub column: String,
    /// Whether it holds minor units; else major ones.
    pub minor: bool,
    /// Whether a fraction of a minor unit is rounded to the nearest, halves to even; else it is refused.
    pub round: bool,
    /// The currency's code, or its column.
    pub currency: CurrencyOf,
}

/// Whose currency it is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum CurrencyOf {
    /// The same for all.
    Code(String),
    /// A column of codes.
    Column(String),
}

/// A column of words that stand for members of an enum, or one member for all rows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// The column.
    pub column: Option<String>,
    /// The member where there is no column, and for what is null in it.
    pub otherwise: Option<String>,
    /// Members by what stands in the column; empty: the members' own names. An empty member says that there is none.
    #[serde(default)]
    pub names: HashMap<String, String>,
}

/// What a transaction turned out to be, told beside it or in a table of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Its class; a row without one has no label.
    pub class: Words,
    /// Who says so.
    pub source: Words,
    /// Whether it is asserted or withdrawn.
    pub status: Words,
    /// When it arrived.
    pub arrival: Arrival,
    /// Whether it stands in a table of its own.
    pub apart: bool,
}

/// What became of an ask, likewise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Its fate; a row without one has none.
    pub fate: Words,
    /// Who decided.
    pub decider: Words,
    /// When it arrived.
    pub arrival: Arrival,
    /// Whether it stands in a table of its own.
    pub apart: bool,
}

/// When something became known.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Arrival {
    /// So long after the transaction happened, in microseconds.
    DelayUs(i64),
    /// A column says it.
    At(Time),
}

/// An enum of the wire whose members have names.
pub(super) trait Member: Sized {
    /// The member of a name as plans and tables write it: the wire's, in lower case and without its prefix.
    fn named(name: &str) -> Option<i32>;
}

macro_rules! member {
    ($kind:ty, $prefix:literal) => {
        impl Member for $kind {
            fn named(name: &str) -> Option<i32> {
                let member = <$kind>::from_str_name(&format!("{}{}", $prefix, name.to_ascii_uppercase()))?;
                (member as i32 != 0).then_some(member as i32)
            }
        }
    };
}

member!(wire::Kind, "KIND_");
member!(wire::LabelClass, "LABEL_CLASS_");
member!(wire::LabelSource, "LABEL_SOURCE_");
member!(wire::LabelStatus, "LABEL_STATUS_");
member!(wire::Fate, "FATE_");
member!(wire::Decider, "DECIDER_");

impl Mapping {
    /// Reads a mapping.
    pub fn parse(json: &[u8]) -> Result<Mapping, TableError> {
        let mapping: Mapping = serde_json::from_slice(json).map_err(|error| TableError(format!("mapping: {error}")))?;
        for amount in mapping.amount.iter().chain(&mapping.reference_amount) {
            if let CurrencyOf::Code(code) = &amount.currency
                && Currency::parse(code).is_none()
            {
                return Err(TableError(
                    "mapping: amount: currency: is not an alphabetic code of ISO 4217, in capitals".to_owned(),
                ));
            }
        }
        Ok(mapping)
    }
}
