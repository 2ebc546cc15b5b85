//! From a risk score to a verdict: up to three thresholds a program, and observe mode.

use serde::Deserialize;
use sha2::{Digest, Sha256};

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
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Decide,
    Observe,
}

impl Policy {
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
