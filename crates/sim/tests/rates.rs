//! Rates over several nodes (protocol §6): served as one bucket would, never more than its bound.

use sim::{CATALOG, Fleet, Line};

/// ModelStack with a Starter plan of another rate, and credits for all of it.
fn catalog(rpm: u64) -> String {
    let line = "- { id: rpm, max: 15, per: minute }";
    assert!(CATALOG.contains(line) && CATALOG.contains("included: 500 }"));
    let other = format!("- {{ id: rpm, max: {rpm}, per: minute }}");
    CATALOG.replacen(line, &other, 1).replacen("included: 500 }", "included: 500000 }", 1)
}

/// One bucket of `burst` tokens that is refilled in `cost_us` each.
struct Bucket {
    cost_us: u64,
    depth_us: u64,
    full_us: u64,
}

impl Bucket {
    fn new(rpm: u64, burst: u64) -> Self {
        let cost_us = 60_000_000 / rpm;
        Self { cost_us, depth_us: cost_us * burst, full_us: 0 }
    }

    fn take(&mut self, at_us: u64) -> bool {
        let full_us = self.full_us.max(at_us) + self.cost_us;
        let fits = full_us <= at_us + self.depth_us;
        self.full_us = if fits { full_us } else { self.full_us };
        fits
    }
}

/// In no window more than `burst` and what is refilled in it.
fn assert_within(served_us: &[u64], rpm: u64, burst: u64) {
    let mut bucket = Bucket::new(rpm, burst);
    for (index, at_us) in served_us.iter().enumerate() {
        assert!(bucket.take(*at_us), "request {index} of {} at {at_us} came too early", served_us.len());
    }
}

/// A generator that is the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[derive(Clone, Copy, Debug)]
enum Traffic {
    /// Each request comes to any node.
    Even,
    /// 95 of 100 come to one node.
    Hot,
    /// 20 in a row come to the same node.
    Sticky,
}

/// Plays `minutes` of demand at `load` percent of the rate; gives the share of what one bucket would have served,
/// and calls per 1,000 requests.
fn play(rpm: u64, traffic: Traffic, load: u64, minutes: u64) -> (f64, f64) {
    let mut fleet = Fleet::new(3, 2, &catalog(rpm));
    fleet.account("a", "starter");
    let mut dice = Dice(rpm * 7 + load);
    let mut ideal = Bucket::new(rpm, rpm);
    let mut expected = 0_u64;
    let end_us = fleet.now_us + minutes * 60_000_000;
    let gap_ms = 60_000 * 100 / (rpm * load);
    let mut requests = 0_u64;
    while fleet.now_us < end_us {
        let site = match traffic {
            Traffic::Even => dice.roll(3),
            Traffic::Hot => {
                if dice.roll(100) < 95 {
                    0
                } else {
                    1 + dice.roll(2)
                }
            }
            Traffic::Sticky => requests / 20 % 3,
        };
        expected += u64::from(ideal.take(fleet.now_us));
        fleet.search(site as usize, dice.roll(2) as usize, "a");
        requests += 1;
        fleet.pass(gap_ms / 2 + dice.roll(gap_ms.max(1)));
    }
    fleet.pass(10_000);
    let served = fleet.served_us();
    // A token that was leased at one moment and is used at the next may be one too early.
    assert_within(&served, rpm, rpm + 1);
    let others = fleet.outcomes.iter().find(|outcome| ![200, 429].contains(&outcome.status));
    assert_eq!(others, None, "{rpm} RPM, {traffic:?}");
    assert_eq!(fleet.outcomes.len() as u64, requests);
    fleet.check_at_rest();
    (served.len() as f64 / expected as f64, fleet.calls() as f64 * 1_000.0 / requests as f64)
}

#[test]
fn three_nodes_serve_what_one_would() {
    for (rpm, minutes, loads) in
        [(1, 60, [80, 400]), (15, 6, [80, 150]), (60, 4, [80, 400]), (1_800, 1, [80, 200])]
    {
        for traffic in [Traffic::Even, Traffic::Hot, Traffic::Sticky] {
            for load in loads {
                let (share, calls) = play(rpm, traffic, load, minutes);
                println!(
                    "{rpm:>5} RPM {traffic:?} load {load} %: served/ideal {share:.3}, {calls:.0} calls per 1,000"
                );
                assert!(share >= 0.95, "{rpm} RPM, {traffic:?}, load {load} %: {share:.3}");
            }
        }
    }
}

