//! The arithmetic against slow, obvious oracles: ratios, amounts, periods, prices, patterns.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use tariff::meter::COUNT_MAX;
use tariff::money::MoneyError;
use tariff::period::PeriodError;
use tariff::ratio::DecimalError;
use tariff::{Meter, Micros, Period, PriceError, Prices, Ratio, Usage, glob};

/// Numerators and denominators of up to 64 bits, often small, so that equal and near values occur.
fn part() -> impl Strategy<Value = u64> {
    prop_oneof![0..=6_u64, 0..=1_000_000_u64, any::<u64>(), Just(u64::MAX)]
}

fn ratio() -> impl Strategy<Value = ((u64, u64), Ratio)> {
    (part(), part().prop_map(|den| den.max(1)))
        .prop_map(|(num, den)| ((num, den), Ratio::new(num.into(), den.into()).unwrap()))
}

/// A ratio small enough for 128-bit oracles of sums and products.
fn small() -> impl Strategy<Value = ((u128, u128), Ratio)> {
    (0..=u128::from(u32::MAX), 1..=u128::from(u32::MAX))
        .prop_map(|(num, den)| ((num, den), Ratio::new(num, den).unwrap()))
}

/// Whether two fractions of 64-bit parts (products of such) are the same number.
fn same(ratio: Ratio, num: u128, den: u128) -> bool {
    Ratio::new(num, den) == Some(ratio)
}

#[test]
fn a_ratio_shows_as_the_decimal_that_it_was_read_from() {
    for text in ["0.85", "1", "0", "0.333333333333", "0.5", "999999999999999999", "12.000000000001"] {
        assert_eq!(Ratio::parse_decimal(text).unwrap().to_string(), text);
    }
    assert_eq!(Ratio::new(1, 3).unwrap().to_string(), "0.333333333333");
}

