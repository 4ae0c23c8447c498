//! What the simulator has found, each as the shortest story that shows it.

use sim::{CATALOG, Fleet, Ledger, Line, World, ask, config, usage};

const SONNET: &str = "claude-sonnet-4.5";

fn serve(world: &mut World, account: &str) {
    let stream = world.chat(0, account, &ask(SONNET, 10));
    world.answer(stream, 200, &usage(10, 10));
}

/// A node of two workers that have served an account each, and the book from before.
fn two_workers() -> (World, book::memory::Memory) {
    let mut world = World::new(2, "hold");
    world.account("a", "max");
    let before = world.book.clone();
    for worker in [0, 1] {
        let stream = world.chat(worker, "a", &ask(SONNET, 10));
        world.answer(stream, 200, &usage(10, 10));
    }
    world.pass(2_000);
    (world, before)
}

/// The ledger is restored from a copy that lacks what the lane was acknowledged for: the hole was never declared,
/// and nothing that came behind it was ever posted.
#[test]
fn what_comes_behind_the_hole_of_a_restored_ledger_is_posted() {
    let mut world = World::new(1, "hold");
    world.account("a", "max");
    let copy = world.book.clone();
    serve(&mut world, "a");
    world.pass(2_000);
    assert_eq!(world.charges("a"), 1);
    world.ledger = Ledger::Down;
    serve(&mut world, "a");
    world.book = copy;
    world.generation = Some("restored".to_owned());
    world.ledger = Ledger::Up;
    world.pass(8_000);
    assert_eq!(world.charges("a"), 1, "the first is lost with the old ledger, the second must not be");
    world.check_at_rest();
}

/// A VM that has just begun is the first to hear from a restored ledger: it knew of no other, went on under the
/// node's old id with leases that this ledger never gave, and never followed the other workers to the next id.
#[test]
fn a_vm_that_has_just_begun_does_not_use_leases_of_a_ledger_that_is_gone() {
    let (mut world, copy) = two_workers();
    let old = world.syncs[0].node;
    (world.book, world.generation) = (copy, Some("restored".to_owned()));
    world.replace_vm(1);
    let stream = world.chat(1, "a", &ask(SONNET, 10));
    world.pass(3_000);
    let last = world.syncs.last().expect("a call").node;
    assert_ne!(last, old, "the leases of the old id are void");
    let recent = world.syncs.iter().rev().take(4);
    assert!(recent.clone().all(|sync| sync.node == last), "all workers go by one id");
    world.answer(stream, 200, &usage(10, 10));
    world.pass(6_000);
    world.check_at_rest();
}

/// The node has taken another id before its VM traps: the record that tells whether the last hold was taken is
/// gone, and the request was settled by nobody.
#[test]
fn what_a_vm_leaves_open_is_settled_though_the_node_goes_by_another_id() {
    let (mut world, _) = two_workers();
    let stream = world.chat(0, "a", &ask(SONNET, 10));
    assert_eq!(world.streams[stream].seen, Some(sim::Seen::Forwarded));
    world.generation = Some("restored".to_owned());
    world.pass(1_500);
    serve(&mut world, "a");
    world.replace_vm(0);
    world.pass(8_000);
    let lost = world.charge_entries("a").filter(|charge| charge.outcome == wire::Outcome::Lost);
    assert_eq!(lost.count(), 1);
    world.check_at_rest();
}

/// A worker that has had nothing to say since the node took another id spoke under the old one, and the ledger
/// refused the settlements of a neighbour's lane, whose node it had never heard of.
#[test]
fn a_worker_that_was_silent_speaks_under_the_id_that_the_node_has() {
    let mut world = World::new(2, "hold");
    world.account("a", "max");
    world.pass(1_000);
    let stream = world.chat(1, "a", &ask(SONNET, 10));
    world.ledger = Ledger::Down;
    world.pass(70_000);
    world.ledger = Ledger::Up;
    while !world.warnings.iter().any(|text| text.contains("closed this node")) {
        world.pass(1);
    }
    world.answer(stream, 200, &usage(10, 10));
    world.replace_vm(1);
    world.pass(8_000);
    assert_eq!(world.charges("a"), 1, "{:?}", world.warnings);
    world.check_at_rest();
}

