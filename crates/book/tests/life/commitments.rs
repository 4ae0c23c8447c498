//! Page 001: tiers by purchases, bonus that ends with the commitment, refunds, recharges, receivables. And things that
//! are kept (pages 000 and 003).

use book::command::purchase::{self, NewPurchase, NewRecharge, Wanted};
use book::command::receivable::{self, Settlement};
use book::command::resource::{self, Count};
use book::command::settings::SettingsChange;
use book::{EntryKind, Refusal};
use tariff::{
    Cadence, Catalog, CycleOnSwitch, Expiry, LotsOnSwitch, Micros, Overrides, Period, Plan, Pool, Purchases,
    Ratio, Refund, SwitchAt, TierBy, Tiers, Transition, Transitions,
};

use crate::support::{ACCOUNT, World, at, code, credits, priced, ratio, refused, usd};

fn period(text: &str) -> Period {
    Period::parse(text).unwrap()
}

fn catalog() -> Catalog {
    let tier = |name: &str| {
        let plan = priced(name, usd(0), &[]);
        let yearly = Cadence {
            name: "yearly".to_owned(),
            billing: period("P1Y"),
            cycle: Period::MONTH,
            ..plan.default_cadence()
        };
        Plan { cadences: vec![yearly], ..plan }
    };
    let rule = |cadence: &str, window: &str, sums: [i64; 3]| TierBy {
        cadence: cadence.to_owned(),
        window: period(window),
        steps: sums.into_iter().map(usd).zip(["explore", "build", "scale"].map(str::to_owned)).collect(),
    };
    let by = vec![rule("monthly", "P1M", [100, 500, 5_000]), rule("yearly", "P1Y", [1_200, 6_000, 60_000])];
    let keep = |at| Transition { at, cycle: CycleOnSwitch::Keep, lots: LotsOnSwitch::Keep, proration: None };
    Catalog {
        pools: vec![Pool::named("bonus", 1, Expiry::CommitmentEnd), Pool::named("paid", 2, Expiry::Never)],
        plans: ["no_tier", "explore", "build", "scale"].into_iter().map(tier).collect(),
        transitions: Transitions { up: keep(SwitchAt::Now), down: keep(SwitchAt::PeriodEnd) },
        tiers: Some(Tiers { none: "no_tier".to_owned(), by }),
        purchases: Purchases {
            pool: Some("paid".to_owned()),
            credits_per_usd: Some(Ratio::whole(1)),
            minimum_usd: vec![("crypto".to_owned(), usd(50))],
            bonus: vec![(usd(500), ratio("0.05")), (usd(5_000), ratio("0.1"))],
            bonus_pool: Some("bonus".to_owned()),
            refund: Refund { allowed: true, unless_used: true, consent: true },
            recharge: vec![Period::MONTH, period("P1Y")],
        },
        ..Catalog::named("upstage")
    }
}

fn open(begin: &str) -> World {
    World::open(catalog(), begin, "no_tier")
}

fn new(dollars: i64, reference: &str, cadence: Option<&str>) -> NewPurchase {
    NewPurchase {
        usd: usd(dollars),
        provider: "card".to_owned(),
        reference: reference.to_owned(),
        cadence: cadence.map(str::to_owned),
        consent: true,
        request: None,
    }
}

impl World {
    fn buy(&mut self, dollars: i64, reference: &str, cadence: Option<&str>) {
        let posted = purchase::confirm(&mut self.store, self.now, ACCOUNT, &new(dollars, reference, cadence));
        assert!(posted.unwrap().is_new);
        self.check();
    }

    fn plan(&self) -> &str {
        self.account().plan()
    }

    /// When the lots of a pool end, ascending.
    fn ends(&self, pool: &str) -> Vec<Option<i64>> {
        let of = self.account().lots.values().filter(|lot| &*lot.pool == pool && lot.closing.is_none());
        let mut ends: Vec<Option<i64>> = of.map(|lot| lot.expires_at).collect();
        ends.sort_unstable();
        ends
    }
}

