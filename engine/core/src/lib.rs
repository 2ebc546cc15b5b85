//! The scorer's logic, in the order in which a transaction passes it:
//!
//! `wire` bytes -> `admit` a [`transaction::Transaction`] whose fields cannot be wrong -> `known` id? -> `features` from
//! `history` -> `model` -> `policy` -> `decision`. `road` is the one entry that walks it for every door.
//!
//! Nothing here does I/O, reads a clock or draws a random number: the same inputs in the same order give the same bits.

pub mod currency;
pub mod transaction;
pub mod wire;
