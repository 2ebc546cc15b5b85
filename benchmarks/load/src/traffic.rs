//! The transactions, numbered, as gRPC frames that are encoded before the clock starts.
//!
//! They resemble those of the Fraud Detection Handbook's simulator: a customer's rate of payments is even between none
//! and the highest, terminals are used evenly, amounts are in cents, event time advances.

use bytes::{BufMut, Bytes, BytesMut};
use fraudgate_core::wire::{EntityKey, Kind, ScoreBatchRequest, ScoreStreamRequest, Transaction};
use prost::Message;

use crate::orders::{Orders, Shape};

/// A gRPC frame's header: one byte says whether it is compressed, four its length.
pub const HEADER: usize = 5;

/// Where in the traffic we are.
pub struct Traffic<'a> {
    orders: &'a Orders,
    next: u64,
}

impl<'a> Traffic<'a> {
    /// From the first transaction that was ordered.
    pub fn new(orders: &'a Orders) -> Traffic<'a> {
        Traffic {
            orders,
            next: orders.first,
        }
    }

    /// The number of the next transaction.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// That many further frames.
    pub fn next(&mut self, frames: usize) -> Vec<Bytes> {
        let orders = self.orders;
        let mut number = self.next;
        let mut one = || {
            number += 1;
            transaction(orders, number - 1)
        };
        let encoded = (0..frames as u64)
            .map(|ordinal| match orders.shape {
                Shape::Unary => frame(&one()),
                Shape::Batch => {
                    let transactions = (0..orders.in_flight).map(|_| one()).collect();
                    frame(&ScoreBatchRequest { transactions })
                }
                Shape::Stream => {
                    let transaction = Some(one());
                    frame(&ScoreStreamRequest { ordinal, transaction })
                }
            })
            .collect();
        self.next = number;
        encoded
    }
}

fn transaction(orders: &Orders, number: u64) -> Transaction {
    let busy = unit(number, 1).sqrt();
    let entities = [
        ("customer", (busy * orders.customers as f64) as u64),
        ("terminal", (unit(number, 2) * orders.terminals as f64) as u64),
    ];
    Transaction {
        id: format!("bench-{number:012}"),
        program: orders.program.clone(),
        event_time_us: orders.start_us + number as i64 * orders.step_us,
        kind: Kind::Purchase.into(),
        amount_minor: Some((unit(number, 3) * 12_000.0) as i64),
        currency: "EUR".to_owned(),
        entities: entities.map(|(name, key)| entity(name, key)).to_vec(),
        ..Transaction::default()
    }
}

fn entity(name: &str, key: u64) -> EntityKey {
    EntityKey {
        name: name.to_owned(),
        value: key.to_string(),
    }
}

/// An even draw from [0, 1) that belongs to a number and a purpose (SplitMix64: Steele, Lea, Flood 2014).
pub fn unit(number: u64, purpose: u64) -> f64 {
    let mut z = (number << 2 | purpose).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
}

fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(HEADER + length);
    frame.put_u8(0);
    frame.put_u32(length as u32);
    message.encode_raw(&mut frame);
    frame.freeze()
}
