//! What is given back, what comes on top, what is off: against the pages' worked numbers and obvious oracles.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use tariff::proration::CENT;
use tariff::{
    Cadence, Catalog, Consumption, Coupon, CouponError, Meter, Micros, Model, Period, Plan, Pool, Prices,
    Proration, Purchases, QuoteError, Ratio, TierBy, Tiers, Usage,
};

const DAY: u64 = 86_400_000;

fn ratio(text: &str) -> Ratio {
    Ratio::parse_decimal(text).unwrap()
}

const fn usd(dollars: i64) -> Micros {
    Micros(dollars * 1_000_000)
}

const fn cents(cents: i64) -> Micros {
    Micros(cents * CENT)
}

const fn credits(amount: i64) -> Micros {
    Micros(amount * 1_000_000)
}

fn used(counts: &[(Meter, u64)]) -> Usage {
    let mut usage = Usage::default();
    counts.iter().for_each(|(meter, count)| usage.set(*meter, *count));
    usage
}

/// Page 002's.
fn proration() -> Proration {
    Proration {
        to: "wallet".to_owned(),
        days: 28,
        step_days: None,
        usage: vec![("main".to_owned(), ratio("0.75")), ("backup".to_owned(), ratio("0.25"))],
        floor: ratio("0.10"),
        capped: true,
    }
}

fn consumption(old: i64, new: i64, days: u64, main: (i64, i64), backup: (i64, i64)) -> Consumption {
    let pool = |name: &str, (used, granted)| (name.to_owned(), credits(used), credits(granted));
    Consumption {
        old_price: cents(old),
        new_price: cents(new),
        elapsed_ms: days * DAY,
        pools: vec![pool("main", main), pool("backup", backup)],
    }
}

#[test]
fn p13_all_eleven_worked_cases() {
    let none = (0, 1_000);
    // Case, old, new, day, main, backup, consumed as a fraction, credit.
    let cases = [
        ("A", 1000, 2500, 0, (0, 1200), none, (1, 10), 900),
        ("B", 1000, 2500, 7, (600, 1200), none, (3, 8), 625),
        ("C", 1000, 2500, 14, (1200, 1200), (1500, 3000), (7, 8), 125),
        ("M", 1000, 2500, 2, (1200, 1200), (3000, 3000), (1, 1), 0),
        ("D", 5000, 6000, 0, none, none, (1, 10), 1000),
        ("E", 5000, 1000, 7, none, none, (1, 4), 0),
        ("F", 1000, 2500, 28, (0, 1200), none, (1, 1), 0),
        ("G", 1000, 2500, 21, (0, 1200), none, (3, 4), 250),
        ("H", 2500, 5000, 3, (1, 3000), none, (3, 28), 2232),
        ("J", 999, 2499, 1, none, none, (1, 10), 899),
        ("K", 2500, 5000, 4, (1500, 3000), none, (3, 8), 1562),
    ];
    for (case, old, new, days, main, backup, (num, den), credit) in cases {
        let got = proration().credit(&consumption(old, new, days, main, backup)).unwrap();
        assert_eq!(got.consumed, Ratio::new(num, den).unwrap(), "case {case}");
        assert_eq!(got.credit, cents(credit), "case {case}");
    }
    // H: one credit of 3,000 is 0.00025 by usage, and time decides.
    let h = proration().credit(&consumption(2500, 5000, 3, (1, 3000), none)).unwrap();
    assert_eq!((h.time, h.usage), (Ratio::new(3, 28).unwrap(), ratio("0.00025")));
}

#[test]
fn p13_after_day_28_of_a_longer_cycle_all_time_is_used() {
    for days in [28, 29, 30, 31, 400] {
        let got = proration().credit(&consumption(1000, 2500, days, (0, 1200), (0, 3000))).unwrap();
        assert_eq!((got.time, got.credit), (Ratio::ONE, Micros::ZERO), "day {days}");
    }
}

