//! gRPC over the transport: messages in and out of bodies, statuses, deadlines. Framing and status trailers are tonic's;
//! messages come in as raw bytes, so that what is malformed is refused in our terms.

mod codec;
mod reply;
mod status;
mod timeout;

pub use codec::{Messages, messages, only_message};
pub use reply::Reply;
pub use status::to_grpc;
pub use timeout::timeout;
