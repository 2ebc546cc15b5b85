//! Looking into a journal from outside, also while it is written to: as JSON, for the command line.

use std::{collections::VecDeque, path::Path, sync::Arc};

use fraudgate_core::{
    assessment::{Assessment, Tier},
    features::FeatureSet,
    journal::{
        record::{Record, Records, Scored},
        segment::Header,
    },
    key::HashKey,
    model::hex,
    plan::Plan,
    policy::Policy,
    replay::Replay,
    road::{Engine, Limits},
    transaction::{EventTime, KeyHash},
};
use serde_json::{Value, json};

use super::{
    JournalError, Recovered,
    disk::{Disk, Folder},
    failed,
    keyring::Keyring,
    recovery::{Visit, chain, headers, read},
};

/// The segments, as their headers say; needs no key.
pub fn info(folder: &Path) -> Result<Value, JournalError> {
    let disk = Folder::look(folder);
    let headers = headers(&disk)?;
    let chain = chain(&headers)?;
    let chained = |header: &Header| chain.iter().any(|other| other.segment == header.segment);
    let segments = headers.values().map(|header| {
        json!({
            "segment": header.segment,
            "epoch": header.epoch,
            "first": header.first,
            "opened_at_us": header.opened_at_us,
            "abandoned": !chained(header),
            "previous": header.previous.map(|end| json!({
                "segment": end.segment, "offset": end.offset, "digest": hex(&end.digest),
            })),
        })
    });
    Ok(json!({"segments": segments.collect::<Vec<_>>()}))
}

/// Reads everything: what there is, and the digest of its head, which stands for all before it.
pub fn verify(folder: &Path, secret: &[u8; 32]) -> Result<Value, JournalError> {
    struct Count(u64, u64);
    impl Visit for Count {
        fn segment(&mut self, _: &Header) -> Result<(), JournalError> {
            Ok(())
        }
        fn drain(&mut self, _: u64, records: Records) -> Result<(), JournalError> {
            self.0 += 1;
            self.1 += records
                .filter(|record| !matches!(record, Ok(Record::Program(_))))
                .count() as u64;
            Ok(())
        }
    }
    let mut count = Count(0, 0);
    let recovered = walk(folder, secret, &mut count)?;
    Ok(json!({
        "segments": recovered.segments,
        "drains": count.0,
        "inputs": count.1,
        "torn_bytes": recovered.torn,
        "head": recovered.end.map(|end| json!({
            "segment": end.segment, "offset": end.offset, "digest": hex(&end.digest),
        })),
    }))
}

/// The last inputs.
pub fn tail(folder: &Path, secret: &[u8; 32], inputs: usize) -> Result<Value, JournalError> {
    struct Last {
        programs: Programs,
        kept: VecDeque<Value>,
        inputs: usize,
    }
    impl Visit for Last {
        fn segment(&mut self, header: &Header) -> Result<(), JournalError> {
            self.programs.segment(header);
            Ok(())
        }
        fn drain(&mut self, first: u64, records: Records) -> Result<(), JournalError> {
            let clock = records.clock.0;
            let mut sequence = first;
            for record in records.flatten() {
                if self.programs.state(&record)? {
                    continue;
                }
                if self.kept.len() == self.inputs {
                    self.kept.pop_front();
                }
                if self.inputs > 0 {
                    self.kept.push_back(self.programs.tell(sequence, clock, &record));
                }
                sequence += 1;
            }
            Ok(())
        }
    }
    let mut last = Last {
        programs: Programs::default(),
        kept: VecDeque::new(),
        inputs,
    };
    walk(folder, secret, &mut last)?;
    Ok(Value::from(Vec::from(last.kept)))
}

/// What one transaction saw and was answered, and whether the journal before it gives the same features again, bit for bit.
/// Null when it is not there.
pub fn show(folder: &Path, secret: &[u8; 32], key: &HashKey, program: &str, id: &str) -> Result<Value, JournalError> {
    let wanted = key.namespace(program, "transaction id").hash(id.as_bytes());
    let mut plans = Plans(program, None);
    walk(folder, secret, &mut plans)?;
    let Some((plan, policy)) = plans.1 else {
        return Ok(Value::Null);
    };
    let limits = Limits {
        known_ids: 1,
        drain: 1,
        ahead_us: None,
    };
    let mut engine = Engine::new(key.clone(), 0, limits);
    engine
        .add_program(program, plan, policy, None, EventTime(i64::MIN))
        .map_err(|e| failed("program")(&e))?;
    let mut find = Find {
        replay: Replay::new(&mut engine),
        programs: Programs::default(),
        wanted,
        found: Value::Null,
    };
    walk(folder, secret, &mut find)?;
    Ok(find.found)
}

/// The plan and policy that a program had last.
struct Plans<'n>(&'n str, Option<(Plan, Policy)>);