#[test]
fn c1_the_tier_follows_the_purchases_of_each_cadence() {
    for (dollars, cadence, plan) in [
        (99, "monthly", "no_tier"),
        (100, "monthly", "explore"),
        (500, "monthly", "build"),
        (5_000, "monthly", "scale"),
        (1_199, "yearly", "no_tier"),
        (1_200, "yearly", "explore"),
        (6_000, "yearly", "build"),
        (60_000, "yearly", "scale"),
    ] {
        let mut world = open("2026-01-31T00:00:00Z");
        let wanted = Wanted { usd: usd(dollars), cadence: Some(cadence.to_owned()), ..Wanted::default() };
        let preview = purchase::preview(&mut world.store, world.now, ACCOUNT, &wanted).unwrap();
        assert_eq!(preview.tier.as_deref(), Some(plan), "${dollars} {cadence}");
        world.buy(dollars, "p1", Some(cadence));
        assert_eq!(world.plan(), plan, "${dollars} {cadence}");
    }
}

#[test]
fn c2_upward_with_the_running_sum_and_downward_only_with_the_period() {
    let mut world = open("2026-01-31T00:00:00Z");
    world.buy(60, "p1", None);
    assert_eq!(world.plan(), "no_tier");
    world.until("2026-02-10T00:00:00Z");
    world.buy(60, "p2", None);
    // The sum reached 100: the commitment begins here.
    assert_eq!((world.plan(), world.cycle().unwrap().0), ("explore", "2026-02-10T00:00:00Z".to_owned()));
    world.until("2026-02-20T00:00:00Z");
    world.buy(440, "p3", None);
    // 60 + 60 + 440: the first still counts, a month has not passed.
    assert_eq!((world.plan(), world.cycle().unwrap().0), ("build", "2026-02-10T00:00:00Z".to_owned()));
    // Its month is over, and the sum is 500 still; the next one's too.
    world.until("2026-03-09T23:59:59Z");
    assert_eq!(world.plan(), "build");
    world.until("2026-03-10T00:00:00Z");
    assert_eq!(world.plan(), "explore");
    world.until("2026-04-10T00:00:00Z");
    assert_eq!((world.plan(), world.left("paid")), ("no_tier", credits(560)));
}

#[test]
fn c4_c5_a_bonus_is_a_lot_of_its_own_that_ends_with_the_commitment() {
    let mut world = open("2026-01-31T00:00:00Z");
    let wanted = Wanted { usd: usd(500), ..Wanted::default() };
    let preview = purchase::preview(&mut world.store, world.now, ACCOUNT, &wanted).unwrap();
    assert_eq!((preview.credits, preview.bonus), (credits(500), credits(25)));
    assert_eq!(preview.bonus_expires_at, Some(at("2026-02-28T00:00:00Z")));
    world.buy(500, "p1", None);
    assert_eq!((world.left("paid"), world.left("bonus")), (credits(500), credits(25)));
    assert_eq!(world.ends("bonus"), [Some(at("2026-02-28T00:00:00Z"))]);
    // A recharge inside the period: its bonus ends with that period, not a month after the recharge.
    world.until("2026-02-27T00:00:00Z");
    world.buy(600, "p2", None);
    assert_eq!(world.ends("bonus"), [Some(at("2026-02-28T00:00:00Z")), Some(at("2026-02-28T00:00:00Z"))]);
    world.until("2026-02-28T00:00:00Z");
    assert_eq!((world.left("bonus"), world.left("paid")), (credits(0), credits(1_100)));
    assert_eq!(world.account().totals.expired, credits(55));
    // C6: what was bought has no end, and bonus goes first.
    assert_eq!(world.ends("paid"), [None, None]);
    let first = world.account().term().unwrap().pools[0].pool.clone();
    assert_eq!(&*first, "bonus");
}

#[test]
fn c5_a_yearly_commitment_keeps_its_bonus_for_the_year() {
    let mut world = open("2027-03-01T00:00:00Z");
    world.buy(6_000, "p1", Some("yearly"));
    assert_eq!(world.ends("bonus"), [Some(at("2028-03-01T00:00:00Z"))]);
    world.until("2027-11-15T00:00:00Z");
    world.buy(5_000, "p2", Some("yearly"));
    assert_eq!(world.ends("bonus"), [Some(at("2028-03-01T00:00:00Z")), Some(at("2028-03-01T00:00:00Z"))]);
    assert_eq!(world.left("bonus"), credits(600 + 500));
    world.until("2028-03-01T00:00:00Z");
    assert_eq!((world.left("bonus"), world.plan()), (credits(0), "explore"));
}

