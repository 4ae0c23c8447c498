//! Page 002: a switch as a saga, a credit to the wallet, passes, renewals that wait for payment.

use book::command::plan::{Confirmation, NewSwitch};
use book::command::settings::SettingsChange;
use book::command::{open, plan};
use book::{EntryKind, GrantSource, Refusal, Tx as _, Waits};
use tariff::{
    Cadence, Catalog, CycleOnSwitch, Expiry, LotsOnSwitch, Period, Plan, Pool, Proration, Purchases, Ratio,
    SwitchAt, Transition, Transitions,
};

use crate::support::{ACCOUNT, World, at, cents, code, credits, priced, ratio, refused, usd};

pub fn catalog() -> Catalog {
    let tier = |name: &str, base: i64| {
        let plan = priced(name, cents(base), &[("main", base * 12 / 10), ("backup", base * 3)]);
        let pass = Cadence {
            name: "pass".to_owned(),
            billing: Period::parse("P30D").unwrap(),
            cycle: Period::parse("P30D").unwrap(),
            renews: false,
            ..plan.default_cadence()
        };
        Plan { cadences: vec![pass], ..plan }
    };
    let any = Transition {
        at: SwitchAt::PaymentConfirmed,
        cycle: CycleOnSwitch::Restart,
        lots: LotsOnSwitch::Void,
        proration: Some(Proration {
            to: "wallet".to_owned(),
            days: 28,
            step_days: None,
            usage: vec![("main".to_owned(), ratio("0.75")), ("backup".to_owned(), ratio("0.25"))],
            floor: ratio("0.10"),
            capped: true,
        }),
    };
    Catalog {
        pools: vec![
            Pool::named("main", 1, Expiry::CycleEnd),
            Pool::named("backup", 2, Expiry::CycleEnd),
            Pool { opt_in: true, ..Pool::named("wallet", 3, Expiry::Never) },
        ],
        plans: vec![
            priced("free", usd(0), &[]),
            tier("starter", 1_000),
            tier("premium", 2_500),
            tier("pro", 5_000),
        ],
        transitions: Transitions { up: any.clone(), down: any },
        purchases: Purchases {
            pool: Some("wallet".to_owned()),
            credits_per_usd: Some(Ratio::whole(100)),
            ..Purchases::default()
        },
        ..Catalog::named("002")
    }
}

pub const BEGIN: &str = "2026-11-01T00:00:00Z";

#[test]
fn p12_nothing_changes_before_the_payment_and_all_of_it_with_it() {
    let mut world = World::open(catalog(), BEGIN, "starter");
    world.use_up("main", credits(600), "u1");
    world.until("2026-11-08T00:00:00Z");
    let switch = world.switch("premium");
    let change = switch.change.unwrap();
    assert_eq!((switch.at, switch.usd), (None, Some(usd(25))));
    // Case B: 7 days, half of main: 625 cents would come back as things stand.
    assert_eq!(switch.prorated.unwrap().credit, cents(625));
    assert_eq!(
        (world.account().plan(), world.left("main"), world.left("wallet")),
        ("starter", credits(600), credits(0))
    );
    // It waits as long as it takes, and more is used and more time passes meanwhile: case C.
    world.use_up("main", credits(600), "u2");
    world.use_up("backup", credits(1_500), "u3");
    world.until("2026-11-15T00:00:00Z");
    let before = world.store.journal.len();
    assert!(world.confirm(change, "pay_1").unwrap());
    assert_eq!(world.account().plan(), "premium");
    assert_eq!((world.left("main"), world.left("backup")), (credits(3_000), credits(7_500)));
    assert_eq!(world.left("wallet"), credits(125));
    assert_eq!(world.account().pending, None);
    assert_eq!(world.cycle().unwrap().0, "2026-11-15T00:00:00Z");
    // One transaction: the payment first, then the old pools' end, the credit and the new pools, at one instant.
    let posted = &world.store.journal[before..];
    assert!(matches!(&posted[0].kind, EntryKind::Payment(payment) if payment.usd == usd(25)));
    assert!(posted.iter().all(|entry| entry.at == world.now.wall));
    let granted: Vec<(GrantSource, &str)> = posted
        .iter()
        .filter_map(|entry| match &entry.kind {
            EntryKind::Grant(granted) => Some((granted.source, &*granted.pool)),
            _ => None,
        })
        .collect();
    assert_eq!(
        granted,
        [(GrantSource::Switch, "wallet"), (GrantSource::Plan, "main"), (GrantSource::Plan, "backup")]
    );
    // The provider tells it twice: nothing comes twice.
    assert!(!world.confirm(change, "pay_1").unwrap());
    assert_eq!((world.left("wallet"), world.account().dealings.received), (credits(125), usd(25)));
    assert!(matches!(refused(world.confirm(change + 1, "pay_1")), Refusal::ReferenceConflict(_)));
    assert_eq!(code(world.confirm(change, "pay_2")), "no_such_change");
}