#[test]
fn the_only_node_asks_nobody() {
    let mut fleet = Fleet::new(1, 2, &catalog(600));
    fleet.account("a", "starter");
    for n in 0..600 {
        fleet.search(0, n % 2, "a");
    }
    fleet.pass(60_000);
    assert_eq!((fleet.count(200), fleet.count(429)), (600, 0));
    // Each worker's regular call, and those that a cold account takes.
    assert!(fleet.calls() <= 2 * 60 + 16, "{} calls", fleet.calls());
}

#[test]
fn a_second_node_waits_for_the_first_one_s_answer_and_no_longer() {
    let mut fleet = Fleet::new(2, 2, &catalog(60));
    fleet.account("a", "starter");
    (0..40).for_each(|_| fleet.search(0, 0, "a"));
    fleet.pass(300);
    (0..40).for_each(|_| fleet.search(1, 0, "a"));
    fleet.pass(3_000);
    let of_second = fleet.outcomes.iter().filter(|outcome| outcome.site == 1 && outcome.status == 200);
    let latest_us = of_second.clone().map(|outcome| outcome.at_us - outcome.came_us).max().unwrap_or(0);
    assert!((20..=22).contains(&of_second.count()), "what the first one left: {:?}", fleet.outcomes);
    assert!(latest_us <= 1_300_000, "{latest_us}");
    assert_within(&fleet.served_us(), 60, 61);
}

#[test]
fn who_stays_alone_refills_by_itself_again() {
    let mut fleet = Fleet::new(2, 2, &catalog(600));
    fleet.account("a", "starter");
    fleet.search(0, 0, "a");
    fleet.search(1, 0, "a");
    for _ in 0..700 {
        fleet.search(0, 0, "a");
        fleet.pass(100);
    }
    let (calls, served) = (fleet.sites[0].calls, fleet.count(200));
    for _ in 0..200 {
        fleet.search(0, 0, "a");
        fleet.pass(100);
    }
    assert_eq!(fleet.sites[0].node.record("a").mode, wire::RateMode::Sole);
    assert_eq!(fleet.count(200) - served, 200);
    assert!(fleet.sites[0].calls - calls <= 2 * 20 + 4, "{} calls in 20 s", fleet.sites[0].calls - calls);
    assert_within(&fleet.served_us(), 600, 601);
}

#[test]
fn a_node_that_dies_leaves_half_at_once_and_the_rest_when_it_is_closed() {
    let mut fleet = Fleet::new(2, 2, &catalog(60));
    fleet.account("a", "starter");
    (0..10).for_each(|_| fleet.search(0, 0, "a"));
    fleet.pass(2_000);
    fleet.sites[0].line = Line::Dead;
    fleet.pass(1_500);
    let before = fleet.count(200);
    fleet.search(1, 0, "a");
    fleet.pass(3_000);
    assert_eq!(fleet.count(200), before + 1, "served within its wait: {:?}", fleet.outcomes.last());
    for _ in 0..100 {
        fleet.search(1, 0, "a");
    }
    fleet.pass(60_000);
    let half = fleet.count(200) - before;
    assert!((28..=34).contains(&half), "{half}");
    fleet.pass(70_000);
    let before = fleet.count(200);
    for _ in 0..100 {
        fleet.search(1, 0, "a");
    }
    fleet.pass(1_000);
    assert_eq!(fleet.count(200) - before, 60);
    // What the dead one may still have done is at most a burst and a half in any window.
    assert_within(&fleet.served_us(), 60, 91);
}

#[test]
fn a_restarted_envoy_serves_at_once() {
    let mut fleet = Fleet::new(1, 2, &catalog(15));
    fleet.account("a", "starter");
    (0..3).for_each(|_| fleet.search(0, 0, "a"));
    fleet.pass(2_000);
    fleet.sites[0].line = Line::Dead;
    let next = fleet.start();
    fleet.pass(1_000);
    fleet.search(next, 0, "a");
    fleet.search(next, 1, "a");
    fleet.pass(3_000);
    assert_eq!(fleet.count(200), 5, "{:?}", fleet.outcomes);
}

