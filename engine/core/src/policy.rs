//! From a risk score to a verdict: up to three thresholds a program, and observe mode; and what is answered where there is
//! no score.

mod declared;
mod exposure;

use serde::Deserialize;
use sha2::{Digest, Sha256};

pub use declared::{Cap, Declared, Segment};
pub use exposure::Exposure;

use crate::rescore::{self, Again};

/// What an authorisation can act on, in the order of gravity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Verdict {
    Approve = 1,
    Challenge = 2,
    Hold = 3,
    Decline = 4,
}

impl Verdict {
    /// The verdict of a number, as it is stored and sent.
    pub fn numbered(number: u8) -> Option<Verdict> {
        let all = [Verdict::Approve, Verdict::Challenge, Verdict::Hold, Verdict::Decline];
        all.into_iter().find(|&verdict| verdict as u8 == number)
    }
}

/// What made the verdict differ from the policy's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Override {
    /// The program only observes.
    Observe = 1,
}

/// What to do with a key that is a card number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardNumberInKey {
    /// Hash it like any key.
    Hash,
    /// Refuse the transaction.
    Refuse,
}

/// A program's policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// SHA-256 of the bytes it was read from.
    pub digest: [u8; 32],
    /// Those bytes: the journal states them.
    pub json: Box<[u8]>,
    /// What to do with a key that is a card number.
    pub card_number_in_key: CardNumberInKey,
    /// What is answered where no model can; none where the program declares none.
    pub declared: Option<Declared>,
    /// Features without which no model's score is trusted, by name.
    pub required_features: Vec<String>,
    /// What is scored again in the cloud; nothing where the program declares nothing.
    pub again: Option<Again>,
    observe: bool,
    thresholds: Vec<(f64, Verdict)>,
}

/// Why a policy cannot be used.
#[derive(Debug, PartialEq)]
pub struct PolicyError(pub String);

impl std::fmt::Display for PolicyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "policy: {}", self.0)
    }
}

impl std::error::Error for PolicyError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    mode: Mode,
    challenge: Option<f64>,
    hold: Option<f64>,
    decline: Option<f64>,
    card_number_in_key: CardNumberInKey,
    default: Option<declared::Document>,
    #[serde(default)]
    required_features: Vec<String>,
    rescore: Option<rescore::Document>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Decide,
    Observe,
}

impl Policy {
    /// How much may be approved blind.
    pub fn cap(&self) -> Option<Cap> {
        self.declared.as_ref().and_then(|declared| declared.cap)
    }

    /// Reads a policy document; see ARCHITECTURE.md for its form.
    pub fn parse(json: &[u8]) -> Result<Policy, PolicyError> {
        let document: Document = serde_json::from_slice(json).map_err(|e| PolicyError(e.to_string()))?;
        if document.format != 1 {
            return Err(PolicyError(format!(
                "format: {} is not known; this engine reads 1",
                document.format
            )));
        }
        let mut thresholds = Vec::new();
        for (name, threshold, verdict) in [
            ("challenge", document.challenge, Verdict::Challenge),
            ("hold", document.hold, Verdict::Hold),
            ("decline", document.decline, Verdict::Decline),
        ] {
            let Some(threshold) = threshold else { continue };
            if !(0.0..=100.0).contains(&threshold) {
                return Err(PolicyError(format!("{name}: must be a risk score, 0 to 100")));
            }
            if thresholds.last().is_some_and(|&(below, _)| threshold < below) {
                return Err(PolicyError(format!(
                    "{name}: must not be below a milder verdict's threshold"
                )));
            }
            thresholds.push((threshold, verdict));
        }
        Ok(Policy {
            digest: Sha256::digest(json).into(),
            json: json.into(),
            card_number_in_key: document.card_number_in_key,
            declared: document.default.map(Declared::parse).transpose()?,
            required_features: document.required_features,
            again: document.rescore.map(Again::parse).transpose().map_err(PolicyError)?,
            observe: document.mode == Mode::Observe,
            thresholds,
        })
    }

    /// The policy's own verdict: the gravest whose threshold the risk score reaches.
    pub fn verdict(&self, risk_score: f64) -> Verdict {
        let reached = self
            .thresholds
            .iter()
            .rev()
            .find(|&&(threshold, _)| risk_score >= threshold);
        reached.map_or(Verdict::Approve, |&(_, verdict)| verdict)
    }

    /// The lowest risk scores of the verdicts that it gives, the mildest first.
    pub fn thresholds(&self) -> &[(f64, Verdict)] {
        &self.thresholds
    }

