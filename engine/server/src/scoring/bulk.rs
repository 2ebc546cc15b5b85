//! Records of streams, as another thread hands them over in bulk. They are admitted and put on the road in their order, a
//! small drain at a time, so that callers are answered in between. Nobody waits for their answers: where each stood rides
//! in the journal with what became of it, so what is taken is never taken again, and what cannot be taken waits where it
//! stands.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use fraudgate_core::{
    admit::{self, Mode},
    origin::Origin,
    refusal::Refusal,
    road::{Asked, Engine, Refused},
    wire::{self, control},
};
use prost::Message;
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
};

use super::Shared;

/// The most records of one drain: a caller waits for no more than these.
const TOGETHER: usize = 64;

/// What records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Transactions, each with its own mode.
    Transactions,
    /// Transactions that another place answers: they are folded, whatever their mode.
    Mirrored,
    /// Labels.
    Labels,
    /// Outcomes.
    Outcomes,
    /// What the cloud said of transactions: one record, many inputs.
    Rescored,
    /// Changes of what is held, as `Operation` takes them. Who may write the topic may ask for them.
    Control,
}

/// One record.
#[derive(Clone, Debug)]
pub struct Record {
    /// The topic, at most [`LONGEST_TOPIC`](fraudgate_core::origin::LONGEST_TOPIC) bytes.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: u32,
    /// The offset in it.
    pub offset: u64,
    /// The message.
    pub value: Bytes,
    /// What its headers say that it cannot be read by; nothing where they agree.
    pub unreadable: Option<&'static str>,
}

/// Records that are handed over, in their order.
pub struct Hand {
    /// What they are.
    pub kind: Kind,
    /// The records.
    pub records: Vec<Record>,
    /// Told how many of them, from the first on, were taken. The others must be handed over again, before any that follow.
    pub taken: oneshot::Sender<usize>,
}

/// Takes what is handed over, for ever.
pub async fn take(shared: Rc<Shared>, mut hands: mpsc::Receiver<Hand>) {
    let (mut asked, mut answers) = (Vec::with_capacity(TOGETHER), Vec::with_capacity(TOGETHER));
    while let Some(hand) = hands.recv().await {
        let mut taken = 0;
        for records in hand.records.chunks(TOGETHER) {
            if shared.leaving.is_raised() {
                break;
            }
            {
                let engine = &*shared.engine.borrow();
                for record in records {
                    ask(engine, hand.kind, shared.message_bytes, record, &mut asked);
                }
            }
            let mut takes = true;
            while takes && !asked.is_empty() {
                // What the cloud says comes many to a record.
                let rest = asked.split_off(asked.len().min(TOGETHER));
                takes = shared
                    .queue
                    .take_in(&mut shared.engine.borrow_mut(), &mut asked, &mut answers);
                asked.clear();
                asked.extend(rest);
                yield_now().await;
            }
            if !takes {
                asked.clear();
                break;
            }
            taken += records.len();
        }
        // Who handed over may have stopped waiting.
        let _ = hand.taken.send(taken);
    }
}

/// Adds what a record asks; nothing where the state contains it already.
fn ask(engine: &Engine, kind: Kind, most: usize, record: &Record, into: &mut Vec<Asked>) {
    let taken = engine.offsets().highest(&record.topic, record.partition);
    if taken.is_some_and(|highest| record.offset <= highest) {
        return;
    }
    if let Err(refusal) = admit(engine, kind, most, record, into) {
        into.push(Asked::Passed(Box::new(Refused {
            position: position(record, ""),
            sent: record.value.clone(),
            refusal,
        })));
    }
}

fn admit(engine: &Engine, kind: Kind, most: usize, record: &Record, into: &mut Vec<Asked>) -> Result<(), Refusal> {
    if record.value.len() > most {
        return Err(Refusal::TooLarge { cap: most });
    }
    if let Some(what) = record.unreadable {
        return Err(Refusal::invalid("headers", what));
    }
    let unanswered = Some(record.value.clone());
    match kind {
        Kind::Transactions | Kind::Mirrored => {
            let sent: wire::Transaction = decode(record, "transaction")?;
            let mut admitted = engine.admit(&sent)?;
            if kind == Kind::Mirrored {
                admitted.mode = Mode::Fold;
            }
            let id = engine.program(&sent.program)?.gate.id_to_keep(&sent.id)?;
            admitted.position = Some(position(record, id));
            admitted.unanswered = unanswered;
            into.push(Asked::Transaction(Box::new(admitted)));
        }
        Kind::Labels => {
            let mut admitted = engine.admit_label(&decode(record, "label")?)?;
            admitted.position = Some(position(record, ""));
            admitted.unanswered = unanswered;
            into.push(Asked::Label(Box::new(admitted)));
        }
        Kind::Outcomes => {
            let mut admitted = engine.admit_outcome(&decode(record, "outcome")?)?;
            admitted.position = Some(position(record, ""));
            admitted.unanswered = unanswered;
            into.push(Asked::Outcome(Box::new(admitted)));
        }
        Kind::Control => {
            let sent: wire::Control = decode(record, "control")?;
            let Some(control::Change::Erase(erasure)) = &sent.change else {
                return Err(Refusal::invalid("change", "is required"));
            };
            let mut admitted = engine
                .admit_erasure(erasure)
                .map_err(|refusal| refusal.within("erase"))?;
            admitted.position = Some(position(record, ""));
            admitted.unanswered = unanswered;
            into.push(Asked::Erasure(admitted));
        }
        Kind::Rescored => {
            let mut rescored = engine.admit_rescored(&decode(record, "rescored")?)?;
            // They are more than one drain may hold: the record is taken when the last of them is.
            if let Some(last) = rescored.last_mut() {
                last.position = Some(position(record, ""));
            }
            into.extend(rescored.into_iter().map(|rescored| Asked::Rescored(Box::new(rescored))));
        }
    }
    Ok(())
}

fn decode<M: Message + Default>(record: &Record, what: &str) -> Result<M, Refusal> {
    admit::decode(record.value.clone(), what)
}

fn position(record: &Record, id: &str) -> Box<[u8]> {
    let origin = Origin {
        topic: &record.topic,
        partition: record.partition,
        offset: record.offset,
        id,
    };
    origin.write()
}
