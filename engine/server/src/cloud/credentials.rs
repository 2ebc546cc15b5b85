//! What the cloud is spoken to with, read from its files again while it serves: gets three paths, gives a connector. What
//! cannot be used, such as a certificate whose key is not written yet, leaves what was there in its place.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::transport::{TlsError, TlsFiles, connector};

/// How often the files are looked at, where no new connection asks for it.
const LOOK: Duration = Duration::from_secs(3);

/// Where they lie, all PEM; see [`TlsFiles`].
#[derive(Clone, Debug)]
pub struct TlsPaths {
    /// The own certificate, leaf first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who may sign the cloud's.
    pub ca: PathBuf,
}

impl TlsPaths {
    fn read(&self) -> io::Result<TlsFiles> {
        let read = |path: &Path| fs::read(path);
        Ok(TlsFiles {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
            ca: read(&self.ca)?,
        })
    }
}

/// What other threads may know of them.
#[derive(Debug, Default)]
pub struct Renewals {
    renewed: AtomicU64,
    unusable: AtomicBool,
}

impl Renewals {
    /// How often other files took the place of those before.
    pub fn renewed(&self) -> u64 {
        self.renewed.load(Relaxed)
    }

    /// Whether what lies there now cannot be used, and what was there before is.
    pub fn are_unusable(&self) -> bool {
        self.unusable.load(Relaxed)
    }
}

/// Credentials that follow their files.
pub struct Credentials {
    paths: TlsPaths,
    files: TlsFiles,
    connector: TlsConnector,
    looked: Instant,
    renewals: Arc<Renewals>,
}

impl Credentials {
    /// Those that lie there now.
    pub fn new(paths: TlsPaths, renewals: Arc<Renewals>) -> Result<Credentials, CredentialsError> {
        let files = paths.read().map_err(CredentialsError::Unread)?;
        Ok(Credentials {
            connector: connector(&files).map_err(CredentialsError::Unusable)?,
            paths,
            files,
            looked: Instant::now(),
            renewals,
        })
    }

    /// What a connection is made with.
    pub fn connector(&self) -> &TlsConnector {
        &self.connector
    }

    /// Looks at the files where that was long ago; whether a connection is to be made anew.
    pub fn have_changed(&mut self) -> bool {
        self.looked.elapsed() >= LOOK && self.look()
    }

    /// Looks at the files; whether others took the place of those before.
    pub fn look(&mut self) -> bool {
        self.looked = Instant::now();
        let found = match self.paths.read() {
            Ok(files) if files == self.files => Ok(None),
            Ok(files) => connector(&files)
                .map(|connector| Some((files, connector)))
                .map_err(CredentialsError::Unusable),
            Err(error) => Err(CredentialsError::Unread(error)),
        };
        self.renewals.unusable.store(found.is_err(), Relaxed);
        let Ok(Some((files, connector))) = found else {
            return false;
        };
        (self.files, self.connector) = (files, connector);
        self.renewals.renewed.fetch_add(1, Relaxed);
        true
    }
}

/// Why there are none.
#[derive(Debug)]
pub enum CredentialsError {
    /// A file cannot be read.
    Unread(io::Error),
    /// What they hold is not what they should.
    Unusable(TlsError),
}

impl std::fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CredentialsError::Unread(error) => write!(f, "certificate, key and ca: {error}"),
            CredentialsError::Unusable(error) => error.fmt(f),
        }
    }
}
