//! Page 000: upgrades now, downgrades with the period, coupons, a yearly price with monthly credits.

use book::command::plan::NewSwitch;
use book::command::{open, plan};
use book::{LotEnd, Refusal, Waits};
use tariff::{
    Cadence, Catalog, Coupon, CycleOnSwitch, Expiry, LotsOnSwitch, Period, Plan, Pool, SwitchAt, Transition,
    Transitions,
};

use crate::support::{ACCOUNT, World, at, cents, code, credits, priced, ratio, refused, usd};

fn catalog() -> Catalog {
    let yearly = |plan: Plan, price| {
        let own = plan.default_cadence();
        let yearly = Cadence {
            name: "yearly".to_owned(),
            price_usd: Some(price),
            billing: Period::parse("P1Y").unwrap(),
            ..own
        };
        Plan { cadences: vec![yearly], ..plan }
    };
    let factor = |plan: Plan, factor| Plan { factors: vec![("topup".to_owned(), ratio(factor))], ..plan };
    Catalog {
        pools: vec![
            Pool::named("included", 1, Expiry::CycleEnd),
            Pool::named("topup", 2, Expiry::After(Period::parse("P12M").unwrap())),
        ],
        plans: vec![
            priced("topup_only", usd(0), &[]),
            yearly(factor(priced("starter", usd(20), &[("included", 500)]), "0.85"), usd(192)),
            yearly(factor(priced("pro", usd(50), &[("included", 1_500)]), "0.75"), usd(480)),
            yearly(factor(priced("max", usd(100), &[("included", 3_000)]), "0.6"), usd(960)),
        ],
        transitions: Transitions {
            up: Transition {
                at: SwitchAt::Now,
                cycle: CycleOnSwitch::Restart,
                lots: LotsOnSwitch::Void,
                proration: None,
            },
            down: Transition { at: SwitchAt::PeriodEnd, ..Transition::default() },
        },
        coupons: vec![Coupon {
            code: "NEW50".to_owned(),
            off: ratio("0.5"),
            first_payment: true,
            until: Some(at("2026-06-01T00:00:00Z")),
        }],
        ..Catalog::named("modelstack")
    }
}

fn to(plan: &str) -> NewSwitch {
    NewSwitch { to: plan.to_owned(), ..NewSwitch::default() }
}

#[test]
fn m10_an_upgrade_restarts_the_cycle_voids_the_rest_and_keeps_topups() {
    let mut world = World::open(catalog(), "2026-01-31T10:00:00Z", "starter");
    let grant = book::command::grant::NewGrant {
        account: ACCOUNT.to_owned(),
        pool: "topup".to_owned(),
        amount: credits(40),
        expires_at: None,
        reference: "p1".to_owned(),
    };
    book::command::grant::grant(&mut world.store, world.now, &grant).unwrap();
    world.use_up("included", credits(200), "u1");
    world.until("2026-02-10T00:00:00Z");
    let switch = world.switch("pro");
    let voided: Vec<_> = switch.voided.iter().map(|(_, lot)| (&*lot.pool, lot.remaining)).collect();
    assert_eq!(
        (voided, switch.usd, switch.prorated),
        (vec![("included", credits(300))], Some(usd(50)), None)
    );
    assert_eq!((world.left("included"), world.left("topup")), (credits(1_500), credits(40)));
    assert_eq!(world.cycle(), Some(("2026-02-10T00:00:00Z".to_owned(), "2026-03-10T00:00:00Z".to_owned())));
    let term = world.account().term().unwrap();
    assert_eq!((&*term.plan, term.factor("topup")), ("pro", ratio("0.75")));
    assert_eq!(world.account().totals.voided, credits(300));
}

#[test]
fn m11_a_downgrade_waits_for_the_period_and_keeps_the_benefits_until_then() {
    let mut world = World::open(catalog(), "2026-01-31T10:00:00Z", "max");
    world.until("2026-02-10T00:00:00Z");
    let switch = world.switch("starter");
    assert_eq!((switch.at, switch.change.is_some()), (Some(at("2026-02-28T10:00:00Z")), true));
    assert_eq!(world.account().plan(), "max");
    assert_eq!(world.left("included"), credits(3_000));
    world.until("2026-02-28T09:59:59.999Z");
    assert_eq!(world.account().plan(), "max");
    world.until("2026-02-28T10:00:00Z");
    assert_eq!(world.account().plan(), "starter");
    // What was left of Max has expired with its cycle; it was not taken back.
    assert_eq!((world.left("included"), world.account().totals.expired), (credits(500), credits(3_000)));
    assert_eq!(world.account().totals.voided, credits(0));
    assert_eq!(world.account().pending, None);
    assert_eq!(world.cycle().unwrap().0, "2026-02-28T10:00:00Z");
}

