//! Midnight: the cycles of thousands of accounts end in the same instant, while three nodes hold leases of each.
//! Nothing is told ahead of it (decision 32): what must hold without.
#![expect(clippy::expect_used, reason = "tests may fail loudly")]

use sim::{CATALOG, Fleet};

/// Accounts of each kind; a thousand with `BURSAR_SOAK=1`, as the figures of decision 32 were measured.
fn accounts() -> usize {
    if std::env::var_os("BURSAR_SOAK").is_some() { 1_000 } else { 250 }
}

/// How long before midnight they begin, in milliseconds: time to warm up, and less than a worker goes on calling.
const BEFORE_MS: u64 = 40_000;
/// How long a call takes, in microseconds: a commit, and a line within a region.
const CALL_US: u64 = 5_000;

/// Two plans by the day: one of 100 credits, and one of a single request's.
fn catalog() -> String {
    let plan = |name: &str, credits: &str| {
        format!(
            "  {name}:\n    title: {name}\n    price_usd: 1\n    cycle: P1D\n    grants: {{ included: {credits} }}\n"
        )
    };
    let begin = "plans:\n";
    assert!(CATALOG.contains(begin));
    CATALOG.replacen(begin, &format!("{begin}{}{}", plan("large", "100"), plan("small", "0.5")), 1)
}

/// Three nodes of two workers; all accounts have been used on all of them and the small ones are spent.
fn eve() -> (Fleet, u64) {
    let mut fleet = Fleet::new(3, 2, &catalog());
    fleet.call_us = CALL_US;
    let midnight_us = fleet.now_us + BEFORE_MS * 1_000;
    let joined_at = fleet.book_now().wall + i64::try_from(BEFORE_MS).expect("a short time") - 86_400_000;
    for n in 0..accounts() {
        fleet.account_since(&format!("large-{n}"), "large", Some(joined_at));
        fleet.account_since(&format!("small-{n}"), "small", Some(joined_at));
    }
    for n in 0..3 * accounts() {
        for kind in ["large", "small"] {
            fleet.search(n % 3, n / 3 % 2, &format!("{kind}-{}", n / 3));
        }
        fleet.pass(5);
    }
    fleet.pass(4_000);
    let leased = fleet.book.accounts.values().filter(|account| account.holders().len() == 3).count();
    assert_eq!(leased, accounts(), "every large account is leased to all nodes");
    assert!(fleet.now_us < midnight_us - 5_000_000, "time is left");
    (fleet, midnight_us)
}

/// What was decided of requests that came in a stretch of time: how many were served, how many were not, and the longest
/// wait in milliseconds.
fn told(fleet: &Fleet, from_us: u64, to_us: u64) -> (usize, usize, u64) {
    let came = fleet.outcomes.iter().filter(|outcome| (from_us..to_us).contains(&outcome.came_us));
    let served = came.clone().filter(|outcome| outcome.status == 200).count();
    let wait = came.clone().map(|outcome| outcome.at_us - outcome.came_us).max().unwrap_or(0);
    (served, came.count() - served, wait / 1_000)
}

#[test]
fn nobody_is_refused_or_waits_at_midnight_though_nothing_is_told_ahead() {
    let (mut fleet, midnight_us) = eve();
    fleet.pass((midnight_us - 2_000_000 - fleet.now_us) / 1_000);
    let mut calls = Vec::new();
    for second in 0..6 {
        let before = fleet.calls();
        for n in (second % 2..accounts()).step_by(2) {
            // Each large account every other second, on another node each time; each small one once, at midnight.
            fleet.search((n + second) % 3, n % 2, &format!("large-{n}"));
            if (2..4).contains(&second) {
                fleet.search((n + second) % 3, n % 2, &format!("small-{n}"));
            }
            fleet.pass(2_000 / accounts() as u64);
        }
        calls.push(fleet.calls() - before);
    }
    fleet.pass(3_000);
    let bytes = fleet.sites.iter().map(|site| site.answer_bytes_max).max().unwrap_or(0);
    let before = told(&fleet, midnight_us - 2_000_000, midnight_us);
    let after = told(&fleet, midnight_us, fleet.now_us);
    println!("calls of all nodes by the second: {calls:?}; longest answer {bytes} bytes");
    println!("served, refused, longest wait in ms: before {before:?}, after {after:?}");
    assert_eq!((before, after.0, after.1), ((accounts(), 0, 0), 3 * accounts(), 0));
    // Who had nothing left asks once; what else is heard of is asked for many accounts at a time.
    let calm = calls.iter().take(2).max().copied().unwrap_or(0);
    assert!(calls.iter().skip(2).take(2).all(|busy| *busy <= calm + accounts() / 2 + 6 * 20), "{calls:?}");
    assert!(calls.iter().skip(4).all(|busy| *busy <= calm + 6 * 4), "{calls:?}");
    assert!(after.2 * 1_000 <= 4 * CALL_US, "{after:?}");
}
