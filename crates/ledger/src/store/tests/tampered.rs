//! Copies of a sound store, each corrupted in one way: `verify` names each.

use std::path::{Path, PathBuf};

use book::suite::{World, world};
use tariff::Micros;

use super::Sqlite;
use crate::store::{Disagreement, Property, Report, verify};

/// A closed store with a grant, leases, a return, two charges and a declared gap.
fn sound() -> World<Sqlite> {
    let mut world = World::new(Sqlite::new, "starter");
    let mut worker = world::Worker::new(1);
    world.top_up(7, "paid-1");
    let stands = world::Stands { ask: 20_000_000, ..world::BLANK };
    let want = worker.want(world.now, stands, &[("r1", 5_000_000)]);
    world.send(want);
    let back = worker.give_back(world.now, 1, 1_000_000);
    world.send(back);
    for request in ["r1", "r2"] {
        let settle = world.use_of(request, world::credits(3));
        world.charge(&mut worker, settle);
    }
    let store = world.subject.store.take().unwrap();
    store.close().unwrap();
    assert_eq!(verify(&world.subject.path).unwrap().problems, []);
    world
}

fn copy(path: &Path) -> PathBuf {
    let copy = path.with_extension("copy");
    std::fs::copy(path, &copy).unwrap();
    copy
}

/// Runs SQL on a copy and checks it.
fn tampered(path: &Path, sql: &str) -> Report {
    let copy = copy(path);
    let connection = rusqlite::Connection::open(&copy).unwrap();
    connection.execute_batch(sql).unwrap();
    assert!(connection.total_changes() > 0, "{sql} changes nothing");
    drop(connection);
    verify(&copy).unwrap()
}

fn found(report: &Report, property: Property) -> &Disagreement {
    let found = report.problems.iter().find(|problem| problem.property == property);
    found.unwrap_or_else(|| panic!("no {property:?} in {:#?}", report.problems))
}

#[test]
fn each_corruption_is_named() {
    use Property as P;
    let world = sound();
    let path = &world.subject.path;
    for (sql, properties) in [
        (
            "UPDATE entry SET amount = amount + 1 WHERE request = 'r1'",
            &[P::PostingsSumToZero, P::Conservation][..],
        ),
        (
            "UPDATE entry SET slices = replace(slices, '3000000', '2999999') WHERE request = 'r1'",
            &[P::PostingsSumToZero, P::Conservation, P::ProjectionIsFold],
        ),
        ("UPDATE entry SET prev = 1 WHERE request = 'r2'", &[P::Chained]),
        ("UPDATE entry SET body = '{' WHERE request = 'r2'", &[P::Readable, P::ProjectionIsFold]),
        ("DELETE FROM entry WHERE request = 'r1'", &[P::Numbered, P::ChargedOnce, P::ProjectionIsFold]),
        ("DELETE FROM request WHERE request = 'r2'", &[P::ChargedOnce]),
        ("INSERT INTO request VALUES ('r3', 'acme', 2)", &[P::ChargedOnce]),
        ("DELETE FROM reference WHERE reference = 'paid-1'", &[P::GrantedOnce]),
        ("UPDATE reference SET entry = 1 WHERE reference = 'paid-1'", &[P::GrantedOnce]),
        ("UPDATE lane SET last = 1", &[P::LaneNotBehind]),
        ("UPDATE lane SET last = 9", &[P::LaneWithoutHoles]),
        ("DELETE FROM batch WHERE first = 1", &[P::LaneWithoutHoles]),
        ("UPDATE account SET state = replace(state, '\"debt\":0', '\"debt\":5')", &[P::ProjectionIsFold]),
        ("UPDATE account SET state = '{}'", &[P::ProjectionIsFold]),
        ("UPDATE account SET entry = entry + 1", &[P::ProjectionIsFold]),
        ("DELETE FROM account", &[P::ProjectionIsFold]),
        (
            "UPDATE entry SET body = json_set(body, '$.amount', -1) WHERE kind = 'leased'",
            &[P::LeasesAreCumulative, P::ProjectionIsFold],
        ),
    ] {
        let report = tampered(path, sql);
        for property in properties {
            found(&report, *property);
        }
        for problem in &report.problems {
            assert!(!problem.expected.is_empty() && problem.expected != problem.found, "{sql}: {problem:?}");
        }
    }
}

#[test]
fn a_request_that_is_charged_twice_is_named_with_both_entries() {
    let world = sound();
    let twice = "INSERT INTO entry SELECT (SELECT max(id) + 1 FROM entry), account, \
        (SELECT max(id) FROM entry WHERE kind = 'charge'), at, kind, lane, seq + 1, term, key, model, answered_model, \
        outcome, source, usage_status, usage, slices, amount, request, body FROM entry WHERE request = 'r2'";
    let report = tampered(&world.subject.path, twice);
    let once = found(&report, Property::ChargedOnce);
    assert_eq!(once.account.as_deref(), Some(world::ACCOUNT));
    assert_eq!(once.entries.len(), 2, "{once:?}");
    assert!(once.expected.contains("r2"), "{once:?}");
    found(&report, Property::LaneNotBehind);
}