/// The answer that granted something was lost and the request gave up: nobody on the node knew of the lease, nor
/// could give it back, and the account had nothing for anybody else for as long as the node lived.
#[test]
fn what_a_lost_answer_has_granted_comes_home_when_it_is_recalled() {
    let mut world = World::new(1, "hold");
    world.account("a", "topup_only");
    world.top_up("a", "0.03", "t1");
    world.account("b", "max");
    serve(&mut world, "b");
    world.pass(1_500);
    let stream = world.chat_headers(0, "a", &ask(SONNET, 100));
    world.pass(300);
    world.ledger = Ledger::Deaf;
    world.body(stream);
    world.leave(stream);
    world.pass(3_000);
    let leased = |world: &World| world.book.accounts["a"].outstanding("credits").get();
    assert!(leased(&world) > 0, "the grant was made and never heard of");
    world.replace_vm(0);
    world.ledger = Ledger::Up;
    serve(&mut world, "b");
    world.pass(2_000);
    // Another node wants it.
    book::Tx::change(&mut world.book, wire::Change::Recall { account: "a".to_owned() }).expect("a change");
    world.pass(2_500);
    assert_eq!(leased(&world), 0);
    world.check_at_rest();
}

/// A worker that has rested while the account was topped up refused by the denial that it remembered.
#[test]
fn a_worker_that_has_rested_asks_before_it_refuses() {
    for mode in ["hold", "stream"] {
        let mut world = World::new(2, mode);
        world.account("a", "topup_only");
        for worker in [0, 1] {
            let stream = world.chat(worker, "a", &ask(SONNET, 10));
            assert!(matches!(world.streams[stream].seen, Some(sim::Seen::Reply(402, _))), "{mode}");
        }
        world.pass(90_000);
        world.top_up("a", "1", "t1");
        world.pass(1_000);
        for worker in [0, 1] {
            let stream = world.chat(worker, "a", &ask(SONNET, 10));
            world.pass(300);
            assert_eq!(world.streams[stream].seen, Some(sim::Seen::Forwarded), "{mode}, worker {worker}");
            world.answer(stream, 200, &usage(10, 10));
        }
        world.pass(2_000);
        world.check_at_rest();
    }
}

/// A call that states a hold is overtaken on its way by the settlement, which another worker reports: the ledger took
/// what it came to know of late for what was so, and told other nodes that the rest was in use.
#[test]
fn a_statement_that_a_settlement_has_overtaken_is_made_anew() {
    let (mut world, _) = two_workers();
    let stream = world.chat(0, "a", &ask(SONNET, 10_000));
    assert_eq!(world.streams[stream].seen, Some(sim::Seen::Forwarded));
    world.pass(700);
    // A hold beyond the lease: worker 1 asks for more, and its call is slow.
    let second = world.node.chat(1, "a", &ask(SONNET, 3_000_000));
    let late: Vec<_> = std::mem::take(&mut world.node.outbox);
    assert!(late.iter().any(|call| String::from_utf8_lossy(&call.body).contains("\"held\"")), "a want");
    world.leave(second);
    world.answer(stream, 200, &usage(10, 10));
    world.pass(500);
    assert_eq!(world.charges("a"), 3);
    for call in late {
        let request: wire::SyncRequest = serde_json::from_slice(&call.body).expect("a sync request");
        let now = world.book_now();
        let response = book::sync::sync(&mut world.book, now, &request).expect("an answer");
        let body = serde_json::to_vec(&response).expect("JSON");
        let answer = edge::CallAnswer { status: 200, marked: true, body: &body };
        world.node.hear(call.worker, call.kind, Some(answer));
        world.run();
    }
    let held = |world: &World| world.book.accounts["a"].held("credits").get();
    assert!(held(&world) > 0, "it has overtaken nothing");
    world.pass(2_000);
    assert_eq!(held(&world), 0);
    world.check_at_rest();
}

/// A request that was denied for want of credits, and then waited for tokens of a rate, gave the denial that was out of
/// date to the whole node: after the top-up it was refused by it, for as long as the node lived.
#[test]
fn a_denial_from_before_a_top_up_is_not_remembered_after_it() {
    let mut fleet = Fleet::new(2, 2, CATALOG);
    fleet.account("a", "topup_only");
    // The other node refills the rates, and must be heard before there are tokens here.
    fleet.search(1, 0, "a");
    fleet.pass(10);
    fleet.search(0, 0, "a");
    fleet.pass(20);
    assert_eq!((fleet.outcomes.len(), fleet.count(402)), (1, 1), "the second waits for tokens, denied");
    fleet.search(0, 1, "a");
    fleet.pass(20);
    // Enough for one, so that nothing of it is left on the node afterwards.
    fleet.top_up("a", "0.6");
    fleet.pass(4_000);
    assert!(fleet.count(200) >= 1, "{:?}", fleet.outcomes);
    for worker in [0, 1] {
        fleet.search(0, worker, "a");
        fleet.pass(3_000);
    }
    let left = fleet.book.accounts["a"].remaining().get();
    assert_eq!(left, 0, "the last of it can be spent");
}

