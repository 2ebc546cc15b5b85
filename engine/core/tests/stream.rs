//! Records of streams, for whose answers nobody waits: what becomes of each is journaled with where it stood.

use crate::shop::{KEY, Written, ask, drain, engine, purchase};
use fraudgate_core::{
    journal::{
        reader::{Next, Reader},
        record::{Record, Records},
    },
    origin::Origin,
    refusal::Refusal,
    road::{Answer, Asked, Engine, Refused},
    wire,
};
use prost::Message;
use sha2::{Digest, Sha256};

fn at(offset: u64, id: &str) -> Box<[u8]> {
    Origin {
        topic: "payments",
        partition: 0,
        offset,
        id,
    }
    .write()
}

/// A purchase as a stream brings it.
fn streamed(engine: &Engine, id: &str, amount_minor: i64, offset: u64) -> Asked {
    let sent = purchase(id, 0, 1, amount_minor);
    let Asked::Transaction(mut admitted) = ask(engine, &sent) else {
        panic!("refused")
    };
    admitted.position = Some(at(offset, id));
    admitted.unanswered = Some(sent.encode_to_vec().into());
    Asked::Transaction(admitted)
}

fn unreadable(offset: u64) -> Asked {
    Asked::Passed(Box::new(Refused {
        position: at(offset, ""),
        sent: b"no message"[..].into(),
        refusal: Refusal::invalid("transaction", "is malformed"),
    }))
}

/// What a journal says of each input: what it is, and its offset where it has one.
fn told(journal: &Written) -> Vec<(String, Option<u64>)> {
    let mut bytes = journal.bytes();
    let mut reader = Reader::new(&mut bytes, &KEY, None).unwrap();
    let mut told = Vec::new();
    while let Ok(Next::Chunk(chunk)) = reader.advance() {
        for record in Records::new(chunk.body).unwrap() {
            let record = record.unwrap();
            let what = match &record {
                Record::Program(_) => continue,
                Record::Transaction(..) => "taken".to_owned(),
                Record::Passed(passed) => {
                    assert!(
                        [
                            Sha256::digest(b"no message"),
                            Sha256::digest(purchase("a", 0, 1, 8).encode_to_vec())
                        ]
                        .iter()
                        .any(|digest| passed.digest == digest[..])
                    );
                    format!("passed: {}", passed.reason)
                }
                Record::Again(again) => {
                    let decision = wire::Decision::decode(again.decision).unwrap();
                    let receipt = decision.receipt.unwrap();
                    assert!(decision.assessment.is_some() && receipt.replayed);
                    format!("again: {}", receipt.sequence)
                }
                Record::History(..)
                | Record::Label(_)
                | Record::Outcome(_)
                | Record::Rescored(_)
                | Record::Erasure(_) => {
                    panic!("{record:?}")
                }
            };
            let origin = record.position().and_then(Origin::read);
            told.push((what, origin.map(|origin| origin.offset)));
        }
    }
    told
}

#[test]
fn what_is_repeated_refused_or_unreadable_is_journaled_where_it_stood_and_moves_the_position() {
    let mut engine = engine(1);
    let journal = Written::begin(&engine, 1, 1, None);
    engine.journal_to(Box::new(journal.clone()));
    let asked = vec![
        streamed(&engine, "a", 7, 0),
        streamed(&engine, "a", 7, 1),
        unreadable(2),
        streamed(&engine, "a", 8, 3),
        streamed(&engine, "b", 7, 4),
    ];
    let answers = drain(&mut engine, asked);
    assert!(matches!(answers[3], Answer::Refused(Refusal::IdReused)), "{answers:?}");
    assert_eq!(
        told(&journal),
        [
            ("taken".to_owned(), Some(0)),
            ("passed: transaction: is malformed".to_owned(), Some(2)),
            (
                "passed: id: known with another payload; an id stands for one transaction".to_owned(),
                Some(3)
            ),
            ("taken".to_owned(), Some(4)),
            // Behind the drain that gave its first answer.
            ("again: 1".to_owned(), Some(1)),
        ]
    );
    assert_eq!(engine.sequence(), 5);
    assert_eq!(engine.offsets().highest("payments", 0), Some(4));
    drain(&mut engine, vec![unreadable(5)]);
    assert_eq!(engine.offsets().highest("payments", 0), Some(5));
}

#[test]
fn what_the_journal_does_not_take_waits_where_it_stands_whatever_it_is() {
    let mut engine = engine(1);
    let journal = Written::begin(&engine, 1, 1, None);
    engine.journal_to(Box::new(journal.clone()));
    let asked = vec![streamed(&engine, "a", 7, 0)];
    drain(&mut engine, asked);
    let digest = engine.digest();
    journal.take(false);
    let asked = vec![
        streamed(&engine, "a", 7, 1),
        unreadable(2),
        streamed(&engine, "b", 7, 3),
    ];
    let answers = drain(&mut engine, asked);
    let full = |answer: &Answer| matches!(answer, Answer::Refused(Refusal::JournalFull));
    assert!(answers.iter().all(full), "{answers:?}");
    assert_eq!(engine.digest(), digest);
    assert_eq!(told(&journal).len(), 1);
}
