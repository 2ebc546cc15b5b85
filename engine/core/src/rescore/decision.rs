//! What the cloud said of a transaction, as an input on the road. Gets a message of columns, gives inputs whose fields
//! cannot be wrong; what is malformed is refused by its field as a whole, and changes nothing.

use crate::{
    admit::Subject,
    model::Scores,
    plan::Plan,
    policy::Verdict,
    refusal::Refusal,
    transaction::{AmountMinor, EventTime, KeyHash, Kind, Labelled, MAX_AMOUNT_MINOR, MAX_ENTITIES},
    wire,
};

/// A transaction that was scored again.
#[derive(Clone, Debug, PartialEq)]
pub struct Rescored {
    /// The program's place in the engine.
    pub program: u16,
    /// Where the transaction stands in the order of what was taken.
    pub answered: Answered,
    /// The transaction.
    pub subject: Subject,
    /// Its amount in the program's currency.
    pub amount: Option<AmountMinor>,
    /// What the policy said here.
    pub policy_verdict: Verdict,
    /// What it says with the teacher's score.
    pub rescored_verdict: Verdict,
    /// What the teacher says.
    pub scores: Scores,
    /// SHA-256 of the manifest of the teacher's bundle.
    pub model_digest: [u8; 32],
    /// Whether it counts as fraud until it is told otherwise.
    pub labels: bool,
    /// It answers a caller's door, which asked at once. Journaled, because the caller may act on it; but it comes in no
    /// order and the same transaction comes by the topic too, so only that one is counted and labelled.
    pub asked: bool,
    /// Where the door read it; see [`Admitted::position`](crate::admit::Admitted::position).
    pub position: Option<Box<[u8]>>,
}

/// Where an answer stands in the order of all answers, over all lives of the scorer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answered {
    /// The life.
    pub epoch: u64,
    /// The position.
    pub sequence: u64,
}

impl Rescored {
    /// Approved here, and the cloud would decline.
    pub fn reverses(&self) -> bool {
        self.policy_verdict == Verdict::Approve && self.rescored_verdict == Verdict::Decline
    }

    /// Declined here, and the cloud would approve.
    pub fn releases(&self) -> bool {
        self.policy_verdict == Verdict::Decline && self.rescored_verdict == Verdict::Approve
    }

    /// The early label that it makes.
    pub fn label(&self) -> Option<Labelled> {
        self.labels.then_some(Labelled {
            transaction: self.subject.transaction,
            event_time: self.subject.event_time,
            kind: self.subject.kind,
            entities: self.subject.entities,
            fraud: Some(true),
        })
    }
}

/// The inputs of a message for the program at a place. With `labels`, what would be declined is labelled.
pub fn read(sent: &wire::RescoredDecisions, program: u16, plan: &Plan, labels: bool) -> Result<Vec<Rescored>, Refusal> {
    let model_digest = <[u8; 32]>::try_from(&sent.model_digest[..])
        .map_err(|_| Refusal::invalid("model_digest", "must be 32 bytes"))?;
    let (sequence, tail) = sent.sequence.as_chunks::<8>();
    if sequence.is_empty() || !tail.is_empty() {
        return Err(Refusal::invalid(
            "sequence",
            "must hold 8 bytes for each row, and at least one",
        ));
    }
    let n = sequence.len();
    let epoch = column::<8>("epoch", &sent.epoch, n)?;
    let transaction = column::<16>("transaction", &sent.transaction, n)?;
    let event_time = column::<8>("event_time_us", &sent.event_time_us, n)?;
    let kind = column::<1>("kind", &sent.kind, n)?;
    let amount = column::<8>("amount_minor", &sent.amount_minor, n)?;
    let policy_verdict = column::<1>("policy_verdict", &sent.policy_verdict, n)?;
    let rescored_verdict = column::<1>("rescored_verdict", &sent.rescored_verdict, n)?;
    let probability = column::<8>("fraud_probability", &sent.fraud_probability, n)?;
    let risk = column::<8>("risk_score", &sent.risk_score, n)?;
    let entities = sent.entities.len();
    let keys = column::<16>("keys", &sent.keys, n * entities)?;
    // Entities that the plan of now has not are left out.
    let slots: Vec<Option<usize>> = sent.entities.iter().map(|name| plan.entity(name)).collect();

    let rescored = (0..n).map(|row| {
        let mut of_row = [None; MAX_ENTITIES];
        for (slot, key) in slots.iter().zip(&keys[row * entities..][..entities]) {
            if let Some(slot) = *slot {
                of_row[slot] = Some(KeyHash(u128::from_le_bytes(*key))).filter(|key| key.0 != 0);
            }
        }
        let verdict = |field, number: u8| {
            Verdict::numbered(number).ok_or_else(|| Refusal::invalid(field, "holds what is no Verdict"))
        };
        let rescored_verdict = verdict("rescored_verdict", rescored_verdict[row][0])?;
        Ok(Rescored {
            program,
            answered: Answered {
                epoch: u64::from_le_bytes(epoch[row]),
                sequence: u64::from_le_bytes(sequence[row]),
            },
            subject: Subject {
                transaction: KeyHash(u128::from_le_bytes(transaction[row])),
                event_time: EventTime(i64::from_le_bytes(event_time[row])),
                kind: Kind::numbered(kind[row][0]).ok_or_else(|| Refusal::invalid("kind", "holds what is no Kind"))?,
                entities: of_row,
            },
            amount: match i64::from_le_bytes(amount[row]) {
                -1 => None,
                minor @ 0..=MAX_AMOUNT_MINOR => Some(AmountMinor(minor)),
                _ => return Err(Refusal::invalid("amount_minor", "holds what is no amount")),
            },
            policy_verdict: verdict("policy_verdict", policy_verdict[row][0])?,
            rescored_verdict,
            scores: Scores {
                fraud_probability: within("fraud_probability", probability[row], 1.0)?,
                risk_score: within("risk_score", risk[row], 100.0)?,
            },
            model_digest,
            labels: labels && rescored_verdict == Verdict::Decline,
            asked: false,
            position: None,
        })
    });
    rescored.collect()
}

fn column<'a, const WIDTH: usize>(field: &str, bytes: &'a [u8], n: usize) -> Result<&'a [[u8; WIDTH]], Refusal> {
    let (values, tail) = bytes.as_chunks();
    if values.len() == n && tail.is_empty() {
        return Ok(values);
    }
    Err(Refusal::invalid(field, "has not as many rows as sequence"))
}

fn within(field: &str, bytes: [u8; 8], most: f64) -> Result<f64, Refusal> {
    let value = f64::from_le_bytes(bytes);
    if (0.0..=most).contains(&value) {
        return Ok(value);
    }
    Err(Refusal::invalid(
        field,
        format!("holds what does not lie in 0 to {most}"),
    ))
}
