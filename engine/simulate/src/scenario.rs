//! What a seed draws before it begins: programs, bounds, how the disk fails, how dense crashes are. All are small, so that
//! every edge is met within a few hundred inputs.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use fraudgate_core::{
    history::Bounds,
    key::HashKey,
    model::{Forest, ForestFailure, Manifest, Model, hex},
    plan::Plan,
    policy::Policy,
    road::{Engine, Limits},
    transaction::EventTime,
};
use fraudgate_server::journal::{Promise, Settings};

use crate::{disk::Faults, random::Random};

/// When every simulation begins, in microseconds since 1970.
pub const START_US: i64 = 1_700_000_000_000_000;
/// An hour.
pub const HOUR_US: i64 = 3_600_000_000;
/// A day.
pub const DAY_US: i64 = 24 * HOUR_US;
/// The key-encryption key.
pub const SECRET: [u8; 32] = [3; 32];

const PLANS: [&str; 2] = [
    r#"{"format":1,"name":"shop","currency":"EUR","entities":["customer","terminal"],"numbers":["age"],
    "texts":[],"fraud":["third_party_fraud"],"lateness_us":7200000000,"features":[
    {"name":"amount","op":"amount"},{"name":"age","op":"number","number":0},
    {"name":"count","op":"count","entity":0,"window_us":3600000000,"delay_us":0,"inclusive":true,
     "where":{"kinds":["purchase","withdrawal"]}},
    {"name":"sum","op":"sum","entity":0,"window_us":86400000000,"delay_us":0,"inclusive":false,
     "where":{"kinds":["purchase"]}},
    {"name":"most","op":"max","entity":0,"window_us":3600000000,"delay_us":0,"inclusive":true,
     "where":{"kinds":["purchase"]}},
    {"name":"last","op":"since_last","entity":1,"where":{"kinds":["purchase","withdrawal"]}},
    {"name":"first","op":"since_first","entity":1,"where":{"kinds":["withdrawal"]}},
    {"name":"risk","op":"risk","entity":1,"window_us":43200000000,"delay_us":3600000000,
     "where":{"kinds":["purchase"]}}]}"#,
    r#"{"format":1,"name":"cash","currency":"EUR","entities":["customer","terminal"],"numbers":["age"],
    "texts":[],"fraud":["third_party_fraud","first_party_fraud"],"lateness_us":600000000,"features":[
    {"name":"mean","op":"mean","entity":1,"window_us":1800000000,"delay_us":600000000,"inclusive":false,
     "where":{"kinds":["purchase","withdrawal"]}},
    {"name":"least","op":"min","entity":1,"window_us":7200000000,"delay_us":0,"inclusive":false,
     "where":{"kinds":["withdrawal"]}},
    {"name":"count","op":"count","entity":1,"window_us":600000000,"delay_us":0,"inclusive":true,
     "where":{"kinds":["withdrawal"]}},
    {"name":"risk","op":"risk","entity":0,"window_us":7200000000,"delay_us":0,
     "where":{"kinds":["withdrawal"]}}]}"#,
];
const POLICY: &str = r#"{"format":1,"mode":"decide","challenge":50,"decline":80,"card_number_in_key":"hash"}"#;

/// One program.
pub struct Served {
    /// Its name.
    pub name: &'static str,
    /// Its plan, as bytes.
    pub plan: &'static str,
}

/// What a seed draws.
pub struct Scenario {
    /// The programs.
    pub served: &'static [Served],
    /// How the journal is set.
    pub settings: Settings,
    /// How many ids are known.
    pub known_ids: usize,
    /// The most inputs of a drain.
    pub drain: usize,
    /// What bounds each program's state.
    pub history: Bounds,
    /// How far ahead of the clock an event may lie.
    pub ahead_us: Option<i64>,
    /// Keys of each entity; the first are the hottest.
    pub keys: usize,
    /// What is written or lost together.
    pub page: usize,
    /// What the disk does wrong in bad times.
    pub faults: Faults,
    /// Steps before the faults stop.
    pub steps: usize,
    /// A crash comes once in so many steps.
    pub crash: usize,
}

static SERVED: [Served; 2] = [
    Served {
        name: "shop",
        plan: PLANS[0],
    },
    Served {
        name: "cash",
        plan: PLANS[1],
    },
];

