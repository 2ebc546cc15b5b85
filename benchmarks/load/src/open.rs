//! An open loop: calls begin when they are due, whether or not earlier ones are answered, and each is timed from when it was
//! due. So a server that stalls is charged for every call that had to wait, which a closed loop leaves out
//! (Schroeder, Wierman, Harchol-Balter 2006; "coordinated omission").

use std::{
    error::Error,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    connection::{Connection, head},
    replies::Check,
    tally::Tally,
    traffic::{HEADER, unit},
    unary::call,
};

/// The purpose of draws: no other has it.
const GAPS: u64 = 0;

/// Makes one call of each frame, `rate` of them a second, with exponential gaps between: as independent customers come.
pub async fn run(
    connection: &Connection,
    method: &str,
    frames: Vec<Bytes>,
    rate: f64,
    check: impl Check,
) -> Result<Tally, Box<dyn Error>> {
    let head = head(method)?;
    let mut calls = Vec::with_capacity(frames.len());
    let mut due = Instant::now();
    for (number, frame) in frames.into_iter().enumerate() {
        due += Duration::from_secs_f64(-(1.0 - unit(number as u64, GAPS)).ln() / rate);
        // A timer would be a millisecond late. The load has a core to itself; answers are read meanwhile.
        while Instant::now() < due {
            tokio::task::yield_now().await;
        }
        let (send, head, check) = (connection.sender(), head.clone(), check.clone());
        calls.push(tokio::task::spawn_local(async move {
            let began = due.elapsed();
            let answer = call(&send, &head, frame).await;
            let took = due.elapsed();
            (began, took, answer.and_then(|answer| check(&answer[HEADER..])))
        }));
    }
    let mut tally = Tally::with_room_for(calls.len());
    for call in calls {
        let (began, took, answer) = call.await?;
        tally.began(began);
        tally.took(took);
        if let Err(wrong) = answer {
            tally.wrong(wrong);
        }
    }
    Ok(tally)
}
