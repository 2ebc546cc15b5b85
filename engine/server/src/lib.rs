//! The data plane around the core: gRPC over mutual TLS 1.3, forests, tables.
//!
//! One thread owns connections, state and models. A call passes `transport` (socket, TLS, identity, HTTP/2) and `grpc`
//! (frames, statuses), which know nothing of what is served, and then `scoring`: routes, the queue, and the drain that
//! hands what has arrived to the core.

pub mod cloud;
pub mod config;
pub mod forest;
pub mod grpc;
pub mod journal;
pub mod model;
pub mod scoring;
pub mod server;
pub mod table;
pub mod transport;