#[test]
fn p14_a_payment_is_known_by_provider_and_reference() {
    let mut world = open("2026-01-01T00:00:00Z");
    world.buy(500, "p1", None);
    let again = purchase::confirm(&mut world.store, world.now, ACCOUNT, &new(500, "p1", None)).unwrap();
    assert!(!again.is_new && again.lots.len() == 2);
    assert_eq!(world.left("paid"), credits(500));
    let other = purchase::confirm(&mut world.store, world.now, ACCOUNT, &new(600, "p1", None));
    assert!(matches!(refused(other), Refusal::ReferenceConflict(_)));
    // Another provider may call its payment the same.
    let crypto = NewPurchase { provider: "crypto".to_owned(), ..new(500, "p1", None) };
    purchase::confirm(&mut world.store, world.now, ACCOUNT, &crypto).unwrap();
    assert_eq!(world.left("paid"), credits(1_000));
    let slash = NewPurchase { provider: "a/b".to_owned(), ..new(500, "p2", None) };
    assert_eq!(code(purchase::confirm(&mut world.store, world.now, ACCOUNT, &slash)), "provider");
}

#[test]
fn p9_each_provider_has_its_minimum_and_a_wallet_is_opted_in_to() {
    let mut world = open("2026-01-01T00:00:00Z");
    let crypto = NewPurchase { provider: "crypto".to_owned(), ..new(49, "p1", None) };
    assert_eq!(code(purchase::confirm(&mut world.store, world.now, ACCOUNT, &crypto)), "amount_usd");
    world.buy(49, "p2", None);
    let mut catalog = catalog();
    catalog.pools[1].opt_in = true;
    let mut world = World::open(catalog, "2026-01-01T00:00:00Z", "no_tier");
    let buy = new(100, "p1", None);
    assert_eq!(code(purchase::confirm(&mut world.store, world.now, ACCOUNT, &buy)), "opt_in_needed");
    world.set(&SettingsChange { opted_in: Some(vec!["paid".to_owned()]), ..SettingsChange::default() });
    world.buy(100, "p1", None);
}

#[test]
fn c10_consent_comes_first_and_nothing_is_given_back_after_use() {
    let mut world = open("2026-01-01T00:00:00Z");
    let silent = NewPurchase { consent: false, ..new(500, "p1", None) };
    assert_eq!(code(purchase::confirm(&mut world.store, world.now, ACCOUNT, &silent)), "consent_needed");
    world.buy(500, "p1", None);
    // Agreed once is agreed.
    let silent = NewPurchase { consent: false, ..new(100, "p2", None) };
    purchase::confirm(&mut world.store, world.now, ACCOUNT, &silent).unwrap();
    let refund = |world: &mut World, of, reference| {
        let done = purchase::refund(&mut world.store, world.now, ACCOUNT, ("card", of), reference);
        world.check();
        done
    };
    let back = refund(&mut world, "p1", "r1").unwrap();
    assert!(back.is_new && back.credits == credits(525));
    assert_eq!((world.left("paid"), world.left("bonus")), (credits(100), credits(0)));
    assert_eq!(world.account().dealings.given_back, usd(500));
    assert_eq!(world.account().totals.clawed_back, credits(525));
    assert!(!refund(&mut world, "p1", "r1").unwrap().is_new);
    assert_eq!(code(refund(&mut world, "p1", "r2")), "no_such_purchase");
    assert!(matches!(refused(refund(&mut world, "p2", "r1")), Refusal::ReferenceConflict(_)));
    // The sum no longer holds the tier, from the next period on.
    assert_eq!(world.plan(), "build");
    world.until("2026-02-01T00:00:00Z");
    assert_eq!(world.plan(), "no_tier");
    // Once the API was used, even for nothing, no purchase comes back.
    world.store.accounts.values_mut().next().unwrap().first_used_at = Some(world.now.wall);
    let used = purchase::refund(&mut world.store, world.now, ACCOUNT, ("card", "p2"), "r3");
    assert_eq!(code(used), "not_refundable");
}