#[test]
fn p13_steps_count_whole_weeks_that_have_passed() {
    let stepped = Proration { step_days: Some(7), ..proration() };
    let none = (0, 1_000);
    for (days, part) in
        [(0, (0, 1)), (6, (0, 1)), (7, (1, 4)), (13, (1, 4)), (14, (1, 2)), (27, (3, 4)), (28, (1, 1))]
    {
        let got = stepped.credit(&consumption(1000, 2500, days, none, none)).unwrap();
        assert_eq!(got.time, Ratio::new(part.0, part.1).unwrap(), "day {days}");
    }
    // A millisecond before the week is full, the week does not count; continuously, it does.
    let mut almost = consumption(1000, 2500, 7, none, none);
    almost.elapsed_ms -= 1;
    assert_eq!(stepped.credit(&almost).unwrap().credit, cents(900));
    assert_eq!(proration().credit(&almost).unwrap().credit, cents(750));
}

#[test]
fn p13_a_plan_without_pools_or_cap_is_prorated_by_time_alone() {
    let free = Proration { usage: Vec::new(), capped: false, floor: Ratio::ZERO, ..proration() };
    let got = free.credit(&consumption(5000, 1000, 7, (0, 0), (0, 0))).unwrap();
    assert_eq!(got.credit, cents(3750));
    // What was used beyond the grant (a debt that was repaid) is not more than all of it.
    let over = proration().credit(&consumption(1000, 2500, 0, (5000, 1200), (0, 3000))).unwrap();
    assert_eq!(over.usage, ratio("0.75"));
}

proptest! {
    #[test]
    fn p13_is_what_the_formula_says(
        old in 0_i64..100_000,
        new in 0_i64..200_000,
        elapsed in 0_u64..40 * DAY,
        main in 0_i64..5_000,
        backup in 0_i64..5_000,
    ) {
        let of = Consumption {
            elapsed_ms: elapsed,
            ..consumption(old, new, 0, (main, 5_000), (backup, 5_000))
        };
        let got = proration().credit(&of).unwrap().credit;
        // The same over one denominator that all parts divide, in 128-bit whole numbers.
        let all = i128::from(28 * DAY);
        let den = all * 20_000 * 10;
        let time = i128::from(elapsed).min(all) * 20_000 * 10;
        let usage = (3 * i128::from(main) + i128::from(backup)) * all * 10;
        let floor = all * 20_000;
        let consumed = time.max(usage).max(floor);
        let unused = i128::from(old) * (den - consumed);
        let most = (i128::from(new) - i128::from(old)) * den;
        let credit = unused.min(most).max(0).div_euclid(den);
        prop_assert_eq!(i128::from(got.get()), credit * i128::from(CENT));
    }

    #[test]
    fn c4_a_larger_purchase_never_earns_a_smaller_bonus(a in 0_i64..20_000, b in 0_i64..20_000) {
        let shop = purchases();
        let bonus = |dollars| shop.bonus(usd(dollars), shop.credits(usd(dollars)).unwrap()).unwrap();
        prop_assert!(bonus(a.min(b)) <= bonus(a.max(b)));
        // Never above a tenth.
        prop_assert!(bonus(a).get() * 10 <= shop.credits(usd(a)).unwrap().get());
    }

    #[test]
    fn c1_the_tier_is_the_last_step_that_the_sum_reaches(sum in 0_i64..80_000) {
        let steps = [(100, "explore"), (500, "build"), (5_000, "scale")];
        let expected = steps.iter().rev().find(|(from, _)| *from <= sum).map(|(_, plan)| *plan);
        let tiers = tiers();
        prop_assert_eq!(tiers.by[0].plan(usd(sum)), expected);
    }

    #[test]
    fn m12_a_coupon_leaves_whole_cents_and_never_raises_a_price(price in 0_i64..1_000_000, off in 0_u128..=100) {
        let coupon = Coupon { off: Ratio::new(off, 100).unwrap(), ..new50() };
        let left = coupon.price(cents(price), 0, false, false).unwrap();
        prop_assert_eq!(left.get() % CENT, 0);
        prop_assert!(left >= Micros::ZERO && left <= cents(price));
        // Within half a cent of the exact part.
        let exact = i128::from(price) * (100 - i128::try_from(off).unwrap());
        prop_assert!((i128::from(left.get() / CENT) * 100 - exact).abs() <= 50);
    }
}

