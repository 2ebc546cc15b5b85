//! What a running server has counted and how it stands, by name: of the transport, the queue, the core, the journal, the
//! cloud, and what other threads of the process told.

use std::borrow::Cow;

use fraudgate_core::{
    ladder::Cause,
    model::{Runner, Size},
    program::Program,
    rescore::Why,
    road::Engine,
};

use super::{Cost, Shared};
use crate::{
    cloud::Cloud,
    server::{Journaled, Stats},
};

/// All of it, by name.
pub fn stats(shared: &Shared) -> Stats {
    let traffic = &shared.traffic;
    let door = &shared.queue.door;
    let core = shared.engine.borrow().counts();
    let (known, known_most) = shared.engine.borrow().known_ids();
    let mut stats = vec![
        ("connections_open", traffic.open.get()),
        ("connections_accepted", traffic.accepted.get()),
        ("connections_excess", traffic.excess.get()),
        ("handshakes_open", traffic.shaking.get()),
        ("handshakes_failed", traffic.unshaken.get()),
        ("certificates_renewed", traffic.renewed.get()),
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
    stats.extend(shared.cloud.iter().flat_map(Cloud::stats));
    let engine = shared.engine.borrow();
    if let Some(journal) = shared.journal.get()
        && engine.programs().iter().any(Program::is_scored_again)
    {
        stats.push(("rescore_spool", journal.spool(engine.sequence())));
    }
    let named = stats.into_iter().map(|(name, value)| (Cow::Borrowed(name), value));
    let told = shared.told.borrow().clone();
    named
        .chain(students(&engine))
        .chain(rungs(&engine))
        .chain(held(&engine))
        .chain(told)
        .collect()
}

/// Whether each program's students are walked by the engine, 1, or run by ONNX Runtime, 0.
fn students(engine: &Engine) -> Stats {
    let programs = engine.programs().iter();
    let runners = programs.flat_map(|program| program.runners().map(move |(size, runner)| (program, size, runner)));
    let told = runners.map(|(program, size, runner)| {
        let student = match size {
            Size::Full => "student",
            Size::Reduced => "reduced",
        };
        let name = format!("{student}_walked.{}", program.name);
        (name.into(), u64::from(runner == Runner::Walker))
    });
    told.collect()
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
