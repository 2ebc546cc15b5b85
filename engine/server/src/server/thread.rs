//! The one thread that owns connections, state and models.

use std::{
    borrow::Cow,
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

use fraudgate_core::{ladder::Cause, rescore::Why, road::Engine};
use tokio::{
    runtime::{self, LocalOptions},
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    Journaled, Server, ServerError,
    control::{Control, Ended, Running, Stats},
    memory,
};
use crate::{
    journal::Promise,
    scoring::{
        Cost, Machine, Queue, Scoring, Shared,
        bulk::{self, Hand},
        drain, photograph, tend,
    },
    transport::{Failure, Local, Signal, Traffic, Transport, panic_message},
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
    let transport = Rc::new(Transport {
        tls: server.tls,
        identities: server.identities,
        limits: server.config.limits(),
        traffic: Traffic::default(),
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
        journal: OnceCell::new(),
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
        let mut control = pin!(obey(&mut controls, &shared, &transport.traffic, &local));
        let mut failure = transport.failure.happened.wait();
        poll_fn(|cx| match failure.poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => Poll::Ready(Some(ready!(control.as_mut().poll(cx)))),
        })
        .await
    };
    if let Some(time) = time {
        transport.leaving.raise();
        let traffic = &transport.traffic;
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
    traffic: &Traffic,
    local: &Local,
) -> Duration {
    loop {
        match controls.recv().await {
            // Who asked may have stopped waiting.
            Some(Control::Stats(reply)) => drop(reply.try_send(stats(shared, traffic))),
            Some(Control::Digest(reply)) => drop(reply.try_send(shared.engine.borrow().digest())),
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

fn stats(shared: &Shared, traffic: &Traffic) -> Stats {
    let door = &shared.queue.door;
    let core = shared.engine.borrow().counts();
    let (known, known_most) = shared.engine.borrow().known_ids();
    let mut stats = vec![
        ("connections_open", traffic.open.get()),
        ("connections_accepted", traffic.accepted.get()),
        ("connections_excess", traffic.excess.get()),
        ("handshakes_open", traffic.shaking.get()),
        ("handshakes_failed", traffic.unshaken.get()),
        ("calls", traffic.calls.get()),
        ("queued", shared.queue.waiting() as u64),
        ("drains", door.drains.get()),
        ("drained", door.drained.get()),
        ("largest_drain", door.largest_drain.get()),
        ("overloaded", door.overloaded.get()),
        ("too_late", door.too_late.get()),
        ("gone", door.gone.get()),
        ("service_ns", shared.queue.service_ns(Cost::Full)),
        ("service_reduced_ns", shared.queue.service_ns(Cost::Reduced)),
        ("service_bare_ns", shared.queue.service_ns(Cost::Bare)),
        ("transactions", core.transactions),
        ("replayed", core.replayed),
        ("known_ids", known as u64),
        ("known_ids_most", known_most as u64),
        ("labels", core.labels),
        ("outcomes", core.outcomes),
        ("erasures", core.erasures),
        ("refused", core.refused),
        ("passed", core.passed),
        ("unfolded", core.unfolded),
        ("model_failures", core.model_failures),
        ("resident_bytes", shared.resident_bytes.get()),
        ("rescore_spool_full", core.rescores.full),
    ];
    stats.extend(shared.journal.get().into_iter().flat_map(Journaled::stats));
    let named = stats.into_iter().map(|(name, value)| (Cow::Borrowed(name), value));
    let engine = shared.engine.borrow();
    named.chain(rungs(&engine)).chain(held(&engine)).collect()
}

/// What is held of each program's entities: live events and keys, what they are counted with, and the event time through
/// which events were evicted for want of room.
fn held(engine: &Engine) -> Stats {
    let mut stats = Stats::new();
    for program in engine.programs() {
        for (entity, held) in program.plan.entities.iter().zip(program.history.held()) {
            let mut tell = |what: &str, value: i64| {
                let name = format!("history_{what}.{}.{entity}", program.name);
                stats.push((name.into(), u64::try_from(value).unwrap_or(0)));
            };
            tell("events", held.live.events);
            tell("keys", held.live.keys);
            tell("bytes", held.bytes);
            if let Some(through) = held.evicted_through {
                tell("evicted_through_us", through.0);
            }
        }
    }
    stats
}

/// Answers by tier and cause, and what each program approved blind: since the start, and in its window.
fn rungs(engine: &Engine) -> Stats {
    let answers = engine.counts().answers;
    let mut stats: Stats = vec![("answered_full".into(), answers.full)];
    for (tier, counts) in [("reduced", answers.reduced), ("default", answers.default)] {
        let named = Cause::ALL.iter().zip(counts);
        stats.extend(named.map(|(cause, count)| {
            let name = format!("answered_{tier}_{cause:?}").to_lowercase();
            (name.into(), count)
        }));
    }
    let queued = Why::ALL.iter().zip(engine.counts().rescores.queued);
    stats.extend(queued.map(|(why, count)| (format!("rescore_queued_{why:?}").to_lowercase().into(), count)));
    for program in engine.programs() {
        let reviewed = program.reviewed;
        for (counted, value) in [
            ("rescored", reviewed.taken),
            ("rescore_reversed", reviewed.reversed),
            ("rescore_reversed_minor", reviewed.reversed_minor),
            ("rescore_released", reviewed.released),
            ("rescore_released_minor", reviewed.released_minor),
        ] {
            stats.push((format!("{counted}.{}", program.name).into(), value));
        }
        let (approved, exposed) = (program.blind.approved_minor(), program.blind.exposed_minor());
        stats.push((format!("blind_approved_minor.{}", program.name).into(), approved));
        stats.push((
            format!("blind_exposed_minor.{}", program.name).into(),
            exposed.unsigned_abs(),
        ));
    }
    stats
}
