//! Several nodes on one rate, played with a model of a node; the real one is played in the simulator.

#![expect(clippy::arithmetic_side_effects, reason = "tests may fail loudly")]

use proptest::prelude::*;
use tariff::{Meter, Scope};

use super::*;

const SECOND: i64 = 1_000_000;
const WALL: i64 = 1_780_000_000_000;

fn plan(amount: u64, per_ms: u64, burst: u64) -> Vec<PlanRate> {
    let (id, models) = ("rpm".to_owned(), vec!["*".to_owned()]);
    vec![PlanRate { id, meter: Meter::Requests, models, amount, per_ms, burst, scope: Scope::Account }]
}

fn node(n: u8) -> NodeId {
    NodeId([n; 16])
}

fn at(up_us: i64) -> Moment {
    let wall = WALL + up_us / 1_000;
    Moment { up_us, wall, began_us: 0, inherited: false, unheard: false, early: false, silent: false }
}

fn line(need: u64) -> RateLine {
    RateLine { rate: "rpm".to_owned(), need, ..RateLine::default() }
}

fn fresh(need: u64) -> RateState {
    RateState { turn: 0, mode: RateMode::Unknown, lines: vec![line(need)] }
}

fn tokens(decision: &Decision) -> &RateTokens {
    &decision.grant.lines[0]
}

#[test]
fn the_only_node_is_sole() {
    let (mut rates, plan) = (Rates::default(), plan(60, 60_000, 60));
    let first = rates.ask(at(SECOND), (node(1), 1), &fresh(1), &plan);
    assert_eq!((first.grant.mode, tokens(&first).full_in_us), (RateMode::Sole, 0));
    let told_again = rates.ask(at(2 * SECOND), (node(1), 1), &fresh(1), &plan);
    assert_eq!(told_again.grant.turn, first.grant.turn, "its answer may have been lost");
}

#[test]
fn a_second_node_waits_for_the_first_and_goes_on_from_its_state() {
    let (mut rates, plan) = (Rates::default(), plan(60, 60_000, 60));
    rates.ask(at(0), (node(1), 1), &fresh(1), &plan);
    let second = rates.ask(at(SECOND), (node(2), 1), &fresh(1), &plan);
    let (told, turn) = second.withdrawn.expect("the first is told");
    assert_eq!((told, second.grant.turn, second.grant.wait_ms), (node(1), 0, WAIT_MS));
    let again = rates.ask(at(SECOND), (node(2), 1), &fresh(1), &plan);
    assert_eq!((again.withdrawn, again.grant.wait_ms), (None, WAIT_MS));
    let own = rates.ask(at(SECOND), (node(1), 1), &fresh(1), &plan);
    assert_eq!(own.grant.wait_ms, WAIT_MS, "nor does the first get any before it has answered");
    // 57 of 60 taken: full again in 57 s.
    let stated = RateLine { full_in_us: 57_000_000, ..line(0) };
    rates.report(2 * SECOND, node(1), &RateState { turn, mode: RateMode::Leased, lines: vec![stated] });
    assert!(!rates.waits_for(node(1)));
    let served = rates.ask(at(2 * SECOND), (node(2), 1), &fresh(2), &plan);
    assert_eq!((served.grant.mode, served.grant.turn, tokens(&served).granted), (RateMode::Leased, turn, 2));
    let rest = rates.ask(at(2 * SECOND), (node(1), 1), &fresh(2), &plan);
    assert_eq!(
        (tokens(&rest).granted, tokens(&rest).retry_in_ms),
        (1, 1_000),
        "the last token, and when the next"
    );
}

#[test]
fn the_only_node_stays_it_until_its_record_is_gone() {
    let (mut rates, plan) = (Rates::default(), plan(60, 60_000, 60));
    let turn = rates.ask(at(0), (node(1), 1), &fresh(1), &plan).grant.turn;
    rates.report(SECOND, node(1), &RateState { turn, mode: RateMode::Sole, lines: Vec::new() });
    let mut beside = rates.clone();
    assert!(beside.ask(at(SECOND), (node(2), 1), &fresh(1), &plan).withdrawn.is_some());
    rates.report(SECOND, node(1), &RateState { turn, mode: RateMode::Unknown, lines: Vec::new() });
    let second = rates.ask(at(SECOND), (node(2), 1), &fresh(1), &plan);
    assert_eq!((second.withdrawn, second.grant.mode), (None, RateMode::Sole));
}

