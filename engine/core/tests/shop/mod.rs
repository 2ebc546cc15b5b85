//! A program to try the engine with, and a journal in memory.

#![allow(dead_code, missing_docs, reason = "the tests of each crate use their part")]

use std::sync::{Arc, Mutex};

use fraudgate_core::{
    history::Bounds,
    journal::{
        Draft, Durability, Journal, chunk,
        reader::{Damage, Next, Reader, Tail},
        record::Records,
        segment::{End, Header, NoHeader, Open},
    },
    key::HashKey,
    model::{Forest, ForestFailure, Manifest, Model, hex},
    plan::Plan,
    policy::Policy,
    program::Program,
    replay::Replay,
    rescore::Spool,
    road::{Answer, Asked, Engine, Limits},
    transaction::{Clock, EventTime},
    wire,
};
use prost::Message;

pub const DAY_US: i64 = 86_400_000_000;
pub const START_US: i64 = 1_700_000_000_000_000;
pub const PLAN: &str = r#"{"format":1,"name":"shop","currency":"EUR","entities":["customer","terminal"],"numbers":["age"],
    "texts":["note"],"fraud":["third_party_fraud"],"lateness_us":172800000000,"features":[
    {"name":"amount","op":"amount"},{"name":"age","op":"number","number":0},
    {"name":"count","op":"count","entity":0,"window_us":86400000000,"delay_us":0,"inclusive":true,
     "where":{"kinds":["purchase","withdrawal"]}},
    {"name":"most","op":"max","entity":0,"window_us":86400000000,"delay_us":0,"inclusive":true,
     "where":{"kinds":["purchase"]}},
    {"name":"risk","op":"risk","entity":1,"window_us":86400000000,"delay_us":86400000000,
     "where":{"kinds":["purchase"]}}]}"#;
pub const POLICY: &str = r#"{"format":1,"mode":"decide","challenge":50,"decline":80,"card_number_in_key":"hash"}"#;
pub const KEY: [u8; 32] = [9; 32];

/// Scores a row by its bits alone, so that any difference in a row shows in the score. Another number is another forest.
pub struct Bits(pub u32);

impl Forest for Bits {
    fn score(&mut self, rows: &[f32], n: usize, log_odds: &mut Vec<f32>) -> Result<(), ForestFailure> {
        for row in rows.chunks(rows.len() / n) {
            let hash = row.iter().fold(self.0, |hash, value| {
                hash.rotate_left(5).wrapping_mul(31) ^ value.to_bits()
            });
            log_odds.push((hash % 20_001) as f32 / 1_000.0 - 10.0);
        }
        Ok(())
    }
}

/// What an engine of one program is made of.
pub struct Made<'a> {
    pub epoch: u64,
    pub known_ids: usize,
    pub plan: &'a str,
    pub policy: &'a str,
    pub scores: bool,
    pub complete_since: EventTime,
    pub history: Bounds,
}

impl Default for Made<'_> {
    fn default() -> Self {
        Made {
            epoch: 1,
            known_ids: 40,
            plan: PLAN,
            policy: POLICY,
            scores: true,
            complete_since: EventTime(START_US),
            history: Bounds::NONE,
        }
    }
}

impl Made<'_> {
    pub fn engine(&self) -> Engine {
        let plan = Plan::parse(self.plan.as_bytes()).unwrap();
        let policy = Policy::parse(self.policy.as_bytes()).unwrap();
        let model = self.scores.then(|| model(&plan));
        let limits = Limits {
            known_ids: self.known_ids,
            history: self.history,
            drain: 10,
            ahead_us: None,
        };
        let key = HashKey {
            version: 1,
            secret: [7; 32],
        };
        let mut engine = Engine::new(key, self.epoch, limits);
        engine
            .add_program("shop", plan, policy, model, self.complete_since)
            .unwrap();
        engine
    }
}

fn model(plan: &Plan) -> Model {
    Model::new(manifest(plan), Box::new(Bits(17)))
}

