//! What the simulator has found, each as the shortest story that shows it.

use sim::{Ledger, World, ask, usage};

const SONNET: &str = "claude-sonnet-4.5";

fn serve(world: &mut World, account: &str) {
    let stream = world.chat(0, account, &ask(SONNET, 10));
    world.answer(stream, 200, &usage(10, 10));
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
    let mut world = World::new(2, "hold");
    world.account("a", "max");
    let copy = world.book.clone();
    for worker in [0, 1] {
        let stream = world.chat(worker, "a", &ask(SONNET, 10));
        world.answer(stream, 200, &usage(10, 10));
    }
    world.pass(2_000);
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
    let mut world = World::new(2, "hold");
    world.account("a", "max");
    for worker in [0, 1] {
        let stream = world.chat(worker, "a", &ask(SONNET, 10));
        world.answer(stream, 200, &usage(10, 10));
    }
    world.pass(2_000);
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
    let mut world = World::new(2, "hold");
    world.account("a", "max");
    for worker in [0, 1] {
        let stream = world.chat(worker, "a", &ask(SONNET, 10));
        world.answer(stream, 200, &usage(10, 10));
    }
    world.pass(2_000);
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