#[test]
fn another_record_of_the_only_node_begins_a_turn() {
    let (mut rates, plan) = (Rates::default(), plan(60, 60_000, 60));
    let turn = rates.ask(at(0), (node(1), 1), &fresh(1), &plan).grant.turn;
    let sole = |turn| RateState { turn, mode: RateMode::Sole, lines: Vec::new() };
    let same = rates.ask(at(SECOND), (node(1), 2), &sole(turn), &plan);
    assert_eq!(same.grant.turn, turn, "it goes on where it says so");
    let other = rates.ask(at(SECOND), (node(1), 3), &sole(turn - 1), &plan);
    assert!(other.grant.turn > turn, "what it says of an earlier turn is old");
}

#[test]
fn an_older_record_of_a_node_gets_no_tokens() {
    let (mut rates, plan) = (Rates::default(), plan(60, 60_000, 60));
    rates.ask(at(0), (node(1), 1), &fresh(0), &plan);
    let (_, turn) = rates.ask(at(0), (node(2), 5), &fresh(1), &plan).withdrawn.expect("told");
    rates.report(0, node(1), &RateState { turn, mode: RateMode::Leased, lines: Vec::new() });
    let first = rates.ask(at(0), (node(2), 5), &fresh(1), &plan);
    let granted = tokens(&first).granted;
    assert!(granted > 0);
    let older = rates.ask(at(0), (node(2), 4), &fresh(1), &plan);
    assert_eq!((older.grant.mode, older.grant.wait_ms), (RateMode::Unknown, WAIT_MS));
    let later = rates.ask(at(0), (node(2), 6), &fresh(1), &plan);
    assert_eq!(later.grant.mode, RateMode::Leased);
    assert!(tokens(&later).granted <= granted, "counted anew");
}

#[test]
fn rates_are_forgotten_when_nobody_could_take_more_for_it() {
    let (mut rates, plan) = (Rates::default(), plan(60, 60_000, 60));
    let all = |_| true;
    let none = |_| false;
    assert!(!rates.is_needed(0, all), "nothing has been decided");
    rates.ask(at(0), (node(1), 1), &fresh(1), &plan);
    let late = RATE_FORGOTTEN_MS * 1_000;
    assert!(rates.is_needed(late, all), "a node refills by itself");
    assert!(!rates.is_needed(0, none), "it is closed");
    let (_, turn) = rates.ask(at(0), (node(2), 1), &fresh(1), &plan).withdrawn.expect("told");
    rates.report(0, node(1), &RateState { turn, mode: RateMode::Leased, lines: Vec::new() });
    assert!(rates.is_needed(late - 1, none), "tokens of this turn may be out");
    assert!(!rates.is_needed(late, all), "nobody has asked for long");
    let mut used = rates;
    used.holder = Holder::Nobody;
    used.users.push(User { node: node(3), epoch: 1, since_us: 0, seen_us: 0, lines: Vec::new() });
    assert!(used.is_needed(late - 1, all) && !used.is_needed(late - 1, none) && !used.is_needed(late, all));
}

#[test]
fn an_old_or_foreign_answer_ends_no_wait() {
    let (mut rates, plan) = (Rates::default(), plan(60, 60_000, 60));
    let first = rates.ask(at(0), (node(1), 1), &fresh(1), &plan).grant.turn;
    let (_, turn) = rates.ask(at(0), (node(2), 1), &fresh(1), &plan).withdrawn.expect("told");
    for (who, turn, mode) in [
        (node(1), first, RateMode::Leased),
        (node(2), turn, RateMode::Leased),
        (node(1), turn, RateMode::Sole),
    ] {
        rates.report(SECOND, who, &RateState { turn, mode, lines: Vec::new() });
        assert!(rates.waits_for(node(1)), "{who} {turn} {mode:?}");
    }
}

