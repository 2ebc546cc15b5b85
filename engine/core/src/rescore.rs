//! Which transactions are to be scored again in the cloud, and whether the spool takes them. Gets a transaction's id and
//! the rung on which it was answered; what comes out is journaled with the answer, so that whoever ships only filters.
//!
//! The spool is the journal itself: what lies between a cursor and its end.

mod decision;
mod request;

use std::ops::Range;

use serde::Deserialize;

pub use decision::{Answered, Rescored, read};
pub use request::{Gathered, Gathering, Row, Unreadable, of_one};

use crate::{assessment::Tier, transaction::KeyHash, wire};

/// What of a program's transactions is scored again.
#[derive(Clone, Debug, PartialEq)]
pub struct Again {
    /// Risk scores that are uncertain.
    uncertain: Option<Range<f64>>,
    /// Of 2^64, how many ids are of the control share.
    control: u64,
    /// Whether what the cloud would decline counts as fraud until it is told otherwise.
    pub labels: bool,
    /// Whether the cloud is asked at once, while the caller of what is uncertain waits.
    pub hybrid: bool,
}

/// Why a transaction is to be scored again. The first that holds: a control share must be random whatever else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Why {
    /// It was drawn: what the edge gets wrong elsewhere shows in these.
    Control = 1,
    /// It was not answered in full.
    Degraded = 2,
    /// Its risk score lies in the band that is declared uncertain.
    Uncertain = 3,
}

impl Why {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Why; 3] = [Why::Control, Why::Degraded, Why::Uncertain];
}

/// Whether a transaction will be scored again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rescore {
    /// It need not.
    #[default]
    Not,
    /// It is in the spool.
    Queued(Why),
    /// It should, and the spool was at its bound.
    Full(Why),
}

/// How the spool stands before a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spool {
    /// Nothing is shipped from here.
    None,
    /// It takes more.
    Open,
    /// It is at its bound.
    Full,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    from_risk: Option<f64>,
    below_risk: Option<f64>,
    control_share: f64,
    labels: bool,
    #[serde(default)]
    hybrid: bool,
}

impl Again {
    pub(crate) fn parse(document: Document) -> Result<Again, String> {
        let uncertain = match (document.from_risk, document.below_risk) {
            (None, None) => None,
            (Some(from), Some(below)) if 0.0 <= from && from < below && below <= 100.0 => Some(from..below),
            _ => {
                return Err(
                    "rescore: from_risk and below_risk must be risk scores, 0 to 100, in this order".to_owned(),
                );
            }
        };
        if document.hybrid && uncertain.is_none() {
            return Err("rescore.hybrid: nothing is uncertain without from_risk and below_risk".to_owned());
        }
        if !(0.0..=1.0).contains(&document.control_share) {
            return Err("rescore.control_share: must be a share, 0 to 1".to_owned());
        }
        Ok(Again {
            uncertain,
            // A float is cut to what the integer can hold.
            control: (document.control_share * 2_f64.powi(64)) as u64,
            labels: document.labels,
            hybrid: document.hybrid,
        })
    }

    /// Why a transaction is to be scored again; nothing where it need not.
    pub fn why(&self, id: KeyHash, tier: &Tier) -> Option<Why> {
        // An id's hash is keyed and even: any part of it is a fair draw, the same one every time.
        let drawn = (id.0 >> 64) as u64;
        if drawn < self.control {
            return Some(Why::Control);
        }
        match tier {
            Tier::Full(_) => self.is_uncertain(tier).then_some(Why::Uncertain),
            Tier::Reduced(..) | Tier::Default(..) => Some(Why::Degraded),
        }
    }

    /// Whether the cloud is asked while the caller waits: of what was answered in full and is uncertain, also where it is of
    /// the control share. What was degraded has no time, or no model here that the cloud's would be a second opinion to.
    pub fn asks(&self, tier: &Tier) -> bool {
        self.hybrid && self.is_uncertain(tier)
    }

    fn is_uncertain(&self, tier: &Tier) -> bool {
        match (tier, &self.uncertain) {
            (Tier::Full(scores), Some(uncertain)) => uncertain.contains(&scores.risk_score),
            (Tier::Full(_), None) | (Tier::Reduced(..) | Tier::Default(..), _) => false,
        }
    }
}

