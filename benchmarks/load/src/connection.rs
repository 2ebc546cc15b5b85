//! One HTTP/2 connection over mutual TLS 1.3.

use std::{error::Error, fs, path::Path, sync::Arc};

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        version::TLS13,
    },
};

use crate::orders::Orders;

const HOST: &str = "localhost";
/// What the server may send before it is read, in bytes: no workload here comes near it.
const WINDOW: u32 = 1 << 20;

/// The connection; its calls may be made from any task of this thread.
pub struct Connection {
    send: SendRequest<Bytes>,
}

impl Connection {
    /// Connects, proves itself and shakes hands.
    pub async fn open(orders: &Orders) -> Result<Connection, Box<dyn Error>> {
        let socket = TcpStream::connect(("127.0.0.1", orders.port)).await?;
        socket.set_nodelay(true)?;
        let tls = TlsConnector::from(Arc::new(proof(orders)?));
        let stream = tls.connect(ServerName::try_from(HOST)?, socket).await?;
        let (send, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(stream)
            .await?;
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                eprintln!("connection: {error}");
            }
        });
        Ok(Connection { send })
    }

    /// A handle for one task's calls.
    pub fn sender(&self) -> SendRequest<Bytes> {
        self.send.clone()
    }
}

/// The head of a call.
pub fn head(method: &str) -> Result<Request<()>, http::Error> {
    let path = format!("/fraudgate.v1.Scoring/{method}");
    let uri = Uri::builder()
        .scheme("https")
        .authority(HOST)
        .path_and_query(path)
        .build()?;
    let mut head = Request::new(());
    *head.method_mut() = Method::POST;
    *head.uri_mut() = uri;
    *head.version_mut() = Version::HTTP_2;
    let headers = head.headers_mut();
    headers.insert("te", HeaderValue::from_static("trailers"));
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(head)
}

/// What a call's end says, where it is not OK. In a call without an answer it stands in the head.
pub fn refusal(headers: &HeaderMap) -> Option<String> {
    let status = headers.get("grpc-status")?;
    let message = headers.get("grpc-message").map(|message| message.to_str());
    (status != "0").then(|| format!("grpc-status {status:?}: {message:?}"))
}

fn proof(orders: &Orders) -> Result<ClientConfig, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    for root in certificates(&orders.ca)? {
        roots.add(root)?;
    }
    let key = PrivateKeyDer::from_pem_slice(&fs::read(&orders.key)?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(&orders.certificate)?, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Box<dyn Error>> {
    let pem = fs::read(path)?;
    Ok(CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>()?)
}
