//! A seed plays the same each time, and what is broken on purpose is found.

use std::process::Command;

use fraudgate_simulate::run::play;

/// Seeds within which each breakage must be found.
const SEEDS: u64 = 100;

fn simulate(words: &[&str]) -> (bool, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_fraudgate-simulate"))
        .args(words)
        .output()
        .unwrap();
    (run.status.success(), String::from_utf8(run.stdout).unwrap())
}

#[test]
fn a_seed_plays_the_same_each_time_and_others_play_otherwise() {
    let traces: Vec<u64> = (1..=20).map(|seed| play(seed, false).unwrap().trace).collect();
    let again: Vec<u64> = (1..=20).map(|seed| play(seed, false).unwrap().trace).collect();
    assert_eq!(traces, again);
    for (place, trace) in traces.iter().enumerate() {
        assert!(!traces[..place].contains(trace));
    }
    // And alike in another process.
    let (passed, told) = simulate(&["--seeds", "1", "--first", "7", "--verbose"]);
    assert!(
        passed && told.contains(&format!("seed 7: trace {:016x}", traces[6])),
        "{told}"
    );
}

/// What was found by them is mended, in the core or in what the oracle says of it.
#[test]
fn seeds_that_failed_once_pass() {
    for seed in [469, 9_659, 58_926, 200_959, 201_136, 203_182, 9_002_360] {
        play(seed, false).unwrap();
    }
}

#[test]
fn what_is_simulated_meets_every_kind_of_trouble() {
    let mut all = fraudgate_simulate::played::Played::default();
    for seed in 1..=2 * SEEDS {
        all.add(&play(seed, false).unwrap());
    }
    let (seen, suffered) = (all.seen, all.suffered);
    let counts = [
        seen.taken,
        seen.replayed,
        seen.reused,
        seen.refused,
        seen.unfolded,
        seen.features,
        seen.approximate,
        seen.incomplete,
        seen.late,
        seen.lost,
        suffered.writes,
        suffered.syncs,
        suffered.reads,
        suffered.torn,
        suffered.lost,
        all.deaths[0],
        all.deaths[1],
        all.deaths[2],
        all.named,
        all.unread,
        all.rewritten,
        all.snapshots[0],
        all.snapshots[1],
        all.snapshots[2],
    ];
    assert!(counts.iter().all(|&count| count >= 10), "{all}");
}

/// The five ways; see `fraudgate_core::broken`.
#[cfg(feature = "broken")]
#[test]
fn each_way_to_break_the_core_is_found_on_seeds_that_it_passes_whole() {
    let seeds = SEEDS.to_string();
    let (passed, told) = simulate(&["--seeds", &seeds, "--first", "1"]);
    assert!(passed, "{told}");
    for (name, _) in fraudgate_core::broken::Broken::ALL {
        let (passed, told) = simulate(&["--seeds", &seeds, "--first", "1", "--break", name]);
        assert!(!passed && told.contains("VERBOSE=1 BREAK="), "{name}: {told}");
    }
}
