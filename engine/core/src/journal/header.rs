//! What headers in the clear are made of: fields one after the other, then CRC32C of all of them.

/// The header of these fields, which fill it but for the CRC.
pub(crate) fn written<const N: usize>(fields: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut at = 0;
    for field in fields {
        bytes[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    }
    let crc = crc32c::crc32c(&bytes[..at]);
    bytes[at..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Whether a header is as it was written.
pub(crate) fn is_whole<const N: usize>(header: &[u8; N]) -> bool {
    let (said, crc) = header.split_at(N - 4);
    crc32c::crc32c(said).to_le_bytes() == crc
}

/// `L` bytes of a header. The offsets are constants within it.
pub(crate) fn part<const L: usize, const N: usize>(header: &[u8; N], at: usize) -> [u8; L] {
    let mut part = [0; L];
    part.copy_from_slice(&header[at..at + L]);
    part
}