#[test]
fn m11_a_second_change_takes_the_first_ones_place_and_an_upgrade_ends_it() {
    let mut world = World::open(catalog(), "2026-01-01T00:00:00Z", "max");
    let first = world.switch("starter").change.unwrap();
    let second = world.switch("pro").change.unwrap();
    assert!(second > first);
    let pending = world.account().pending.clone().unwrap();
    assert_eq!((&*pending.to, pending.id), ("pro", second));
    assert_eq!(code(plan::drop_change(&mut world.store, world.now, ACCOUNT, Some(first))), "no_such_change");
    // Taken back: nothing comes.
    assert!(plan::drop_change(&mut world.store, world.now, ACCOUNT, None).unwrap());
    assert!(!plan::drop_change(&mut world.store, world.now, ACCOUNT, None).unwrap());
    world.until("2026-02-01T00:00:00Z");
    assert_eq!((world.account().plan(), world.left("included")), ("max", credits(3_000)));

    let mut world = World::open(catalog(), "2026-01-01T00:00:00Z", "pro");
    world.switch("starter");
    world.switch("max");
    assert_eq!(world.account().pending, None);
    world.until("2026-02-01T00:00:00Z");
    assert_eq!(world.account().plan(), "max");
}

#[test]
fn m11_a_long_rest_does_not_lose_the_change() {
    let mut world = World::open(catalog(), "2026-01-31T10:00:00Z", "max");
    world.switch("starter");
    world.until("2031-07-03T00:00:00Z");
    assert_eq!((world.account().plan(), world.left("included")), ("starter", credits(500)));
    assert_eq!(world.cycle(), Some(("2031-06-28T10:00:00Z".to_owned(), "2031-07-28T10:00:00Z".to_owned())));
}

#[test]
fn m12_a_coupon_halves_the_first_payment_and_no_other() {
    let coupon = |plan: &str, paid: Option<&str>| NewSwitch {
        coupon: Some("NEW50".to_owned()),
        paid: paid.map(|reference| ("stripe".to_owned(), reference.to_owned())),
        ..to(plan)
    };
    let mut world = World::open(catalog(), "2026-01-01T00:00:00Z", "topup_only");
    let preview = world.change(&NewSwitch { preview: true, ..coupon("starter", None) }).unwrap();
    assert_eq!((preview.usd, world.account().plan()), (Some(usd(10)), "topup_only"));
    assert_eq!(code(world.change(&coupon("starter", None))), "coupon");
    let yearly = NewSwitch { cadence: Some("yearly".to_owned()), preview: true, ..coupon("starter", None) };
    assert_eq!(world.change(&yearly).unwrap().usd, Some(usd(96)));
    world.change(&coupon("starter", Some("in_1"))).unwrap();
    assert_eq!(world.account().dealings.received, usd(10));
    assert_eq!(code(world.change(&coupon("pro", Some("in_2")))), "coupon_refused");
    assert!(matches!(
        refused(world.change(&NewSwitch { paid: coupon("", Some("in_1")).paid, ..to("pro") })),
        Refusal::ReferenceConflict(_)
    ));
    // What comes with the period without a payment redeems none: it could be had again and again.
    let mut world = World::open(catalog(), "2026-01-01T00:00:00Z", "max");
    let later = NewSwitch { when: Some(SwitchAt::PeriodEnd), ..coupon("starter", None) };
    assert_eq!(code(world.change(&later)), "coupon");
    assert_eq!(world.account().pending, None);
    world.set(&book::command::settings::SettingsChange {
        renewal: Some(book::Renewal::OnPayment),
        ..Default::default()
    });
    assert_eq!(world.change(&later).unwrap().usd, Some(usd(10)));
    // Whoever has paid before without it is no longer new.
    let mut world = World::open(catalog(), "2026-01-01T00:00:00Z", "topup_only");
    world.change(&NewSwitch { paid: coupon("", Some("in_1")).paid, ..to("starter") }).unwrap();
    assert_eq!(code(world.change(&coupon("pro", Some("in_2")))), "coupon_refused");
    // Nor is it valid for ever, nor any code.
    let mut world = World::open(catalog(), "2026-06-01T00:00:00Z", "topup_only");
    assert_eq!(code(world.change(&coupon("starter", Some("in_1")))), "coupon_refused");
    let unknown = NewSwitch { coupon: Some("NEW90".to_owned()), ..to("starter") };
    assert_eq!(code(world.change(&unknown)), "coupon");
}