/// Of a model with two students.
pub fn manifest(plan: &Plan) -> Manifest {
    let names: Vec<String> = plan
        .features
        .iter()
        .map(|feature| format!("{:?}", feature.name))
        .collect();
    let tables = r#""probability":{"log_odds":[-10,10],"value":[0.001,0.999]},
        "risk":{"log_odds":[-10,10],"value":[0,100]}"#;
    let manifest = format!(
        r#"{{"format":1,"plan_digest":"{}","onnx_sha256":"","input":"features","output":"log_odds","features":[{}],
        {tables},"reduced":{{"onnx_sha256":"",{tables}}}}}"#,
        hex(&plan.digest),
        names.join(",")
    );
    Manifest::parse(manifest.as_bytes()).unwrap()
}

pub fn engine(epoch: u64) -> Engine {
    engine_with(epoch, PLAN, POLICY)
}

pub fn engine_with(epoch: u64, plan: &str, policy: &str) -> Engine {
    engine_knowing(40, epoch, plan, policy)
}

pub fn engine_knowing(known_ids: usize, epoch: u64, plan: &str, policy: &str) -> Engine {
    Made {
        epoch,
        known_ids,
        plan,
        policy,
        ..Made::default()
    }
    .engine()
}

pub fn purchase(id: &str, at_us: i64, customer: u8, amount_minor: i64) -> wire::Transaction {
    let key = |name: &str, value: u8| wire::EntityKey {
        name: name.to_owned(),
        value: format!("{name}{value}"),
    };
    wire::Transaction {
        id: id.to_owned(),
        program: "shop".to_owned(),
        event_time_us: START_US + at_us,
        kind: wire::Kind::Purchase as i32,
        amount_minor: Some(amount_minor),
        currency: "EUR".to_owned(),
        entities: vec![key("customer", customer), key("terminal", customer % 2)],
        ..wire::Transaction::default()
    }
}

pub fn subject(id: &str, at_us: i64, customer: u8) -> wire::Subject {
    let transaction = purchase(id, at_us, customer, 0);
    wire::Subject {
        transaction_id: transaction.id,
        event_time_us: transaction.event_time_us,
        kind: transaction.kind,
        entities: transaction.entities,
    }
}

pub fn ask(engine: &Engine, transaction: &wire::Transaction) -> Asked {
    engine
        .admit(transaction)
        .map_or_else(Asked::Refused, |admitted| Asked::Transaction(Box::new(admitted)))
}

/// Asks for a customer's erasure.
pub fn erase(engine: &Engine, customer: u8) -> Asked {
    let sent = wire::EraseRequest {
        program: "shop".to_owned(),
        entity: purchase("", 0, customer, 0).entities.into_iter().next(),
    };
    engine.admit_erasure(&sent).map_or_else(Asked::Refused, Asked::Erasure)
}

pub fn drain(engine: &mut Engine, mut asked: Vec<Asked>) -> Vec<Answer> {
    let mut answers = Vec::new();
    engine.drain(Clock(START_US), &mut asked, &mut answers);
    answers
}

pub fn bytes(answer: &Answer) -> Vec<u8> {
    match answer {
        Answer::Decision(decision) => decision.encode_to_vec(),
        Answer::Receipt(receipt) => receipt.encode_to_vec(),
        Answer::Erased(erased) => erased.encode_to_vec(),
        Answer::Refused(refusal) => refusal.status().encode_to_vec(),
    }
}

/// A segment in memory that is written as the server writes its files.
#[derive(Clone)]
pub struct Written(Arc<Mutex<State>>);

struct State {
    bytes: Vec<u8>,
    /// Where each chunk begins, and the sequence of its first input.
    chunks: Vec<(usize, u64)>,
    open: Open,
    next: u64,
    /// Whether it takes more.
    takes: bool,
    /// Whether what is to be scored again is taken.
    spool: Spool,
    /// It says that all before is synced once in so many chunks.
    sync_once_in: usize,
}

