//! Billing periods that begin with their payment alone (P11, P12): what lapses, and how that ends.

use book::command::plan::{self, NewSwitch, RenewalPayment};
use book::command::settings::SettingsChange;
use book::snapshot::snapshot;
use book::{Account, EntryKind, Lapse, Pending, Purpose, Renewal, Tx as _, Waits};
use proptest::prelude::*;
use tariff::catalog::{Counted, Limit, Measure, Window};
use tariff::{Cadence, Catalog, Meter, Micros, OnExceed, Period, Plan, Scope, SwitchAt};

use crate::pools_and_wallet::{BEGIN, catalog};
use crate::support::{ACCOUNT, DAY, World, at, cents, code, credits, priced, ratio, refused, usd};

const END: &str = "2026-12-01T00:00:00Z";

fn on_payment() -> SettingsChange {
    SettingsChange { renewal: Some(Renewal::OnPayment), ..SettingsChange::default() }
}

/// An account that pays each period before it begins.
fn prepaid(catalog: Catalog, plan: &str) -> World {
    let mut world = World::open(catalog, BEGIN, plan);
    world.set(&on_payment());
    world
}

fn lapse(world: &World) -> &Lapse {
    world.account().lapsed.as_ref().unwrap()
}

fn awaited(world: &World) -> Pending {
    lapse(world).awaits.clone().unwrap()
}

fn renew(world: &mut World, reference: &str) -> Result<bool, book::Error> {
    let (provider, reference) = ("creem".to_owned(), reference.to_owned());
    plan::renew(&mut world.store, world.now, ACCOUNT, &RenewalPayment { provider, reference, usd: None })
}

fn fail(world: &mut World, change: u64) -> Result<bool, book::Error> {
    plan::drop_change(&mut world.store, world.now, ACCOUNT, Some(change))
}

/// Nothing of the plan's is served: no period, no credits of it.
fn assert_unserved(world: &World) {
    assert_eq!((world.cycle(), world.left("main"), world.left("backup")), (None, credits(0), credits(0)));
    assert!(world.account().lapsed.is_some());
}

#[test]
fn p11_a_renewal_that_waits_for_payment_grants_nothing_before_it() {
    let mut world = World::open(catalog(), "2026-01-31T00:00:00Z", "starter");
    world.set(&on_payment());
    world.until("2026-02-28T00:00:00Z");
    assert_eq!((world.account().plan(), lapse(&world).since), ("starter", at("2026-02-28T00:00:00Z")));
    assert_unserved(&world);
    let awaits = awaited(&world);
    assert_eq!((&*awaits.to, awaits.usd, awaits.waits), ("starter", Some(usd(10)), Waits::Payment));
    let told: Vec<_> = world.store.notices.iter().map(book::notice::Notice::body).collect();
    let told = told.iter().find(|body| body["type"] == "renewal.requested").unwrap();
    assert_eq!(
        (&told["data"]["change"], &told["data"]["plan"]),
        (&awaits.id.to_string().into(), &"starter".into())
    );
    assert_eq!(told["data"]["amount_usd"], "10.000000");
    world.until("2026-03-05T00:00:00Z");
    assert!(world.confirm(awaits.id, "in_2").unwrap());
    assert_eq!(world.account().lapsed, None);
    // The days of the month stay those of the anchor.
    assert_eq!(world.cycle(), Some(("2026-02-28T00:00:00Z".to_owned(), "2026-03-31T00:00:00Z".to_owned())));
    assert_eq!((world.left("main"), world.left("wallet")), (credits(1_200), credits(0)));
    // One that is never paid ends the plan.
    world.until("2026-03-31T00:00:00Z");
    let change = awaited(&world).id;
    assert!(fail(&mut world, change).unwrap());
    assert_eq!((world.account().plan(), world.account().lapsed.clone()), ("free", None));
    assert_eq!(code(world.confirm(change, "in_3")), "no_such_change");
    // A plan without a price has nothing to wait for.
    let mut free = prepaid(catalog(), "free");
    free.until("2027-12-01T00:00:00Z");
    assert_eq!(free.account().lapsed, None);
}

