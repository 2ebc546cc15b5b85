//! What the scorer thinks of a transaction, in the fixed size in which it is remembered, and how it goes on the wire.

use prost::bytes::Bytes;

use crate::{
    features::{FeatureSet, Lateness},
    ladder::{Admission, Cause},
    model::Scores,
    plan::MAX_FEATURES,
    plan::Plan,
    policy::{Override, Segment, Verdict},
    rescore::Rescore,
    snapshot::{Unreadable, number},
    wire,
};

/// How complete an answer is: the rung of the ladder that it stands on, why on none above, and what was found there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tier {
    /// Features, model and policy.
    Full(Scores),
    /// The reduced model in the model's place.
    Reduced(Scores, Cause),
    /// What the program declares for a segment.
    Default(Segment, Cause),
}

/// Bytes of a tier, as it is stored.
pub const TIER_BYTES: usize = 1 + 2 * 8;

impl Tier {
    /// What a model said, on the rungs that run one.
    pub fn scores(&self) -> Option<Scores> {
        match *self {
            Tier::Full(scores) | Tier::Reduced(scores, _) => Some(scores),
            Tier::Default(..) => None,
        }
    }

    /// Why it is not full.
    pub fn cause(&self) -> Option<Cause> {
        match *self {
            Tier::Full(_) => None,
            Tier::Reduced(_, cause) | Tier::Default(_, cause) => Some(cause),
        }
    }

    /// The admission under which the same transaction is answered on the same rung again.
    pub fn admission(&self) -> Admission {
        match *self {
            Tier::Full(_) => Admission::Full,
            Tier::Reduced(_, cause) => Admission::Reduced(cause),
            Tier::Default(_, cause) => Admission::Default(cause),
        }
    }

    /// As it goes on the wire.
    pub fn to_wire(&self) -> wire::Tier {
        match self {
            Tier::Full(_) => wire::Tier::Full,
            Tier::Reduced(..) => wire::Tier::Reduced,
            Tier::Default(..) => wire::Tier::Default,
        }
    }

    /// As it is stored: the rung's number with the cause's above it; then scores, or the segment.
    pub fn write(&self) -> [u8; TIER_BYTES] {
        let mut bytes = [0; TIER_BYTES];
        bytes[0] = self.to_wire() as u8 | self.cause().map_or(0, |cause| (cause as u8) << 4);
        match *self {
            Tier::Full(scores) | Tier::Reduced(scores, _) => {
                bytes[1..9].copy_from_slice(&scores.fraud_probability.to_le_bytes());
                bytes[9..].copy_from_slice(&scores.risk_score.to_le_bytes());
            }
            Tier::Default(segment, _) => bytes[1] = segment.0,
        }
        bytes
    }

    /// What was stored; nothing where that is no tier.
    pub fn read(bytes: &[u8; TIER_BYTES]) -> Option<Tier> {
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&bytes[at..at + 8]);
            f64::from_le_bytes(number)
        };
        let scores = Scores {
            fraud_probability: number(1),
            risk_score: number(9),
        };
        match (bytes[0] & 0xf, bytes[0] >> 4) {
            (1, 0) => Some(Tier::Full(scores)),
            (2, cause) => Some(Tier::Reduced(scores, Cause::numbered(cause)?)),
            // Before causes were stored there was one.
            (4, 0) => Some(Tier::Default(Segment(0), Cause::Model)),
            (4, cause) => Some(Tier::Default(Segment(bytes[1]), Cause::numbered(cause)?)),
            _ => None,
        }
    }
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
    /// Features computed from events that are told apart no more.
    pub approximate: FeatureSet,
    /// Text attributes that held a card number, one bit a slot.
    pub dropped: u16,
    /// It counts what other places answered, and this place was too far behind them.
    pub mirror_behind: bool,
    /// Whether it will be scored again: journaled and remembered with the rest, and told by the receipt.
    pub rescore: Rescore,
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

/// What an assessment says in members of the wire's enums, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Numbers {
    pub verdict: i32,
    pub policy_verdict: i32,
    pub r#override: i32,
    pub tier: i32,
    pub cause: i32,
    pub lateness: i32,
}