#[test]
fn c10_what_was_taken_out_of_a_lot_is_not_given_back() {
    let mut world = open("2026-01-01T00:00:00Z");
    world.buy(500, "p1", None);
    world.use_up("paid", credits(1), "u1");
    let spent = purchase::refund(&mut world.store, world.now, ACCOUNT, ("card", "p1"), "r1");
    assert_eq!(code(spent), "not_refundable");
    let mut never = catalog();
    never.purchases.refund.allowed = false;
    let mut world = World::open(never, "2026-01-01T00:00:00Z", "no_tier");
    world.buy(500, "p1", None);
    let refused = purchase::refund(&mut world.store, world.now, ACCOUNT, ("card", "p1"), "r1");
    assert_eq!(code(refused), "not_refundable");
}

#[test]
fn c6_c7_a_schedule_asks_on_its_days_and_ending_it_keeps_what_was_bought() {
    let mut world = open("2026-01-10T00:00:00Z");
    let monthly = NewRecharge { usd: usd(500), every: Period::MONTH, from: Some(at("2026-01-31T09:00:00Z")) };
    purchase::schedule(&mut world.store, world.now, ACCOUNT, &monthly).unwrap();
    world.until("2026-01-31T08:59:59Z");
    assert_eq!(world.account().dealings.requested, []);
    world.until("2026-01-31T09:00:00Z");
    let request = world.account().dealings.requested[0].clone();
    assert_eq!((request.usd, &*request.cadence), (usd(500), "monthly"));
    assert_eq!(world.left("paid"), credits(0));
    let paid = NewPurchase { request: Some(request.id), ..new(500, "p1", None) };
    purchase::confirm(&mut world.store, world.now, ACCOUNT, &paid).unwrap();
    assert_eq!((world.left("paid"), world.plan()), (credits(500), "build"));
    assert_eq!(world.account().dealings.requested, []);
    assert_eq!(
        code(purchase::confirm(
            &mut world.store,
            world.now,
            ACCOUNT,
            &NewPurchase { request: Some(request.id), ..new(500, "p2", None) }
        )),
        "no_such_request"
    );
    // The days of the month are those of the first: the 28th, then the 31st again.
    world.until("2026-02-28T09:00:00Z");
    world.until("2026-03-31T09:00:00Z");
    let asked: Vec<i64> = world.account().dealings.requested.iter().map(|request| request.at).collect();
    assert_eq!(asked, [at("2026-02-28T09:00:00Z"), at("2026-03-31T09:00:00Z")]);
    // Ended at any time: nothing more is asked, what is bought stays.
    assert!(purchase::end_recharge(&mut world.store, world.now, ACCOUNT).unwrap());
    assert!(!purchase::end_recharge(&mut world.store, world.now, ACCOUNT).unwrap());
    world.until("2027-03-31T09:00:00Z");
    assert_eq!((world.account().dealings.requested.len(), world.left("paid")), (0, credits(500)));
    let weekly = NewRecharge { every: period("P7D"), ..monthly.clone() };
    assert_eq!(code(purchase::schedule(&mut world.store, world.now, ACCOUNT, &weekly)), "every");
    assert_eq!(code(purchase::schedule(&mut world.store, world.now, ACCOUNT, &monthly)), "from");
}

#[test]
fn c7_requests_that_nobody_pays_are_bounded() {
    let mut world = open("2026-01-01T00:00:00Z");
    let monthly = NewRecharge { usd: usd(100), every: Period::MONTH, from: None };
    purchase::schedule(&mut world.store, world.now, ACCOUNT, &monthly).unwrap();
    world.until("2036-01-01T00:00:00Z");
    assert_eq!(world.account().dealings.requested.len(), book::limits::RECHARGES_WAITING_MAX);
}

