//! The budget against real memory: every byte that is asked of the allocator is counted while histories are folded whose
//! keys come in every distribution, and never more than the budget is held.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use fraudgate_core::{
    history::{Bounds, History},
    plan::Plan,
    transaction::{AmountMinor, EventTime, KeyHash, Kind, Labelled, MAX_ENTITIES, MAX_NUMBERS, Transaction},
};

static HELD: AtomicI64 = AtomicI64::new(0);
static MOST: AtomicI64 = AtomicI64::new(0);
/// One test counts at a time.
static COUNTS: Mutex<()> = Mutex::new(());

struct Counting;

// SAFETY: all is the system's; what was asked for is counted beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size() as i64, Ordering::Relaxed) + layout.size() as i64;
        MOST.fetch_max(held, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const DAY_US: i64 = 86_400_000_000;
const START_US: i64 = 1_700_000_000_000_000;
/// Of an entity whatever it holds: its index's parts, its ledger.
const FIXED: i64 = 100_000;

fn plan(features: &str) -> Plan {
    let json = format!(
        r#"{{"format":1,"name":"memory","currency":"EUR","entities":["card","shop"],"numbers":[],"texts":[],
        "fraud":["third_party_fraud"],"lateness_us":{DAY_US},"features":[{features}]}}"#
    );
    Plan::parse(json.as_bytes()).unwrap()
}

/// Counts and means of cards, risk of shops: as the Handbook has them.
fn handbook() -> Plan {
    let kinds = r#""where":{"kinds":["purchase"]}"#;
    let week = 7 * DAY_US;
    plan(&format!(
        r#"{{"name":"c","op":"count","entity":0,"window_us":{week},"delay_us":0,"inclusive":true,{kinds}}},
        {{"name":"m","op":"mean","entity":0,"window_us":{DAY_US},"delay_us":0,"inclusive":true,{kinds}}},
        {{"name":"r","op":"risk","entity":1,"window_us":{week},"delay_us":{DAY_US},{kinds}}}"#
    ))
}

/// What keeps most beside a row: extremes, the past of a key, events without an amount.
fn heavy() -> Plan {
    let kinds = r#""where":{"kinds":["purchase","withdrawal"]}"#;
    let week = 7 * DAY_US;
    plan(&format!(
        r#"{{"name":"m","op":"mean","entity":0,"window_us":{week},"delay_us":0,"inclusive":true,{kinds}}},
        {{"name":"l","op":"since_last","entity":0,"where":{{"kinds":["withdrawal"]}}}},
        {{"name":"x","op":"max","entity":1,"window_us":{week},"delay_us":0,"inclusive":true,{kinds}}},
        {{"name":"r","op":"risk","entity":1,"window_us":{week},"delay_us":0,{kinds}}}"#
    ))
}

#[derive(Clone, Copy, Debug)]
enum Keys {
    Uniform,
    Skewed,
    OneHot,
    AllNew,
    NewThenHot,
}

fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 29;
    mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ mixed >> 32
}

impl Keys {
    fn key(self, number: u64, of: u64) -> u64 {
        let random = scattered(number);
        match self {
            Keys::Uniform => random % 5_000,
            // A harmonic distribution over a million keys.
            Keys::Skewed => (1_000_000_f64.powf(random as f64 / u64::MAX as f64)) as u64,
            Keys::OneHot => 1,
            Keys::AllNew => number,
            Keys::NewThenHot if number < of / 2 => number,
            Keys::NewThenHot => random % 50,
        }
    }
}