#[test]
fn m13_a_year_is_paid_at_once_and_grants_every_month() {
    let new = open::NewAccount {
        plan: "pro".to_owned(),
        cadence: Some("yearly".to_owned()),
        ..open::NewAccount::default()
    };
    let mut world = World::open_with(catalog(), "2027-01-31T00:00:00Z", new);
    let cycle = world.account().cycle.clone().unwrap();
    assert_eq!((cycle.end, cycle.billing_end()), (at("2027-02-28T00:00:00Z"), at("2028-01-31T00:00:00Z")));
    let mut granted = 0;
    for month in 1..=12 {
        assert_eq!(world.left("included"), credits(1_500), "month {month}");
        world.use_up("included", credits(1_400), &format!("u{month}"));
        granted += 1_500;
        assert_eq!(world.account().totals.granted, credits(granted), "month {month}");
        let end = world.cycle().unwrap().1;
        world.until(&end);
    }
    assert_eq!(world.cycle().unwrap().0, "2028-01-31T00:00:00Z");
    assert_eq!(world.account().cycle.clone().unwrap().billing_start(), at("2028-01-31T00:00:00Z"));
    // A downgrade in the third month waits for the end of the year, not of the month.
    world.until("2028-03-15T00:00:00Z");
    let switch = world.switch("starter");
    assert_eq!(switch.at, Some(at("2029-01-31T00:00:00Z")));
    world.until("2029-01-31T00:00:00Z");
    assert_eq!((world.account().plan(), world.settings().cadence.clone()), ("starter", None));
}

#[test]
fn m13_from_months_to_a_year_is_up_and_back_is_down() {
    let mut world = World::open(catalog(), "2026-01-01T00:00:00Z", "pro");
    assert!(matches!(refused(world.change(&to("pro"))), Refusal::SamePlan(_)));
    let yearly = NewSwitch { cadence: Some("yearly".to_owned()), ..to("pro") };
    let switch = world.change(&yearly).unwrap();
    assert_eq!((switch.usd, switch.change), (Some(usd(480)), None));
    assert_eq!(world.settings().cadence.as_deref(), Some("yearly"));
    assert!(matches!(refused(world.change(&yearly)), Refusal::SamePlan(_)));
    let back = world.switch("pro");
    assert_eq!(back.at, Some(at("2027-01-01T00:00:00Z")));
    assert_eq!(world.account().pending.as_ref().unwrap().waits, Waits::Until(at("2027-01-01T00:00:00Z")));
    let unknown = NewSwitch { cadence: Some("weekly".to_owned()), ..to("max") };
    assert_eq!(code(world.change(&unknown)), "cadence");
}

#[test]
fn m1_a_switch_takes_anchor_and_zone() {
    let mut world = World::open(catalog(), "2026-01-20T00:00:00Z", "starter");
    let anchored = NewSwitch {
        anchor: Some(at("2026-01-01T00:00:00Z")),
        time_zone: Some("Asia/Tokyo".to_owned()),
        ..to("pro")
    };
    world.change(&anchored).unwrap();
    assert_eq!(world.cycle(), Some(("2026-01-01T00:00:00Z".to_owned(), "2026-02-01T00:00:00Z".to_owned())));
    assert_eq!(world.settings().time_zone.as_deref(), Some("Asia/Tokyo"));
    let late = NewSwitch { anchor: Some(at("2027-01-01T00:00:00Z")), ..to("max") };
    assert_eq!(code(world.change(&late)), "anchor");
    let closing = world.account().lots.values().find_map(|lot| lot.closing);
    assert!(closing.is_none_or(|closing| closing.end == LotEnd::Void));
}

