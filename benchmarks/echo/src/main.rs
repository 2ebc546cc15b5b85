//! The floor of what a call can cost: the server's own accept loop, TLS, HTTP/2 and gRPC frames, around a service that
//! reads each message and answers all of them alike, with a decision of the usual size. It prints its port once it listens.
//!
//!     fraudgate-echo certificate.pem key.pem client-ca.pem

use std::{env, error::Error, fs, rc::Rc, time::Duration};

use fraudgate_core::wire::{Assessment, Decision, Durability, Receipt, Tier, Verdict};
use fraudgate_server::{
    grpc::{Reply, only_message, to_grpc},
    transport::{
        Caller, Credentials, Failure, Identities, Limits, Service, Shown, Signal, TlsFiles, Traffic, Transport,
    },
};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::{
    net::TcpListener,
    runtime::{Builder, LocalOptions},
};

/// The engine's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MESSAGE_BYTES: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = env::args().skip(1).map(fs::read);
    let mut file = || files.next().ok_or("give certificate, key and client CA");
    let credentials = Credentials::new(&TlsFiles {
        certificate: file()??,
        key: file()??,
        ca: file()??,
    })?;
    let hour = Duration::from_secs(3600);
    let transport = Rc::new(Transport {
        shown: Shown::new(credentials),
        identities: Identities::default(),
        limits: Limits {
            connections: 1024,
            streams: 256,
            handshake: Duration::from_secs(5),
            idle: hour,
            age: hour,
            grace: hour,
        },
        traffic: Rc::<Traffic>::default(),
        leaving: Rc::<Signal>::default(),
        failure: Rc::<Failure>::default(),
    });
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        transport.serve(listener, Rc::new(Echo(decision()))).await;
        Ok(())
    })
}

struct Echo(Decision);

impl Service for Echo {
    type Body = Reply;

    fn call(&self, _: Rc<Caller>, request: Request<Incoming>) -> impl Future<Output = Response<Reply>> + use<> {
        let answer = self.0.clone();
        async move {
            match only_message(request.into_body(), MESSAGE_BYTES).await {
                Ok(_) => Reply::message(&answer),
                Err(refusal) => Reply::status(&to_grpc(&refusal)),
            }
        }
    }
}

fn decision() -> Decision {
    Decision {
        assessment: Some(Assessment {
            verdict: Verdict::Approve.into(),
            policy_verdict: Verdict::Approve.into(),
            tier: Tier::Full.into(),
            fraud_probability: Some(0.0123),
            risk_score: Some(12.3),
            model_digest: vec![0xFF; 32].into(),
            plan_digest: vec![0xFF; 32].into(),
            policy_digest: vec![0xFF; 32].into(),
            ..Assessment::default()
        }),
        receipt: Some(Receipt {
            epoch: 1_700_000_000_000_000,
            sequence: 1_000_000,
            durability: Durability::Memory.into(),
            received_at_us: 1_700_000_000_000_000,
            ..Receipt::default()
        }),
        rescored: None,
    }
}
