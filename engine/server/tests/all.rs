//! All tests of the journal's files, as one program: it is linked once.

mod configured;
mod cursor;
mod erasure;
mod faulty;
mod header;
mod journal;
mod journaled;
mod look;
mod repair;
#[path = "../../core/tests/shop/mod.rs"]
mod shop;
mod snapshot;
mod waited;
