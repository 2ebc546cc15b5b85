//! What histories cost under the Handbook's plan: `cargo run --release --example memory_cost [CARDS EVENTS [SLICES [OF]]]`.
//! Prints JSON, a line for each thing. First bytes of real memory an event and entity, with `CARDS` cards of `EVENTS` live
//! events each (10,000 and 100 unless told; 1000000 100 takes minutes and gigabytes). Then, for few cards and many and for few
//! live events and many, CPU time of a transaction on the road (decoded, admitted, drained 64 together, encoded), and of its
//! state alone (seen and folded in blocks of 16): the median of `SLICES` slices (100), in turn with those of the others.
//! `OF` divides the numbers of cards, for whoever only tries it.

mod handbook;

use fraudgate_core::{
    history::{Bounds, History},
    plan::Plan,
    road::{Answer, Asked, Engine},
    transaction::{AmountMinor, Clock, EventTime, KeyHash, Kind, MAX_ENTITIES, MAX_NUMBERS, Transaction},
    wire,
};
use prost::Message;
use rustix::time::{ClockId, clock_gettime};

/// As the engine of the wheel has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const START_US: i64 = handbook::START_US;
/// Transactions that are told to the history together, as the road does.
const ANNOUNCED: usize = 16;
/// Transactions of a drain: what a busy server finds.
const DRAIN: usize = 64;
/// Transactions of a slice.
const SLICE: usize = 16 * DRAIN;

/// What is asked: cards, and live events of each.
const CORNERS: [(u64, u64); 4] = [(10_000, 10), (1_000_000, 10), (10_000, 1_000), (400, 10_000)];

/// Transactions whose cards come in no order; a terminal has as many as five cards have.
struct Traffic {
    cards: Vec<KeyHash>,
    terminals: Vec<KeyHash>,
    random: u64,
    now: i64,
    step_us: i64,
}

/// One of them, by numbers.
struct Purchase {
    now: i64,
    card: usize,
    terminal: usize,
    amount: i64,
}

impl Traffic {
    fn new(engine: &Engine, cards: u64, step_us: i64) -> Traffic {
        let gate = &engine.programs()[0].gate;
        let keys = |slot, count: u64| (0..count).map(|key| gate.entity(slot, &key.to_string())).collect();
        Traffic {
            cards: keys(0, cards),
            terminals: keys(1, (cards / 5).max(1)),
            random: 1,
            now: START_US,
            step_us,
        }
    }

    fn next(&mut self) -> Purchase {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let random = self.random >> 20;
        self.now += self.step_us;
        Purchase {
            now: self.now,
            card: (random % self.cards.len() as u64) as usize,
            terminal: (random / 7 % self.terminals.len() as u64) as usize,
            amount: (random % 20_000) as i64,
        }
    }

    fn transaction(&mut self) -> Transaction {
        let purchase = self.next();
        let mut entities = [None; MAX_ENTITIES];
        entities[0] = Some(self.cards[purchase.card]);
        entities[1] = Some(self.terminals[purchase.terminal]);
        Transaction {
            event_time: EventTime(purchase.now),
            utc_offset_minutes: 0,
            kind: Kind::Purchase,
            amount: Some(AmountMinor(purchase.amount)),
            entities,
            numbers: [f64::NAN; MAX_NUMBERS],
        }
    }

    fn message(&mut self) -> Vec<u8> {
        let purchase = self.next();
        let key = |name: &str, number: usize| wire::EntityKey {
            name: name.to_owned(),
            value: number.to_string(),
        };
        wire::Transaction {
            id: purchase.now.to_string(),
            program: "cost".to_owned(),
            event_time_us: purchase.now,
            kind: wire::Kind::Purchase as i32,
            amount_minor: Some(purchase.amount),
            currency: "EUR".to_owned(),
            entities: vec![key("customer", purchase.card), key("terminal", purchase.terminal)],
            ..wire::Transaction::default()
        }
        .encode_to_vec()
    }
}

/// CPU time of this thread, in nanoseconds.
fn cpu_ns() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// Sees and folds transactions as a drain does. Gives nanoseconds each.
fn run(plan: &Plan, history: &mut History, traffic: &mut Traffic, transactions: usize) -> f64 {
    let mut row = vec![0.0; plan.features.len()];
    let mut spent = 0.0;
    let mut slice = Vec::with_capacity(SLICE);
    for begin in (0..transactions).step_by(SLICE) {
        slice.clear();
        slice.extend((0..SLICE.min(transactions - begin)).map(|_| traffic.transaction()));
        let began = cpu_ns();
        for block in slice.chunks(ANNOUNCED) {
            history.announce(plan, block.iter());
            for t in block {
                history.see(plan, t, &mut row);
                history.fold(plan, t);
            }
        }
        spent += cpu_ns() - began;
    }
    spent / transactions as f64
}