/// Two nodes want more than there is, and the first one's line is cut for 30 s. `before`: nodes that used the
/// account before that.
fn cut_off(before: usize) -> (Fleet, u64) {
    let mut fleet = Fleet::new(2, 2, &catalog(60));
    fleet.account("a", "starter");
    for _ in 0..40 {
        (0..before).for_each(|site| fleet.search(site, 0, "a"));
        fleet.pass(2_000);
    }
    fleet.sites[0].line = Line::Cut;
    let begin_us = fleet.now_us;
    while fleet.now_us < begin_us + 120_000_000 {
        if fleet.now_us >= begin_us + 30_000_000 {
            fleet.sites[0].line = Line::Up;
        }
        (0..2).for_each(|site| fleet.search(site, 0, "a"));
        fleet.pass(100);
    }
    fleet.pass(5_000);
    fleet.check_at_rest();
    let healed = fleet.served_us().iter().filter(|at_us| **at_us >= begin_us + 60_000_000).count();
    assert!((57..=66).contains(&healed), "{healed} in the second minute");
    let late = fleet.outcomes.iter().filter(|outcome| outcome.at_us >= begin_us + 35_000_000);
    assert!(late.clone().all(|outcome| [200, 429].contains(&outcome.status)));
    (fleet, begin_us)
}

fn served_while_cut(fleet: &Fleet, begin_us: u64, site: usize) -> usize {
    let of_site = fleet.outcomes.iter().filter(|outcome| outcome.site == site && outcome.status == 200);
    of_site.filter(|outcome| (begin_us..begin_us + 30_000_000).contains(&outcome.at_us)).count()
}

#[test]
fn a_node_that_refilled_alone_takes_half_while_it_is_cut_off() {
    let (fleet, begin_us) = cut_off(1);
    let (own, other) = (served_while_cut(&fleet, begin_us, 0), served_while_cut(&fleet, begin_us, 1));
    println!("cut off: {own}, the other: {other}");
    // The one takes what its leased credits pay for, the other half of the bucket and half of what is refilled.
    assert!((10..=76).contains(&own) && (38..=46).contains(&other), "{own} {other}");
    assert_within(&fleet.served_us(), 60, 91);
}

#[test]
fn a_node_that_rested_and_finds_the_ledger_silent_serves_half() {
    let mut fleet = Fleet::new(1, 1, &catalog(60));
    fleet.account("a", "starter");
    (0..60).for_each(|_| fleet.search(0, 0, "a"));
    // Its last regular call is long ago, and not so long that it may not admit.
    fleet.pass(70_000);
    fleet.sites[0].line = Line::Cut;
    (0..40).for_each(|_| fleet.search(0, 0, "a"));
    fleet.pass(5_000);
    assert_eq!((fleet.count(200), fleet.count(429)), (60 + 30, 10), "{:?}", fleet.outcomes);
}

#[test]
fn a_refusal_after_a_wait_names_the_rate_that_had_no_tokens() {
    let of_others = "- { id: chats, max: 60, per: minute, models: [\"gpt*\"] }\n      ";
    let own = "- { id: rpm, max: 60, per: minute }";
    let source = catalog(60).replacen(own, &format!("{of_others}{own}"), 1);
    let mut fleet = Fleet::new(2, 1, &source);
    fleet.account("a", "starter");
    (0..61).for_each(|_| fleet.search(0, 0, "a"));
    fleet.pass(500);
    // The second node's request waits for the first one's answer: it calls, and does not hear what it is asked.
    fleet.sites[0].line = Line::Deaf;
    fleet.search(1, 0, "a");
    fleet.pass(4_000);
    assert_eq!(fleet.outcomes.last().map(|outcome| outcome.status), Some(429), "{:?}", fleet.outcomes);
    let told = fleet.sites[1].node.streams.last().and_then(|client| client.seen.clone());
    let Some(sim::Seen::Reply(_, body)) = told else { panic!("{told:?}") };
    assert_eq!(body["violated-policies"], serde_json::json!(["rpm"]), "{body}");
}

#[test]
fn a_node_that_leased_serves_what_it_holds_while_it_is_cut_off() {
    let (fleet, begin_us) = cut_off(2);
    let (own, other) = (served_while_cut(&fleet, begin_us, 0), served_while_cut(&fleet, begin_us, 1));
    println!("cut off: {own}, the other: {other}");
    // What the ledger cannot know to be used is not given out again.
    assert!((1..=20).contains(&own) && own + other >= 70, "{own} {other}");
    assert_within(&fleet.served_us(), 60, 61);
}