impl Written {
    /// Opens a segment in which the programs of an engine are stated.
    pub fn begin(engine: &Engine, epoch: u64, segment: u64, previous: Option<End>) -> Written {
        let header = Header {
            epoch,
            segment,
            first: engine.sequence() + 1,
            opened_at_us: START_US,
            previous,
        };
        let written = Written(Arc::new(Mutex::new(State {
            bytes: header.write().to_vec(),
            chunks: Vec::new(),
            open: Open::new(&header, &KEY).unwrap(),
            next: header.first,
            takes: true,
            spool: Spool::None,
            sync_once_in: 1,
        })));
        let mut draft = Draft::default();
        draft.begin(Clock(START_US), header.first);
        engine
            .programs()
            .iter()
            .for_each(|program| draft.program(&program.stated()));
        written.clone().append(&mut draft, &[]);
        written
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }

    pub fn chunks(&self) -> Vec<(usize, u64)> {
        self.0.lock().unwrap().chunks.clone()
    }

    pub fn end(&self) -> End {
        self.0.lock().unwrap().open.end()
    }

    pub fn take(&self, takes: bool) {
        self.0.lock().unwrap().takes = takes;
    }

    pub fn spool(&self, spool: Spool) {
        self.0.lock().unwrap().spool = spool;
    }

    pub fn sync_once_in(&self, chunks: usize) {
        self.0.lock().unwrap().sync_once_in = chunks;
    }

    /// Says that all is synced, as a journal does that is closed.
    pub fn close(&self) {
        let mut draft = Draft::default();
        draft.begin(Clock(START_US), self.0.lock().unwrap().next);
        self.clone().append(&mut draft, &[]);
    }
}

impl Journal for Written {
    fn takes(&mut self, _: Clock, _: &[Program]) -> bool {
        self.0.lock().unwrap().takes
    }

    fn append(&mut self, draft: &mut Draft, _: &[Program]) {
        let mut state = self.0.lock().unwrap();
        assert_eq!(draft.first, state.next);
        // As if drains were synced at once.
        let synced = if !state.chunks.len().is_multiple_of(state.sync_once_in) || state.chunks.is_empty() {
            0
        } else {
            state.bytes.len() as u64
        };
        let at = state
            .open
            .seal(&mut draft.bytes, draft.first, synced, draft.count)
            .unwrap();
        assert_eq!(at as usize, state.bytes.len());
        state.chunks.push((at as usize, draft.first));
        state.bytes.extend_from_slice(&draft.bytes);
        state.next += u64::from(draft.count);
        assert!(draft.bytes.len() > chunk::HEADER);
    }

    fn cut(&mut self, _: &[Program]) -> Option<End> {
        Some(Written::end(self))
    }

    fn durability(&self, _: u64) -> Durability {
        Durability::Written
    }

    fn spool(&self, _: u64) -> Spool {
        self.0.lock().unwrap().spool
    }
}

/// What reading a segment back came to.
#[derive(Debug, PartialEq)]
pub enum Read {
    Tail(Tail),
    Damage(Damage),
    NoHeader(NoHeader),
}

/// Folds the segment in `bytes` into an engine.
pub fn fold(replay: &mut Replay, mut bytes: Vec<u8>, end: Option<End>) -> Read {
    let mut reader = match Reader::new(&mut bytes, &KEY, end) {
        Ok(reader) => reader,
        Err(error) => return Read::NoHeader(error),
    };
    let (epoch, first) = (reader.header().epoch, reader.header().first);
    replay.segment(epoch, first).unwrap();
    loop {
        match reader.advance() {
            Ok(Next::Chunk(chunk)) => {
                replay.expect(chunk.first).unwrap();
                for record in Records::new(chunk.body).unwrap() {
                    replay.record(&record.unwrap()).unwrap();
                }
            }
            Ok(Next::Tail(tail)) => return Read::Tail(tail),
            Err(damage) => return Read::Damage(damage),
        }
    }
}