#[test]
fn a_silent_node_leaves_half_and_a_closed_one_all() {
    let (mut rates, plan) = (Rates::default(), plan(60, 60_000, 60));
    rates.ask(at(0), (node(1), 1), &fresh(1), &plan);
    rates.ask(at(0), (node(2), 1), &fresh(1), &plan);
    let silent = |up_us| Moment { silent: true, ..at(up_us) };
    let half = rates.ask(silent(3 * SECOND), (node(2), 1), &fresh(60), &plan);
    assert_eq!((tokens(&half).granted, tokens(&half).retry_in_ms), (30, 2_000));
    rates.forget_closed(65 * SECOND, |other| other != node(1));
    let stands = RateState { turn: half.grant.turn, mode: RateMode::Leased, ..fresh(60) };
    let all = rates.ask(at(65 * SECOND), (node(2), 1), &stands, &plan);
    assert_eq!(tokens(&all).granted, 90, "full again");
}

#[test]
fn a_node_that_calls_but_never_answers_starves_nobody() {
    let (mut rates, plan) = (Rates::default(), plan(60, 60_000, 60));
    rates.ask(at(0), (node(1), 1), &fresh(1), &plan);
    rates.ask(at(SECOND), (node(2), 1), &fresh(1), &plan);
    let early = rates.ask(at(10 * SECOND), (node(2), 1), &fresh(60), &plan);
    assert_eq!(early.grant.wait_ms, WAIT_MS);
    let half = rates.ask(at(11 * SECOND), (node(2), 1), &fresh(60), &plan);
    assert_eq!((half.grant.mode, tokens(&half).granted), (RateMode::Leased, 30));
    assert!(rates.waits_for(node(1)), "its answer is still due");
}

#[test]
fn what_a_node_owes_is_bounded_by_its_bucket() {
    let (mut rates, plan) = (Rates::default(), plan(60, 60_000, 60));
    let line = RateLine { full_in_us: u64::MAX, ..line(0) };
    let sole = RateState { turn: 7, mode: RateMode::Sole, lines: vec![line] };
    let told = rates.ask(at(0), (node(1), 1), &sole, &plan);
    assert_eq!(tokens(&told).full_in_us, 60_000_000);
}

#[test]
fn what_comes_back_can_be_leased_again_once() {
    let (mut rates, plan) = (Rates::default(), plan(1, 60_000, 1));
    rates.ask(at(0), (node(1), 1), &fresh(0), &plan);
    let (_, turn) = rates.ask(at(0), (node(2), 1), &fresh(1), &plan).withdrawn.expect("told");
    rates.report(0, node(1), &RateState { turn, ..RateState::default() });
    let granted = rates.ask(at(0), (node(2), 1), &fresh(1), &plan);
    assert_eq!(tokens(&granted).granted, 1);
    let back = RateLine { returned: 1, ..line(0) };
    let given = RateState { turn, mode: RateMode::Leased, lines: vec![back] };
    rates.report(SECOND, node(2), &given);
    rates.report(SECOND, node(2), &given);
    assert_eq!(tokens(&rates.ask(at(SECOND), (node(1), 1), &fresh(2), &plan)).granted, 1);
}

#[test]
fn what_a_node_hoards_is_no_room_for_others() {
    let (mut rates, plan) = (Rates::default(), plan(60, 60_000, 60));
    rates.ask(at(0), (node(1), 1), &fresh(0), &plan);
    let (_, turn) = rates.ask(at(0), (node(2), 1), &fresh(1), &plan).withdrawn.expect("told");
    rates.report(0, node(1), &RateState { turn, ..RateState::default() });
    let hoarded = tokens(&rates.ask(at(0), (node(2), 1), &fresh(1), &plan)).granted;
    assert_eq!(hoarded, 30, "one for the request that waits, 29 ahead");
    let first = rates.ask(at(60 * SECOND), (node(1), 1), &fresh(60), &plan);
    assert_eq!(tokens(&first).granted, 31, "the bucket is full again, but 29 may be taken elsewhere at once");
    let used = RateLine { used: 30, ..line(0) };
    rates.report(60 * SECOND, node(2), &RateState { turn, mode: RateMode::Leased, lines: vec![used] });
    let stands = RateState { turn, mode: RateMode::Leased, ..fresh(60) };
    let second = rates.ask(at(60 * SECOND), (node(1), 1), &stands, &plan);
    assert_eq!(tokens(&second).granted, 31, "they were taken: nothing is refilled by that");
}