/// A scorer with so many cards and live events of each.
struct Corner {
    cards: u64,
    events: u64,
    engine: Engine,
    traffic: Traffic,
    /// Nanoseconds a transaction, a value for each slice: on the road, and of the state alone.
    road: Vec<f64>,
    state: Vec<f64>,
}

impl Corner {
    /// A quarter more than the retention goes by before anything is measured: all that is folded in then lets as much die.
    fn new(cards: u64, events: u64) -> Result<Corner, Box<dyn std::error::Error>> {
        let mut engine = handbook::engine()?;
        let step_us = engine.programs()[0].plan.layouts[0].retention_us / (cards * events) as i64;
        let mut traffic = Traffic::new(&engine, cards, step_us);
        let program = &mut engine.programs_mut()[0];
        let through = (cards * events * 5 / 4) as usize;
        run(&program.plan, &mut program.history, &mut traffic, through);
        Ok(Corner {
            cards,
            events,
            engine,
            traffic,
            road: Vec::new(),
            state: Vec::new(),
        })
    }

    fn slice(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let messages: Vec<Vec<u8>> = (0..SLICE).map(|_| self.traffic.message()).collect();
        let (mut asked, mut answers, mut out) = (Vec::new(), Vec::new(), Vec::new());
        let began = cpu_ns();
        for drain in messages.chunks(DRAIN) {
            for message in drain {
                let sent = wire::Transaction::decode(&message[..])?;
                let admitted = self
                    .engine
                    .admit(&sent)
                    .map_err(|refusal| refusal.message().into_owned())?;
                asked.push(Asked::Transaction(Box::new(admitted)));
            }
            self.engine.drain(Clock(self.traffic.now), &mut asked, &mut answers);
            out.clear();
            for answer in answers.drain(..) {
                match answer {
                    Answer::Decision(decision) => decision.encode(&mut out)?,
                    other => return Err(format!("no decision: {other:?}").into()),
                }
            }
        }
        self.road.push((cpu_ns() - began) / SLICE as f64);
        let program = &mut self.engine.programs_mut()[0];
        self.state
            .push(run(&program.plan, &mut program.history, &mut self.traffic, SLICE));
        Ok(())
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn resident() -> u64 {
    let told = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = told
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0_u64) * 4096
}

/// What so many cards with so many live events take of real memory.
fn memory(cards: u64, events: u64) -> Result<String, Box<dyn std::error::Error>> {
    let engine = handbook::engine()?;
    let plan = &engine.programs()[0].plan;
    // All within a quarter of the retention, so that nothing dies.
    let step_us = (plan.layouts[0].retention_us / 4) / (cards * events).max(1) as i64;
    let mut traffic = Traffic::new(&engine, cards, step_us.max(1));
    let before = resident();
    let mut history = History::new(plan, EventTime(i64::MIN), Bounds::NONE);
    run(plan, &mut history, &mut traffic, (cards * events) as usize);
    let bytes = resident().saturating_sub(before);
    let held: Vec<_> = history.held().collect();
    let (rows, keys) = held.iter().fold((0, 0), |(rows, keys), held| {
        (rows + held.live.events, keys + held.live.keys)
    });
    let counted: i64 = held.iter().map(|held| held.bytes).sum();
    Ok(format!(
        r#"{{"cards":{cards},"events_a_card":{events},"bytes":{bytes},"counted_bytes":{counted},"keys":{keys},"bytes_an_event_and_entity":{:.1}}}"#,
        bytes as f64 / rows as f64
    ))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let told = |place| std::env::args().nth(place).map(|told| told.parse::<u64>()).transpose();
    let (slices, of) = (told(3)?.unwrap_or(100), told(4)?.unwrap_or(1).max(1));
    println!("{}", memory(told(1)?.unwrap_or(10_000), told(2)?.unwrap_or(100))?);

    let corners = CORNERS
        .iter()
        .map(|&(cards, events)| Corner::new(cards.div_ceil(of), events));
    let mut corners = corners.collect::<Result<Vec<_>, _>>()?;
    for _ in 0..slices {
        for corner in &mut corners {
            corner.slice()?;
        }
    }
    for corner in &mut corners {
        println!(
            r#"{{"cards":{},"live_events_a_card":{},"ns_a_transaction":{:.0},"ns_of_its_state":{:.0}}}"#,
            corner.cards,
            corner.events,
            median(&mut corner.road),
            median(&mut corner.state)
        );
    }
    Ok(())
}
