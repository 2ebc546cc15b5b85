//! From bytes to messages.

use prost::Message;

use crate::refusal::Refusal;

/// Decodes a message. Bytes that are no such message are refused by the name of the field where decoding stopped.
pub fn decode<M: Message + Default>(bytes: impl prost::bytes::Buf, whole: &str) -> Result<M, Refusal> {
    let mut message = M::default();
    decode_into(&mut message, bytes, whole).map(|()| message)
}

/// Decodes into an empty message. When that fails, the message holds the fields before the one where decoding stopped.
pub fn decode_into<M: Message>(message: &mut M, bytes: impl prost::bytes::Buf, whole: &str) -> Result<(), Refusal> {
    message.merge(bytes).map_err(|error| {
        // prost tells the path from the inside out: "failed to decode Protobuf message: EntityKey.value:
        // Transaction.entities: invalid string value: data is not UTF-8 encoded".
        let told = error.to_string();
        let told = told
            .strip_prefix("failed to decode Protobuf message: ")
            .unwrap_or(&told);
        let mut parts: Vec<&str> = told.split(": ").collect();
        let fields = parts
            .iter()
            .take_while(|part| part.contains('.') && !part.contains(' '))
            .count();
        let mut path: Vec<&str> = parts
            .drain(..fields)
            .rev()
            .filter_map(|part| part.rsplit_once('.').map(|(_, field)| field))
            .collect();
        if path.is_empty() {
            path.push(whole);
        }
        Refusal::invalid(path.join("."), format!("is malformed: {}", parts.join(": ")))
    })
}
