//! What was seen: every latency, exactly, and what went wrong.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    orders::{Orders, Shape},
    traffic::Traffic,
};

/// The calls of one run.
#[derive(Default)]
pub struct Tally {
    latencies_ns: Vec<u64>,
    /// Of an open loop: how long after they were due calls began.
    late_ns: Vec<u64>,
    /// Calls (or items) without the answer that was asked for.
    pub errors: u64,
    first_error: Option<String>,
    /// From the first to the last.
    pub took: Duration,
    /// What the server spent meanwhile, on all its threads.
    pub server_cpu: Duration,
}

impl Tally {
    /// Empty.
    pub fn with_room_for(calls: usize) -> Tally {
        Tally {
            latencies_ns: Vec::with_capacity(calls),
            ..Tally::default()
        }
    }

    /// Counts one answer.
    pub fn took(&mut self, latency: Duration) {
        self.latencies_ns.push(latency.as_nanos() as u64);
    }

    /// Counts one call that began so long after it was due.
    pub fn began(&mut self, late: Duration) {
        self.late_ns.push(late.as_nanos() as u64);
    }

    /// Says that the answer counted last was wrong.
    pub fn wrong(&mut self, why: String) {
        self.errors += 1;
        self.first_error.get_or_insert(why);
    }

    /// Counts what another saw.
    pub fn add(&mut self, other: Tally) {
        self.latencies_ns.extend(other.latencies_ns);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }

    /// As JSON. CPU time and rate are per transaction, whatever the shape; latency is a call's, or an item's.
    pub fn report(mut self, orders: &Orders, traffic: &Traffic<'_>) -> Value {
        self.latencies_ns.sort_unstable();
        self.late_ns.sort_unstable();
        let calls = self.latencies_ns.len();
        let per_call = match orders.shape {
            Shape::Batch => orders.in_flight,
            Shape::Unary | Shape::Stream => 1,
        };
        let transactions = (calls * per_call) as f64;
        json!({
            "calls": calls,
            "errors": self.errors,
            "first_error": self.first_error,
            "next": traffic.position(),
            "cpu_us": self.server_cpu.as_secs_f64() * 1e6 / transactions,
            "rate": transactions / self.took.as_secs_f64(),
            "p50_us": quantile_us(&self.latencies_ns, 0.5),
            "p99_us": quantile_us(&self.latencies_ns, 0.99),
            "p999_us": quantile_us(&self.latencies_ns, 0.999),
            "late_p50_us": quantile_us(&self.late_ns, 0.5),
            "late_p99_us": quantile_us(&self.late_ns, 0.99),
            "late_p999_us": quantile_us(&self.late_ns, 0.999),
        })
    }
}

/// The smallest of sorted times that at least this share of them did not exceed; nothing of none.
fn quantile_us(sorted_ns: &[u64], share: f64) -> Option<f64> {
    let rank = (share * sorted_ns.len() as f64).ceil() as usize;
    let ns = sorted_ns.get(rank.max(1) - 1)?;
    Some(*ns as f64 / 1e3)
}