#[test]
fn after_a_restart_who_was_sole_stays_it_and_nobody_else_is_before_it_could_say_so() {
    let plan = plan(60, 60_000, 60);
    let early = |up_us| Moment { inherited: true, early: true, ..at(up_us) };
    let mut rates = Rates::default();
    let other = rates.ask(early(SECOND), (node(2), 1), &fresh(1), &plan);
    assert_eq!(other.grant.wait_ms, WAIT_MS);
    let was_sole = RateState {
        turn: 7,
        mode: RateMode::Sole,
        lines: vec![RateLine { full_in_us: 5_000_000, ..line(0) }],
    };
    let mut rates = Rates::default();
    let sole = rates.ask(early(SECOND), (node(1), 1), &was_sole, &plan);
    assert_eq!((sole.grant.mode, tokens(&sole).full_in_us), (RateMode::Sole, 5_000_000));
    // Nobody has said anything: what was used just before the start is unknown.
    let late = Moment { inherited: true, ..at(10 * SECOND) };
    let unknown = Rates::default().ask(late, (node(2), 1), &fresh(1), &plan);
    assert_eq!(tokens(&unknown).full_in_us, 50_000_000);
}

#[test]
fn after_a_restart_a_node_that_has_not_called_keeps_half() {
    let plan = plan(60, 60_000, 60);
    let unheard = |up_us| Moment { inherited: true, unheard: true, ..at(up_us) };
    let mut rates = Rates::default();
    let other = rates.ask(unheard(50 * SECOND), (node(2), 1), &fresh(100), &plan);
    assert_eq!((other.grant.mode, tokens(&other).granted), (RateMode::Leased, 25), "of 50 refilled since");
    let turn = other.grant.turn;
    let stands =
        |used| RateState { turn, mode: RateMode::Leased, lines: vec![RateLine { used, ..line(100) }] };
    // For however long it is alone among those that ask.
    let mut granted = 25;
    for seconds in (52..=100).step_by(2) {
        let later = rates.ask(unheard(seconds * SECOND), (node(2), 1), &stands(granted), &plan);
        assert_eq!((later.grant.mode, later.grant.turn), (RateMode::Leased, turn));
        granted = tokens(&later).granted;
    }
    assert_eq!(granted, 25 + 25, "half of what was refilled in 50 s");
    // It has called, or is closed.
    let heard = |up_us| Moment { inherited: true, ..at(up_us) };
    rates.ask(heard(101 * SECOND), (node(2), 1), &stands(50), &plan);
    let whole = rates.ask(heard(111 * SECOND), (node(2), 1), &stands(51), &plan);
    assert_eq!(whole.grant.mode, RateMode::Sole);
}

#[test]
fn of_more_nodes_than_are_remembered_those_go_that_rest() {
    let (mut rates, plan) = (Rates::default(), plan(60, 60_000, 600_000));
    let named = |n: usize| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_le_bytes());
        NodeId(id)
    };
    rates.ask(at(0), (named(0), 1), &fresh(1), &plan);
    let (_, turn) = rates.ask(at(0), (named(1), 1), &fresh(1), &plan).withdrawn.expect("told");
    rates.report(0, named(0), &RateState { turn, ..RateState::default() });
    for n in 0..RATE_USERS_MAX {
        rates.ask(at(SECOND + n as i64), (named(n), 1), &fresh(1), &plan);
    }
    let full = rates.ask(at(2 * SECOND), (named(RATE_USERS_MAX), 1), &fresh(1), &plan);
    assert_eq!(full.grant.wait_ms, WAIT_MS, "each holds tokens that were leased ahead");
    for n in [7, 5, 9] {
        let user = rates.users.iter().find(|user| user.node == named(n)).expect("remembered");
        let used = RateLine { used: user.lines[0].granted, ..line(0) };
        rates.report(2 * SECOND, named(n), &RateState { turn, mode: RateMode::Leased, lines: vec![used] });
    }
    let room = rates.ask(at(2 * SECOND), (named(RATE_USERS_MAX), 1), &fresh(1), &plan);
    assert_eq!(room.grant.wait_ms, 0);
    let known = |n: usize| rates.users.iter().any(|user| user.node == named(n));
    assert_eq!([5, 7, 9, RATE_USERS_MAX].map(known), [false, true, true, true]);
}