#[test]
fn both_figures_and_the_entries_are_said() {
    let world = sound();
    let report =
        tampered(&world.subject.path, "UPDATE entry SET amount = amount + 1000000 WHERE request = 'r1'");
    let conservation = found(&report, Property::Conservation);
    assert_eq!(conservation.account.as_deref(), Some(world::ACCOUNT));
    assert_eq!(conservation.expected, format!("{} granted", Micros(507_000_000)));
    assert!(conservation.found.contains("consumed"), "{conservation:?}");
    let zero = found(&report, Property::PostingsSumToZero);
    assert_eq!((zero.expected.as_str(), zero.found.as_str()), ("0.000000", "1.000000"));
    assert_eq!(zero.entries.len(), 1);
}

/// A closed store with an adjustment and a reversal.
fn corrected() -> World<Sqlite> {
    use book::command::correct::NewAdjustment;
    use book::suite::{Command, Subject as _};
    let mut world = World::new(Sqlite::new, "starter");
    let mut worker = world::Worker::new(1);
    let adjustment = NewAdjustment {
        account: world::ACCOUNT.to_owned(),
        pool: "topup".to_owned(),
        amount: world::credits(2),
        expires_at: None,
        allow_debt: false,
        reason: "goodwill".to_owned(),
        reference: "ticket-1".to_owned(),
    };
    let taken =
        NewAdjustment { amount: world::credits(-1), reference: "ticket-2".to_owned(), ..adjustment.clone() };
    world.call(Command::Adjust(adjustment)).unwrap();
    world.call(Command::Adjust(taken)).unwrap();
    let settle = world.use_of("r1", world::credits(3));
    world.charge(&mut worker, settle);
    let charge = world.subject.journal().last().unwrap().id;
    world.call(Command::Reverse(charge)).unwrap();
    world.subject.store.take().unwrap().close().unwrap();
    assert_eq!(verify(&world.subject.path).unwrap().problems, []);
    world
}

#[test]
fn corrupted_corrections_are_named() {
    use Property as P;
    let world = corrected();
    let path = &world.subject.path;
    for (sql, properties) in [
        ("DELETE FROM reference WHERE reference = 'ticket-1'", &[P::CorrectedOnce][..]),
        ("DELETE FROM reference WHERE source = 'reversal'", &[P::CorrectedOnce]),
        (
            "UPDATE entry SET body = json_set(body, '$.amount', 2000000) WHERE kind = 'reversed'",
            &[P::CorrectedOnce, P::PostingsSumToZero, P::Conservation],
        ),
        ("UPDATE entry SET body = json_set(body, '$.of', 1) WHERE kind = 'reversed'", &[P::CorrectedOnce]),
        (
            "UPDATE entry SET body = json_set(body, '$.amount', 3000000) WHERE body ->> '$.reference' = 'ticket-1'",
            &[P::ProjectionIsFold],
        ),
        (
            "INSERT INTO entry (id, account, prev, at, kind, body) SELECT (SELECT max(id) + 1 FROM entry), account, \
             id, at, kind, body FROM entry WHERE kind = 'reversed'",
            &[P::CorrectedOnce],
        ),
    ] {
        let report = tampered(path, sql);
        for property in properties {
            found(&report, *property);
        }
    }
}

#[test]
fn a_count_that_is_none_of_the_terms_is_named() {
    let page = include_str!("../../../../../envoy/catalogs/modelux.yaml");
    let catalog = tariff::source::load(page).unwrap();
    let mut world = World::on(Sqlite::new, catalog, "free", "2026-11-20T09:00:00Z");
    let mut worker = world::Worker::new(1);
    let usage = (tariff::Meter::Requests, 1);
    book::suite::pages::use_model(&mut world, &mut worker, "gpt-5", usage);
    world.subject.store.take().unwrap().close().unwrap();
    let path = &world.subject.path;
    assert_eq!(verify(path).unwrap().problems, []);
    let more = "UPDATE entry SET body = replace(body, '\"amount\":1000000', '\"amount\":2000000') WHERE kind = 'charge'";
    let report = tampered(path, more);
    let said = found(&report, Property::CountsAreReckoned);
    assert!(said.expected.ends_with(" 1.000000") && said.found.ends_with(" 2.000000"), "{said:?}");
    let none = "UPDATE account SET state = replace(state, '\"amount\":1000000', '\"amount\":3000000')";
    found(&tampered(path, none), Property::ProjectionIsFold);
}
