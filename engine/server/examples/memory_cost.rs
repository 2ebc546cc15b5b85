//! What histories cost under the Handbook's plan: `cargo run --release --example memory_cost [CARDS EVENTS]`.
//! Prints JSON: bytes of real memory an event and entity, with `CARDS` cards of `EVENTS` live events each (10,000 and 100
//! unless told; 1000000 100 takes minutes and gigabytes), and how long a fold takes in blocks of 16: with 10 thousand and a
//! million cards of 10 live events, with 10 thousand of 1,000, and with 400 of 10,000.

mod handbook;

use std::time::Instant;

use fraudgate_core::{
    history::{Bounds, History},
    plan::Plan,
    transaction::{AmountMinor, EventTime, KeyHash, Kind, MAX_ENTITIES, MAX_NUMBERS, Transaction},
};

/// As the engine of the wheel has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const START_US: i64 = handbook::START_US;
const TOGETHER: usize = 16;

/// A key's hash: as good as random.
fn hash(number: u64) -> KeyHash {
    let mix = |number: u64| {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 32
    };
    KeyHash(u128::from(mix(number)) << 64 | u128::from(mix(mix(number))))
}

/// Transactions whose cards come in no order; a terminal has as many as 100 cards have.
struct Traffic {
    cards: Vec<KeyHash>,
    terminals: Vec<KeyHash>,
    random: u64,
    now: i64,
    step_us: i64,
}

impl Traffic {
    fn new(cards: u64, step_us: i64) -> Traffic {
        Traffic {
            cards: (0..cards).map(hash).collect(),
            terminals: (0..(cards / 5).max(1)).map(|number| hash(number | 1 << 60)).collect(),
            random: 1,
            now: START_US,
            step_us,
        }
    }

    fn next(&mut self) -> Transaction {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let random = self.random >> 20;
        self.now += self.step_us;
        let mut entities = [None; MAX_ENTITIES];
        entities[0] = Some(self.cards[(random % self.cards.len() as u64) as usize]);
        entities[1] = Some(self.terminals[(random / 7 % self.terminals.len() as u64) as usize]);
        Transaction {
            event_time: EventTime(self.now),
            utc_offset_minutes: 0,
            kind: Kind::Purchase,
            amount: Some(AmountMinor((random % 20_000) as i64)),
            entities,
            numbers: [f64::NAN; MAX_NUMBERS],
        }
    }
}

/// Sees and folds transactions as a drain does. Gives the median of nanoseconds each, over slices.
fn run(plan: &Plan, history: &mut History, traffic: &mut Traffic, transactions: u64) -> f64 {
    let mut row = vec![0.0; plan.features.len()];
    let mut each = Vec::new();
    let mut spent = 0;
    for block in 1..=transactions.div_ceil(TOGETHER as u64) {
        let block_of: Vec<Transaction> = (0..TOGETHER).map(|_| traffic.next()).collect();
        let began = Instant::now();
        history.announce(plan, block_of.iter());
        for t in &block_of {
            history.see(plan, t, &mut row);
            history.fold(plan, t);
        }
        spent += began.elapsed().as_nanos();
        if block % 64 == 0 {
            each.push(spent as f64 / (64 * TOGETHER) as f64);
            spent = 0;
        }
    }
    each.sort_by(f64::total_cmp);
    each.get(each.len() / 2).copied().unwrap_or(f64::NAN)
}

fn resident() -> u64 {
    let told = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = told
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0_u64) * 4096
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let told = |place| std::env::args().nth(place).map(|told| told.parse::<u64>()).transpose();
    let (cards, events) = (told(1)?.unwrap_or(10_000), told(2)?.unwrap_or(100));
    let plan = Plan::parse(handbook::plan().as_bytes())?;
    let mut report = Vec::new();

    // All within a quarter of the retention, so that nothing dies.
    let quarter = |all: u64| (plan.layouts[0].retention_us / 4) / all.max(1) as i64;
    let mut traffic = Traffic::new(cards, quarter(cards * events).max(1));
    let before = resident();
    let mut history = History::new(&plan, EventTime(i64::MIN), Bounds::NONE);
    run(&plan, &mut history, &mut traffic, cards * events);
    let bytes = resident().saturating_sub(before);
    let held: Vec<_> = history.held().collect();
    let (rows, keys) = held.iter().fold((0, 0), |(rows, keys), held| {
        (rows + held.live.events, keys + held.live.keys)
    });
    let counted: i64 = held.iter().map(|held| held.bytes).sum();
    report.push(format!(
        r#"{{"cards":{cards},"events_a_card":{events},"bytes":{bytes},"counted_bytes":{counted},"keys":{keys},"bytes_an_event_and_entity":{:.1}}}"#,
        bytes as f64 / rows as f64
    ));
    drop(history);

    for (cards, events) in [(10_000, 10), (1_000_000, 10), (10_000, 1_000), (400, 10_000)] {
        // In the second half all that is folded in lets as much die.
        let step_us = plan.layouts[0].retention_us / (cards * events) as i64;
        let mut traffic = Traffic::new(cards, step_us);
        let mut history = History::new(&plan, EventTime(i64::MIN), Bounds::NONE);
        run(&plan, &mut history, &mut traffic, cards * events);
        let ns = run(&plan, &mut history, &mut traffic, 400_000);
        report.push(format!(
            r#"{{"cards":{cards},"live_events_a_card":{events},"ns_a_transaction":{ns:.0}}}"#
        ));
    }
    println!("[{}]", report.join(",\n "));
    Ok(())
}