impl Scenario {
    /// Draws one; what it says of snapshots by itself, so that a seed without any plays as it would if there were none.
    pub fn draw(random: &mut Random, of_snapshots: &mut Random) -> Scenario {
        let once_in = |random: &mut Random, least: i64, most: i64| {
            if random.once_in(2) {
                random.within(least, most) as usize
            } else {
                0
            }
        };
        let drain = random.within(1, 12) as usize;
        let snapshot_inputs = (!of_snapshots.once_in(3)).then(|| of_snapshots.within(3, 50) as u64);
        Scenario {
            served: &SERVED[..random.within(1, 2) as usize],
            settings: Settings {
                folder: PathBuf::new(),
                promise: random.one_of(&[Promise::Written, Promise::Synced]),
                segment_bytes: random.one_of(&[3_000, 6_000, 12_000, 40_000]),
                buffer_bytes: random.one_of(&[2_000, 8_000, 60_000]),
                sync_ms: random.one_of(&[1, 20, 200]),
                retain_bytes: random.one_of(&[None, None, Some(9_000), Some(40_000)]),
                retain_s: random.one_of(&[None, None, None, Some(600)]),
                spool_inputs: None,
                snapshot_bytes: None,
                snapshot_inputs,
                snapshots: of_snapshots.one_of(&[1, 2, 3]),
            },
            known_ids: random.one_of(&[drain, 16, 40, 1_000]).max(drain),
            drain,
            history: Bounds {
                bytes: random.one_of(&[u64::MAX, u64::MAX, 1_500, 4_000, 12_000]),
                rows_a_key: random.one_of(&[1, 2, 5, 1_000]),
                tiles_a_key: random.one_of(&[1, 2, 4, 128]),
            },
            ahead_us: random.one_of(&[None, Some(60_000_000)]),
            keys: random.one_of(&[2, 5, 20]),
            page: random.one_of(&[64, 512, 4_096]),
            faults: Faults {
                write: once_in(random, 4, 60),
                sync: once_in(random, 2, 20),
                create: once_in(random, 2, 8),
                read: once_in(random, 20, 60),
                short: once_in(random, 1, 3),
            },
            steps: random.within(60, 240) as usize,
            crash: random.one_of(&[8, 20, 60]),
        }
    }

    /// An engine that has taken nothing. Rows that it scores are told to `rows`.
    pub fn engine(&self, rows: &Rows, ahead_us: Option<i64>) -> Result<Engine, String> {
        let limits = Limits {
            known_ids: self.known_ids,
            history: self.history,
            drain: self.drain,
            ahead_us,
        };
        let key = HashKey {
            version: 1,
            secret: [7; 32],
        };
        let mut engine = Engine::new(key, 0, limits);
        for (place, served) in self.served.iter().enumerate() {
            let plan = Plan::parse(served.plan.as_bytes()).map_err(|e| e.to_string())?;
            let policy = Policy::parse(POLICY.as_bytes()).map_err(|e| e.to_string())?;
            let model = model(&plan, rows.clone(), place).map_err(|e| e.to_string())?;
            engine
                .add_program(served.name, plan, policy, Some(model), EventTime(START_US))
                .map_err(|e| e.to_string())?;
        }
        Ok(engine)
    }
}

/// The rows that were scored and not yet looked at, by program and in order.
#[derive(Clone, Default)]
pub struct Rows(Arc<Mutex<Vec<Row>>>);

/// A program's place, and a row of it.
pub type Row = (usize, Vec<f32>);

impl Rows {
    /// Takes them.
    pub fn take(&self) -> Vec<Row> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Scores a row by its bits alone, so that any difference in a row shows in the score; and tells the row.
struct Bits {
    rows: Rows,
    program: usize,
}

impl Forest for Bits {
    fn score(&mut self, rows: &[f32], n: usize, log_odds: &mut Vec<f32>) -> Result<(), ForestFailure> {
        let mut told = self.rows.0.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows.chunks(rows.len() / n) {
            log_odds.push(self::log_odds(row));
            told.push((self.program, row.to_vec()));
        }
        Ok(())
    }
}

/// What the model says of a row.
pub fn log_odds(row: &[f32]) -> f32 {
    let hash = row.iter().fold(17_u32, |hash, value| {
        let bits = if value.is_nan() { 1 } else { value.to_bits() };
        hash.rotate_left(5).wrapping_mul(31) ^ bits
    });
    (hash % 20_001) as f32 / 1_000.0 - 10.0
}

/// What its tables make of that: a probability and a risk score.
pub fn calibrated(log_odds: f32) -> (f64, f64) {
    let share = (f64::from(log_odds) + 10.0) / 20.0;
    (0.001 + 0.998 * share, 100.0 * share)
}

fn model(plan: &Plan, rows: Rows, program: usize) -> Result<Model, fraudgate_core::model::ModelError> {
    let names: Vec<String> = plan
        .features
        .iter()
        .map(|feature| format!("{:?}", feature.name))
        .collect();
    let manifest = format!(
        r#"{{"format":1,"plan_digest":"{}","onnx_sha256":"","input":"features","output":"log_odds",
        "features":[{}],"probability":{{"log_odds":[-10,10],"value":[0.001,0.999]}},
        "risk":{{"log_odds":[-10,10],"value":[0,100]}}}}"#,
        hex(&plan.digest),
        names.join(",")
    );
    Ok(Model::new(
        Manifest::parse(manifest.as_bytes())?,
        Box::new(Bits { rows, program }),
    ))
}
