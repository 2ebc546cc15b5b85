//! One stream: so many items are sent ahead, and then one for each answer, each in a DATA frame of its own.

use std::{collections::VecDeque, error::Error, time::Instant};

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    connection::{Connection, head, refusal},
    replies,
    tally::Tally,
    traffic::HEADER,
};

/// Sends each frame as an item.
pub async fn run(connection: &Connection, frames: Vec<Bytes>, in_flight: usize) -> Result<Tally, Box<dyn Error>> {
    let mut tally = Tally::with_room_for(frames.len());
    let mut send = connection.sender().ready().await?;
    let (response, mut items) = send.send_request(head("ScoreStream")?, false)?;
    let last = frames.len() - 1;
    let mut frames = frames.into_iter().enumerate();
    let mut sent = VecDeque::with_capacity(in_flight);
    for (i, frame) in frames.by_ref().take(in_flight) {
        sent.push_back(Instant::now());
        items.send_data(frame, i == last)?;
    }

    let (parts, mut body) = response.await?.into_parts();
    if let Some(refusal) = refusal(&parts.headers) {
        return Err(refusal.into());
    }
    let mut expected = 0;
    let mut unread = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        unread.extend_from_slice(&chunk);
        let now = Instant::now();
        while let Some(answer) = whole_frame(&mut unread) {
            let began = sent.pop_front().ok_or("more answers than items")?;
            tally.took(now - began);
            if let Err(wrong) = replies::item(expected, &answer) {
                tally.wrong(wrong);
            }
            expected += 1;
            if let Some((i, frame)) = frames.next() {
                sent.push_back(Instant::now());
                items.send_data(frame, i == last)?;
            }
        }
    }
    let trailers = body.trailers().await?.ok_or("the stream ended without trailers")?;
    if let Some(refusal) = refusal(&trailers) {
        return Err(refusal.into());
    }
    if !sent.is_empty() {
        return Err(format!("{} items without an answer", sent.len()).into());
    }
    Ok(tally)
}

/// The message of the first frame, once all of it has come.
fn whole_frame(unread: &mut BytesMut) -> Option<Bytes> {
    let length = unread.get(1..HEADER)?.get_u32() as usize;
    if unread.len() < HEADER + length {
        return None;
    }
    unread.advance(HEADER);
    Some(unread.split_to(length).freeze())
}