#[test]
fn c8_a_receivable_is_settled_by_payments() {
    let mut world = open("2026-01-01T00:00:00Z");
    let pay = |world: &mut World, dollars, reference: &str| {
        let reference = reference.to_owned();
        let new = Settlement { provider: "card".to_owned(), reference, usd: usd(dollars), credits: None };
        receivable::settle(&mut world.store, world.now, ACCOUNT, &new)
    };
    assert_eq!(code(pay(&mut world, 10, "s1")), "nothing_owed");
    // Postpaid usage of 30 credits, as a charge would leave it.
    let account = world.store.accounts.values_mut().next().unwrap();
    account.receivable = credits(30);
    account.totals.charged = credits(30);
    assert!(pay(&mut world, 12, "s1").unwrap());
    assert!(!pay(&mut world, 12, "s1").unwrap());
    assert_eq!((world.account().receivable, world.account().totals.settled), (credits(18), credits(12)));
    assert_eq!(book::invariant::broken(world.account()), None);
    assert_eq!(code(pay(&mut world, 19, "s2")), "amount_usd");
    assert!(pay(&mut world, 18, "s2").unwrap());
    assert_eq!((world.account().receivable, world.account().dealings.received), (Micros::ZERO, usd(30)));
    let entry =
        world.store.journal.iter().rev().find(|entry| matches!(entry.kind, EntryKind::Payment(_))).unwrap();
    assert_eq!(book::posting::balance(entry), 0);
    let posted: Vec<String> =
        book::posting::postings(entry).into_iter().map(|posting| posting.to.into_owned()).collect();
    assert_eq!(posted, ["cash:usd", "sales:usd", "receivable", "settled"]);
}

/// Plans that cap what is kept: page 003's shape.
fn capped() -> Catalog {
    let plan = |name: &str, price, projects| Plan {
        resources: [("projects".to_owned(), projects), ("api_keys".to_owned(), Some(2))].into(),
        ..priced(name, usd(price), &[])
    };
    Catalog {
        plans: vec![plan("free", 0, Some(2)), plan("pro", 29, Some(5)), plan("team", 99, None)],
        ..Catalog::named("003")
    }
}

#[test]
fn l10_l12_counts_are_of_a_point_in_time_and_kept_after_a_downgrade() {
    let mut world = World::open(capped(), "2026-01-01T00:00:00Z", "pro");
    let change = |world: &mut World, count| {
        let kept = resource::change(&mut world.store, world.now, ACCOUNT, "projects", count);
        world.check();
        kept
    };
    for count in 1..=5 {
        assert_eq!(change(&mut world, Count::Add(1)).unwrap().count, count);
    }
    assert!(matches!(refused(change(&mut world, Count::Add(1))), Refusal::Full { max: 5, .. }));
    // No cycle resets it.
    world.until("2026-03-01T00:00:00Z");
    assert!(matches!(refused(change(&mut world, Count::Add(1))), Refusal::Full { .. }));
    world.switch("free");
    let kept = resource::list(&mut world.store, world.now, ACCOUNT).unwrap();
    let projects = kept.iter().find(|kept| kept.name == "projects").unwrap();
    assert_eq!((projects.count, projects.max), (5, Some(2)));
    // Above the lowered cap: kept, not added to; below it again, making goes on.
    assert!(matches!(refused(change(&mut world, Count::Add(1))), Refusal::Full { max: 2, .. }));
    assert_eq!(change(&mut world, Count::Remove(4)).unwrap().count, 1);
    assert_eq!(change(&mut world, Count::Add(1)).unwrap().count, 2);
    assert_eq!(code(change(&mut world, Count::Remove(3))), "too_few");
    // What is there is there, whatever the cap.
    assert_eq!(change(&mut world, Count::Set(9)).unwrap().count, 9);
    world.switch("team");
    assert_eq!(
        change(&mut world, Count::Add(100)).unwrap(),
        resource::Kept { name: "projects".to_owned(), count: 109, max: None }
    );
}

#[test]
fn l14_an_own_cap_goes_before_the_plans() {
    let mut world = World::open(capped(), "2026-01-01T00:00:00Z", "free");
    let own = |max| Overrides { resources: [("projects".to_owned(), max)].into(), ..Overrides::default() };
    let more =
        |world: &mut World| resource::change(&mut world.store, world.now, ACCOUNT, "projects", Count::Add(3));
    assert!(matches!(refused(more(&mut world)), Refusal::Full { max: 2, .. }));
    world.set(&SettingsChange { overrides: Some(own(Some(3))), ..SettingsChange::default() });
    assert_eq!(more(&mut world).unwrap().max, Some(3));
    world.set(&SettingsChange { overrides: Some(own(None)), ..SettingsChange::default() });
    assert_eq!(more(&mut world).unwrap().max, None);
    let unknown = resource::change(&mut world.store, world.now, ACCOUNT, "tea", Count::Add(1));
    assert_eq!(code(unknown), "resource");
    let keys = resource::change(&mut world.store, world.now, ACCOUNT, "api_keys", Count::Add(1));
    assert_eq!(code(keys), "resource");
}
