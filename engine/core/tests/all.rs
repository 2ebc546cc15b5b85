//! All tests that only call the core, as one program: it is linked once.

mod erasure;
mod journal;
mod ladder;
mod rescore;
mod road;
mod shop;
mod snapshot;
mod stream;
