//! The scorer's logic, in the order in which a transaction passes it.

pub mod card_number;
pub mod currency;
pub mod features;
pub mod history;
pub mod key;
pub mod keyed;
pub mod model;
pub mod plan;
pub mod policy;
pub mod refusal;
pub mod transaction;
pub mod wire;
