//! The server as its owner sees it: made and warmed on the owner's thread, then moved to a thread of its own that holds
//! connections, state and models until it is drained.

mod control;
mod journal;
mod memory;
mod thread;
mod warm;

use std::{
    fmt,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    time::{SystemTime, UNIX_EPOCH},
};

use arrow_array::RecordBatch;
use fraudgate_core::{
    key::HashKey,
    model::{Model, Runner, Size},
    plan::Plan,
    policy::Policy,
    road::{Engine, Limits},
    transaction::EventTime,
};

pub use control::{Running, Stats};
pub use journal::Journaled;

use crate::{
    cloud::{Link, TlsPaths},
    config::Config,
    model::{self, ModelFiles},
    transport::{Credentials, Identities, TlsFiles},
};

/// The version of hash keys that this engine makes.
pub const KEY_VERSION: u8 = 1;

/// A server that is not started yet.
pub struct Server {
    config: Config,
    identities: Identities,
    credentials: Credentials,
    key: HashKey,
    engine: Engine,
    journal: Option<Journaled>,
    /// Who is asked of what is uncertain; the thread that serves has it.
    cloud: Option<Link>,
    /// What answers while state is recovered.
    standing_in: Option<Running>,
}

/// Why a server cannot do what it is asked.
#[derive(Debug)]
pub struct ServerError(pub String);

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServerError {}

fn error(what: &str) -> impl Fn(&dyn fmt::Display) -> ServerError + '_ {
    move |error| ServerError(format!("{what}: {error}"))
}

impl Server {
    /// A server that serves no program yet. `config` is JSON, see [`Config`].
    pub fn new(config: &[u8], hash_key: [u8; 32], tls: &TlsFiles) -> Result<Server, ServerError> {
        let config = Config::parse(config).map_err(|e| error("config")(&e))?;
        let identities = config.identities().map_err(|e| error("config")(&e))?;
        let credentials = Credentials::new(tls).map_err(|e| error("tls")(&e))?;
        let limits = Limits {
            known_ids: config.known_ids,
            history: config.memory.bounds(),
            drain: config.queue,
            ahead_us: config.ahead_us,
        };
        let key = HashKey {
            version: KEY_VERSION,
            secret: hash_key,
        };
        Ok(Server {
            identities,
            credentials,
            engine: Engine::new(key.clone(), epoch(), limits),
            key,
            journal: None,
            cloud: None,
            standing_in: None,
            config,
        })
    }

    /// Listens from now on, and answers by the declared defaults until it is started: after programs were added, before
    /// state is recovered or warmed. Nothing is taken meanwhile. Gives the port.
    pub fn stand_in(&mut self) -> Result<u16, ServerError> {
        if self.standing_in.is_some() {
            return Err(ServerError("it stands in already".to_owned()));
        }
        let server = Server {
            config: self.config.clone(),
            identities: self.config.identities().map_err(|e| error("config")(&e))?,
            credentials: self.credentials.clone(),
            key: self.key.clone(),
            engine: self.engine.stand_in().map_err(|e| error("stand in")(&e))?,
            journal: None,
            cloud: self.cloud.take(),
            standing_in: None,
        };
        let listener = listen(&self.config.listen)?;
        let running = thread::start(server, listener, false)?;
        let port = running.port;
        self.standing_in = Some(running);
        Ok(port)
    }

    /// Has the cloud asked of what is uncertain, from before it listens; see [`Link::new`].
    pub fn ask_cloud(&mut self, settings: &[u8], tls: TlsPaths) -> Result<(), ServerError> {
        self.cloud = Some(Link::new(settings, tls).map_err(|e| error("cloud")(&e))?);
        Ok(())
    }

    /// Serves a program. `model` is its manifest and the ONNX bytes of its students; its state is complete for events
    /// after `complete_since_us`, microseconds since 1970-01-01T00:00:00Z. Says what runs each student.
    pub fn add_program(
        &mut self,
        name: &str,
        plan: &[u8],
        policy: &[u8],
        model: Option<ModelFiles>,
        complete_since_us: i64,
    ) -> Result<Vec<(Size, Runner)>, ServerError> {
        let in_program = format!("program {name}");
        let error = error(&in_program);
        let plan = Plan::parse(plan).map_err(|e| error(&e))?;
        let policy = Policy::parse(policy).map_err(|e| error(&e))?;
        let model = match model {
            None => None,
            Some(files) => Some(model::load(&self.config.onnxruntime, &plan, files).map_err(|e| error(&e))?),
        };
        let runners = model.iter().flat_map(Model::runners).collect();
        self.engine
            .add_program(name, plan, policy, model, EventTime(complete_since_us))
            .map_err(|e| error(&e))?;
        Ok(runners)
    }

    /// Folds history into a program; see [`Folder`](crate::table::Folder) for what the tables hold. Returns how many
    /// transactions there were.
    pub fn warm(
        &mut self,
        program: &str,
        transactions: &[RecordBatch],
        labels: &[RecordBatch],
    ) -> Result<usize, ServerError> {
        let in_program = format!("program {program}");
        let error = error(&in_program);
        self.may_take().map_err(|e| error(&e))?;
        let Some(place) = self.engine.programs().iter().position(|served| served.name == program) else {
            return Err(error(&"is not served here"));
        };
        warm::warm(&mut self.engine, place, &self.key, transactions, labels).map_err(|e| error(&e))
    }

    /// Listens, and serves from a thread of its own from now on.
    pub fn start(mut self) -> Result<Running, ServerError> {
        self.may_take()?;
        if let Some(running) = self.standing_in.take() {
            running.take_over(self.engine, self.journal)?;
            return Ok(running);
        }
        let listener = listen(&self.config.listen)?;
        thread::start(self, listener, true)
    }
}

/// A number higher than that of any server before this one on this machine, as long as its clock goes forward.
fn epoch() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn listen(address: &str) -> Result<TcpListener, ServerError> {
    let error = |e: std::io::Error| ServerError(format!("listen {address}: {e}"));
    let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(error)?.collect();
    let listener = TcpListener::bind(&addresses[..]).map_err(error)?;
    listener.set_nonblocking(true).map_err(error)?;
    Ok(listener)
}