/// A node of the model.
#[derive(Clone, Debug, Default)]
struct Node {
    turn: u64,
    mode: RateMode,
    full_us: i64,
    granted: u64,
    used: u64,
    returned: u64,
    retry_us: i64,
    touched_us: i64,
    dead: bool,
}

struct Fleet {
    rates: Rates,
    plan: Vec<PlanRate>,
    nodes: Vec<Node>,
    told: Vec<Option<u64>>,
    now: i64,
    used: Vec<i64>,
}

impl Fleet {
    fn cost(&self) -> i64 {
        i64::try_from((self.plan[0].per_ms * 1_000).div_ceil(self.plan[0].amount)).unwrap()
    }

    fn state(&self, n: usize, need: u64) -> RateState {
        let node = &self.nodes[n];
        let full_in_us = u64::try_from((node.full_us - self.now).max(0)).unwrap();
        let (used, returned) = (node.used, node.returned);
        let line = RateLine { full_in_us, used, returned, ..line(need) };
        RateState { turn: node.turn, mode: node.mode, lines: vec![line] }
    }

    /// One request; true where it passes.
    fn request(&mut self, n: usize) -> bool {
        let depth = self.cost() * i64::try_from(self.plan[0].burst).unwrap();
        for _ in 0..2 {
            let (cost, now) = (self.cost(), self.now);
            let node = &mut self.nodes[n];
            if node.dead {
                return false;
            }
            node.touched_us = now;
            if node.mode == RateMode::Sole {
                let full = node.full_us.max(now) + cost;
                if full > now + depth {
                    return false;
                }
                node.full_us = full;
                self.used.push(now);
                return true;
            }
            if node.granted > node.used + node.returned {
                node.used += 1;
                self.used.push(now);
                return true;
            }
            if node.retry_us > now {
                return false;
            }
            self.ask(n);
        }
        false
    }

    fn ask(&mut self, n: usize) {
        let who = (node(u8::try_from(n).unwrap()), 1);
        let dead: Vec<_> = self.dead();
        self.rates.forget_closed(self.now, |id| !dead.contains(&id));
        let decision = self.rates.ask(at(self.now), who, &self.state(n, 1), &self.plan);
        if let Some((other, turn)) = decision.withdrawn {
            self.told[usize::from(other.0[0])] = Some(turn);
        }
        let grant = decision.grant;
        let node = &mut self.nodes[n];
        if grant.turn > node.turn {
            *node =
                Node { turn: grant.turn, mode: grant.mode, touched_us: node.touched_us, ..Node::default() };
            node.full_us = self.now + i64::try_from(grant.lines[0].full_in_us).unwrap();
        }
        if grant.turn == node.turn && grant.mode == RateMode::Leased {
            node.granted = grant.lines[0].granted;
            node.retry_us = self.now + i64::try_from(grant.lines[0].retry_in_ms * 1_000).unwrap();
        }
    }

    fn dead(&self) -> Vec<NodeId> {
        let dead = self.nodes.iter().enumerate().filter(|(_, node)| node.dead);
        dead.map(|(n, _)| node(u8::try_from(n).unwrap())).collect()
    }

