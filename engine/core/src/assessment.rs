//! What the scorer thinks of a transaction, in the fixed size in which it is remembered, and how it goes on the wire.

use prost::bytes::Bytes;

use crate::{
    features::{FeatureSet, Lateness},
    plan::Plan,
    policy::{Override, Verdict},
    wire,
};

/// How complete an answer is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tier {
    /// Features, model and policy, with what the model says.
    Full {
        /// Calibrated probability of fraud.
        fraud_probability: f64,
        /// How rare so high a score is, 0 to 100.
        risk_score: f64,
    },
    /// The declared default, because the model failed.
    Default,
}

/// Everything that follows from the ordered inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// What to do.
    pub verdict: Verdict,
    /// What the policy alone would have done.
    pub policy_verdict: Verdict,
    /// What made the two differ.
    pub overridden: Option<Override>,
    /// How complete this is.
    pub tier: Tier,
    /// How it came.
    pub lateness: Lateness,
    /// Features without a value.
    pub missing: FeatureSet,
    /// Features whose window reaches back before what is known.
    pub incomplete: FeatureSet,
    /// Text attributes that held a card number, one bit a slot.
    pub dropped: u16,
    /// What it was made with.
    pub made_with: MadeWith,
}

/// Which plan, policy and model made an assessment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeWith {
    /// The program's place in the engine.
    pub program: u16,
    /// The place among the versions that the program has had.
    pub version: u32,
}

/// The names and digests that an assessment refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// SHA-256 of the model's manifest.
    pub model_digest: Bytes,
    /// SHA-256 of the compiled plan.
    pub plan_digest: Bytes,
    /// SHA-256 of the policy.
    pub policy_digest: Bytes,
    /// Feature names in plan order.
    pub features: Vec<String>,
    /// Names of text attributes in plan order.
    pub texts: Vec<String>,
}

impl Version {
    /// The version that a plan, a policy and a model (its digest empty without one) make.
    pub fn new(plan: &Plan, policy_digest: &[u8; 32], model_digest: &[u8]) -> Version {
        Version {
            model_digest: Bytes::copy_from_slice(model_digest),
            plan_digest: Bytes::copy_from_slice(&plan.digest),
            policy_digest: Bytes::copy_from_slice(policy_digest),
            features: plan.features.iter().map(|feature| feature.name.clone()).collect(),
            texts: plan.texts.clone(),
        }
    }
}

impl Assessment {
    /// As it goes on the wire; `version` is the one it was made with.
    pub fn to_wire(&self, version: &Version) -> wire::Assessment {
        let names = |set: &FeatureSet| set.iter().map(|feature| version.features[feature].clone()).collect();
        let (tier, cause, scores) = match self.tier {
            Tier::Full {
                fraud_probability,
                risk_score,
            } => (
                wire::Tier::Full,
                wire::Cause::Unspecified,
                Some((fraud_probability, risk_score)),
            ),
            Tier::Default => (wire::Tier::Default, wire::Cause::Model, None),
        };
        wire::Assessment {
            verdict: self.verdict as i32,
            policy_verdict: self.policy_verdict as i32,
            r#override: self.overridden.map_or(0, |overridden| overridden as i32),
            tier: tier as i32,
            cause: cause as i32,
            fraud_probability: scores.map(|(probability, _)| probability),
            risk_score: scores.map(|(_, risk)| risk),
            lateness: match self.lateness {
                Lateness::InOrder => wire::Lateness::Unspecified,
                Lateness::Late => wire::Lateness::Late,
                Lateness::Beyond => wire::Lateness::Beyond,
            } as i32,
            missing_features: names(&self.missing),
            incomplete_features: names(&self.incomplete),
            dropped_attributes: (0..version.texts.len())
                .filter(|slot| self.dropped & (1 << slot) != 0)
                .map(|slot| version.texts[slot].clone())
                .collect(),
            model_digest: if scores.is_some() {
                version.model_digest.clone()
            } else {
                Bytes::new()
            },
            plan_digest: version.plan_digest.clone(),
            policy_digest: version.policy_digest.clone(),
            ..wire::Assessment::default()
        }
    }
}