/// Page 001's steps.
fn purchases() -> Purchases {
    Purchases {
        pool: Some("paid".to_owned()),
        credits_per_usd: Some(Ratio::whole(1)),
        minimum_usd: vec![("card".to_owned(), usd(5)), ("*".to_owned(), usd(20))],
        bonus: vec![(usd(100), Ratio::ZERO), (usd(500), ratio("0.05")), (usd(5_000), ratio("0.10"))],
        ..Purchases::default()
    }
}

fn tiers() -> Tiers {
    let steps = |steps: [i64; 3]| {
        let plans = ["explore", "build", "scale"];
        steps.into_iter().zip(plans).map(|(from, plan)| (usd(from), plan.to_owned())).collect()
    };
    let rule = |cadence: &str, window: &str, from| TierBy {
        cadence: cadence.to_owned(),
        window: Period::parse(window).unwrap(),
        steps: steps(from),
    };
    let monthly = rule("monthly", "P1M", [100, 500, 5_000]);
    let yearly = rule("yearly", "P1Y", [1_200, 6_000, 60_000]);
    Tiers { none: "none".to_owned(), by: vec![monthly, yearly] }
}

fn new50() -> Coupon {
    Coupon { code: "NEW50".to_owned(), off: ratio("0.5"), first_payment: true, until: Some(1_000) }
}

#[test]
fn c4_the_bonus_follows_the_step_table() {
    let shop = purchases();
    for (dollars, bonus) in [(50, 0), (499, 0), (500, 25), (4_999, 249), (5_000, 500), (60_000, 6_000)] {
        let bought = shop.credits(usd(dollars)).unwrap();
        let got = shop.bonus(usd(dollars), bought).unwrap();
        assert_eq!(got.get() / 1_000_000, bonus, "${dollars}");
    }
}

#[test]
fn c1_c2_the_highest_tier_of_any_cadence_counts() {
    let plans = ["none", "explore", "build", "scale", "enterprise"].map(Plan::named);
    let catalog = Catalog { plans: plans.into(), ..Catalog::named("upstage") };
    let tier = |monthly, yearly| tiers().plan(&catalog, &[usd(monthly), usd(yearly)]);
    for (monthly, yearly, plan) in [
        (99, 0, "none"),
        (100, 0, "explore"),
        (499, 0, "explore"),
        (500, 0, "build"),
        (5_000, 0, "scale"),
        (0, 1_199, "none"),
        (0, 1_200, "explore"),
        (0, 6_000, "build"),
        (0, 60_000, "scale"),
        (100, 6_000, "build"),
        (5_000, 1_200, "scale"),
    ] {
        assert_eq!(tier(monthly, yearly), plan, "${monthly} monthly, ${yearly} yearly");
    }
    assert!(tiers().has("none") && tiers().has("scale") && !tiers().has("enterprise"));
}

#[test]
fn p1_p9_a_dollar_is_a_hundred_credits_and_providers_have_minimums() {
    let wallet = Purchases { credits_per_usd: Some(Ratio::whole(100)), ..purchases() };
    assert_eq!(wallet.credits(usd(1)), Some(credits(100)));
    assert_eq!(wallet.credits(cents(1)), Some(credits(1)));
    assert_eq!((wallet.minimum("card"), wallet.minimum("crypto")), (Some(usd(5)), Some(usd(20))));
    assert_eq!(Purchases::default().minimum("card"), None);
    assert_eq!(Purchases::default().credits(usd(1)), None);
}

#[test]
fn m12_a_coupon_halves_the_first_payment_of_whatever_cadence_once() {
    assert_eq!(new50().price(usd(20), 999, false, false), Ok(usd(10)));
    // A year's payment too.
    assert_eq!(new50().price(usd(192), 0, false, false), Ok(usd(96)));
    assert_eq!(new50().price(usd(20), 1_000, false, false), Err(CouponError::Over));
    assert_eq!(new50().price(usd(20), 0, true, false), Err(CouponError::NotFirst));
    assert_eq!(new50().price(usd(20), 0, false, true), Err(CouponError::Used));
    assert_eq!(new50().price(cents(999), 0, false, false), Ok(cents(500)));
    let always = Coupon { first_payment: false, until: None, ..new50() };
    assert_eq!(always.price(usd(20), i64::MAX, true, false), Ok(usd(10)));
}

