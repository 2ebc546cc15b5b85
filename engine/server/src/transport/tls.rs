//! TLS 1.3 only, HTTP/2 only, and only with peers whose certificate our authority signed.

use std::{fmt, sync::Arc};

use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::{NoServerSessionStorage, WebPkiClientVerifier},
        version::TLS13,
    },
};

/// The one protocol spoken inside TLS.
pub const ALPN: &[u8] = b"h2";

/// What one proves oneself with, and whom one believes; all PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The own certificate, leaf first.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
    /// The certificates that may sign those of peers: of clients to a server, of the server to a client.
    pub ca: Vec<u8>,
}

/// Why they cannot be used.
#[derive(Debug)]
pub struct TlsError(String);

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsError {}

/// Builds the acceptor of handshakes.
///
/// Sessions are not resumed: a resumed one would skip the check that the client's certificate still holds.
pub fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let Own { chain, key } = own(files)?;
    let roots = roots("client_ca", &files.ca)?;
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| TlsError(format!("client_ca: {error}")))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| TlsError(format!("TLS 1.3: {error}")))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| TlsError(format!("certificate and key: {error}")))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Builds the other side: a client that shows its own certificate.
pub fn connector(files: &TlsFiles) -> Result<TlsConnector, TlsError> {
    let Own { chain, key } = own(files)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| TlsError(format!("TLS 1.3: {error}")))?
        .with_root_certificates(roots("ca", &files.ca)?)
        .with_client_auth_cert(chain, key)
        .map_err(|error| TlsError(format!("certificate and key: {error}")))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

struct Own {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

fn own(files: &TlsFiles) -> Result<Own, TlsError> {
    Ok(Own {
        chain: certificates("certificate", &files.certificate)?,
        key: PrivateKeyDer::from_pem_slice(&files.key)
            .map_err(|error| TlsError(format!("key: no private key in PEM: {error}")))?,
    })
}

fn roots(what: &str, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for root in certificates(what, pem)? {
        roots.add(root).map_err(|error| TlsError(format!("{what}: {error}")))?;
    }
    Ok(roots)
}

fn certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError(format!("{what}: no certificate in PEM"))),
        Ok(found) => Ok(found),
        Err(error) => Err(TlsError(format!("{what}: {error}"))),
    }
}
