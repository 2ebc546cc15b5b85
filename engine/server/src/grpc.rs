//! gRPC over the transport: messages in and out of bodies, statuses, deadlines. HTTP/2 is hyper's, the status trailers are
//! tonic's. The five bytes before each message are read and written here, because memory is then bounded by what has
//! arrived, what is malformed is refused in our terms, and a message is neither copied nor buffered on its way.

mod messages;
mod reply;
mod status;
mod timeout;

pub use messages::{Messages, only_message};
pub use reply::Reply;
pub use status::to_grpc;
pub use timeout::timeout;
