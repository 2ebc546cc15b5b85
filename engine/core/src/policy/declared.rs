//! The declared default: what a program answers where no model can. The first segment that a transaction falls into gives
//! the verdict, and the sum of what is so approved blind within a window is capped.

use serde::Deserialize;

use super::{PolicyError, Verdict};
use crate::{
    plan::Plan,
    transaction::{AmountMinor, Kind, Kinds, MAX_AMOUNT_MINOR, Transaction},
    wire,
};

/// Most segments of a default.
pub const MAX_SEGMENTS: usize = 250;
/// Longest window of a cap, in microseconds: a year of 366 days.
const MAX_WINDOW_US: i64 = 366 * 86_400_000_000;

/// A segment's number, from 1; 0 is the rest. A function of a transaction's fields, found when it is admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment(pub u8);

/// What is answered where no model can.
#[derive(Clone, Debug)]
pub struct Declared {
    segments: Vec<Within>,
    rest: Verdict,
    /// What bounds the sum that is approved blind; there is one wherever anything is.
    pub cap: Option<Cap>,
}

/// The most that is approved blind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// The sum of reference amounts, in minor units.
    pub minor: i64,
    /// The sliding window of event time that the sum is of, in microseconds.
    pub window_us: i64,
    /// The verdict on what would exceed it.
    pub beyond: Verdict,
}

/// Who falls into a segment. What is not stated does not matter.
#[derive(Clone, Debug)]
struct Within {
    kinds: Option<Kinds>,
    from: i64,
    below: i64,
    /// Whether an amount that is not known falls into it.
    any_amount: bool,
    mcc: Vec<String>,
    channel: Vec<String>,
    verdict: Verdict,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    verdict: Blind,
    #[serde(default)]
    segments: Vec<SegmentDocument>,
    cap_minor: Option<i64>,
    window_us: Option<i64>,
    beyond_cap: Option<Blind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SegmentDocument {
    verdict: Blind,
    kinds: Option<Vec<String>>,
    from_minor: Option<i64>,
    below_minor: Option<i64>,
    #[serde(default)]
    mcc: Vec<String>,
    #[serde(default)]
    channel: Vec<String>,
}

/// Verdicts that can be given blind: a hold would ask a person about each.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Blind {
    Approve,
    Challenge,
    Decline,
}

impl From<Blind> for Verdict {
    fn from(blind: Blind) -> Verdict {
        match blind {
            Blind::Approve => Verdict::Approve,
            Blind::Challenge => Verdict::Challenge,
            Blind::Decline => Verdict::Decline,
        }
    }
}

impl Declared {
    /// What holds where a program declares nothing: nothing is approved blind, and nothing declined.
    pub fn nothing() -> Declared {
        Declared {
            segments: Vec::new(),
            rest: Verdict::Challenge,
            cap: None,
        }
    }

    pub(super) fn parse(document: Document) -> Result<Declared, PolicyError> {
        let refuse = |what: &str| Err(PolicyError(format!("default: {what}")));
        if document.segments.len() > MAX_SEGMENTS {
            return refuse(&format!("has more than {MAX_SEGMENTS} segments"));
        }
        let segments = document.segments.into_iter().enumerate();
        let segments: Vec<Within> = segments
            .map(|(place, segment)| {
                segment
                    .parse()
                    .map_err(|e| PolicyError(format!("default.segments[{place}]: {e}")))
            })
            .collect::<Result<_, _>>()?;
        let rest = document.verdict.into();
        let approves = rest == Verdict::Approve || segments.iter().any(|segment| segment.verdict == Verdict::Approve);
        let cap = match (document.cap_minor, document.window_us, document.beyond_cap) {
            (Some(minor), Some(window_us), Some(beyond)) => {
                if minor < 0 {
                    return refuse("cap_minor: must not be negative");
                }
                if !(1..=MAX_WINDOW_US).contains(&window_us) {
                    return refuse("window_us: must be more than nothing and at most 366 days");
                }
                let beyond = beyond.into();
                if beyond == Verdict::Approve {
                    return refuse("beyond_cap: must be challenge or decline");
                }
                Some(Cap {
                    minor,
                    window_us,
                    beyond,
                })
            }
            (None, None, None) => None,
            _ => return refuse("cap_minor, window_us and beyond_cap stand together"),
        };
        if approves && cap.is_none() {
            return refuse(
                "approves without a cap on what is approved blind: state cap_minor, window_us and beyond_cap",
            );
        }
        Ok(Declared { segments, rest, cap })
    }