impl Visit for Plans<'_> {
    fn segment(&mut self, _: &Header) -> Result<(), JournalError> {
        Ok(())
    }

    fn drain(&mut self, _: u64, records: Records) -> Result<(), JournalError> {
        for record in records.flatten() {
            let Record::Program(stated) = record else { break };
            if stated.name == self.0 {
                let plan = Plan::parse(stated.plan).map_err(|e| failed("plan")(&e))?;
                let policy = Policy::parse(stated.policy).map_err(|e| failed("policy")(&e))?;
                self.1 = Some((plan, policy));
            }
        }
        Ok(())
    }
}

struct Find<'e> {
    replay: Replay<'e>,
    programs: Programs,
    wanted: KeyHash,
    found: Value,
}

impl Visit for Find<'_> {
    fn segment(&mut self, header: &Header) -> Result<(), JournalError> {
        self.programs.segment(header);
        let begun = self.replay.segment(header.epoch, header.first);
        begun.map_err(|e| failed("replay")(&e))
    }

    fn drain(&mut self, first: u64, records: Records) -> Result<(), JournalError> {
        let clock = records.clock.0;
        let mut sequence = first;
        for record in records.flatten() {
            if let Record::Transaction(admitted, scored) = &record
                && admitted.id == self.wanted
                && self.found.is_null()
            {
                self.found = self.programs.tell(sequence, clock, &record);
                if let Some(scored) = scored {
                    self.found["recomputed"] = match self.replay.would_see(admitted) {
                        None => json!("the plan has changed since"),
                        Some(row) => self.programs.compare(admitted.program, scored, &row),
                    };
                }
            }
            let is_input = !self.programs.state(&record)?;
            self.replay.record(&record).map_err(|e| failed("replay")(&e))?;
            sequence += u64::from(is_input);
        }
        Ok(())
    }
}

/// What the segment that is read says of its programs: name, feature names and digests, by number.
#[derive(Default)]
struct Programs {
    epoch: u64,
    segment: u64,
    stated: Vec<Option<Stated>>,
}

struct Stated {
    name: String,
    features: Vec<String>,
    plan: String,
    policy: String,
    model: String,
}

impl Programs {
    fn segment(&mut self, header: &Header) {
        self.epoch = header.epoch;
        self.segment = header.segment;
        self.stated.clear();
    }

    /// Takes note of a program. Says whether the record was one.
    fn state(&mut self, record: &Record) -> Result<bool, JournalError> {
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
            features: plan.features.into_iter().map(|feature| feature.name).collect(),
            plan: hex(&plan.digest),
            policy: hex(&policy.digest),
            model: hex(stated.model_digest),
        });
        Ok(true)
    }

    fn of(&self, number: u16) -> Option<&Stated> {
        self.stated.get(usize::from(number))?.as_ref()
    }

    fn names(&self, number: u16, set: &FeatureSet) -> Vec<&str> {
        let features = self.of(number).map_or(&[][..], |stated| &stated.features);
        set.iter()
            .filter_map(|feature| features.get(feature).map(String::as_str))
            .collect()
    }

    fn tell(&self, sequence: u64, clock: i64, record: &Record) -> Value {
        let (what, number, event_time) = match record {
            Record::Program(stated) => ("program", stated.program, None),
            Record::Transaction(admitted, _) => {
                ("transaction", admitted.program, Some(admitted.transaction.event_time))
            }
            Record::History(program, transaction) => ("history", *program, Some(transaction.event_time)),
            Record::Label(admitted) => ("label", admitted.program, Some(admitted.label.event_time)),
            Record::Outcome(admitted) => ("outcome", admitted.program, Some(admitted.subject.event_time)),
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
            Record::Program(_) | Record::History(..) => {}
        }
        told
    }

    fn features(&self, number: u16, row: impl Iterator<Item = f32>) -> Value {
        let names = self.of(number).map_or(&[][..], |stated| &stated.features);
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
            "lateness": format!("{:?}", assessment.lateness).to_lowercase(),
            "missing": self.names(number, &assessment.missing),
            "incomplete": self.names(number, &assessment.incomplete),
            "plan_digest": stated.map(|stated| stated.plan.as_str()),
            "policy_digest": stated.map(|stated| stated.policy.as_str()),
            "model_digest": stated.map(|stated| stated.model.as_str()),
        })
    }

    /// Whether features come out the same again; else the first that does not.
    fn compare(&self, number: u16, scored: &Scored, row: &[f32]) -> Value {
        let same = |(was, is): (f32, &f32)| was.to_bits() == is.to_bits() || was.is_nan() && is.is_nan();
        match scored.row().zip(row).position(|pair| !same(pair)) {
            None => json!("the same features, bit for bit"),
            Some(place) => json!({
                "differs": self.of(number).and_then(|stated| stated.features.get(place)),
                "was": scored.row().nth(place),
                "is": row.get(place),
            }),
        }
    }
}

fn walk(folder: &Path, secret: &[u8; 32], visit: &mut dyn Visit) -> Result<Recovered, JournalError> {
    let disk: Arc<dyn Disk> = Arc::new(Folder::look(folder));
    let keyring = Keyring::open(disk.clone(), secret)?;
    read(&*disk, &keyring, visit, &mut |_, _| {})
}
