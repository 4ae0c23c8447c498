//! Keys over their lives: disabled, ended, replaced; nodes hear of each.

use tariff::Catalog;
use wire::{Change, Digest, SyncRequest};

use super::world::{ACCOUNT, Command, DAY, Reply, Subject, Worker, World};
use crate::command::key::{KeyChange, NewKey, Rotation};
use crate::error::{Error, Refusal};
use crate::key::Key;

fn new(number: u8) -> NewKey {
    NewKey {
        account: ACCOUNT.to_owned(),
        id: format!("k{number}"),
        digest: Digest([number; 32]),
        name: Some("ci".to_owned()),
        auth_class: Some("internal".to_owned()),
        models: None,
        expires_at: None,
    }
}

fn rotation(replaces: u8, by: u8, overlap_ms: i64) -> Rotation {
    Rotation {
        account: ACCOUNT.to_owned(),
        replaces: format!("k{replaces}"),
        id: format!("k{by}"),
        digest: Digest([by; 32]),
        overlap_ms,
        expires_at: None,
    }
}

fn change<S: Subject>(world: &mut World<S>, number: u8, change: KeyChange) -> Result<Key, Error> {
    world.call(Command::ChangeKey(format!("k{number}"), change)).map(key)
}

fn key(reply: Reply) -> Key {
    match reply {
        Reply::Key(key) => key,
        other => unreachable!("{other:?}"),
    }
}

/// Whether a node that looks the key up is told of it.
fn opens<S: Subject>(world: &mut World<S>, number: u8) -> bool {
    let call = Worker::new(9).call(world.now);
    let answer = world.send(SyncRequest { lookups: vec![Digest([number; 32])], ..call });
    assert_eq!(answer.keys.len() + answer.unknown.len(), 1);
    answer.keys.len() == 1
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    match answer {
        Err(Error::Refused(Refusal::Conflict { code, .. })) => code.to_owned(),
        Err(Error::Refused(refusal)) => refusal.to_string(),
        other => unreachable!("{other:?}"),
    }
}

pub fn a_disabled_key_opens_nothing_until_it_is_enabled<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    assert_eq!(&*key(world.call(Command::CreateKey(new(1))).unwrap()).auth_class, "internal");
    let mut worker = Worker::new(1);
    worker.cursor = Some(world.send(worker.call(world.now)).cursor);
    let disabled = |disabled| KeyChange { disabled: Some(disabled), ..KeyChange::default() };
    assert!(change(&mut world, 1, disabled(true)).unwrap().disabled);
    assert!(!opens(&mut world, 1));
    let answer = world.send(worker.call(world.now));
    assert_eq!(answer.changes, [Change::Key { digest: Digest([1; 32]) }], "nodes that know it forget it");
    worker.cursor = Some(answer.cursor);
    change(&mut world, 1, disabled(true)).unwrap();
    assert_eq!(world.send(worker.call(world.now)).changes, [], "nothing has changed");
    change(&mut world, 1, disabled(false)).unwrap();
    assert!(opens(&mut world, 1));
    assert_eq!(world.send(worker.call(world.now)).changes.len(), 1);
    world.call(Command::RevokeKey(ACCOUNT.to_owned(), "k1".to_owned())).unwrap();
    assert_eq!(refused(change(&mut world, 1, disabled(false))), "key_revoked");
    assert!(!opens(&mut world, 1));
}

pub fn a_key_ends_when_it_is_said_to<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.call(Command::CreateKey(new(1))).unwrap();
    let ends = |end: Option<i64>| KeyChange { expires_at: Some(end), ..KeyChange::default() };
    let end = world.now.wall + DAY;
    assert_eq!(change(&mut world, 1, ends(Some(end))).unwrap().expires_at, Some(end));
    assert!(opens(&mut world, 1));
    let past = refused(change(&mut world, 1, ends(Some(end - DAY))));
    assert!(past.starts_with("expires_at: is not in the future"), "{past}");
    world.pass(DAY);
    assert!(!opens(&mut world, 1));
    // It may be given another end; the rest of it stays.
    let revived = change(&mut world, 1, ends(None)).unwrap();
    assert_eq!(
        (revived.expires_at, revived.name.as_deref(), &*revived.auth_class),
        (None, Some("ci"), "internal")
    );
    assert!(opens(&mut world, 1));
}

pub fn a_key_is_replaced_with_an_overlap<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "topup_only");
    world.call(Command::CreateKey(new(1))).unwrap();
    let mut worker = Worker::new(1);
    worker.cursor = Some(world.send(worker.call(world.now)).cursor);
    let next = key(world.call(Command::RotateKey(rotation(1, 2, DAY))).unwrap());
    assert_eq!((next.name.as_deref(), &*next.auth_class, next.expires_at), (Some("ci"), "internal", None));
    assert_eq!(next.replaces.as_deref(), Some("k1"));
    let told = [1, 2].map(|byte| Change::Key { digest: Digest([byte; 32]) });
    assert_eq!(world.send(worker.call(world.now)).changes, told);
    assert!(opens(&mut world, 1) && opens(&mut world, 2));
    assert_eq!(refused(world.call(Command::RotateKey(rotation(1, 3, DAY)))), "key_replaced");
    let later = KeyChange { expires_at: Some(None), ..KeyChange::default() };
    assert!(refused(change(&mut world, 1, later)).contains("no later than its rotation said"));
    world.pass(DAY - 1);
    assert!(opens(&mut world, 1));
    world.pass(1);
    assert!(!opens(&mut world, 1) && opens(&mut world, 2));
}

pub fn rotations_are_no_way_around_the_number_of_keys<S: Subject>(make: impl FnOnce(Catalog) -> S) {
    let mut world = World::new(make, "starter");
    for number in [1, 2] {
        world.call(Command::CreateKey(new(number))).unwrap();
    }
    assert!(matches!(
        world.call(Command::CreateKey(new(3))),
        Err(Error::Refused(Refusal::LimitReached { .. }))
    ));
    // The plan's two keys may be replaced, and of each line no more than two live.
    world.call(Command::RotateKey(rotation(1, 11, DAY))).unwrap();
    assert!(opens(&mut world, 1) && opens(&mut world, 11));
    world.call(Command::RotateKey(rotation(11, 12, DAY))).unwrap();
    assert!(!opens(&mut world, 1) && opens(&mut world, 11) && opens(&mut world, 12));
    world.call(Command::RotateKey(rotation(12, 13, 0))).unwrap();
    assert!(!opens(&mut world, 11) && !opens(&mut world, 12) && opens(&mut world, 13));
    // An end that has passed is no way around it either.
    world.pass(DAY);
    let ends = |end: Option<i64>| KeyChange { expires_at: Some(end), ..KeyChange::default() };
    let end = world.now.wall + DAY;
    change(&mut world, 2, ends(Some(end))).unwrap();
    world.pass(DAY);
    world.call(Command::CreateKey(new(4))).unwrap();
    let refused = change(&mut world, 2, ends(None));
    assert!(matches!(refused, Err(Error::Refused(Refusal::LimitReached { .. }))), "{refused:?}");
}
