//! Loads a server of `fraudgate.v1.Scoring` over one connection of mutual TLS 1.3, in a closed loop or an open
//! one, and prints what it saw as one line of JSON. Read in the order of a call: `orders` says what to do, `traffic` encodes the transactions
//! beforehand, `connection` carries them, `unary` and `stream` keep them in flight, `open` sends them when they are due, `replies` checks every answer.
//!
//!     fraudgate-load '{"port": 7443, "shape": "unary", "in_flight": 64, ...}'

mod connection;
mod cpu;
mod open;
mod orders;
mod replies;
mod stream;
mod tally;
mod traffic;
mod unary;

use std::{env, error::Error, time::Instant};

use connection::Connection;
use orders::{Orders, Shape};
use tally::Tally;
use traffic::Traffic;

/// A measurement shorter than this many calls says nothing of a tail.
const LEAST_CALLS: usize = 200;

fn main() -> Result<(), Box<dyn Error>> {
    let orders = env::args().nth(1).ok_or("give the orders as one argument of JSON")?;
    let orders: Orders = serde_json::from_str(&orders)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = tokio::task::LocalSet::new().block_on(&runtime, measure(&orders))?;
    println!("{report}");
    Ok(())
}

/// Warms up, and then measures for about as many seconds as ordered, by counted calls. Both begin and end with nothing
/// in flight, so that the server's CPU time between is that of these calls and no others.
async fn measure(orders: &Orders) -> Result<serde_json::Value, Box<dyn Error>> {
    let connection = Connection::open(orders).await?;
    let mut traffic = Traffic::new(orders);

    let warm = run(orders, &connection, &mut traffic, orders.warm_up, None).await?;
    if warm.errors > 0 {
        return Ok(warm.report(orders, &traffic));
    }
    let a_second = orders.rate.unwrap_or(orders.warm_up as f64 / warm.took.as_secs_f64());
    let calls = ((a_second * orders.seconds) as usize).max(LEAST_CALLS);

    let measured = run(orders, &connection, &mut traffic, calls, orders.rate).await?;
    Ok(measured.report(orders, &traffic))
}

/// Makes that many calls (on a stream: sends that many items), never more than ordered at once.
async fn run(
    orders: &Orders,
    connection: &Connection,
    traffic: &mut Traffic<'_>,
    calls: usize,
    rate: Option<f64>,
) -> Result<Tally, Box<dyn Error>> {
    let frames = traffic.next(calls);
    let server = cpu::Clock::of(orders.server_pid);
    let (cpu_before, began) = (server.read()?, Instant::now());
    let mut tally = match orders.shape {
        Shape::Unary if let Some(rate) = rate => open::run(connection, "Score", frames, rate, replies::one).await?,
        Shape::Unary => unary::run(connection, "Score", frames, orders.in_flight, replies::one).await?,
        Shape::Batch => unary::run(connection, "ScoreBatch", frames, 1, replies::batch_of(orders.in_flight)).await?,
        Shape::Stream => stream::run(connection, frames, orders.in_flight).await?,
    };
    tally.took = began.elapsed();
    tally.server_cpu = server.read()? - cpu_before;
    Ok(tally)
}