    /// Checks that the plan declares the texts that segments ask for.
    pub(crate) fn check_plan(&self, plan: &Plan) -> Result<(), String> {
        for (place, segment) in self.segments.iter().enumerate() {
            for (name, given) in [(MCC, &segment.mcc), (CHANNEL, &segment.channel)] {
                if !given.is_empty() && plan.text(name).is_none() {
                    return Err(format!(
                        "default.segments[{place}]: asks for {name}, which is no text attribute of the plan"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The segment that a transaction falls into; `sent` are its attributes, which were checked.
    pub fn segment(&self, transaction: &Transaction, sent: &[wire::Attribute]) -> Segment {
        let place = self.segments.iter().position(|segment| {
            segment.holds(transaction.kind, transaction.amount)
                && is_one_of(&segment.mcc, MCC, sent)
                && is_one_of(&segment.channel, CHANNEL, sent)
        });
        // There are no more than a byte can number.
        Segment(place.map_or(0, |place| place as u8 + 1))
    }

    /// Whether it says the same of all, whoever they are and whatever came before them.
    pub fn is_the_same_for_all(&self) -> bool {
        self.segments.is_empty() && self.cap.is_none()
    }

    /// What is declared for a segment, the cap aside. A segment that this default has not is of the rest.
    pub fn verdict(&self, segment: Segment) -> Verdict {
        let place = usize::from(segment.0).checked_sub(1);
        let within = place.and_then(|place| self.segments.get(place));
        within.map_or(self.rest, |within| within.verdict)
    }
}

const MCC: &str = "mcc";
const CHANNEL: &str = "channel";

fn is_one_of(declared: &[String], name: &str, sent: &[wire::Attribute]) -> bool {
    declared.is_empty()
        || sent.iter().any(|attribute| {
            attribute.name == name
                && matches!(&attribute.value, Some(wire::attribute::Value::Text(text)) if declared.contains(text))
        })
}

impl Within {
    fn holds(&self, kind: Kind, amount: Option<AmountMinor>) -> bool {
        self.kinds.is_none_or(|kinds| kinds.contains(kind))
            && amount.map_or(self.any_amount, |AmountMinor(minor)| {
                (self.from..self.below).contains(&minor)
            })
    }
}

impl SegmentDocument {
    fn parse(self) -> Result<Within, String> {
        let kinds = self.kinds.as_deref().map(kinds).transpose()?;
        let (from, below) = (
            self.from_minor.unwrap_or(0),
            self.below_minor.unwrap_or(MAX_AMOUNT_MINOR + 1),
        );
        if from < 0 || below <= from {
            return Err("no amount lies from from_minor to below below_minor".to_owned());
        }
        for code in &self.mcc {
            if code.len() != 4 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err("mcc: must be codes of four digits".to_owned());
            }
        }
        if self.channel.iter().any(String::is_empty) {
            return Err("channel: must not be empty".to_owned());
        }
        Ok(Within {
            kinds,
            from,
            below,
            any_amount: self.from_minor.is_none() && self.below_minor.is_none(),
            mcc: self.mcc,
            channel: self.channel,
            verdict: self.verdict.into(),
        })
    }
}

fn kinds(names: &[String]) -> Result<Kinds, String> {
    if names.is_empty() {
        return Err("kinds: names none; leave it out where the kind does not matter".to_owned());
    }
    names.iter().try_fold(Kinds(0), |kinds, name| {
        let kind = Kind::parse(name).ok_or("kinds: names what is not a kind of transaction")?;
        Ok(Kinds(kinds.0 | 1 << kind as u16))
    })
}
