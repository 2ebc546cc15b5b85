//! A refusal as the status of a whole call.

use fraudgate_core::refusal::Refusal;
use prost::Message;
use tonic::{Code, Status};

/// Code and message, and in `grpc-status-details-bin` the same google.rpc.Status that items of a batch carry.
pub fn to_grpc(refusal: &Refusal) -> Status {
    let status = refusal.status();
    let details = status.encode_to_vec().into();
    Status::with_details(Code::from_i32(status.code), status.message, details)
}
