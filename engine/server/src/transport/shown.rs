//! What is shown to peers and asked of them, which may be renewed while connections come in.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use tokio_rustls::TlsAcceptor;

use super::{Signal, TlsError, TlsFiles, tls};

/// What handshakes are done with.
#[derive(Clone)]
pub struct Credentials {
    acceptor: TlsAcceptor,
    /// Who may sign the certificates of peers, PEM.
    ca: Arc<[u8]>,
}

impl Credentials {
    /// Of these files.
    pub fn new(files: &TlsFiles) -> Result<Credentials, TlsError> {
        Ok(Credentials {
            acceptor: tls::acceptor(files)?,
            ca: files.ca.as_slice().into(),
        })
    }
}

/// What they are done with now.
pub struct Shown(RefCell<Now>);

#[derive(Clone)]
struct Now {
    credentials: Credentials,
    /// Raised when peers whom it let in are to prove themselves anew.
    passed: Rc<Signal>,
}

impl Shown {
    /// These, until they are renewed.
    pub fn new(credentials: Credentials) -> Shown {
        Shown(RefCell::new(Now {
            credentials,
            passed: Rc::default(),
        }))
    }

    /// From the next handshake on, these. Whom an authority let in that is no longer the same is told to go away: a client
    /// that is still believed comes back at once. Otherwise connections live on to their age.
    pub fn renew(&self, credentials: Credentials) {
        let mut now = self.0.borrow_mut();
        if now.credentials.ca != credentials.ca {
            std::mem::take(&mut now.passed).raise();
        }
        now.credentials = credentials;
    }

    /// What a handshake is done with that begins now, and what is raised when its peer is to prove itself anew.
    pub fn now(&self) -> (TlsAcceptor, Rc<Signal>) {
        let now = self.0.borrow();
        (now.credentials.acceptor.clone(), now.passed.clone())
    }
}