#[test]
fn p12_a_payment_that_fails_leaves_the_old_plan() {
    let mut world = World::open(catalog(), BEGIN, "starter");
    let change = world.switch("premium").change.unwrap();
    assert!(plan::drop_change(&mut world.store, world.now, ACCOUNT, Some(change)).unwrap());
    assert_eq!((world.account().plan(), world.left("main")), ("starter", credits(1_200)));
    assert_eq!(code(world.confirm(change, "pay_1")), "no_such_change");
    assert_eq!(world.account().dealings.received, usd(0));
    // Another sum than was asked for is no payment for it.
    let change = world.switch("premium").change.unwrap();
    let less = Confirmation {
        change,
        provider: "nowpayments".to_owned(),
        reference: "n1".to_owned(),
        usd: Some(usd(24)),
    };
    assert_eq!(code(plan::confirm(&mut world.store, world.now, ACCOUNT, &less)), "amount_mismatch");
    assert_eq!(world.account().plan(), "starter");
}

#[test]
fn p13_every_worked_case_of_these_plans_through_the_switch() {
    // Days, main, backup used, credit in cents: A, B, C, M, F, G.
    for (case, days, main, backup, credit) in [
        ("A", 0, 0, 0, 900),
        ("B", 7, 600, 0, 625),
        ("C", 14, 1_200, 1_500, 125),
        ("M", 2, 1_200, 3_000, 0),
        ("F", 28, 0, 0, 0),
        ("G", 21, 0, 0, 250),
    ] {
        let mut world = World::open(catalog(), BEGIN, "starter");
        if main > 0 {
            world.use_up("main", credits(main), "main");
        }
        if backup > 0 {
            world.use_up("backup", credits(backup), "backup");
        }
        world.until(&book::calendar::rfc3339(at(BEGIN) + days * crate::support::DAY).unwrap());
        let change = world.switch("premium").change.unwrap();
        world.confirm(change, "pay").unwrap();
        // 1 US dollar is 100 credits: a credit is a cent.
        assert_eq!(world.left("wallet"), credits(credit), "case {case}");
    }
}

#[test]
fn p13_what_was_used_counts_however_much_of_the_wallet_was_used_up_since() {
    let mut world = World::open(catalog(), BEGIN, "starter");
    let change = SettingsChange { opted_in: Some(vec!["wallet".to_owned()]), ..SettingsChange::default() };
    world.set(&change);
    world.use_up("main", credits(1_200), "main");
    world.use_up("backup", credits(3_000), "backup");
    for n in 0..40 {
        let wallet = book::command::grant::NewGrant {
            account: ACCOUNT.to_owned(),
            pool: "wallet".to_owned(),
            amount: credits(1),
            expires_at: None,
            reference: format!("w{n}"),
        };
        book::command::grant::grant(&mut world.store, world.now, &wallet).unwrap();
        world.use_up("wallet", credits(1), &format!("u{n}"));
    }
    // Case M.
    world.until("2026-11-03T00:00:00Z");
    let change = world.switch("premium").change.unwrap();
    world.confirm(change, "pay").unwrap();
    assert_eq!(world.left("wallet"), credits(0));
}

/// What an upgrade from `from` gives back on the first day, in cents.
fn credited(world: &mut World, to: &str) -> i64 {
    let change = world.switch(to).change.unwrap();
    let before = world.left("wallet");
    world.confirm(change, &format!("pay_{change}")).unwrap();
    (world.left("wallet").get() - before.get()) / 1_000_000
}

