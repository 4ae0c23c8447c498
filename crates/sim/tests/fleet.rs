//! Credits of one account on several nodes (protocol §5): the last one can be spent from whichever node, and no
//! more than the stated bound beyond it.
#![expect(clippy::expect_used, reason = "tests may fail loudly")]

use sim::{CATALOG, Fleet, Line, ask};

const SONNET: &str = "claude-sonnet-4.5";

/// ModelStack without rates in the way.
fn catalog() -> String {
    let line = "- { id: rpm, max: 40, per: minute }";
    assert!(CATALOG.contains(line));
    CATALOG.replacen(line, "- { id: rpm, max: 60000, per: minute }", 1)
}

fn fleet(sites: usize, credits: &str) -> Fleet {
    let mut fleet = Fleet::new(sites, 2, &catalog());
    fleet.account("a", "topup_only");
    fleet.top_up("a", credits);
    fleet
}

fn left(fleet: &Fleet) -> (i64, i64) {
    let account = fleet.book.accounts.get("a").expect("account");
    (account.remaining().get(), account.debt.get())
}

#[test]
fn the_last_credit_is_spent_from_whichever_node() {
    for last in 0..3 {
        let mut fleet = fleet(3, "100");
        // 120 on each node in turn: their leases lie everywhere; then one asks for all that is left.
        for n in 0..120 {
            fleet.search(n % 3, n % 2, "a");
            fleet.pass(50);
        }
        while fleet.count(402) == 0 {
            fleet.search(last, 0, "a");
            fleet.pass(200);
            assert!(fleet.outcomes.len() < 400, "never refused");
        }
        fleet.pass(3_000);
        assert_eq!((fleet.count(200), left(&fleet)), (200, (0, 0)), "node {last}");
        let others = fleet.outcomes.iter().filter(|outcome| ![200, 402].contains(&outcome.status)).count();
        let waited = fleet.outcomes.iter().map(|outcome| outcome.at_us - outcome.came_us).max().unwrap_or(0);
        println!("node {last}: {} calls, longest wait {} ms", fleet.calls(), waited / 1_000);
        assert_eq!(others, 0);
        fleet.check_at_rest();
    }
}

#[test]
fn many_nodes_at_once_spend_all_and_no_more() {
    for upstream_us in [0, 30_000, 2_000_000] {
        let mut fleet = fleet(3, "10");
        fleet.upstream_us = upstream_us;
        for n in 0..200 {
            fleet.search(n % 3, n % 2, "a");
        }
        for _ in 0..60 {
            fleet.pass(100);
            (0..3).for_each(|site| fleet.search(site, 1, "a"));
        }
        fleet.pass(6_000);
        assert_eq!((fleet.count(200), left(&fleet)), (20, (0, 0)), "{upstream_us}");
        fleet.check_at_rest();
    }
}

#[test]
fn a_clip_takes_the_very_last_of_it_once() {
    // A hold of 10 tokens out is more than the 20 in and 10 out that the answer reports: debt is bounded by that.
    let mut fleet = fleet(3, "0.01");
    for n in 0..30 {
        fleet.chat(n % 3, n % 2, "a", &ask(SONNET, 10));
        fleet.pass(400);
    }
    fleet.pass(3_000);
    let (remaining, debt) = left(&fleet);
    println!("left {remaining}, debt {debt}, served {}", fleet.count(200));
    assert_eq!(remaining, 0);
    // One request's price at most.
    assert!(debt <= 1_800, "{debt}");
    fleet.check_at_rest();
}

#[test]
fn a_node_that_was_cut_off_settles_what_it_had_and_goes_on_under_another_id() {
    let mut fleet = fleet(3, "1000");
    for n in 0..300 {
        fleet.search(n % 3, n % 2, "a");
        fleet.pass(100);
    }
    let before = fleet.open_nodes();
    fleet.sites[0].line = Line::Cut;
    let (begin_us, mut last_us) = (fleet.now_us, 0);
    while fleet.now_us < begin_us + 90_000_000 {
        let seen = fleet.outcomes.len();
        fleet.search(0, 0, "a");
        fleet.search(1, 1, "a");
        fleet.pass(500);
        let served =
            fleet.outcomes.iter().skip(seen).any(|outcome| outcome.site == 0 && outcome.status == 200);
        last_us = if served { fleet.now_us } else { last_us };
    }
    assert!(last_us > begin_us && last_us < begin_us + 59_000_000, "I10: {}", last_us - begin_us);
    assert_eq!(fleet.open_nodes().len(), 2, "closed after 65 s");
    let served = fleet.count(200);
    fleet.sites[0].line = Line::Up;
    fleet.pass(4_000);
    for _ in 0..10 {
        fleet.search(0, 0, "a");
        fleet.pass(500);
    }
    fleet.pass(5_000);
    assert!(fleet.count(200) >= served + 9, "it serves again");
    let after = fleet.open_nodes();
    assert_eq!(after.len(), 3);
    assert_eq!(after.iter().filter(|node| before.contains(node)).count(), 2, "one has another id");
    let account = fleet.book.accounts.get("a").expect("account");
    assert_eq!(account.totals.charged.get(), 500_000 * i64::try_from(fleet.count(200)).unwrap_or(0));
    fleet.check_at_rest();
}

#[test]
fn a_dead_node_s_leases_come_home() {
    let mut fleet = fleet(2, "100");
    for n in 0..60 {
        fleet.search(n % 2, 0, "a");
        fleet.pass(100);
    }
    fleet.sites[0].line = Line::Dead;
    fleet.pass(70_000);
    while fleet.count(402) == 0 {
        fleet.search(1, 0, "a");
        fleet.pass(100);
    }
    // What the dead one had served and not reported is free; all else was spent.
    let unreported = fleet.count(200) - 200;
    assert!(unreported <= 12, "{unreported}");
    assert_eq!(left(&fleet), (0, 0));
}

/// All accounts' cycles end at the same instant, in the midst of traffic: what nodes know is refreshed many
/// accounts to a call.
#[test]
fn nothing_stampedes_when_all_accounts_roll_over_at_once() {
    let mut fleet = Fleet::new(3, 2, CATALOG);
    // The cycle that began 30 days ago, in April, ends in 30 s.
    let joined_at = fleet.book_now().wall + 30_000 - 30 * 86_400_000;
    let accounts: Vec<String> = (0..1_000).map(|n| format!("acct-{n}")).collect();
    accounts.iter().for_each(|id| fleet.account_since(id, "max", Some(joined_at)));
    let mut calls = Vec::new();
    for second in 0..60_usize {
        let before = fleet.calls();
        for n in 0..100_usize {
            // Each account stays with its node, as behind a balancer that hashes keys.
            let account = (n * 10 + second % 10) % accounts.len();
            fleet.search(account % 3, account % 2, &accounts[account]);
            fleet.pass(10);
        }
        calls.push(fleet.calls() - before);
    }
    println!("calls in each second: {calls:?}");
    assert_eq!(fleet.count(200), 6_000);
    let rolled = fleet
        .book
        .accounts
        .values()
        .filter(|account| account.cycle.as_ref().is_some_and(|cycle| cycle.number == 1));
    assert_eq!(rolled.count(), accounts.len(), "all have begun another cycle");
    // The first ten seconds find every account cold.
    let calm = calls[15..28].iter().max().copied().unwrap_or(0);
    let busy = calls[28..60].iter().max().copied().unwrap_or(0);
    println!("calm {calm}, busy {busy}");
    assert!(busy <= calm + 12, "{busy} against {calm}");
}