#[test]
fn p11_a_change_at_the_periods_end_is_paid_before_it_comes() {
    let mut world = prepaid(catalog(), "premium");
    let later =
        NewSwitch { to: "starter".to_owned(), when: Some(SwitchAt::PeriodEnd), ..NewSwitch::default() };
    let change = world.change(&later).unwrap().change.unwrap();
    world.until(END);
    assert_eq!((world.account().plan(), &world.account().pending), ("premium", &None));
    assert_unserved(&world);
    let awaits = awaited(&world);
    assert_eq!((&*awaits.to, awaits.id, awaits.usd), ("starter", change, Some(usd(10))));
    world.until("2026-12-03T00:00:00Z");
    assert!(renew(&mut world, "in_1").unwrap());
    assert!(!renew(&mut world, "in_1").unwrap());
    assert_eq!((world.account().plan(), world.left("main")), ("starter", credits(1_200)));
    assert_eq!(world.cycle().unwrap().0, "2026-12-03T00:00:00Z");
    // Without the payment the plan ends.
    let mut world = prepaid(catalog(), "premium");
    let change = world.change(&later).unwrap().change.unwrap();
    world.until(END);
    assert!(fail(&mut world, change).unwrap());
    assert_eq!((world.account().plan(), world.account().lapsed.clone()), ("free", None));
    // An end of the plan costs nothing and comes by itself.
    let mut world = prepaid(catalog(), "premium");
    plan::cancel(&mut world.store, world.now, ACCOUNT, None).unwrap();
    world.until(END);
    assert_eq!((world.account().plan(), world.account().lapsed.clone()), ("free", None));
    let mut world = prepaid(catalog(), "premium");
    let ended = plan::cancel(&mut world.store, world.now, ACCOUNT, Some("starter")).unwrap();
    assert_eq!(ended.usd, Some(usd(10)));
    world.until(END);
    assert_unserved(&world);
}

#[test]
fn p12_asking_for_another_plan_ends_no_lapse() {
    let mut world = prepaid(catalog(), "starter");
    world.until(END);
    let renewal = awaited(&world).id;
    let change = world.switch("premium").change.unwrap();
    assert_unserved(&world);
    world.until("2027-02-01T00:00:00Z");
    assert_unserved(&world);
    // It fails: the account is where it was, and its own period can be paid still.
    assert!(fail(&mut world, change).unwrap());
    assert_unserved(&world);
    assert_eq!(awaited(&world).id, renewal);
    let change = world.switch("premium").change.unwrap();
    assert!(world.confirm(change, "pay_1").unwrap());
    assert_eq!((world.account().plan(), world.left("main")), ("premium", credits(3_000)));
    // Nothing comes back of a period that was not paid.
    assert_eq!((world.left("wallet"), &world.account().lapsed), (credits(0), &None));
    assert_eq!(code(world.confirm(renewal, "pay_2")), "no_such_change");
    // A cheaper plan waits for its payment too, whatever the catalog says of those who have paid; a free one does not.
    let mut now = catalog();
    now.transitions.down.at = SwitchAt::PeriodEnd;
    now.transitions.up.at = SwitchAt::Now;
    for (to, waits) in [("starter", true), ("pro", true), ("free", false)] {
        let mut world = prepaid(now.clone(), "premium");
        world.until(END);
        let later = NewSwitch { to: to.to_owned(), when: Some(SwitchAt::PeriodEnd), ..NewSwitch::default() };
        for new in [NewSwitch { when: None, ..later.clone() }, later] {
            if world.account().plan() == "premium" {
                assert_eq!(world.change(&new).unwrap().change.is_some(), waits, "{to}");
            }
        }
        assert_eq!(world.account().lapsed.is_some(), waits, "{to}");
    }
    // Whoever says that it is paid gets it at once.
    let mut world = prepaid(now, "premium");
    world.until(END);
    let paid = Some(("creem".to_owned(), "pay_3".to_owned()));
    world.change(&NewSwitch { to: "pro".to_owned(), paid, ..NewSwitch::default() }).unwrap();
    assert_eq!((world.account().plan(), &world.account().lapsed), ("pro", &None));
}

#[test]
fn p12_an_upgrade_that_waits_for_its_payment_outlives_the_period() {
    // Renewed by itself, lapsed, or a pass that ends: the number that was given out stays good.
    for (cadence, renewal, after) in [
        (None, Renewal::Auto, "starter"),
        (None, Renewal::OnPayment, "starter"),
        (Some("pass".to_owned()), Renewal::Auto, "free"),
    ] {
        let new = book::command::open::NewAccount {
            plan: "starter".to_owned(),
            cadence,
            ..book::command::open::NewAccount::default()
        };
        let mut world = World::open_with(catalog(), BEGIN, new);
        world.set(&SettingsChange { renewal: Some(renewal), ..SettingsChange::default() });
        let change = world.switch("pro").change.unwrap();
        world.until("2026-12-01T12:00:00Z");
        assert_eq!(world.account().plan(), after);
        assert_eq!(world.account().pending.as_ref().unwrap().id, change);
        if renewal == Renewal::OnPayment {
            // Its own renewal is asked for beside it, and paying that leaves the other where it is.
            let renewal = awaited(&world).id;
            assert_unserved(&world);
            assert!(world.confirm(renewal, "in_1").unwrap());
            assert_eq!(world.account().pending.as_ref().unwrap().id, change);
        }
        assert!(world.confirm(change, "pay_1").unwrap());
        assert_eq!((world.account().plan(), world.left("main")), ("pro", credits(6_000)));
        assert_eq!(world.account().pending, None);
    }
}

