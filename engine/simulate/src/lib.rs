//! The real core and the real journal — writer, keeper, keyring, recovery — under a simulated clock, disk and network, all
//! drawn from one seed. [`run`] plays a seed; [`truth`] says what must come of it. The same seed gives the same trace.

pub mod brute;
pub mod clients;
pub mod disk;
pub mod keys;
pub mod life;
pub mod played;
pub mod random;
pub mod run;
pub mod scenario;
pub mod seals;
pub mod trace;
pub mod truth;