fn cadence(price: i64, billing: &str) -> Cadence {
    let billing = Period::parse(billing).unwrap();
    Cadence {
        price_usd: Some(usd(price)),
        billing,
        cycle: Period::MONTH,
        ..Plan::named("p").default_cadence()
    }
}

#[test]
fn m13_l6_a_year_saves_a_fifth_or_two_months() {
    let month = cadence(20, "P1M");
    assert_eq!(month.price_for(12, ratio("0.8")), Some(usd(192)));
    assert_eq!(cadence(192, "P1Y").saving(&month), Some(ratio("0.2")));
    // L6: ten months for twelve, held as a ratio: no rounded decimal in between.
    let two_free = Ratio::new(10, 12).unwrap();
    assert_eq!(cadence(29, "P1M").price_for(12, two_free), Some(usd(290)));
    assert_eq!(cadence(290, "P12M").saving(&cadence(29, "P1M")), Ratio::new(1, 6));
    // Weeks do not make up a year, and a price on request saves nothing.
    assert_eq!(cadence(290, "P1Y").saving(&cadence(29, "P7D")), None);
    assert_eq!(Cadence { price_usd: None, ..month.clone() }.saving(&month), None);
    assert!(cadence(192, "P1Y").price_per_second() < month.price_per_second());
}

#[test]
fn m3_a_quote_says_what_each_pool_would_pay() {
    let prices =
        Prices::new([(Meter::InputTokens, Ratio::whole(30)), (Meter::OutputTokens, Ratio::whole(150))]);
    let starter = Plan { factors: vec![("topup".to_owned(), ratio("0.85"))], ..Plan::named("starter") };
    let catalog = Catalog {
        models: vec![Model::named("sonnet", prices, 1)],
        pools: vec![
            Pool::named("topup", 2, tariff::Expiry::Never),
            Pool::named("included", 1, tariff::Expiry::CycleEnd),
        ],
        plans: vec![starter.clone()],
        ..Catalog::named("m")
    };
    let usage = used(&[(Meter::InputTokens, 100_000), (Meter::OutputTokens, 20_000)]);
    let quote = catalog.quote(&starter, "sonnet", &usage).unwrap();
    assert_eq!(quote.base, credits(6));
    assert_eq!(quote.pools, [("included".to_owned(), credits(6)), ("topup".to_owned(), Micros(5_100_000))]);
    assert_eq!(quote.lines.len(), 2);
    assert!(quote.open);
    assert_eq!(catalog.quote(&starter, "opus", &usage), Err(QuoteError::UnknownModel("opus".to_owned())));
    let variant = catalog.quote(&starter, "sonnet@hd", &usage);
    assert_eq!(variant, Err(QuoteError::UnknownVariant("hd".to_owned())));
    // An unknown price is never free.
    let images = used(&[(Meter::Images, 1)]);
    assert!(matches!(catalog.quote(&starter, "sonnet", &images), Err(QuoteError::Price(_))));
}

#[test]
fn c12_a_quote_uses_the_plans_own_prices() {
    let one = |price| Prices::new([(Meter::Requests, Ratio::whole(price))]);
    let acme = Plan { prices: [("m".to_owned(), one(2_000_000))].into(), ..Plan::named("acme") };
    let catalog = Catalog {
        models: vec![Model::named("m", one(5_000_000), 1)],
        plans: vec![Plan::named("p"), acme],
        ..Catalog::named("t")
    };
    let usage = used(&[(Meter::Requests, 1)]);
    let of = |plan: &str| catalog.quote(catalog.plan(plan).unwrap(), "m", &usage).unwrap().base;
    assert_eq!((of("p"), of("acme")), (credits(5), credits(2)));
}