proptest! {
    #[test]
    fn ratios_order_as_cross_products_do(((a, b), left) in ratio(), ((c, d), right) in ratio()) {
        let oracle = (u128::from(a) * u128::from(d)).cmp(&(u128::from(c) * u128::from(b)));
        prop_assert_eq!(left.cmp(&right), oracle);
        prop_assert_eq!(left == right, oracle.is_eq());
    }

    #[test]
    fn ratios_of_128_bits_have_a_total_order(a in 1..=u128::MAX, b in 1..=u128::MAX, c in 1..=u128::MAX) {
        // Beyond the reach of cross products: with one part in common, the other decides.
        let (ab, cb) = (Ratio::new(a, b).unwrap(), Ratio::new(c, b).unwrap());
        prop_assert_eq!(ab.cmp(&cb), a.cmp(&c));
        let (ba, bc) = (Ratio::new(b, a).unwrap(), Ratio::new(b, c).unwrap());
        prop_assert_eq!(ba.cmp(&bc), c.cmp(&a));
        prop_assert_eq!(ab.cmp(&ba), a.cmp(&b));
    }

    #[test]
    fn ratios_add_and_subtract_as_fractions_do(((a, b), left) in small(), ((c, d), right) in small()) {
        prop_assert!(same(left.checked_add(right).unwrap(), a * d + c * b, b * d));
        match (a * d).checked_sub(c * b) {
            Some(num) => prop_assert!(same(left.checked_sub(right).unwrap(), num, b * d)),
            None => prop_assert_eq!(left.checked_sub(right), None),
        }
    }

    #[test]
    fn ratios_multiply_and_divide_as_fractions_do(((a, b), left) in ratio(), ((c, d), right) in ratio()) {
        let [a, b, c, d] = [a, b, c, d].map(u128::from);
        prop_assert!(same(left.checked_mul(right).unwrap(), a * c, b * d));
        match left.checked_div(right) {
            Some(quotient) => prop_assert!(same(quotient, a * d, b * c)),
            None => prop_assert_eq!(c, 0),
        }
    }

    #[test]
    fn a_ratio_rounds_half_up_and_floors(
        num in 0..u128::MAX / 4,
        den in prop_oneof![1..=8_u128, 1..u128::MAX / 4],
    ) {
        let ratio = Ratio::new(num, den).unwrap();
        prop_assert_eq!(ratio.floor(), i64::try_from(num / den).ok());
        prop_assert_eq!(ratio.ceil(), i64::try_from(num.div_ceil(den)).ok());
        prop_assert_eq!(ratio.round_half_up(), i64::try_from((2 * num + den) / (2 * den)).ok());
    }

    #[test]
    fn halves_go_up_and_less_goes_down(whole in 0..i64::MAX as u128, den in 1..=u128::from(u32::MAX)) {
        let round = |num| Ratio::new(num, 2 * den).unwrap().round_half_up();
        prop_assert_eq!(round(whole * 2 * den + den), i64::try_from(whole + 1).ok());
        prop_assert_eq!(round(whole * 2 * den + den - 1), i64::try_from(whole).ok());
    }

    #[test]
    fn a_ratio_survives_its_serialized_form_or_refuses_it(num in any::<u128>(), den in 1..=u128::MAX) {
        let ratio = Ratio::new(num, den).unwrap();
        match serde_json::to_string(&ratio) {
            Ok(text) => prop_assert_eq!(serde_json::from_str::<Ratio>(&text).unwrap(), ratio),
            Err(_) => {
                let (num, den) = ratio.parts();
                prop_assert!(num > u64::MAX.into() || den > u64::MAX.into());
            }
        }
        prop_assert_eq!(ratio.is_portable(), serde_json::to_string(&ratio).is_ok());
    }

    #[test]
    fn a_decimal_is_its_digits_over_a_power_of_ten(whole in 0..10_u64.pow(18), digits in "[0-9]{1,12}") {
        let ratio = Ratio::parse_decimal(&format!("{whole}.{digits}")).unwrap();
        let den = 10_u128.pow(digits.len() as u32);
        prop_assert!(same(ratio, u128::from(whole) * den + digits.parse::<u128>().unwrap(), den));
    }

    #[test]
    fn amounts_round_trip_through_their_text(micros in any::<i64>()) {
        prop_assert_eq!(Micros::parse(&Micros(micros).to_string()), Ok(Micros(micros)));
    }

    #[test]
    fn amounts_are_the_integer_of_their_digits(whole in 0..9_000_000_000_000_i64, digits in "[0-9]{6}") {
        let text = format!("{whole}.{digits}");
        let oracle: i64 = format!("{whole}{digits}").parse().unwrap();
        prop_assert_eq!(Micros::parse(&text), Ok(Micros(oracle)));
        prop_assert_eq!(Micros::parse(&format!("-{text}")), Ok(Micros(-oracle)));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        let _ = (Micros::parse(&text), Ratio::parse_decimal(&text), Period::parse(&text));
    }

    #[test]
    fn periods_round_trip_through_their_text(
        months in 0..=1_200_u32, days in 0..=36_525_u32, seconds in 0..=1_000_000_u32,
    ) {
        match Period::new(months, days, seconds) {
            Ok(period) => prop_assert_eq!(Period::parse(&period.to_string()), Ok(period)),
            Err(error) => prop_assert_eq!((error, months + days + seconds), (PeriodError::Zero, 0)),
        }
    }

    #[test]
    fn patterns_match_as_the_obvious_matcher_does(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
        prop_assert_eq!(glob::matches(&pattern, &text), obvious(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn patterns_match_text_of_any_alphabet(parts in prop::collection::vec("\\PC{0,4}", 1..4)) {
        let text = parts.concat();
        let pattern = parts.join("*");
        prop_assert!(glob::matches(&pattern, &text), "{pattern:?} {text:?}");
    }

    #[test]
    fn a_charge_is_the_sum_of_its_lines_rounded_once(
        lines in prop::collection::btree_map(meter(), (0..10_u64.pow(9), 0..10_u64.pow(9)), 0..8),
    ) {
        // Unit prices in millionths of a micro-credit, so that the oracle is a sum of integers.
        let million = 1_000_000_u128;
        let unit = |millionths: u64| Ratio::new(millionths.into(), million).unwrap();
        let prices = Prices::new(lines.iter().map(|(meter, (price, _))| (*meter, unit(*price))));
        let usage = lines.iter().fold(Usage::new(), |usage, (meter, (_, count))| usage.with(*meter, *count));
        let line = |(price, count): &(u64, u64)| u128::from(*price) * u128::from(*count);
        let millionths: u128 = lines.values().map(line).sum();
        let charge = prices.charge(&usage).unwrap();
        prop_assert!(same(charge.exact, millionths, million));
        prop_assert_eq!(i128::from(charge.rounded.get()), ((millionths + million / 2) / million) as i128);
    }

    #[test]
    fn prices_are_portable_where_all_fit_over_one_denominator(
        units in prop::collection::btree_map(meter(), (part(), 1..=2_000_u64), 0..4),
    ) {
        let ratio = |(num, den): &(u64, u64)| Ratio::new((*num).into(), (*den).into()).unwrap();
        let prices = Prices::new(units.iter().map(|(meter, parts)| (*meter, ratio(parts))));
        // Reduced denominators of at most 2,000: their least common multiple is found by counting up.
        let reduced: Vec<(u128, u128)> = units.values().map(|parts| ratio(parts).parts()).collect();
        let common = reduced.iter().fold(1, |common, (_, den)| {
            (1..=*den).map(|factor| common * factor).find(|multiple| multiple % den == 0).unwrap()
        });
        let fits = |value: u128| u64::try_from(value).is_ok();
        let oracle = fits(common) && reduced.iter().all(|(num, den)| fits(num * (common / den)));
        prop_assert_eq!(prices.is_portable(), oracle);
    }

    #[test]
    fn a_charge_never_falls_when_a_count_rises(
        price in part(), den in part(), count in 0..COUNT_MAX, more in 0..COUNT_MAX,
    ) {
        let prices = Prices::new([(Meter::Pages, Ratio::new(price.into(), den.max(1).into()).unwrap())]);
        let charge = |count| prices.charge(&Usage::new().with(Meter::Pages, count));
        let (low, high) = (charge(count.min(more)), charge(count.max(more)));
        match (low, high) {
            (Ok(low), Ok(high)) => prop_assert!(low.rounded <= high.rounded && low.exact <= high.exact),
            (Err(low), high) => prop_assert_eq!(high, Err(low)),
            (Ok(_), Err(high)) => prop_assert_eq!(high, PriceError::OutOfRange),
        }
    }
}

/// A meter that requests count.
fn meter() -> impl Strategy<Value = Meter> {
    prop::sample::select(counted())
}

fn counted() -> Vec<Meter> {
    Meter::ALL.iter().copied().filter(|meter| *meter != Meter::Tokens).collect()
}

/// Tries every length for every star.
fn obvious(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((b'*', pattern)), _) => (0..=text.len()).any(|taken| obvious(pattern, &text[taken..])),
        (Some((literal, pattern)), Some((first, text))) => literal == first && obvious(pattern, text),
        (Some(_), None) => false,
    }
}

#[test]
fn amounts_are_refused_with_the_reason() {
    let cases = [
        ("", MoneyError::NotDecimal),
        ("-", MoneyError::NotDecimal),
        ("+1", MoneyError::NotDecimal),
        (".5", MoneyError::NotDecimal),
        ("5.", MoneyError::NotDecimal),
        ("1.-5", MoneyError::NotDecimal),
        ("1e3", MoneyError::NotDecimal),
        ("1_000", MoneyError::NotDecimal),
        ("0.0000001", MoneyError::TooFine),
        ("9223372036854.775808", MoneyError::OutOfRange),
        ("-9223372036854.775809", MoneyError::OutOfRange),
        ("99999999999999999999999999999999999999999999", MoneyError::OutOfRange),
    ];
    for (text, error) in cases {
        assert_eq!(Micros::parse(text), Err(error), "{text}");
    }
    assert_eq!(Micros::parse("-9223372036854.775808"), Ok(Micros(i64::MIN)));
    assert_eq!(Micros::parse("3.4000000000"), Ok(Micros(3_400_000)));
    assert_eq!(Micros(-1).to_string(), "-0.000001");
}

#[test]
fn decimals_are_refused_with_the_reason() {
    let cases = [
        ("", DecimalError::NotDecimal),
        ("2.", DecimalError::NotDecimal),
        (".8", DecimalError::NotDecimal),
        ("-2.8", DecimalError::NotDecimal),
        ("2,8", DecimalError::NotDecimal),
        ("2.8.1", DecimalError::NotDecimal),
        ("2.8e0", DecimalError::NotDecimal),
        ("0.0000000000001", DecimalError::TooFine),
        ("1000000000000000000", DecimalError::OutOfRange),
    ];
    for (text, error) in cases {
        assert_eq!(Ratio::parse_decimal(text), Err(error), "{text}");
    }
    assert_eq!(Ratio::parse_decimal("2.8000000000000000"), Ok(Ratio::new(14, 5).unwrap()));
    assert_eq!(Ratio::parse_decimal("0000000000000000000000.85"), Ok(Ratio::new(17, 20).unwrap()));
    assert_eq!(Ratio::parse_decimal("0"), Ok(Ratio::ZERO));
}

#[test]
fn a_ratio_needs_a_denominator() {
    assert_eq!(Ratio::new(1, 0), None);
    assert_eq!(Ratio::new(0, 0), None);
    assert_eq!(Ratio::new(0, 7), Some(Ratio::ZERO));
    assert!(serde_json::from_str::<Ratio>("[1,0]").is_err());
    assert!(serde_json::from_str::<Ratio>("[-1,1]").is_err());
}

#[test]
fn ratios_report_overflow_instead_of_wrapping() {
    let huge = Ratio::new(u128::MAX, 1).unwrap();
    let tiny = Ratio::new(1, u128::MAX).unwrap();
    assert_eq!(huge.checked_add(Ratio::ONE), None);
    assert_eq!(huge.checked_mul(huge), None);
    assert_eq!(tiny.checked_mul(tiny), None);
    assert_eq!(huge.checked_mul(tiny), Some(Ratio::ONE));
    assert_eq!((huge.floor(), huge.ceil(), huge.round_half_up()), (None, None, None));
    assert_eq!((tiny.floor(), tiny.ceil(), tiny.round_half_up()), (Some(0), Some(1), Some(0)));
    assert_eq!(Ratio::new(u128::MAX, u128::MAX - 1).unwrap().round_half_up(), Some(1));
}

#[test]
fn periods_are_read_as_iso_8601() {
    let period = |months, days, seconds| Ok(Period::new(months, days, seconds).unwrap());
    assert_eq!(Period::parse("P1Y"), period(12, 0, 0));
    assert_eq!(Period::parse("P12M"), period(12, 0, 0));
    assert_eq!(Period::parse("P1Y2M1W3DT4H5M6S"), period(14, 10, 14_706));
    assert_eq!(Period::parse("PT1M"), period(0, 0, 60));
    for text in ["", "P", "PT", "P1", "1M", "P-1M", "P1M2Y", "P1.5M", "p1m", "P1MT", "P1M1M", "P1H"] {
        assert_eq!(Period::parse(text), Err(PeriodError::NotIso8601), "{text}");
    }
    assert_eq!(Period::parse("P0D"), Err(PeriodError::Zero));
    for text in ["P101Y", "P99999999999M", "P400000000Y", "PT900000H"] {
        assert_eq!(Period::parse(text), Err(PeriodError::OutOfRange), "{text}");
    }
}

#[test]
fn only_periods_without_a_calendar_part_have_a_fixed_length() {
    assert_eq!(Period::parse("PT1M").unwrap().fixed_ms(), Some(60_000));
    assert_eq!(Period::parse("P1D").unwrap().fixed_ms(), None);
    assert_eq!(Period::MONTH.fixed_ms(), None);
}

#[test]
fn every_meter_has_one_name_everywhere() {
    for meter in Meter::ALL {
        assert_eq!(Meter::parse(meter.as_str()), Some(*meter));
        assert_eq!(serde_json::to_string(meter).unwrap(), format!("\"{}\"", meter.as_str()));
    }
    assert_eq!(Meter::parse("token"), None);
}

#[test]
fn tokens_are_the_sum_of_all_that_count_some_and_are_never_counted_themselves() {
    let usage = counted().into_iter().fold(Usage::new(), |usage, meter| usage.with(meter, 10));
    assert_eq!(usage.get(Meter::Tokens), 100, "all but what is counted in another unit");
    assert_eq!(usage.clone().with(Meter::Tokens, 5), usage);
    assert_eq!((Meter::counted("tokens"), Meter::counted("pages")), (None, Some(Meter::Pages)));
    let stated: Usage = serde_json::from_str(r#"{"tokens":5,"pages":2}"#).unwrap();
    assert_eq!((stated.get(Meter::Tokens), stated.iter().count()), (0, 1));
}

#[test]
fn the_whole_input_decides_which_prices_hold_for_all_that_a_request_uses() {
    let list = |input, cached, output| {
        let units =
            [(Meter::InputTokens, input), (Meter::CachedTokens, cached), (Meter::OutputTokens, output)];
        units.map(|(meter, price)| (meter, Ratio::whole(price)))
    };
    let prices =
        Prices::new(list(10, 1, 20)).with_tier(1_000, list(20, 2, 30)).with_tier(5_000, list(40, 4, 60));
    let charge = |usage: &[(Meter, u64)]| {
        let usage =
            usage.iter().fold(Usage::new().with(Meter::Requests, 1), |all, (meter, n)| all.with(*meter, *n));
        prices.charge(&usage).unwrap().rounded.get()
    };
    let (input, output) = (Meter::InputTokens, Meter::OutputTokens);
    assert_eq!(charge(&[(input, 1_000), (output, 7)]), 10_000 + 140);
    assert_eq!(charge(&[(input, 1_001), (output, 7)]), 20_020 + 210);
    assert_eq!(charge(&[(input, 5_000), (output, 1)]), 100_000 + 30);
    assert_eq!(charge(&[(input, 5_001), (output, 1)]), 200_040 + 60);
    // What was cached, written, heard and seen is input too; what was generated is not.
    assert_eq!(charge(&[(input, 1), (Meter::CachedTokens, 1_000)]), 20 + 2_000);
    for meter in [
        Meter::CacheWriteTokens,
        Meter::CacheWriteHourTokens,
        Meter::AudioInputTokens,
        Meter::ImageInputTokens,
    ] {
        assert_eq!(charge(&[(input, 1), (meter, 1_000)]), 20 + 20_000, "{meter:?}");
    }
    for meter in [Meter::ReasoningTokens, Meter::AudioOutputTokens, Meter::ImageOutputTokens] {
        assert_eq!(charge(&[(input, 1), (output, 9_000), (meter, 1_000)]), 10 + 200_000, "{meter:?}");
    }
    // One text for all tiers, and the text of one tier is what it was without any.
    let json = serde_json::to_string(&prices).unwrap();
    assert!(json.contains(r#""input_tokens>5000":[40,1]"#), "{json}");
    assert_eq!(serde_json::from_str::<Prices>(&json).unwrap(), prices);
    let plain = r#"{"input_tokens":[1,2],"output_tokens":[3,1]}"#;
    assert_eq!(serde_json::to_string(&serde_json::from_str::<Prices>(plain).unwrap()).unwrap(), plain);
    for none in ["input_tokens>", "input_tokens>0", "input_tokens>x", "inputs", ">5"] {
        assert!(serde_json::from_str::<Prices>(&format!(r#"{{"{none}":[1,1]}}"#)).is_err(), "{none}");
    }
}

#[test]
fn a_price_stands_in_for_the_meters_of_its_side_only() {
    let prices = Prices::new([(Meter::InputTokens, Ratio::whole(2))]);
    let charge = |meter| prices.charge(&Usage::new().with(meter, 3)).map(|charge| charge.rounded);
    let of_input = [
        Meter::InputTokens,
        Meter::CachedTokens,
        Meter::CacheWriteTokens,
        Meter::CacheWriteHourTokens,
        Meter::AudioInputTokens,
        Meter::ImageInputTokens,
    ];
    for meter in of_input {
        assert_eq!(charge(meter), Ok(Micros(6)), "{}", meter.as_str());
    }
    assert_eq!(charge(Meter::Requests), Ok(Micros::ZERO));
    for meter in [Meter::OutputTokens, Meter::ReasoningTokens, Meter::Images, Meter::Searches, Meter::Pages] {
        assert_eq!(charge(meter), Err(PriceError::Unpriced(meter)));
    }
    let own = Prices::new([(Meter::InputTokens, Ratio::whole(2)), (Meter::CachedTokens, Ratio::ZERO)]);
    let cached = own.charge(&Usage::new().with(Meter::CachedTokens, 3)).unwrap();
    assert_eq!(cached.rounded, Micros::ZERO);
    let written =
        Prices::new([(Meter::InputTokens, Ratio::whole(2)), (Meter::CacheWriteTokens, Ratio::whole(3))]);
    let hour = written.charge(&Usage::new().with(Meter::CacheWriteHourTokens, 2)).unwrap();
    assert_eq!(hour.rounded, Micros(6), "the dearer of two that could stand in");
}

#[test]
fn the_price_function_refuses_extremes_instead_of_wrapping() {
    let price = |unit: Ratio, count| {
        let prices = Prices::new([(Meter::Pages, unit)]);
        prices.charge(&Usage::new().with(Meter::Pages, count)).map(|charge| charge.rounded.get())
    };
    assert_eq!(price(Ratio::ONE, COUNT_MAX), Ok(COUNT_MAX as i64));
    assert_eq!(price(Ratio::ONE, COUNT_MAX + 1), Err(PriceError::OutOfRange));
    assert_eq!(price(Ratio::whole(1_024), COUNT_MAX), Ok(COUNT_MAX as i64 * 1_024));
    assert_eq!(price(Ratio::whole(1_025), COUNT_MAX), Err(PriceError::OutOfRange));
    assert_eq!(price(Ratio::whole(u64::MAX), COUNT_MAX), Err(PriceError::OutOfRange));
    assert_eq!(price(Ratio::whole(i64::MAX as u64), 1), Ok(i64::MAX));
    assert_eq!(price(Ratio::whole(i64::MAX as u64 + 1), 1), Err(PriceError::OutOfRange));
    // A count of nothing needs no price.
    assert_eq!(Prices::default().charge(&Usage::new().with(Meter::Pages, 0)).unwrap().rounded, Micros::ZERO);
}

#[test]
fn a_sum_in_range_never_overflows_on_the_way() {
    // The finest denominators that a catalog can state, beside a total near the top of the range.
    let finest = Ratio::parse_decimal("0.000000000001").unwrap();
    let large = Ratio::parse_decimal("1023.899999999999").unwrap();
    let prices = Prices::new(Meter::ALL.iter().map(|meter| (*meter, finest)).chain([(Meter::Pages, large)]));
    let usage = counted().into_iter().fold(Usage::new(), |usage, meter| usage.with(meter, COUNT_MAX));
    let charge = prices.charge(&usage).unwrap();
    let finest_lines = (counted().len() as i128 - 1) * i128::from(COUNT_MAX);
    let millionths = i128::from(COUNT_MAX) * 1_023_899_999_999_999 + finest_lines;
    assert_eq!(i128::from(charge.rounded.get()), (millionths + 500_000_000_000) / 1_000_000_000_000);
}
