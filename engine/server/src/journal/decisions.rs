//! What leaves for topics of what a cursor visits: the decision of each transaction that a stream brought, named as its
//! sender named it, and a dead letter for each record that was passed over.

use fraudgate_core::{
    assessment::Version,
    journal::{
        record::{Passed, Record, Records},
        segment::Header,
    },
    model::hex,
    origin::Origin,
    plan::Plan,
    policy::Policy,
    transaction::KeyHash,
    wire,
};
use prost::Message;

use super::{JournalError, failed, recovery::Visit};

/// What is said of a record of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A `Decision`.
    Decision,
    /// A `DeadLetter`.
    DeadLetter,
}

/// One message that leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// What it is.
    pub said: Said,
    /// The transaction's id as it was sent; the hexadecimal digits of its keyed hash where that must not leave. Of a dead
    /// letter, where the record stood.
    pub key: String,
    /// The message's bytes.
    pub value: Vec<u8>,
    /// Which life of the scorer gave the sequence.
    pub epoch: u64,
    /// The position in the order in which inputs were taken. With the epoch it names a message: one that comes twice says
    /// the same.
    pub sequence: u64,
}

/// Collects what leaves.
#[derive(Default)]
pub struct Decisions {
    /// Whether what is visited survives the loss of power.
    pub synced: bool,
    /// What was collected and not taken away.
    pub outgoing: Vec<Outgoing>,
    epoch: u64,
    /// By a program's number in the segment.
    versions: Vec<Option<Version>>,
}

impl Visit for Decisions {
    fn segment(&mut self, header: &Header) -> Result<(), JournalError> {
        self.epoch = header.epoch;
        self.versions.clear();
        Ok(())
    }

    fn drain(&mut self, first: u64, records: &mut Records) -> Result<(), JournalError> {
        let clock = records.clock.0;
        let mut sequence = first;
        for record in records {
            let record = record.map_err(|_| JournalError(format!("input {sequence} is in a format unknown here")))?;
            if let Record::Program(stated) = &record {
                let plan = Plan::parse(stated.plan).map_err(|e| failed("plan")(&e))?;
                let policy = Policy::parse(stated.policy).map_err(|e| failed("policy")(&e))?;
                let number = usize::from(stated.program);
                if number >= self.versions.len() {
                    self.versions.resize_with(number + 1, || None);
                }
                self.versions[number] = Some(Version::new(&plan, &policy.digest, stated.model_digest));
                continue;
            }
            if let Some(origin) = record.position().and_then(Origin::read) {
                self.record(sequence, clock, &origin, &record)?;
            }
            sequence += 1;
        }
        Ok(())
    }
}

impl Decisions {
    fn record(&mut self, sequence: u64, clock: i64, origin: &Origin, record: &Record) -> Result<(), JournalError> {
        let durability = match self.synced {
            true => wire::Durability::Synced,
            false => wire::Durability::Written,
        };
        let (said, key, value) = match record {
            Record::Transaction(admitted, Some(scored)) => {
                let version = self
                    .versions
                    .get(usize::from(admitted.program))
                    .and_then(Option::as_ref);
                let version = version
                    .ok_or_else(|| JournalError(format!("input {sequence} names a program that is not stated")))?;
                let mut receipt = wire::Receipt {
                    epoch: self.epoch,
                    sequence,
                    durability: durability as i32,
                    received_at_us: clock,
                    ..wire::Receipt::default()
                };
                scored.assessment.rescore.tell(&mut receipt);
                let decision = wire::Decision {
                    assessment: Some(scored.assessment.to_wire(version)),
                    receipt: Some(receipt),
                    rescored: None,
                };
                (Said::Decision, named(origin, admitted.id), decision.encode_to_vec())
            }
            Record::Again(again) if !again.decision.is_empty() => {
                let mut decision = wire::Decision::decode(again.decision).map_err(|e| failed("decision")(&e))?;
                if let Some(receipt) = &mut decision.receipt {
                    receipt.durability = durability as i32;
                }
                (Said::Decision, named(origin, again.id), decision.encode_to_vec())
            }
            Record::Passed(passed) => {
                let key = format!("{}/{}/{}", origin.topic, origin.partition, origin.offset);
                (Said::DeadLetter, key, self.dead(sequence, origin, passed))
            }
            // Only a fold was asked, or nobody waits for an answer.
            Record::Transaction(_, None) | Record::Again(_) | Record::Label(_) | Record::Outcome(_) => return Ok(()),
            Record::Rescored(_) | Record::Erasure(_) | Record::Program(_) | Record::History(..) => return Ok(()),
        };
        self.outgoing.push(Outgoing {
            said,
            key,
            value,
            epoch: self.epoch,
            sequence,
        });
        Ok(())
    }

    fn dead(&self, sequence: u64, origin: &Origin, passed: &Passed) -> Vec<u8> {
        let letter = wire::DeadLetter {
            topic: origin.topic.to_owned(),
            partition: origin.partition,
            offset: origin.offset,
            code: passed.code.into(),
            reason: passed.reason.to_owned(),
            sha256: passed.digest.to_vec().into(),
            epoch: self.epoch,
            sequence,
        };
        letter.encode_to_vec()
    }
}

fn named(origin: &Origin, id: KeyHash) -> String {
    match origin.id {
        "" => hex(&id.0.to_be_bytes()),
        id => id.to_owned(),
    }
}
