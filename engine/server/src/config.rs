//! What a server is told when it is made, as JSON from the configuration. Every member is stated; none has a default here.

use std::{path::PathBuf, time::Duration};

use fraudgate_core::history::Bounds;
use serde::Deserialize;

use crate::{
    journal::Settings,
    scoring::Scoring,
    transport::{Allowed, Identities, IdentityError, Limits},
};

/// What is under way on a connection that was told to go away is cut after this long.
const GRACE: Duration = Duration::from_secs(30);

/// The configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: String,
    /// Most connections.
    pub connections: usize,
    /// Most calls under way on one connection.
    pub streams: u32,
    /// Largest message, in bytes.
    pub message_bytes: usize,
    /// Most items of a batch.
    pub batch: usize,
    /// Most inputs that wait for one drain.
    pub queue: usize,
    /// Time for a TLS handshake, in milliseconds.
    pub handshake_ms: u64,
    /// Age at which a connection is told to go away, in seconds.
    pub connection_age_s: u64,
    /// Time without a call after which a connection is told to go away, in seconds.
    pub idle_s: u64,
    /// How far ahead of the clock an event time may lie, in microseconds; null: any.
    pub ahead_us: Option<i64>,
    /// How many transaction ids are remembered with their answers.
    pub known_ids: usize,
    /// What bounds memory.
    pub memory: Memory,
    /// The ONNX Runtime library; needed when a program has a model.
    pub onnxruntime: PathBuf,
    /// Where inputs are journaled; null: nowhere, and a restart begins anew.
    pub journal: Option<Settings>,
    /// Who may call what.
    pub identities: Vec<Identity>,
}

/// What bounds memory.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Most bytes of each program's histories.
    pub history_bytes: u64,
    /// Most events of one key that are told apart.
    pub rows_a_key: usize,
    /// Beyond this much real memory of the process no model is asked; null: however much.
    pub process_bytes: Option<u64>,
}

impl Memory {
    /// What bounds the state of each program, as the core takes it.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            bytes: self.history_bytes,
            rows_a_key: self.rows_a_key,
            ..Bounds::NONE
        }
    }
}

/// One identity.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// `dns:<name>`, `uri:<uri>` or `email:<address>`, as in the certificate's subject alternative names.
    pub name: String,
    /// The services it may call.
    pub allow: Vec<Permission>,
}

/// A service that can be allowed.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// `fraudgate.v1.Scoring`.
    Scoring,
    /// `fraudgate.v1.Feedback`.
    Feedback,
    /// `fraudgate.v1.Operation`.
    Operation,
}

impl Permission {
    fn allowed(self) -> Allowed {
        match self {
            Permission::Scoring => Scoring::SCORING,
            Permission::Feedback => Scoring::FEEDBACK,
            Permission::Operation => Scoring::OPERATION,
        }
    }
}

impl Config {
    /// Reads it and checks that no limit is nothing.
    pub fn parse(json: &[u8]) -> Result<Config, String> {
        let config: Config = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let limits = [
            ("connections", config.connections as u64),
            ("streams", config.streams.into()),
            ("message_bytes", config.message_bytes as u64),
            ("batch", config.batch as u64),
            ("queue", config.queue as u64),
            ("handshake_ms", config.handshake_ms),
            ("connection_age_s", config.connection_age_s),
            ("idle_s", config.idle_s),
            ("memory.history_bytes", config.memory.history_bytes),
            ("memory.rows_a_key", config.memory.rows_a_key as u64),
        ];
        match limits.iter().find(|(_, limit)| *limit == 0) {
            Some((name, _)) => Err(format!("{name}: must be at least 1")),
            None => Ok(config),
        }
    }

    /// What the transport allows.
    pub fn limits(&self) -> Limits {
        Limits {
            connections: self.connections,
            streams: self.streams,
            handshake: Duration::from_millis(self.handshake_ms),
            idle: Duration::from_secs(self.idle_s),
            age: Duration::from_secs(self.connection_age_s),
            grace: GRACE,
        }
    }

    /// Who may call what.
    pub fn identities(&self) -> Result<Identities, IdentityError> {
        let mut identities = Identities::default();
        for identity in &self.identities {
            for permission in &identity.allow {
                identities.allow(&identity.name, permission.allowed())?;
            }
        }
        Ok(identities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"listen":"127.0.0.1:0","connections":1024,"streams":256,"message_bytes":1048576,"batch":1024,
        "queue":16384,"handshake_ms":5000,"connection_age_s":3600,"idle_s":900,"ahead_us":60000000,"known_ids":262144,"memory":{"history_bytes":4294967296,"rows_a_key":16384,"process_bytes":null},
        "onnxruntime":"/lib/libonnxruntime.so","identities":[{"name":"dns:payments.example","allow":["scoring"]}]}"#;

    #[test]
    fn what_is_missing_unknown_or_nothing_is_refused_by_name() {
        assert!(Config::parse(GOOD.as_bytes()).is_ok());
        for (from, to, named) in [
            (r#""batch":1024,"#, "", "batch"),
            (r#""batch":1024"#, r#""batch":0"#, "batch"),
            (r#""batch":1024"#, r#""batches":1024"#, "batches"),
            (r#"["scoring"]"#, r#"["everything"]"#, "everything"),
        ] {
            let error = Config::parse(GOOD.replace(from, to).as_bytes()).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