#[test]
fn p11_where_no_plan_follows_the_account_stays_lapsed() {
    let mut alone = catalog();
    alone.plans.retain(|plan| plan.name != "free");
    let mut world = prepaid(alone.clone(), "starter");
    world.until(END);
    let change = awaited(&world).id;
    assert!(fail(&mut world, change).unwrap());
    assert_unserved(&world);
    assert_eq!(lapse(&world).awaits, None);
    assert_eq!(code(renew(&mut world, "in_1")), "no_such_change");
    assert!(!plan::drop_change(&mut world.store, world.now, ACCOUNT, None).unwrap());
    world.until("2027-06-01T00:00:00Z");
    assert_unserved(&world);
    // Its own plan can be taken again, once it is paid.
    let change = world.switch("starter").change.unwrap();
    assert_unserved(&world);
    assert!(world.confirm(change, "in_2").unwrap());
    assert_eq!((world.left("main"), &world.account().lapsed), (credits(1_200), &None));
    assert_eq!(world.cycle().unwrap().0, "2027-06-01T00:00:00Z");
}

fn requests(max: i64) -> Limit {
    Limit {
        id: "requests/cycle".to_owned(),
        measure: Measure::Meter(Meter::Requests),
        window: Window::Cycle,
        max: Some(credits(max)),
        models: vec!["*".to_owned()],
        pools: Vec::new(),
        scope: Scope::Account,
        on_exceed: OnExceed::Deny402,
        count: Counted::Delivered,
        notify: Vec::new(),
    }
}

#[test]
fn p11_what_an_unpaid_plan_counts_is_closed_and_its_discounts_are_gone() {
    let mut limited = catalog();
    for plan in limited.plans.iter_mut().filter(|plan| plan.name == "premium") {
        *plan = Plan {
            limits: vec![requests(100)],
            factors: vec![("wallet".to_owned(), ratio("0.5"))],
            ..priced("premium", cents(2_500), &[])
        };
    }
    limited.models =
        vec![tariff::Model::named("ping", tariff::Prices::new(vec![(Meter::Requests, ratio("0"))]), 0)];
    let mut world = prepaid(limited, "premium");
    let told = |world: &mut World| {
        let catalog = world.store.catalog(1).unwrap().unwrap();
        let snapshot = snapshot(world.account(), &catalog, world.now.wall).unwrap();
        let limit = snapshot.policy.buckets.iter().find_map(|bucket| bucket.limit.clone()).unwrap();
        let factor = world.account().term().unwrap().factor("wallet");
        let denied = snapshot.deny.iter().filter(|denial| denial.bucket.starts_with("requests/cycle"));
        (limit.max, limit.resets_at.is_some(), denied.count(), factor)
    };
    assert_eq!(told(&mut world), (credits(100), true, 0, ratio("0.5")));
    world.until(END);
    let terms = world.account().terms.len();
    assert_eq!(told(&mut world), (credits(0), false, 1, ratio("1")));
    world.until("2026-12-15T00:00:00Z");
    assert_eq!((told(&mut world).0, world.account().terms.len()), (credits(0), terms));
    assert!(renew(&mut world, "in_1").unwrap());
    assert_eq!(told(&mut world), (credits(100), true, 0, ratio("0.5")));
}

#[test]
fn p11_a_lapse_of_older_books_is_one_still() {
    let mut world = prepaid(catalog(), "starter");
    world.until(END);
    // As it was written down before lapses had entries of their own: a change to the own plan, waiting.
    let awaits = awaited(&world);
    let id = world.account().id.clone();
    for kind in [
        EntryKind::Lapsed { lapse: None },
        EntryKind::Pending { change: Some(Box::new(Pending { id: 0, ..awaits })) },
    ] {
        world.store.append(&id, world.now.wall, kind).unwrap();
    }
    let change = world.account().pending.as_ref().unwrap().id;
    world.until("2026-12-02T00:00:00Z");
    assert_unserved(&world);
    assert_eq!((awaited(&world).id, &world.account().pending), (change, &None));
    assert!(world.confirm(change, "in_1").unwrap());
    assert_eq!((world.left("main"), &world.account().lapsed), (credits(1_200), &None));
}

/// A step of a life: what, and how.
type Step = (u8, u8);