#[test]
fn l5_at_once_both_ways_where_the_operator_says_so() {
    let mut world = World::open(catalog(), "2026-01-01T00:00:00Z", "max");
    let now = NewSwitch { when: Some(SwitchAt::Now), ..to("starter") };
    assert_eq!(world.change(&now).unwrap().change, None);
    assert_eq!((world.account().plan(), world.left("included")), ("starter", credits(500)));
    let later = NewSwitch { when: Some(SwitchAt::PeriodEnd), ..to("pro") };
    assert!(world.change(&later).unwrap().change.is_some());
    assert_eq!(world.account().plan(), "starter");
    assert_eq!(cents(100), usd(1));
}

#[test]
fn m2_plans_without_a_price_are_not_taken_in_turns_for_fresh_credits() {
    let mut two = catalog();
    two.plans.push(priced("hobby", usd(0), &[("included", 50)]));
    two.plans.push(priced("club", usd(0), &[("included", 60)]));
    let mut world = World::open(two.clone(), "2026-01-01T00:00:00Z", "hobby");
    world.use_up("included", credits(50), "u1");
    // Whether it counts as up or as down, by way of a plan without grants too: the period ends first.
    for plan in ["club", "topup_only", "club"] {
        let switch = world.switch(plan);
        assert_eq!((switch.at, switch.change.is_some()), (Some(at("2026-02-01T00:00:00Z")), true), "{plan}");
        assert_eq!((world.account().plan(), world.left("included")), ("hobby", credits(0)));
    }
    world.until("2026-02-01T00:00:00Z");
    assert_eq!((world.account().plan(), world.left("included")), ("club", credits(60)));
    assert_eq!(world.account().totals.granted, credits(50 + 60));
    // A checkout has nothing to wait for.
    let checkout = NewSwitch { when: Some(SwitchAt::PaymentConfirmed), ..to("hobby") };
    assert_eq!(world.change(&checkout).unwrap().at, Some(at("2026-03-01T00:00:00Z")));
    // To a plan with a price it goes at once, and the operator's word counts.
    assert_eq!(world.switch("pro").change, None);
    let now = NewSwitch { when: Some(SwitchAt::Now), ..to("hobby") };
    assert_eq!(world.change(&now).unwrap().change, None);
    // Without a period there is nothing that could be had twice.
    let mut world = World::open(two, "2026-01-01T00:00:00Z", "topup_only");
    assert_eq!(world.switch("club").change, None);
    assert_eq!(world.left("included"), credits(60));
}

#[test]
fn m2_what_is_beyond_the_bound_of_a_rollover_is_trimmed_the_oldest_first() {
    let mut rolling = catalog();
    let included = rolling.pools.iter_mut().find(|pool| pool.name == "included").unwrap();
    included.rollover = Some(tariff::catalog::Rollover { cycles: 2, max: Some(credits(700)) });
    let mut world = World::open(rolling, "2026-01-01T00:00:00Z", "starter");
    world.until("2026-02-01T00:00:00Z");
    // All 500 are carried over beside the 500 of February.
    assert_eq!(world.left("included"), credits(1_000));
    world.use_up("included", credits(100), "u1");
    world.until("2026-03-01T00:00:00Z");
    // 900 are left, 700 may go on: January's lot loses 200 of its 400.
    let trimmed: Vec<_> = world
        .store
        .journal
        .iter()
        .filter_map(|entry| match &entry.kind {
            book::EntryKind::LotTrimmed { lot, amount, pool, .. } => Some((*lot, *amount, pool.to_string())),
            _ => None,
        })
        .collect();
    let first = *world.account().lots.first_key_value().unwrap().0;
    assert_eq!(trimmed, [(first, credits(200), "included".to_owned())]);
    let lots: Vec<_> = world.account().lots.values().map(|lot| lot.remaining).collect();
    assert_eq!(lots, [credits(200), credits(500), credits(500)]);
    assert_eq!(world.account().totals.expired, credits(200));
    // January's rest ends with its third cycle; what remains fits, and nothing more is trimmed but what is too much.
    world.use_up("included", credits(600), "u2");
    world.until("2026-04-01T00:00:00Z");
    assert_eq!(world.left("included"), credits(100 + 500 + 500));
    assert_eq!(world.account().totals.expired, credits(200));
}
