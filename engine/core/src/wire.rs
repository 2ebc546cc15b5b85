//! The wire's messages as prost generates them from `protos/`; documented there.
#![allow(missing_docs, clippy::large_enum_variant)]

include!(concat!(env!("OUT_DIR"), "/fraudgate.v1.rs"));