fn fold(history: &mut History, plan: &Plan, keys: Keys, number: u64, of: u64, step_us: i64) {
    let key = |salt: u64| {
        let hash = scattered(keys.key(number, of) + (salt << 60));
        Some(KeyHash(u128::from(hash) << 64 | u128::from(scattered(hash))))
    };
    let mut entities = [None; MAX_ENTITIES];
    entities[..2].copy_from_slice(&[key(1), key(2)]);
    let event_time = EventTime(START_US + number as i64 * step_us - (scattered(number + 7) % 3_600_000_000) as i64);
    let kind = if number.is_multiple_of(3) {
        Kind::Withdrawal
    } else {
        Kind::Purchase
    };
    history.fold(
        plan,
        &Transaction {
            event_time,
            utc_offset_minutes: 0,
            kind,
            amount: (!number.is_multiple_of(11)).then_some(AmountMinor((number % 1_000) as i64)),
            entities,
            numbers: [f64::NAN; MAX_NUMBERS],
        },
    );
    if number.is_multiple_of(9) {
        let transaction = KeyHash(u128::from(number));
        let fraud = Some(number.is_multiple_of(18));
        history.label(
            plan,
            &Labelled {
                transaction,
                event_time,
                kind,
                entities,
                fraud,
            },
        );
    }
}

#[test]
fn real_memory_stays_within_the_budget_whatever_the_keys() {
    let _one = COUNTS.lock().unwrap();
    const BYTES: u64 = 1_200_000;
    const INPUTS: u64 = 50_000;
    let mut evictions = 0;
    for plan in [handbook(), heavy()] {
        for keys in [
            Keys::Uniform,
            Keys::Skewed,
            Keys::OneHot,
            Keys::AllNew,
            Keys::NewThenHot,
        ] {
            for step_us in [1_000_000, 60_000_000] {
                for rows_a_key in [200, 16_384] {
                    let bounds = Bounds {
                        bytes: BYTES,
                        rows_a_key,
                        ..Bounds::NONE
                    };
                    let before = HELD.load(Ordering::Relaxed);
                    let mut history = History::new(&plan, EventTime(i64::MIN), bounds);
                    MOST.store(before, Ordering::Relaxed);
                    for number in 0..INPUTS {
                        fold(&mut history, &plan, keys, number, INPUTS, step_us);
                    }
                    let most = MOST.load(Ordering::Relaxed) - before;
                    assert!(
                        most <= BYTES as i64 + 2 * FIXED,
                        "{keys:?}, a step of {step_us} us, {rows_a_key} rows a key: {most} of {BYTES} bytes"
                    );
                    evictions += history.held().filter(|held| held.evicted_through.is_some()).count();
                }
            }
        }
    }
    assert!(evictions >= 30, "the budget was hardly reached: {evictions} evictions");
}

#[test]
fn what_is_counted_is_at_least_what_is_held() {
    let _one = COUNTS.lock().unwrap();
    for plan in [handbook(), heavy()] {
        for (keys, inputs) in [(Keys::Uniform, 400_000), (Keys::AllNew, 100_000)] {
            let before = HELD.load(Ordering::Relaxed);
            let mut history = History::new(&plan, EventTime(i64::MIN), Bounds::NONE);
            for number in 0..inputs {
                fold(&mut history, &plan, keys, number, inputs, 1_000);
            }
            let held = HELD.load(Ordering::Relaxed) - before;
            let counted: i64 = history.held().map(|held| held.bytes).sum();
            assert!(held <= counted + 2 * FIXED, "{keys:?}: {held} bytes, {counted} counted");
        }
    }
}

/// Half a million events of five thousand cards under the Handbook's plan, with all slack.
#[test]
fn an_event_of_an_entity_takes_at_most_24_bytes() {
    let _one = COUNTS.lock().unwrap();
    let plan = handbook();
    let before = HELD.load(Ordering::Relaxed);
    let mut history = History::new(&plan, EventTime(i64::MIN), Bounds::NONE);
    for number in 0..500_000 {
        fold(&mut history, &plan, Keys::Uniform, number, 0, 1_000);
    }
    let held = HELD.load(Ordering::Relaxed) - before;
    let events: i64 = history.held().map(|held| held.live.events).sum();
    assert!(held <= 24 * events, "{held} bytes for {events} events");
}
