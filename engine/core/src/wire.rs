//! The wire's messages as prost generates them from `protos/`; documented there.
#![allow(missing_docs)]

include!(concat!(env!("OUT_DIR"), "/fraudgate.v1.rs"));
