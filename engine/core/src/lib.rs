//! The scorer's logic, in the order in which a transaction passes it:
//!
//! [`wire`] bytes -> [`admit`] makes a [`transaction`] whose fields cannot be wrong (its ids become [`key`] hashes, its
//! texts are searched for a [`card_number`]) -> [`known`] id? -> [`features`] of the [`plan`] from [`history`] ->
//! [`model`] -> [`policy`] -> [`assessment`]. [`road`] is the one entry that walks it for every door.
//!
//! Nothing here does I/O, reads a clock or draws a random number: the same inputs in the same order give the same bits.

pub mod admit;
pub mod assessment;
pub mod broken;
pub mod card_number;
pub mod currency;
pub mod features;
pub mod history;
pub mod journal;
pub mod key;
pub mod keyed;
pub mod known;
pub mod ladder;
pub mod model;
pub mod origin;
pub mod plan;
pub mod policy;
pub mod program;
pub mod refusal;
pub mod replay;
pub mod rescore;
pub mod road;
pub mod snapshot;
pub mod transaction;
pub mod wire;