impl Rescore {
    /// What becomes of a transaction that is to be scored again for a reason.
    pub fn of(why: Option<Why>, spool: Spool) -> Rescore {
        match (why, spool) {
            (None, _) | (_, Spool::None) => Rescore::Not,
            (Some(why), Spool::Open) => Rescore::Queued(why),
            (Some(why), Spool::Full) => Rescore::Full(why),
        }
    }

    /// Says so in a receipt. The mark is in the record of the decision: what the one survives, the other does.
    pub fn tell(self, receipt: &mut wire::Receipt) {
        receipt.rescore_queued = matches!(self, Rescore::Queued(_));
        receipt.rescore_spool_full = matches!(self, Rescore::Full(_));
    }

    /// As it is stored, in four bits: the reason, and above it whether the spool was full.
    pub(crate) fn write(self) -> u8 {
        match self {
            Rescore::Not => 0,
            Rescore::Queued(why) => why as u8,
            Rescore::Full(why) => why as u8 | 8,
        }
    }

    /// What was stored; nothing where that is none.
    pub(crate) fn read(bits: u8) -> Option<Rescore> {
        let why = Why::ALL.into_iter().find(|&why| why as u8 == bits & 7);
        match (bits, why) {
            (0, _) => Some(Rescore::Not),
            (1..8, Some(why)) => Some(Rescore::Queued(why)),
            (8..16, Some(why)) => Some(Rescore::Full(why)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ladder::Cause, model::Scores, policy::Segment};

    fn again(text: &str) -> Result<Again, String> {
        Again::parse(serde_json::from_str(text).map_err(|e| e.to_string())?)
    }

    fn full(risk_score: f64) -> Tier {
        Tier::Full(Scores {
            fraud_probability: 0.5,
            risk_score,
        })
    }

    #[test]
    fn what_is_degraded_or_uncertain_is_scored_again_and_of_the_rest_a_share_of_the_ids() {
        let again = again(r#"{"from_risk":30,"below_risk":60,"control_share":0.25,"labels":false}"#).unwrap();
        let others = KeyHash(u128::MAX);
        for (tier, why) in [
            (full(29.999), None),
            (full(30.0), Some(Why::Uncertain)),
            (full(59.999), Some(Why::Uncertain)),
            (full(60.0), None),
            (Tier::Default(Segment(0), Cause::Model), Some(Why::Degraded)),
        ] {
            assert_eq!(again.why(others, &tier), why, "{tier:?}");
            assert_eq!(again.why(KeyHash(5), &tier), Some(Why::Control));
        }
        // A quarter of the upper halves, exactly.
        let edge = u128::from(1_u64 << 62) << 64;
        assert_eq!(again.why(KeyHash(edge - 1), &full(0.0)), Some(Why::Control));
        assert_eq!(again.why(KeyHash(edge), &full(0.0)), None);
    }

    #[test]
    fn no_share_draws_nobody_and_all_of_it_all_but_one_in_two_to_the_64th() {
        let of = |share| again(&format!(r#"{{"control_share":{share},"labels":false}}"#)).unwrap();
        assert_eq!(of(0).why(KeyHash(0), &full(0.0)), None);
        assert_eq!(
            of(1).why(KeyHash(u128::MAX - (1 << 64)), &full(0.0)),
            Some(Why::Control)
        );
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let queued = Why::ALL.map(Rescore::Queued);
        for rescore in queued
            .into_iter()
            .chain(Why::ALL.map(Rescore::Full))
            .chain([Rescore::Not])
        {
            assert_eq!(Rescore::read(rescore.write()), Some(rescore));
        }
        assert_eq!(Rescore::read(7), None);
        assert_eq!(Rescore::read(16), None);
    }

    #[test]
    fn a_band_or_a_share_that_cannot_be_meant_is_refused() {
        for text in [
            r#"{"from_risk":60,"below_risk":30,"control_share":0,"labels":false}"#,
            r#"{"from_risk":60,"control_share":0,"labels":false}"#,
            r#"{"from_risk":60,"below_risk":101,"control_share":0,"labels":false}"#,
            r#"{"control_share":1.5,"labels":false}"#,
            r#"{"control_share":0.5,"labels":false,"hybrid":true}"#,
            r#"{"control_share":0,"labels":false,"share":1}"#,
        ] {
            assert!(again(text).is_err(), "{text}");
        }
    }
}