#[test]
fn p13_no_more_is_given_back_than_was_paid() {
    let coupon =
        tariff::Coupon { code: "HALF".to_owned(), off: ratio("0.5"), first_payment: false, until: None };
    let mut pages = catalog();
    pages.coupons = vec![coupon];
    pages.plans.push(Plan { price_usd: None, ..priced("custom", usd(0), &[("main", 100)]) });
    let half =
        |to: &str| NewSwitch { coupon: Some("HALF".to_owned()), to: to.to_owned(), ..NewSwitch::default() };
    // A coupon: 5 were paid of 10, nine tenths of that come back.
    let mut world = World::open(pages.clone(), BEGIN, "free");
    let change = world.change(&half("starter")).unwrap().change.unwrap();
    world.confirm(change, "c1").unwrap();
    assert_eq!(world.account().cycle.as_ref().unwrap().price, Some(usd(5)));
    assert_eq!(credited(&mut world, "premium"), 450);
    // The next period was paid in full, as far as was told.
    let mut world = World::open(pages.clone(), BEGIN, "free");
    let change = world.change(&half("starter")).unwrap().change.unwrap();
    world.confirm(change, "c1").unwrap();
    world.until("2026-12-01T00:00:00Z");
    assert_eq!(credited(&mut world, "premium"), 900);
    // A coupon for the new plan bounds what comes back: 12.50 are no more than 2.50 above 10.
    let mut world = World::open(pages.clone(), BEGIN, "starter");
    let preview = world.change(&NewSwitch { preview: true, ..half("premium") }).unwrap();
    assert_eq!(preview.prorated.unwrap().credit, cents(250));
    let change = world.change(&half("premium")).unwrap().change.unwrap();
    world.confirm(change, "c2").unwrap();
    assert_eq!(world.left("wallet"), credits(250));
    // A price on request: what was paid for it counts, and nothing where nothing was told.
    let mut world = World::open(pages.clone(), BEGIN, "free");
    let change = world.switch("custom").change.unwrap();
    let paid =
        Confirmation { change, provider: "creem".to_owned(), reference: "r1".to_owned(), usd: Some(usd(30)) };
    plan::confirm(&mut world.store, world.now, ACCOUNT, &paid).unwrap();
    assert_eq!(credited(&mut world, "pro"), 2_000);
    let mut world = World::open(pages.clone(), BEGIN, "custom");
    assert_eq!(credited(&mut world, "pro"), 0);
    // A price that was raised since is not what was paid.
    let mut world = World::open(pages.clone(), BEGIN, "starter");
    let mut dearer = pages;
    for plan in dearer.plans.iter_mut().filter(|plan| plan.name == "starter") {
        plan.price_usd = Some(usd(20));
    }
    world.store.publish(dearer);
    assert_eq!(credited(&mut world, "premium"), 900);
}

#[test]
fn p13_what_nodes_may_still_take_counts_as_used() {
    let mut pages = catalog();
    let meter = (tariff::Meter::InputTokens, ratio("1000000"));
    pages.models = vec![tariff::Model::named("unit", tariff::Prices::new(vec![meter]), 1_000)];
    let mut world = World::open(pages, BEGIN, "starter");
    let id = world.account().id.clone();
    let leased = EntryKind::Leased {
        term: 0,
        node: wire::NodeId([1; 16]),
        epoch: 1,
        bucket: "credits/main+backup".into(),
        asset: "credits".into(),
        amount: credits(600),
    };
    world.store.append(&id, world.now.wall, leased).unwrap();
    // Half of main is out: as in case B, but nothing of it has settled. A look ahead does not count it.
    let switch = world.switch("premium");
    assert_eq!(switch.prorated.unwrap().credit, cents(900));
    world.confirm(switch.change.unwrap(), "pay_1").unwrap();
    assert_eq!(world.left("wallet"), credits(625));
}

#[test]
fn p12_a_cheaper_plan_waits_for_its_payment_too_and_credits_nothing() {
    let mut world = World::open(catalog(), BEGIN, "pro");
    world.until("2026-11-08T00:00:00Z");
    let change = world.switch("starter").change.unwrap();
    world.confirm(change, "pay").unwrap();
    assert_eq!((world.account().plan(), world.left("wallet")), ("starter", credits(0)));
    assert_eq!(world.account().totals.voided, credits(6_000 + 15_000));
}

#[test]
fn p11_a_cancelled_plan_runs_to_the_end_and_the_wallet_stays() {
    let mut world = World::open(catalog(), BEGIN, "premium");
    let wallet = book::command::grant::NewGrant {
        account: ACCOUNT.to_owned(),
        pool: "wallet".to_owned(),
        amount: credits(70),
        expires_at: None,
        reference: "w1".to_owned(),
    };
    book::command::grant::grant(&mut world.store, world.now, &wallet).unwrap();
    let pending = plan::cancel(&mut world.store, world.now, ACCOUNT, None).unwrap();
    assert_eq!(
        (&*pending.to, pending.waits, pending.cancels),
        ("free", Waits::Until(at("2026-12-01T00:00:00Z")), true)
    );
    world.until("2026-11-30T23:59:59Z");
    assert_eq!((world.account().plan(), world.left("main")), ("premium", credits(3_000)));
    world.until("2026-12-01T00:00:00Z");
    assert_eq!(
        (world.account().plan(), world.left("main"), world.left("wallet")),
        ("free", credits(0), credits(70))
    );
    assert_eq!(world.cycle(), None);
    world.until("2027-12-01T00:00:00Z");
    assert_eq!((world.left("main"), world.left("wallet")), (credits(0), credits(70)));
    assert_eq!(
        code(plan::cancel(&mut world.store, world.now, ACCOUNT, Some("premium"))),
        "no_billing_period"
    );
    assert!(matches!(
        refused(plan::cancel(&mut world.store, world.now, ACCOUNT, None)),
        Refusal::SamePlan(_)
    ));
}