    /// What overrides that verdict, and the verdict that then holds.
    pub fn overrule(&self, own: Verdict) -> (Verdict, Option<Override>) {
        if self.observe {
            (Verdict::Approve, Some(Override::Observe))
        } else {
            (own, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Result<Policy, PolicyError> {
        Policy::parse(text.as_bytes())
    }

    #[test]
    fn the_gravest_reached_threshold_makes_the_verdict() {
        let policy = policy(
            r#"{"format":1,"mode":"decide","challenge":40,"hold":null,"decline":60,"card_number_in_key":"hash"}"#,
        )
        .unwrap();
        for (risk, verdict) in [
            (0.0, Verdict::Approve),
            (39.999, Verdict::Approve),
            (40.0, Verdict::Challenge),
            (59.999, Verdict::Challenge),
            (60.0, Verdict::Decline),
            (100.0, Verdict::Decline),
        ] {
            assert_eq!(policy.verdict(risk), verdict, "{risk}");
            assert_eq!(policy.overrule(verdict), (verdict, None));
        }
    }

    #[test]
    fn observe_approves_and_says_so() {
        let policy = policy(r#"{"format":1,"mode":"observe","decline":50,"card_number_in_key":"hash"}"#).unwrap();
        assert_eq!(
            policy.overrule(policy.verdict(90.0)),
            (Verdict::Approve, Some(Override::Observe))
        );
    }

    fn with_default(default: &str) -> Result<Policy, PolicyError> {
        policy(&format!(
            r#"{{"format":1,"mode":"decide","card_number_in_key":"hash","default":{default}}}"#
        ))
    }

    #[test]
    fn a_default_that_cannot_be_meant_is_refused_by_its_member() {
        let cap = r#""cap_minor":100,"window_us":60000000"#;
        for (default, told) in [
            (r#"{"verdict":"approve"}"#.to_owned(), "without a cap"),
            (r#"{"verdict":"hold"}"#.to_owned(), "hold"),
            (format!(r#"{{"verdict":"approve",{cap}}}"#), "stand together"),
            (
                format!(r#"{{"verdict":"approve",{cap},"beyond_cap":"approve"}}"#),
                "must be challenge or decline",
            ),
            (
                r#"{"verdict":"approve","cap_minor":-1,"window_us":1,"beyond_cap":"decline"}"#.to_owned(),
                "cap_minor",
            ),
            (
                r#"{"verdict":"approve","cap_minor":1,"window_us":0,"beyond_cap":"decline"}"#.to_owned(),
                "window_us",
            ),
            (
                r#"{"verdict":"decline","segments":[{"verdict":"challenge","from_minor":5,"below_minor":5}]}"#
                    .to_owned(),
                "segments[0]: no amount",
            ),
            (
                r#"{"verdict":"decline","segments":[{"verdict":"challenge","kinds":["gift"]}]}"#.to_owned(),
                "segments[0]: kinds",
            ),
            (
                r#"{"verdict":"decline","segments":[{"verdict":"challenge","kinds":[]}]}"#.to_owned(),
                "segments[0]: kinds",
            ),
            (
                r#"{"verdict":"decline","segments":[{"verdict":"challenge","mcc":["541"]}]}"#.to_owned(),
                "segments[0]: mcc",
            ),
            (
                r#"{"verdict":"decline","segments":[{"verdict":"challenge","country":["NL"]}]}"#.to_owned(),
                "country",
            ),
            (
                r#"{"verdict":"decline","segments":[{"verdict":"approve"}]}"#.to_owned(),
                "without a cap",
            ),
        ] {
            let error = with_default(&default).map(|_| ()).unwrap_err();
            assert!(error.0.contains(told), "{default}: {error}");
        }
    }

    #[test]
    fn the_first_segment_that_a_transaction_falls_into_gives_the_verdict() {
        use crate::{
            transaction::{AmountMinor, EventTime, Kind, MAX_ENTITIES, MAX_NUMBERS, Transaction},
            wire,
        };
        let policy = with_default(
            r#"{"verdict":"decline","cap_minor":100,"window_us":60000000,"beyond_cap":"challenge","segments":[
            {"verdict":"challenge","channel":["ecommerce","moto"]},
            {"verdict":"approve","kinds":["purchase"],"below_minor":5000,"mcc":["5411","5812"]},
            {"verdict":"approve","kinds":["verification","event"]},
            {"verdict":"challenge","from_minor":1000,"below_minor":2000}]}"#,
        );
        let declared = policy.unwrap().declared.unwrap();
        let text = |name: &str, text: &str| wire::Attribute {
            name: name.to_owned(),
            value: Some(wire::attribute::Value::Text(text.to_owned())),
        };
        let of = |kind, amount: Option<i64>, sent: &[wire::Attribute]| {
            let transaction = Transaction {
                event_time: EventTime(1),
                utc_offset_minutes: 0,
                kind,
                amount: amount.map(AmountMinor),
                entities: [None; MAX_ENTITIES],
                numbers: [f64::NAN; MAX_NUMBERS],
            };
            let segment = declared.segment(&transaction, sent);
            (segment.0, declared.verdict(segment))
        };
        let (grocer, shop) = ([text("mcc", "5411")], [text("channel", "pos"), text("mcc", "5812")]);
        let online = [text("mcc", "5411"), text("channel", "moto")];
        for (kind, amount, sent, expected) in [
            (Kind::Purchase, Some(4_999), &grocer[..], (2, Verdict::Approve)),
            (Kind::Purchase, Some(5_000), &grocer[..], (0, Verdict::Decline)),
            (Kind::Purchase, Some(10), &shop[..], (2, Verdict::Approve)),
            (Kind::Purchase, Some(10), &online[..], (1, Verdict::Challenge)),
            (Kind::Purchase, Some(1_000), &[], (4, Verdict::Challenge)),
            (Kind::Purchase, Some(2_000), &[], (0, Verdict::Decline)),
            (Kind::Transfer, Some(1_500), &grocer[..], (4, Verdict::Challenge)),
            (Kind::Purchase, None, &grocer[..], (0, Verdict::Decline)),
            (Kind::Event, None, &[], (3, Verdict::Approve)),
        ] {
            assert_eq!(of(kind, amount, sent), expected, "{kind:?} {amount:?} {sent:?}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in [
            r#"{"format":2,"mode":"decide","card_number_in_key":"hash"}"#,
            r#"{"format":1,"mode":"maybe","card_number_in_key":"hash"}"#,
            r#"{"format":1,"mode":"decide","decline":101,"card_number_in_key":"hash"}"#,
            r#"{"format":1,"mode":"decide","challenge":60,"decline":40,"card_number_in_key":"hash"}"#,
            r#"{"format":1,"mode":"decide","refuse":40,"card_number_in_key":"hash"}"#,
        ] {
            assert!(policy(text).is_err(), "{text}");
        }
    }
}