impl Assessment {
    /// Writes it for a snapshot. Sets of features are there where they are not empty.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let sets = [&self.missing, &self.incomplete, &self.approximate];
        let given = sets.map(|set| !set.is_empty());
        out.extend_from_slice(&[
            self.verdict as u8,
            self.policy_verdict as u8,
            self.overridden.map_or(0, |overridden| overridden as u8),
            match self.lateness {
                Lateness::InOrder => 0,
                Lateness::Late => 1,
                Lateness::Beyond => 2,
            },
            u8::from(given[0]) | u8::from(given[1]) << 1 | u8::from(given[2]) << 2 | u8::from(self.mirror_behind) << 3,
            self.rescore.write(),
        ]);
        out.extend_from_slice(&self.tier.write());
        out.extend_from_slice(&self.dropped.to_le_bytes());
        out.extend_from_slice(&self.made_with.program.to_le_bytes());
        out.extend_from_slice(&self.made_with.version.to_le_bytes());
        for (set, _) in sets.into_iter().zip(given).filter(|(_, given)| *given) {
            out.extend_from_slice(&set.bits());
        }
    }

    /// Takes off the beginning of `bytes` what [`Assessment::write`] wrote.
    pub(crate) fn read(bytes: &mut &[u8]) -> Result<Assessment, Unreadable> {
        let [verdict, policy_verdict, overridden, lateness, given, rescore] = number(bytes)?;
        let tier = Tier::read(&number(bytes)?).ok_or(Unreadable)?;
        let dropped = u16::from_le_bytes(number(bytes)?);
        let made_with = MadeWith {
            program: u16::from_le_bytes(number(bytes)?),
            version: u32::from_le_bytes(number(bytes)?),
        };
        let mut set = |bit: u8| -> Result<FeatureSet, Unreadable> {
            match given & bit {
                0 => Ok(FeatureSet::default()),
                _ => Ok(FeatureSet::of_bits(&number::<{ MAX_FEATURES / 8 }>(bytes)?)),
            }
        };
        Ok(Assessment {
            verdict: Verdict::numbered(verdict).ok_or(Unreadable)?,
            policy_verdict: Verdict::numbered(policy_verdict).ok_or(Unreadable)?,
            overridden: match overridden {
                0 => None,
                1 => Some(Override::Observe),
                _ => return Err(Unreadable),
            },
            tier,
            lateness: match lateness {
                0 => Lateness::InOrder,
                1 => Lateness::Late,
                2 => Lateness::Beyond,
                _ => return Err(Unreadable),
            },
            missing: set(1)?,
            incomplete: set(2)?,
            approximate: set(4)?,
            dropped,
            mirror_behind: given & 8 != 0,
            rescore: Rescore::read(rescore).ok_or(Unreadable)?,
            made_with,
        })
    }

    /// What it says in numbers.
    pub fn numbers(&self) -> Numbers {
        Numbers {
            verdict: self.verdict as i32,
            policy_verdict: self.policy_verdict as i32,
            r#override: self.overridden.map_or(0, |overridden| overridden as i32),
            tier: self.tier.to_wire() as i32,
            cause: self.tier.cause().map_or(0, |cause| cause.to_wire() as i32),
            lateness: match self.lateness {
                Lateness::InOrder => wire::Lateness::Unspecified,
                Lateness::Late => wire::Lateness::Late,
                Lateness::Beyond => wire::Lateness::Beyond,
            } as i32,
        }
    }

    /// Names of text attributes that held a card number; `version` is the one it was made with.
    pub fn dropped_attributes<'a>(&self, version: &'a Version) -> impl Iterator<Item = &'a String> + use<'a> {
        let dropped = self.dropped;
        let texts = version.texts.iter().enumerate();
        texts.filter_map(move |(slot, name)| (dropped & (1 << slot) != 0).then_some(name))
    }

    /// As it goes on the wire; `version` is the one it was made with.
    pub fn to_wire(&self, version: &Version) -> wire::Assessment {
        let names = |set: &FeatureSet| set.iter().map(|feature| version.features[feature].clone()).collect();
        let (scores, numbers) = (self.tier.scores(), self.numbers());
        wire::Assessment {
            verdict: numbers.verdict,
            policy_verdict: numbers.policy_verdict,
            r#override: numbers.r#override,
            tier: numbers.tier,
            cause: numbers.cause,
            fraud_probability: scores.map(|scores| scores.fraud_probability),
            risk_score: scores.map(|scores| scores.risk_score),
            lateness: numbers.lateness,
            missing_features: names(&self.missing),
            incomplete_features: names(&self.incomplete),
            approximate_features: names(&self.approximate),
            dropped_attributes: self.dropped_attributes(version).cloned().collect(),
            model_digest: if scores.is_some() {
                version.model_digest.clone()
            } else {
                Bytes::new()
            },
            plan_digest: version.plan_digest.clone(),
            policy_digest: version.policy_digest.clone(),
            mirror_behind: self.mirror_behind,
            ..wire::Assessment::default()
        }
    }
}
