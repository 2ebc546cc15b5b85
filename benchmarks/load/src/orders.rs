//! What to do.

use std::path::PathBuf;

use serde::Deserialize;

/// The orders, as JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orders {
    /// Where the server listens, on 127.0.0.1.
    pub port: u16,
    /// Whose CPU time is counted.
    pub server_pid: u32,
    /// PEM: who signed the server's certificate, made out to `localhost`.
    pub ca: PathBuf,
    /// PEM: the client's certificate.
    pub certificate: PathBuf,
    /// PEM: its private key.
    pub key: PathBuf,
    /// How transactions travel.
    pub shape: Shape,
    /// Transactions in flight; of the shape `batch` that is the size of the one call in flight.
    pub in_flight: usize,
    /// Calls a second that begin whether or not earlier ones are answered, of the shape `unary`; null: as many as may be in
    /// flight are kept there.
    pub rate: Option<f64>,
    /// Calls before the measurement.
    pub warm_up: usize,
    /// About how long to measure.
    pub seconds: f64,
    /// The number of the first transaction. What a server has seen must not come again.
    pub first: u64,
    /// The program that is asked.
    pub program: String,
    /// Event time of transaction 0, in microseconds since 1970-01-01T00:00:00Z.
    pub start_us: i64,
    /// Event time between two transactions.
    pub step_us: i64,
    /// How many customers there are.
    pub customers: u64,
    /// How many terminals there are.
    pub terminals: u64,
}

/// How transactions travel.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// One a call.
    Unary,
    /// Many a call.
    Batch,
    /// As items of one stream.
    Stream,
}
