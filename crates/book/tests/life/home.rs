//! Leases come home before what they are laid on is taken away, whatever bucket they are of.

use book::command::correct::{self, NewAdjustment};
use book::command::home::{self, Before};
use book::command::purchase::{self, NewPurchase};
use book::command::settings::SettingsChange;
use book::lease::Stated;
use book::{EntryKind, Tx as _};
use tariff::{Catalog, Meter, Micros, Model, Pool, Prices, Refund};
use wire::{Change, NodeId};

use crate::pools_and_wallet::{BEGIN, catalog};
use crate::support::{ACCOUNT, World, code, credits, ratio, usd};

const NODE: NodeId = NodeId([1; 16]);

fn pages() -> Catalog {
    let unit =
        |name: &str| Model::named(name, Prices::new(vec![(Meter::InputTokens, ratio("1000000"))]), 1_000);
    let mut pages = catalog();
    pages.models = vec![unit("unit"), Model { asset: "trainings".to_owned(), ..unit("trainer") }];
    pages.pools.push(Pool { asset: "trainings".to_owned(), ..Pool::named("runs", 4, tariff::Expiry::Never) });
    pages.purchases.refund = Refund { allowed: true, unless_used: false, consent: false };
    pages
}

fn lease(world: &mut World, (bucket, asset): (&str, &str), amount: i64) {
    let id = world.account().id.clone();
    let (bucket, asset, amount) = (bucket.into(), asset.into(), credits(amount));
    let leased = EntryKind::Leased { node: NODE, epoch: 1, bucket, asset, amount, term: 0 };
    world.store.append(&id, world.now.wall, leased).unwrap();
}

fn give_back(world: &mut World, bucket: &str, amount: i64) {
    let id = world.account().id.clone();
    let returned =
        EntryKind::Returned { node: NODE, epoch: 1, bucket: bucket.into(), returned: credits(amount) };
    world.store.append(&id, world.now.wall, returned).unwrap();
}

/// How often leases were called home so far.
fn recalls(world: &World) -> usize {
    world.store.changes.iter().filter(|change| matches!(change, Change::Recall { .. })).count()
}

fn wallet(world: &mut World) -> String {
    world.set(&SettingsChange { opted_in: Some(vec!["wallet".to_owned()]), ..SettingsChange::default() });
    let new = NewPurchase {
        usd: usd(5),
        provider: "creem".to_owned(),
        reference: "b1".to_owned(),
        ..NewPurchase::default()
    };
    purchase::confirm(&mut world.store, world.now, ACCOUNT, &new).unwrap();
    "b1".to_owned()
}

fn take(pool: &str, amount: i64) -> NewAdjustment {
    NewAdjustment {
        account: ACCOUNT.to_owned(),
        pool: pool.to_owned(),
        amount: Micros(-credits(amount).get()),
        expires_at: None,
        allow_debt: false,
        reason: "taken".to_owned(),
        reference: format!("{pool}{amount}"),
    }
}

#[test]
fn leases_of_any_bucket_and_asset_are_called_home() {
    // What is left of main and backup, of the wallet beside them, and of another asset.
    for (bucket, asset, pool, leased, taken) in [
        ("credits", "credits", "backup", 4_000, 500),
        ("credits/main+backup", "credits", "backup", 4_000, 500),
        ("trainings", "trainings", "runs", 3, 1),
    ] {
        let mut world = World::open(pages(), BEGIN, "starter");
        let runs = NewAdjustment { amount: credits(3), ..take("runs", 3) };
        correct::adjust(&mut world.store, world.now, &runs).unwrap();
        lease(&mut world, (bucket, asset), leased);
        assert_eq!(recalls(&world), 0);
        correct::adjust(&mut world.store, world.now, &take(pool, taken)).unwrap();
        assert_eq!(recalls(&world), 1, "{bucket}");
        world.check();
    }
    // Where there is enough for what is out, nobody is called.
    let mut world = World::open(pages(), BEGIN, "starter");
    lease(&mut world, ("credits", "credits"), 4_000);
    correct::adjust(&mut world.store, world.now, &take("main", 200)).unwrap();
    assert_eq!(recalls(&world), 0);
    let lot = *world.account().lots.first_key_value().unwrap().0;
    correct::void(&mut world.store, world.now, ACCOUNT, lot).unwrap();
    assert_eq!(recalls(&world), 1);
}

#[test]
fn a_purchase_is_given_back_when_its_credits_are_home() {
    let mut world = World::open(pages(), BEGIN, "starter");
    let bought = wallet(&mut world);
    let refund = |world: &mut World| {
        purchase::refund(&mut world.store, world.now, ACCOUNT, ("creem", &bought), "re_1")
    };
    lease(&mut world, ("credits", "credits"), 4_400);
    assert_eq!(code(refund(&mut world)), "not_refundable");
    assert_eq!((world.left("wallet"), recalls(&world)), (credits(500), 1));
    // Main and backup pay for what is still out.
    give_back(&mut world, "credits", 200);
    assert_eq!(refund(&mut world).unwrap().credits, credits(500));
    assert_eq!((world.left("wallet"), world.account().debt), (credits(0), credits(0)));
    world.check();
}

#[test]
fn what_is_idle_is_waited_for_and_what_is_held_is_not() {
    let mut world = World::open(pages(), BEGIN, "starter");
    let is_home = |world: &mut World, before: &Before| {
        world.now.up += 1_000;
        home::call(&mut world.store, world.now, ACCOUNT, before).unwrap()
    };
    let taking = |amount| Before::Taking { pool: "backup".to_owned(), amount: credits(amount) };
    assert!(is_home(&mut world, &Before::Reckoning));
    lease(&mut world, ("credits", "credits"), 1_000);
    let backup = *world.account().lots.last_key_value().unwrap().0;
    assert!(is_home(&mut world, &taking(3_000)) && is_home(&mut world, &Before::Ending(backup)));
    assert!(!is_home(&mut world, &Before::Reckoning));
    assert_eq!(recalls(&world), 1);
    lease(&mut world, ("credits", "credits"), 2_500);
    assert!(!is_home(&mut world, &taking(3_000)) && !is_home(&mut world, &Before::Ending(backup)));
    assert!(is_home(&mut world, &taking(600)));
    // Not at each look.
    let before = recalls(&world);
    for _ in 0..3 {
        assert!(!home::call(&mut world.store, world.now, ACCOUNT, &taking(3_000)).unwrap());
    }
    assert_eq!(recalls(&world), before + 1);
    // A request holds what is out: it comes home with its end alone.
    give_back(&mut world, "credits", 3_000);
    let held = Stated {
        node: NODE,
        epoch: 1,
        bucket: "credits".into(),
        free: credits(0),
        held: credits(500),
        at: world.now.wall,
    };
    world.store.soft(ACCOUNT).unwrap().unwrap().state(held);
    assert!(is_home(&mut world, &Before::Reckoning));
}
