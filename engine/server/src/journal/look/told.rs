//! Records as JSON, with the names that the segment's statements give to what they number.

use fraudgate_core::{
    assessment::{Assessment, Tier, Version},
    features::FeatureSet,
    history::Bounds,
    journal::{record::Record, segment::Header},
    model::hex,
    origin::Origin,
    plan::Plan,
    policy::Policy,
    rescore::Rescore,
};
use serde_json::{Value, json};

use super::super::{JournalError, failed};

/// What the segment that is read says of its programs: name, feature names and digests, by number.
#[derive(Default)]
pub(super) struct Programs {
    epoch: u64,
    segment: u64,
    stated: Vec<Option<Stated>>,
}

/// A program as it was stated, read.
pub(super) struct Stated {
    pub name: String,
    pub plan: Plan,
    pub policy: Policy,
    pub bounds: Bounds,
    pub model_digest: Vec<u8>,
    /// What an assessment of then refers to.
    pub version: Version,
}

impl Programs {
    pub fn segment(&mut self, header: &Header) {
        self.epoch = header.epoch;
        self.segment = header.segment;
        self.stated.clear();
    }

    /// Takes note of a program. Says whether the record was one.
    pub fn state(&mut self, record: &Record) -> Result<bool, JournalError> {
        let Record::Program(stated) = record else {
            return Ok(false);
        };
        let plan = Plan::parse(stated.plan).map_err(|e| failed("plan")(&e))?;
        let policy = Policy::parse(stated.policy).map_err(|e| failed("policy")(&e))?;
        let number = usize::from(stated.program);
        if number >= self.stated.len() {
            self.stated.resize_with(number + 1, || None);
        }
        self.stated[number] = Some(Stated {
            name: stated.name.to_owned(),
            version: Version::new(&plan, &policy.digest, stated.model_digest),
            plan,
            policy,
            bounds: stated.bounds,
            model_digest: stated.model_digest.to_vec(),
        });
        Ok(true)
    }

    pub fn of(&self, number: u16) -> Option<&Stated> {
        self.stated.get(usize::from(number))?.as_ref()
    }

    fn names(&self, number: u16, set: &FeatureSet) -> Vec<&str> {
        let features = self.of(number).map_or(&[][..], |stated| &stated.version.features);
        set.iter()
            .filter_map(|feature| features.get(feature).map(String::as_str))
            .collect()
    }

    /// A record as JSON.
    pub fn tell(&self, sequence: u64, clock: i64, record: &Record) -> Value {
        let (what, number, event_time) = match record {
            Record::Program(stated) => ("program", stated.program, None),
            Record::Transaction(admitted, _) => {
                ("transaction", admitted.program, Some(admitted.transaction.event_time))
            }
            Record::History(program, transaction) => ("history", *program, Some(transaction.event_time)),
            Record::Label(admitted) => ("label", admitted.program, Some(admitted.label.event_time)),
            Record::Outcome(admitted) => ("outcome", admitted.program, Some(admitted.subject.event_time)),
            Record::Rescored(rescored) => ("rescored", rescored.program, Some(rescored.subject.event_time)),
            Record::Erasure(admitted) => ("erasure", admitted.program, None),
            Record::Passed(_) => ("passed", u16::MAX, None),
            Record::Again(_) => ("again", u16::MAX, None),
        };
        let mut told = json!({
            "sequence": sequence,
            "epoch": self.epoch,
            "segment": self.segment,
            "received_at_us": clock,
            "what": what,
            "program": self.of(number).map(|stated| stated.name.as_str()),
            "event_time_us": event_time.map(|time| time.0),
        });
        match record {
            Record::Transaction(admitted, scored) => {
                told["kind"] = json!(format!("{:?}", admitted.transaction.kind).to_lowercase());
                told["reference_amount_minor"] = json!(admitted.transaction.amount.map(|amount| amount.0));
                if let Some(scored) = scored {
                    told["features"] = self.features(number, scored.row());
                    told["assessment"] = self.assessment(number, &scored.assessment);
                }
            }
            Record::Label(admitted) => {
                told["class"] = json!(admitted.class.as_str_name());
                told["fraud"] = json!(admitted.label.fraud);
            }
            Record::Outcome(admitted) => told["fate"] = json!(admitted.fate.as_str_name()),
            Record::Rescored(rescored) => {
                told["of"] = json!({"epoch": rescored.answered.epoch, "sequence": rescored.answered.sequence});
                told["policy_verdict"] = json!(format!("{:?}", rescored.policy_verdict).to_lowercase());
                told["rescored_verdict"] = json!(format!("{:?}", rescored.rescored_verdict).to_lowercase());
                told["risk_score"] = json!(rescored.scores.risk_score);
                told["model_digest"] = json!(hex(&rescored.model_digest));
                told["asked"] = json!(rescored.asked);
            }
            Record::Erasure(admitted) => {
                let plan = self.of(number).map(|stated| &stated.plan);
                let entity = plan.and_then(|plan| plan.entities.get(usize::from(admitted.entity)));
                told["entity"] = json!(entity);
            }
            Record::Passed(passed) => {
                told["reason"] = json!(passed.reason);
                told["sha256"] = json!(hex(&passed.digest));
            }
            Record::Program(_) | Record::History(..) | Record::Again(_) => {}
        }
        // The id stays where it is: it is looked up by its hash alone.
        if let Some(origin) = record.position().and_then(Origin::read) {
            told["origin"] = json!({"topic": origin.topic, "partition": origin.partition, "offset": origin.offset});
        }
        told
    }

    fn features(&self, number: u16, row: impl Iterator<Item = f32>) -> Value {
        let names = self.of(number).map_or(&[][..], |stated| &stated.version.features);
        // NaN, which JSON has not, is null: the feature was missing.
        names
            .iter()
            .zip(row)
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect()
    }

    fn assessment(&self, number: u16, assessment: &Assessment) -> Value {
        let (tier, scores) = (assessment.tier, assessment.tier.scores());
        let stated = self.of(number);
        json!({
            "verdict": format!("{:?}", assessment.verdict).to_lowercase(),
            "policy_verdict": format!("{:?}", assessment.policy_verdict).to_lowercase(),
            "tier": match tier {
                Tier::Full(_) => "full",
                Tier::Reduced(..) => "reduced",
                Tier::Default(..) => "default",
            },
            "cause": tier.cause().map(|cause| format!("{cause:?}").to_lowercase()),
            "segment": match tier {
                Tier::Default(segment, _) => Some(segment.0),
                Tier::Full(_) | Tier::Reduced(..) => None,
            },
            "fraud_probability": scores.map(|scores| scores.fraud_probability),
            "risk_score": scores.map(|scores| scores.risk_score),
            "rescore": match assessment.rescore {
                Rescore::Not => None,
                Rescore::Queued(why) => Some(format!("queued: {why:?}").to_lowercase()),
                Rescore::Full(why) => Some(format!("spool full: {why:?}").to_lowercase()),
            },
            "lateness": format!("{:?}", assessment.lateness).to_lowercase(),
            "missing": self.names(number, &assessment.missing),
            "incomplete": self.names(number, &assessment.incomplete),
            "approximate": self.names(number, &assessment.approximate),
            "plan_digest": stated.map(|stated| hex(&stated.version.plan_digest)),
            "policy_digest": stated.map(|stated| hex(&stated.version.policy_digest)),
            "model_digest": stated.map(|stated| hex(&stated.version.model_digest)),
        })
    }
}
