//! Calls of one request and one answer: as many tasks as may be in flight take frames from one line.

use std::{cell::RefCell, error::Error, rc::Rc, time::Instant, vec};

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use http::Request;

use crate::{
    connection::{Connection, head, refusal},
    replies::Check,
    tally::Tally,
    traffic::HEADER,
};

/// Makes one call of each frame.
pub async fn run(
    connection: &Connection,
    method: &str,
    frames: Vec<Bytes>,
    in_flight: usize,
    check: impl Check,
) -> Result<Tally, Box<dyn Error>> {
    let head = head(method)?;
    let mut total = Tally::with_room_for(frames.len());
    let line = Rc::new(RefCell::new(frames.into_iter()));
    let callers: Vec<_> = (0..in_flight)
        .map(|_| {
            let caller = caller(connection.sender(), head.clone(), line.clone(), check.clone());
            tokio::task::spawn_local(caller)
        })
        .collect();
    for caller in callers {
        total.add(caller.await?);
    }
    Ok(total)
}

async fn caller(
    send: SendRequest<Bytes>,
    head: Request<()>,
    line: Rc<RefCell<vec::IntoIter<Bytes>>>,
    check: impl Check,
) -> Tally {
    let mut tally = Tally::default();
    loop {
        let next = line.borrow_mut().next();
        let Some(frame) = next else { return tally };
        let began = Instant::now();
        let answer = call(&send, &head, frame).await;
        tally.took(began.elapsed());
        if let Err(wrong) = answer.and_then(|answer| check(&answer[HEADER..])) {
            tally.wrong(wrong);
        }
    }
}

/// The answer's frame.
pub async fn call(send: &SendRequest<Bytes>, head: &Request<()>, frame: Bytes) -> Result<Bytes, String> {
    let said = |error: h2::Error| error.to_string();
    let mut send = send.clone().ready().await.map_err(said)?;
    let (response, mut body) = send.send_request(head.clone(), false).map_err(said)?;
    body.send_data(frame, true).map_err(said)?;
    let (parts, mut body) = response.await.map_err(said)?.into_parts();
    if let Some(refusal) = refusal(&parts.headers) {
        return Err(refusal);
    }
    let mut answer = Bytes::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(said)?;
        body.flow_control().release_capacity(chunk.len()).map_err(said)?;
        answer = if answer.is_empty() {
            chunk
        } else {
            joined(&answer, &chunk)
        };
    }
    let trailers = body.trailers().await.map_err(said)?.ok_or("no trailers")?;
    match refusal(&trailers) {
        Some(refusal) => Err(refusal),
        None if answer.len() < HEADER => Err("no answer".to_owned()),
        None => Ok(answer),
    }
}

fn joined(first: &[u8], second: &[u8]) -> Bytes {
    let mut both = BytesMut::with_capacity(first.len() + second.len());
    both.extend_from_slice(first);
    both.extend_from_slice(second);
    both.freeze()
}