/// What a worker heard of in the call that it made because it had rested was a change of the account, not yet the
/// account: it refused by what it knew of before.
#[test]
fn a_worker_that_hears_of_a_change_refuses_by_nothing_older() {
    let mut world = World::new(1, "hold");
    world.account("a", "topup_only");
    let stream = world.chat(0, "a", &ask(SONNET, 10));
    assert!(matches!(world.streams[stream].seen, Some(sim::Seen::Reply(402, _))));
    // Its last call, after a minute, brings the account anew; it may admit for 58 s from then.
    world.pass(58_500);
    for status in [wire::AccountStatus::Suspended, wire::AccountStatus::Active] {
        let now = world.book_now();
        book::command::open::set_status(&mut world.book, now, "a", status).expect("an account");
    }
    world.pass(60_000);
    world.top_up("a", "1", "t1");
    let stream = world.chat(0, "a", &ask(SONNET, 10));
    world.pass(300);
    assert_eq!(world.streams[stream].seen, Some(sim::Seen::Forwarded));
    world.answer(stream, 200, &usage(10, 10));
    world.pass(2_000);
    world.check_at_rest();
}

/// A call that had failed before a rest was taken for a ledger that cannot be asked.
#[test]
fn a_failure_before_a_rest_does_not_keep_a_worker_from_asking() {
    let mut world = World::new(1, "hold");
    world.account("a", "topup_only");
    let stream = world.chat(0, "a", &ask(SONNET, 10));
    assert!(matches!(world.streams[stream].seen, Some(sim::Seen::Reply(402, _))));
    world.pass(58_000);
    world.ledger = Ledger::Deaf;
    world.pass(4_000);
    world.ledger = Ledger::Up;
    world.top_up("a", "1", "t1");
    world.pass(10_000);
    let stream = world.chat(0, "a", &ask(SONNET, 10));
    world.pass(300);
    assert_eq!(world.streams[stream].seen, Some(sim::Seen::Forwarded));
    world.answer(stream, 200, &usage(10, 10));
    world.pass(2_000);
    world.check_at_rest();
}

/// A request that waited for tokens leased four times what it needs with each call that asked for it.
#[test]
fn who_waits_for_tokens_leases_no_more_with_each_call() {
    let mut fleet = Fleet::new(2, 1, CATALOG);
    fleet.account("a", "topup_only");
    fleet.top_up("a", "1000");
    fleet.search(1, 0, "a");
    fleet.pass(5);
    fleet.sites[1].line = Line::Dead;
    fleet.search(0, 0, "a");
    fleet.pass(2_000);
    assert_eq!(fleet.outcomes.len(), 1, "it still waits");
    let account = &fleet.book.accounts["a"];
    let own = account.leases.iter().map(|lease| lease.outstanding().get()).max();
    assert!(own <= Some(2_000_000), "{own:?}");
}

/// The only node that refilled an account's rates went to rest, or died, in the moment in which another one asked: the
/// other's request was refused half a second before the ledger gave it tokens.
#[test]
fn who_waits_for_tokens_outwaits_a_node_that_has_fallen_silent() {
    let mut fleet = Fleet::new(2, 1, CATALOG);
    fleet.account("a", "topup_only");
    fleet.top_up("a", "1000");
    fleet.search(1, 0, "a");
    fleet.pass(5);
    fleet.sites[1].line = Line::Dead;
    fleet.search(0, 0, "a");
    fleet.pass(4_000);
    let last = fleet.outcomes.last().expect("an outcome");
    assert_eq!((last.site, last.status), (0, 200), "{last:?}");
    assert!(last.at_us - last.came_us <= 3_500_000, "{last:?}");
}

/// What a worker remembered to have run dry it believed of the restored ledger as well, whose accounts have the same
/// versions once more.
#[test]
fn what_had_run_dry_is_asked_of_a_restored_ledger() {
    // Without rates: else the ledger is asked for tokens anyway.
    let rates = "    rates:\n      - { id: rpm, max: 40, per: minute }\n";
    assert!(CATALOG.contains(rates));
    let mut world = World::with(1, &config("hold", ""), &CATALOG.replacen(rates, "", 1));
    world.account("a", "topup_only");
    world.top_up("a", "1", "t1");
    let mut copy = Some(world.book.clone());
    for status in [200, 200, 402, 200, 200, 402] {
        let stream = world.get(0, "a", "/v1/search");
        world.pass(300);
        let told = match &world.streams[stream].seen {
            Some(sim::Seen::Forwarded) => 200,
            Some(sim::Seen::Reply(status, _)) => *status,
            None => 0,
        };
        assert_eq!(told, status);
        if status == 200 {
            world.answer(stream, 200, "{}");
        } else if let Some(copy) = copy.take() {
            (world.book, world.generation) = (copy, Some("restored".to_owned()));
        }
        world.pass(3_000);
    }
}
