//! A program with the Handbook's features, and purchases for it.

#![allow(dead_code, reason = "each example uses its part")]

use std::time::Duration;

use fraudgate_core::{
    key::HashKey,
    model::{Forest, ForestFailure, Manifest, Model, hex},
    plan::Plan,
    policy::Policy,
    road::{Engine, Limits},
    transaction::EventTime,
    wire,
};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// When events begin, microseconds since 1970.
pub const START_US: i64 = 1_700_000_000_000_000;
const DAY_US: i64 = 86_400_000_000;
/// The key-encryption key.
pub const SECRET: [u8; 32] = [3; 32];

struct Constant;

impl Forest for Constant {
    fn score(&mut self, _: &[f32], n: usize, log_odds: &mut Vec<f32>) -> Result<(), ForestFailure> {
        log_odds.resize(log_odds.len() + n, 0.0);
        Ok(())
    }
}

/// How long this thread was on a core: what a machine that others use too can tell.
pub fn on_core() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(tv_sec as u64, tv_nsec as u32)
}

/// The Handbook's features: amount, weekend, night, and per customer and terminal counts and sums over 1, 7 and 30 days.
pub fn plan() -> String {
    let mut features = vec![
        r#"{"name":"amount","op":"amount"}"#.to_owned(),
        r#"{"name":"weekend","op":"weekend"}"#.to_owned(),
        r#"{"name":"night","op":"night","through_hour":6}"#.to_owned(),
    ];
    for days in [1, 7, 30] {
        let us = days * DAY_US;
        let kinds = r#""where":{"kinds":["purchase"]}"#;
        features.push(format!(
            r#"{{"name":"c{days}","op":"count","entity":0,"window_us":{us},"delay_us":0,"inclusive":true,{kinds}}}"#
        ));
        features.push(format!(
            r#"{{"name":"m{days}","op":"mean","entity":0,"window_us":{us},"delay_us":0,"inclusive":true,{kinds}}}"#
        ));
        let delay = 7 * DAY_US;
        for (op, inclusive) in [("count", r#""inclusive":false,"#), ("risk", "")] {
            features.push(format!(
                r#"{{"name":"t{op}{days}","op":"{op}","entity":1,"window_us":{us},"delay_us":{delay},{inclusive}{kinds}}}"#
            ));
        }
    }
    format!(
        r#"{{"format":1,"name":"cost","currency":"EUR","entities":["customer","terminal"],"numbers":[],"texts":[],
        "fraud":["third_party_fraud"],"lateness_us":{},"features":[{}]}}"#,
        37 * DAY_US,
        features.join(",")
    )
}

/// An engine of that program, with a model that costs nothing.
pub fn engine() -> Result<Engine, Box<dyn std::error::Error>> {
    let plan = Plan::parse(plan().as_bytes())?;
    let names: Vec<String> = plan
        .features
        .iter()
        .map(|feature| format!("{:?}", feature.name))
        .collect();
    let manifest = format!(
        r#"{{"format":1,"plan_digest":"{}","onnx_sha256":"","input":"features","output":"log_odds","features":[{}],
        "probability":{{"log_odds":[-10,10],"value":[0.001,0.999]}},"risk":{{"log_odds":[-10,10],"value":[0,100]}}}}"#,
        hex(&plan.digest),
        names.join(",")
    );
    let model = Model::new(Manifest::parse(manifest.as_bytes())?, Box::new(Constant));
    let limits = Limits {
        history: fraudgate_core::history::Bounds::NONE,
        known_ids: 262_144,
        drain: 16_384,
        ahead_us: None,
    };
    let key = HashKey {
        version: 1,
        secret: [7; 32],
    };
    let mut engine = Engine::new(key, 1, limits);
    let policy = Policy::parse(br#"{"format":1,"mode":"decide","decline":80,"card_number_in_key":"hash"}"#)?;
    engine.add_program("cost", plan, policy, Some(model), EventTime(START_US))?;
    Ok(engine)
}

/// A purchase of one of 50,000 customers at one of 9,973 terminals.
pub fn purchase(number: i64) -> wire::Transaction {
    // A stride that visits customers and terminals in no order.
    let scattered = number.wrapping_mul(2_654_435_761) & 0x7fff_ffff;
    let key = |name: &str, value: i64| wire::EntityKey {
        name: name.to_owned(),
        value: value.to_string(),
    };
    wire::Transaction {
        id: number.to_string(),
        program: "cost".to_owned(),
        event_time_us: START_US + number * 50_000,
        kind: wire::Kind::Purchase as i32,
        amount_minor: Some(scattered % 20_000),
        currency: "EUR".to_owned(),
        entities: vec![key("customer", scattered % 50_000), key("terminal", scattered % 9_973)],
        ..wire::Transaction::default()
    }
}