#[test]
fn another_plan_s_rates_are_enforced_at_once() {
    let rates = |of: &str| {
        let one = |n| format!("- {{ id: {of}{n}, max: 2, per: hour }}");
        (0..4).map(one).collect::<Vec<_>>().join("\n      ")
    };
    let source = CATALOG.replacen("- { id: rpm, max: 15, per: minute }", &rates("before"), 1);
    let pro = source.split_once("\n  pro:").expect("a plan").1;
    let after = pro.replacen("- { id: rpm, max: 40, per: minute }", &rates("after"), 1);
    let mut fleet = Fleet::new(1, 1, &source.replace(pro, &after));
    fleet.account("a", "starter");
    (0..3).for_each(|_| fleet.search(0, 0, "a"));
    fleet.pass(2_000);
    assert_eq!((fleet.count(200), fleet.count(429)), (2, 1), "{:?}", fleet.outcomes);
    let now = fleet.book_now();
    book::command::plan::switch(&mut fleet.book, now, "a", "pro", false).expect("a switch");
    fleet.pass(3_000);
    (0..6).for_each(|_| fleet.search(0, 0, "a"));
    fleet.pass(2_000);
    assert_eq!((fleet.count(200), fleet.count(429)), (4, 5), "{:?}", fleet.outcomes);
}

#[test]
fn a_worker_that_begins_after_a_restart_knows_which_turns_are_void() {
    let mut fleet = Fleet::new(1, 2, &catalog(60));
    fleet.account("a", "starter");
    fleet.search(0, 0, "a");
    fleet.pass(2_000);
    let turn = fleet.sites[0].node.record("a").turn;
    fleet.pass(2_000);
    fleet.restart_ledger();
    fleet.pass(2_000);
    assert_eq!(fleet.sites[0].node.record("a").turn, turn, "nobody has asked since");
    fleet.search(0, 1, "a");
    assert_eq!(fleet.count(200), 1, "no token is taken by what the ledger has forgotten");
    fleet.pass(1_000);
    assert_eq!(fleet.count(200), 2, "{:?}", fleet.outcomes);
    assert!(fleet.sites[0].node.record("a").turn > turn);
}

#[test]
fn half_is_left_to_a_node_that_the_next_process_of_the_ledger_has_not_heard() {
    let mut fleet = Fleet::new(2, 1, &catalog(60));
    fleet.account("a", "starter");
    (0..60).for_each(|_| fleet.search(0, 0, "a"));
    fleet.pass(70_000);
    fleet.account("b", "starter");
    fleet.search(0, 0, "a");
    fleet.search(1, 0, "b");
    fleet.pass(1_000);
    fleet.sites[0].line = Line::Cut;
    fleet.restart_ledger();
    fleet.pass(53_000);
    let begin_us = fleet.now_us;
    for _ in 0..80 {
        (0..2).for_each(|site| fleet.search(site, 0, "a"));
    }
    fleet.pass(3_000);
    let served = |site| {
        let of_site = fleet.outcomes.iter().filter(|outcome| outcome.site == site && outcome.status == 200);
        of_site.filter(|outcome| outcome.at_us >= begin_us).count()
    };
    // Half of what was refilled since the start, and of what is refilled while requests wait.
    assert_eq!((served(0), served(1)), (30, 26), "{:?}", fleet.outcomes);
}

#[test]
fn a_ledger_that_restarts_lets_no_more_through() {
    for nodes in [1, 3] {
        let mut fleet = Fleet::new(nodes, 2, &catalog(60));
        fleet.account("a", "starter");
        let begin_us = fleet.now_us;
        let mut n = 0;
        while fleet.now_us < begin_us + 180_000_000 {
            fleet.search(n % nodes, n % 2, "a");
            n += 1;
            fleet.pass(150);
            if n % 300 == 0 {
                fleet.restart_ledger();
            }
        }
        fleet.pass(5_000);
        assert_within(&fleet.served_us(), 60, 62);
        let bad = fleet.outcomes.iter().filter(|outcome| ![200, 429].contains(&outcome.status)).count();
        assert_eq!(bad, 0, "{nodes} nodes");
        println!("{nodes} nodes: {} of 240", fleet.count(200));
        if nodes == 1 {
            assert!(fleet.count(200) >= 230, "{}", fleet.count(200));
        }
    }
}