    /// What a node does every second: it answers withdrawals, and gives back what it has not used for two.
    fn beat(&mut self, n: usize) {
        if self.nodes[n].dead {
            return;
        }
        if let Some(turn) = self.told[n].take().filter(|turn| *turn > self.nodes[n].turn) {
            (self.nodes[n].turn, self.nodes[n].mode) = (turn, RateMode::Leased);
            let state = self.state(n, 0);
            self.rates.report(self.now, node(u8::try_from(n).unwrap()), &state);
            self.nodes[n].full_us = 0;
        }
        let now = self.now;
        let node_n = &mut self.nodes[n];
        if node_n.mode == RateMode::Leased && now - node_n.touched_us >= 2 * SECOND {
            node_n.returned = node_n.granted - node_n.used;
        }
        if node_n.mode == RateMode::Leased {
            let state = self.state(n, 0);
            self.rates.report(self.now, node(u8::try_from(n).unwrap()), &state);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn in_no_window_more_than_burst_and_refill(
        (amount, burst) in prop_oneof![Just((1, 1)), Just((15, 15)), Just((60, 60)), Just((60, 5)), Just((1_800, 1_800))],
        steps in prop::collection::vec((0..3_usize, 0..20_u8, 0..4_000_000_i64), 1..400),
        dies_at in prop::option::of(0..400_usize),
    ) {
        let mut fleet = Fleet {
            rates: Rates::default(),
            plan: plan(amount, 60_000, burst),
            nodes: vec![Node::default(); 3],
            told: vec![None; 3],
            now: 0,
            used: Vec::new(),
        };
        for (index, (n, requests, pause)) in steps.into_iter().enumerate() {
            if dies_at == Some(index) {
                // Dead and closed: the test of silence is another one.
                fleet.nodes[0].dead = true;
                fleet.now += 65 * SECOND;
            }
            for _ in 0..requests {
                fleet.request(n);
            }
            let end = fleet.now + pause;
            while fleet.now < end {
                fleet.now = end.min((fleet.now / SECOND + 1) * SECOND);
                if fleet.now % SECOND == 0 {
                    (0..3).for_each(|n| fleet.beat(n));
                }
            }
        }
        let cost = fleet.cost();
        // GCRA over what was used: never further ahead than the whole bucket, and one for rounding.
        let depth = cost * i64::try_from(burst + 1).unwrap();
        let mut full = 0;
        for used in &fleet.used {
            full = full.max(*used) + cost;
            prop_assert!(full <= used + depth, "{used}: {} too early in {:?}", full - used - depth, fleet.used);
        }
    }
}

/// Found by simulation: what had been leased under a larger rate stood for minutes of the smaller one, and for
/// minutes still under the next one, where it refused everything.
#[test]
fn a_rate_that_is_another_by_the_next_plan_takes_over_tokens_not_time() {
    let (mut rates, large, small) = (Rates::default(), plan(6_000, 60_000, 6_000), plan(30, 60_000, 30));
    rates.ask(at(0), (node(1), 1), &fresh(1), &large);
    let turn = rates.ask(at(0), (node(2), 1), &fresh(1), &large).withdrawn.expect("told").1;
    let leased = |need, returned| RateState {
        turn,
        mode: RateMode::Leased,
        lines: vec![RateLine { returned, ..line(need) }],
    };
    rates.report(SECOND, node(1), &leased(0, 0));
    let granted = tokens(&rates.ask(at(SECOND), (node(1), 1), &leased(1, 0), &large)).granted;
    assert!(granted > 1_000, "{granted} tokens are out");
    rates.ask(at(2 * SECOND), (node(2), 1), &leased(1, 0), &small);
    let after = rates.ask(at(3 * SECOND), (node(2), 1), &leased(1, 0), &large);
    assert!(tokens(&after).granted > 0 || tokens(&after).retry_in_ms < 1_000, "{after:?}");
    rates.report(4 * SECOND, node(1), &leased(0, granted - 1));
    let later = rates.ask(at(20 * SECOND), (node(2), 1), &leased(1, 0), &large);
    assert!(tokens(&later).granted > 0, "{later:?}");
}

/// Found by simulation: after a restart under a clock that had been put back, a node ignored all that it was told,
/// as it was of an earlier turn.
#[test]
fn a_node_that_knows_a_higher_turn_is_told_of_a_later_one() {
    let (mut rates, plan) = (Rates::default(), plan(60, 60_000, 60));
    let ahead = u64::try_from(WALL).unwrap() + 5_000;
    let knows = |turn| RateState { turn, mode: RateMode::Leased, lines: vec![line(1)] };
    let told = rates.ask(at(SECOND), (node(1), 1), &knows(ahead), &plan);
    assert!(told.grant.turn > ahead, "{told:?}");
    let other = rates.ask(at(2 * SECOND), (node(2), 1), &knows(ahead + 9), &plan);
    assert!(other.grant.turn > ahead + 9, "{other:?}");
    let far = rates.ask(at(3 * SECOND), (node(3), 1), &knows(u64::MAX), &plan);
    assert!(far.grant.turn < ahead + 100, "no turn is pushed beyond belief");
}