fn play(steps: &[Step]) {
    let mut pages = catalog();
    let yearly = Cadence {
        name: "yearly".to_owned(),
        price_usd: Some(usd(100)),
        billing: Period::parse("P1Y").unwrap(),
        ..pages.plan("starter").unwrap().default_cadence()
    };
    for plan in pages.plans.iter_mut().filter(|plan| plan.name == "starter") {
        plan.cadences.push(yearly.clone());
    }
    let mut world = prepaid(pages, "starter");
    let mut numbers = Vec::new();
    for (index, (what, how)) in steps.iter().enumerate() {
        let to = ["free", "starter", "premium", "pro"][usize::from(how % 4)].to_owned();
        let number = numbers.get(usize::from(*how) % numbers.len().max(1)).copied().unwrap_or(0);
        let reference = format!("pay_{index}");
        match what % 8 {
            0 | 1 => {
                let days = [1, 6, 13, 31, 70][usize::from(how % 5)];
                let instant = world.now.wall + days * DAY;
                world.until(&book::calendar::rfc3339(instant).unwrap());
            }
            2 => drop(world.change(&NewSwitch { to, ..NewSwitch::default() })),
            3 => {
                let when = Some(if how & 4 == 0 { SwitchAt::PeriodEnd } else { SwitchAt::PaymentConfirmed });
                let cadence =
                    (how & 8 != 0).then(|| ["monthly", "yearly", "pass"][usize::from(how % 3)].to_owned());
                drop(world.change(&NewSwitch { to, when, cadence, ..NewSwitch::default() }));
            }
            4 => drop(world.confirm(number, &reference)),
            5 => drop(fail(&mut world, number)),
            6 => drop(renew(&mut world, &reference)),
            _ => drop(plan::cancel(&mut world.store, world.now, ACCOUNT, (how & 16 == 0).then_some(&*to))),
        }
        world.check();
        let account = world.account();
        numbers.extend(account.pending.iter().map(|pending| pending.id));
        numbers.extend(account.lapsed.iter().filter_map(|lapse| lapse.awaits.as_ref()).map(|own| own.id));
        check_paid(&world);
    }
}

/// Each billing period of a price was paid once, but for the first: reckoned from the journal alone. A lapsed account
/// has nothing of its plan.
fn check_paid(world: &World) {
    let (mut plan, mut paid, mut periods, mut last) = (String::new(), 0, 0, None);
    let mut received = Micros::ZERO;
    for entry in &world.store.journal {
        match &entry.kind {
            EntryKind::Opened { plan: first, .. } => plan = first.to_string(),
            EntryKind::Plan { to, .. } => plan = to.to_string(),
            EntryKind::Payment(payment) => {
                assert!(matches!(payment.purpose, Purpose::Plan { .. }));
                paid += 1;
                received = Micros(received.get() + payment.usd.get());
            }
            EntryKind::Cycle { cycle: Some(cycle) } if plan != "free" => {
                let period = (plan.clone(), cycle.billing_start(), cycle.billing_end());
                // A change begins its period anew; a further cycle of the same period does not.
                if last.as_ref() != Some(&period) {
                    periods += 1;
                }
                last = Some(period);
            }
            EntryKind::Cycle { .. } => last = None,
            _ => {}
        }
    }
    assert!(periods <= paid + 1, "{periods} periods for {paid} payments");
    let account: &Account = world.account();
    assert_eq!(account.dealings.received, received);
    if account.lapsed.is_some() {
        assert_unserved(world);
    }
    let serves = account.plan() == "free" || account.cycle.is_some();
    assert!(serves || account.lapsed.is_some(), "neither served nor lapsed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200)))]

    #[test]
    fn p11_whatever_is_asked_for_no_period_is_had_without_its_payment(
        steps in prop::collection::vec((any::<u8>(), any::<u8>()), 1..40),
    ) {
        play(&steps);
    }
}

#[test]
fn p11_a_closed_account_goes_no_further() {
    let mut world = World::open(catalog(), BEGIN, "starter");
    world.switch("pro");
    let close =
        book::command::open::set_status(&mut world.store, world.now, ACCOUNT, wire::AccountStatus::Closed);
    assert!(close.unwrap());
    assert_eq!((world.cycle(), &world.account().pending), (None, &None));
    // What it has ends by the calendar; then its journal is at rest.
    world.until(END);
    assert_eq!((world.left("main"), world.account().totals.expired), (credits(0), credits(4_200)));
    let entries = world.store.journal.len();
    world.until("2036-01-01T00:00:00Z");
    assert_eq!((world.store.journal.len(), book::due::next(world.account())), (entries, None));
    let reopen =
        book::command::open::set_status(&mut world.store, world.now, ACCOUNT, wire::AccountStatus::Active);
    assert!(matches!(refused(reopen), book::Refusal::AccountClosed));
}
