//! The simulator itself: it is quiet about what is right, and sees each way to be wrong.

use sim::cluster::{Schedule, Tamper, Trace, explain, play, seed};

/// Seeds that a wrong way may take to come up: some need a restart, a closed node, a last credit.
const SEEDS: u64 = 400;

/// The first seed that sees it, and by which property.
fn seen(tamper: Tamper) -> Option<(u64, &'static str)> {
    (0..SEEDS).find_map(|number| {
        let (_, broken, _) = play(Schedule::draw(number), tamper, Trace::default());
        Some((number, broken?.property))
    })
}

#[test]
fn what_is_right_passes() {
    for number in 0..40 {
        let (counts, broken) = seed(number);
        assert_eq!(broken, None, "cargo run --release -p sim -- --seeds {number}");
        assert!(counts.steps > 50, "seed {number} does next to nothing: {counts:?}");
    }
}

#[test]
fn every_way_to_be_wrong_is_seen() {
    for tamper in Tamper::WRONG {
        let seen = seen(tamper);
        assert!(seen.is_some(), "{tamper:?} is not seen");
        println!("{tamper:?}: {seen:?}");
    }
}

#[test]
fn a_seed_is_one_run() {
    let trace = |_| play(Schedule::draw(7), Tamper::Nothing, Trace::kept()).2.lines().to_vec();
    let (once, again) = (trace(()), trace(()));
    assert!(once.len() > 100);
    assert_eq!(once, again);
}

#[test]
fn what_fails_is_shrunk_and_told() {
    let schedule = Schedule::draw(3);
    let steps = schedule.steps.len();
    let failure = explain(schedule, Tamper::AppliesTwice).expect("a failure");
    assert!(failure.schedule.steps.len() < steps, "{} of {steps} steps", failure.schedule.steps.len());
    assert!(failure.trace.iter().any(|line| line.contains("is forwarded")));
}