#[test]
fn p11_a_switch_to_a_plan_without_a_price_is_the_end_of_the_period() {
    let mut world = World::open(catalog(), BEGIN, "premium");
    let switch = world.switch("free");
    assert_eq!((switch.at, switch.usd), (Some(at("2026-12-01T00:00:00Z")), Some(usd(0))));
    world.until("2026-12-01T00:00:00Z");
    assert_eq!(world.account().plan(), "free");
}

#[test]
fn p11_renewal_refills_in_full_and_nothing_rolls_over() {
    let mut world = World::open(catalog(), BEGIN, "starter");
    world.use_up("main", credits(1_000), "u1");
    world.until("2026-12-01T00:00:00Z");
    assert_eq!((world.left("main"), world.left("backup")), (credits(1_200), credits(3_000)));
    assert_eq!(world.account().totals.expired, credits(200 + 3_000));
}

#[test]
fn p11_a_pass_lasts_thirty_days_and_is_not_renewed() {
    let new = open::NewAccount {
        plan: "starter".to_owned(),
        cadence: Some("pass".to_owned()),
        ..open::NewAccount::default()
    };
    let mut world = World::open_with(catalog(), "2026-01-31T12:00:00Z", new);
    assert_eq!((world.left("main"), world.left("backup")), (credits(1_200), credits(3_000)));
    world.until("2026-03-02T11:59:59Z");
    assert_eq!(world.account().plan(), "starter");
    world.until("2026-03-02T12:00:00Z");
    assert_eq!((world.account().plan(), world.left("main"), world.cycle()), ("free", credits(0), None));
    // Without a plan to fall to, the account stays where it is, with nothing granted.
    let mut alone = catalog();
    alone.plans.retain(|plan| plan.name != "free");
    let new = open::NewAccount {
        plan: "starter".to_owned(),
        cadence: Some("pass".to_owned()),
        ..open::NewAccount::default()
    };
    let mut world = World::open_with(alone, "2026-01-31T12:00:00Z", new);
    world.until("2026-06-01T00:00:00Z");
    assert_eq!((world.account().plan(), world.left("main"), world.cycle()), ("starter", credits(0), None));
}

#[test]
fn p11_a_second_pass_is_taken_when_the_first_is_over() {
    // With a plan to fall to between them, and without one.
    for falls in [true, false] {
        let mut catalog = catalog();
        catalog.plans.retain(|plan| falls || plan.name != "free");
        let pass = Some("pass".to_owned());
        let new = open::NewAccount {
            plan: "starter".to_owned(),
            cadence: pass.clone(),
            ..open::NewAccount::default()
        };
        let mut world = World::open_with(catalog, "2026-01-31T12:00:00Z", new);
        let again = NewSwitch { to: "starter".to_owned(), cadence: pass, ..NewSwitch::default() };
        world.until("2026-02-10T00:00:00Z");
        let refused = plan::change(&mut world.store, world.now, ACCOUNT, &again);
        assert!(refused.is_err(), "one runs: {refused:?}");
        world.until("2026-04-01T00:00:00Z");
        assert_eq!((world.left("main"), world.cycle()), (credits(0), None));
        let change = plan::change(&mut world.store, world.now, ACCOUNT, &again).unwrap().change.unwrap();
        assert!(world.confirm(change, "in_2").unwrap());
        assert_eq!((world.account().plan(), world.left("main")), ("starter", credits(1_200)));
        let cycle = ("2026-04-01T00:00:00Z".to_owned(), "2026-05-01T00:00:00Z".to_owned());
        assert_eq!(world.cycle(), Some(cycle));
        world.until("2026-05-01T00:00:00Z");
        assert_eq!((world.left("main"), world.cycle()), (credits(0), None));
    }
}

#[test]
fn p12_retired_plans_are_kept_and_left_but_not_taken() {
    let mut world = World::open(catalog(), BEGIN, "starter");
    let mut without = catalog();
    without.plans.retain(|plan| plan.name != "starter");
    world.store.publish(without);
    world.until("2026-12-01T00:00:00Z");
    assert_eq!((world.account().plan(), world.left("main")), ("starter", credits(1_200)));
    // From a plan that is gone to one that is there: the pending change decides which catalog is asked.
    let later =
        NewSwitch { to: "premium".to_owned(), when: Some(SwitchAt::PeriodEnd), ..NewSwitch::default() };
    world.change(&later).unwrap();
    world.until("2027-01-01T00:00:00Z");
    assert_eq!((world.account().plan(), world.left("main")), ("premium", credits(3_000)));
    let back = NewSwitch { to: "starter".to_owned(), ..NewSwitch::default() };
    assert!(matches!(refused(world.change(&back)), Refusal::UnknownPlan(_)));
}
