//! How the journal of a test is set: segments that end soon, synced often, and nothing that goes by age or size.

use std::path::Path;

use fraudgate_server::journal::{Promise, Settings};

/// The key-encryption key.
pub const SECRET: [u8; 32] = [3; 32];

/// A journal in a folder.
pub fn settings(path: &Path) -> Settings {
    Settings {
        folder: path.to_owned(),
        promise: Promise::Written,
        segment_bytes: 4_096,
        buffer_bytes: 1 << 20,
        sync_ms: 2,
        retain_bytes: None,
        retain_s: None,
        spool_inputs: None,
        snapshot_bytes: None,
        snapshot_inputs: None,
        snapshots: 2,
    }
}
