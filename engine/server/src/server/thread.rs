//! The one thread that owns connections, state and models.

use std::{
    cell::{Cell, OnceCell, RefCell},
    future::poll_fn,
    net::TcpListener,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Poll, ready},
    thread,
    time::Duration,
};

use tokio::{
    runtime::{self, LocalOptions},
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    Journaled, Server, ServerError,
    control::{Control, Ended, Running},
    memory,
};
use crate::{
    cloud::Cloud,
    journal::Promise,
    scoring::{
        Machine, Queue, Scoring, Shared,
        bulk::{self, Hand},
        drain, photograph, stats, tend,
    },
    transport::{Failure, Local, Shown, Signal, Traffic, Transport, count, panic_message},
};

/// How many requests of other threads may wait.
const CONTROLS: usize = 16;
/// How many hands of records may wait: each bounds itself, and who hands over waits until it is taken.
const HANDS: usize = 4;
/// How often a server that leaves looks whether its connections are gone.
const LOOK: Duration = Duration::from_millis(2);

/// Starts it. It is `ready`, or answers by defaults until an engine takes over.
pub fn start(server: Server, listener: TcpListener, ready: bool) -> Result<Running, ServerError> {
    let failed = |e: std::io::Error| ServerError(format!("start: {e}"));
    let port = listener.local_addr().map_err(failed)?.port();
    let (sender, controls) = mpsc::channel(CONTROLS);
    let (hand, hands) = mpsc::channel(HANDS);
    let ended = Arc::new(Ended::default());
    let tell = ended.clone();
    let (tell_started, started) = std::sync::mpsc::sync_channel(1);
    let run = move || {
        let served = catch_unwind(AssertUnwindSafe(|| {
            // A local runtime belongs to the thread that makes it.
            match runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default())
            {
                Ok(runtime) => {
                    let _ = tell_started.send(Ok(()));
                    runtime.block_on(serve(server, listener, controls, hands, ready))
                }
                Err(error) => {
                    let _ = tell_started.send(Err(error));
                    Ok(())
                }
            }
        }));
        tell.tell(served.unwrap_or_else(|panic| Err(panicked(&panic_message(&*panic)))));
    };
    thread::Builder::new()
        .name("fraudgate".to_owned())
        .spawn(run)
        .map_err(failed)?;
    match started.recv() {
        Ok(Ok(())) => Ok(Running::new(port, sender, hand, ended)),
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(ServerError(
            "start: the server's thread ended before it began".to_owned(),
        )),
    }
}

fn panicked(message: &str) -> String {
    format!("the server's thread failed; this is a defect: {message}")
}

/// Serves until it is told to drain, until its owner is gone, or until something fails.
async fn serve(
    server: Server,
    listener: TcpListener,
    mut controls: mpsc::Receiver<Control>,
    hands: mpsc::Receiver<Hand>,
    ready: bool,
) -> Result<(), String> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|error| format!("listen: {error}"))?;
    let leaving = Rc::new(Signal::default());
    let traffic = Rc::new(Traffic::default());
    let transport = Rc::new(Transport {
        shown: Shown::new(server.credentials),
        identities: server.identities,
        limits: server.config.limits(),
        traffic: traffic.clone(),
        leaving: leaving.clone(),
        failure: Rc::new(Failure::default()),
    });
    let shared = Rc::new(Shared {
        engine: RefCell::new(server.engine),
        queue: Queue::new(server.config.queue, false, Machine::default()),
        ready: Rc::default(),
        leaving,
        message_bytes: server.config.message_bytes,
        batch: server.config.batch,
        cloud: server.cloud.map(Cloud::new),
        journal: OnceCell::new(),
        traffic: traffic.clone(),
        told: RefCell::default(),
        resident_bytes: Cell::new(0),
    });
    let local = Local(transport.failure.clone());
    local.spawn(drain(shared.clone()));
    local.spawn(memory::watch(shared.clone(), server.config.memory.process_bytes));
    local.spawn(bulk::take(shared.clone(), hands));
    if ready {
        is_ready(&shared, server.journal, &local);
    }
    local.spawn(transport.clone().serve(listener, Rc::new(Scoring(shared.clone()))));

    let time = {
        let mut control = pin!(obey(&mut controls, &shared, &transport, &local));
        let mut failure = transport.failure.happened.wait();
        poll_fn(|cx| match failure.poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => Poll::Ready(Some(ready!(control.as_mut().poll(cx)))),
        })
        .await
    };
    if let Some(time) = time {
        transport.leaving.raise();
        let gone = async {
            while traffic.open.get() > 0 && !transport.failure.happened.is_raised() {
                sleep(LOOK).await;
            }
        };
        // Out of time: what is left is cut when this thread ends.
        let _ = timeout(time, gone).await;
    }
    match transport.failure.message() {
        Some(message) => Err(panicked(&message)),
        None => Ok(()),
    }
}

/// Does what it is told until that is to drain; gives the time for it. When no owner is left, there is none.
async fn obey(
    controls: &mut mpsc::Receiver<Control>,
    shared: &Rc<Shared>,
    transport: &Transport,
    local: &Local,
) -> Duration {
    loop {
        match controls.recv().await {
            // Who asked may have stopped waiting.
            Some(Control::Stats(reply)) => drop(reply.try_send(stats(shared))),
            Some(Control::Digest(reply)) => drop(reply.try_send(shared.engine.borrow().digest())),
            Some(Control::Tell(told)) => shared.told.borrow_mut().extend(told),
            Some(Control::Renew(credentials)) => {
                transport.shown.renew(credentials);
                count(&transport.traffic.renewed, 1);
            }
            Some(Control::MirrorBehind(behind)) => shared.engine.borrow_mut().mirror_behind(behind),
            Some(Control::Offsets(reply)) => {
                let offsets = shared.engine.borrow().offsets().iter().cloned().collect();
                drop(reply.try_send(offsets));
            }
            Some(Control::Snapshot(reply)) => match shared.journal.get() {
                Some(journal) => journal.taking.borrow_mut().ask(Box::new(move |outcome| {
                    let _ = reply.try_send(outcome);
                })),
                None => drop(reply.try_send(Err("it has no journal, or recovers".to_owned()))),
            },
            Some(Control::TakeOver(over)) => {
                let (mut engine, journal) = *over;
                engine.take_over(&shared.engine.borrow());
                shared.engine.replace(engine);
                is_ready(shared, journal, local);
            }
            Some(Control::Drain(time)) => return time,
            None => return Duration::ZERO,
        }
    }
}

/// The engine's state is there, and so is its journal.
fn is_ready(shared: &Rc<Shared>, journal: Option<Journaled>, local: &Local) {
    if let Some(journal) = journal {
        shared.queue.promise(journal.promise == Promise::Synced);
        // It is given once: with the engine, or when one takes over.
        let _ = shared.journal.set(journal);
        local.spawn(tend(shared.clone()));
        local.spawn(photograph(shared.clone()));
    }
    shared.ready.raise();
}
