//! Unit prices: `{per_1m | per_1k | per_unit: {METER: DECIMAL}, per_request: DECIMAL}`.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::limits::{CONTEXT_TIERS_MAX, CONTEXT_TOKENS_MAX};
use super::meant;
use super::problem::{Report, quoted};
use super::shape::{Field, Object, Shape};
use super::tree::{Entry, Node};
use crate::meter::Meter;
use crate::money::Micros;
use crate::price::Prices;
use crate::ratio::Ratio;

/// A price list.
pub(super) static PRICE: Object = Object {
    name: "price",
    about: "Prices by meter. Cached and written input and audio input cost as `input_tokens` unless they are priced \
            apart, reasoning and audio output as `output_tokens`; `tokens` is one price for all of them.",
    fields: &[
        PER_1M,
        PER_1K,
        PER_ONE,
        PER_MINUTE,
        PER_HOUR,
        PER_REQUEST,
        Field::new(
            "above",
            Shape::List(&Shape::Of(&ABOVE)),
            "Context tiers: the prices of requests with a longer input, ascending; none.",
        ),
    ],
};

/// The price list of a context tier.
static ABOVE: Object = Object {
    name: "context_tier",
    about: "The prices of all that a request uses whose whole input (cached, written, audio and image tokens \
            included) is above so many tokens: for the same meters as the price itself.",
    fields: &[
        Field::required(
            "input_tokens",
            Shape::Whole(1, CONTEXT_TOKENS_MAX),
            "Above how many tokens of input they hold: `200000` is from 200,001 on.",
        ),
        PER_1M,
        PER_1K,
        PER_ONE,
        PER_MINUTE,
        PER_HOUR,
        PER_REQUEST,
    ],
};

const PER_1M: Field = Field::new("per_1m", UNITS, "Prices per million units.");
const PER_1K: Field = Field::new("per_1k", UNITS, "Prices per thousand units.");
const PER_ONE: Field = Field::new("per_unit", UNITS, "Prices per unit: an image, a page, a second.");
const PER_MINUTE: Field =
    Field::new("per_minute", Shape::Decimal, "The price of a minute: that of 60 `seconds`, exactly.");
const PER_HOUR: Field =
    Field::new("per_hour", Shape::Decimal, "The price of an hour: that of 3600 `seconds`, exactly.");
const PER_REQUEST: Field =
    Field::new("per_request", Shape::Decimal, "What each request costs, whatever it uses.");

/// One price list, by meter.
type Units = BTreeMap<Meter, Ratio>;

const UNITS: Shape = Shape::Map("meter", &Shape::Decimal);

/// Unit prices in millionths (of a credit or dollar) from prices per 1,000,000, per 1,000 or per unit.
pub(super) fn prices(node: &Node, report: &mut Report) -> Option<Prices> {
    let fields = Fields::of(node, &PRICE, report)?;
    let units = list(&fields, node, report);
    let above = fields.or("above", Vec::new(), |node| tiers(node, units.as_ref(), report));
    let (units, above) = (units?, above?);
    let prices =
        above.into_iter().fold(Prices::new(units), |prices, (above, units)| prices.with_tier(above, units));
    if !prices.is_portable() {
        report.on(
            node,
            "these prices have too many digits to be added up: over a common denominator they exceed 64 bits",
        );
    }
    Some(prices)
}

/// One price list, by meter.
fn list(fields: &Fields<'_>, node: &Node, report: &mut Report) -> Option<Units> {
    let mut units = Units::new();
    let mut sound = true;
    for (per, scale) in [("per_1m", PER_MILLION), ("per_1k", PER_THOUSAND), ("per_unit", PER_UNIT)] {
        for entry in fields.get(per).and_then(|node| node.map(report)).unwrap_or_default() {
            let meter = meter(entry, report);
            let unit = unit(&entry.node, scale, report);
            // What is added for both sides is told of once.
            sound &= meter.zip(unit).is_some_and(|(meter, unit)| {
                sides(&meter).iter().all(|meter| add(&mut units, *meter, unit, &entry.node, report))
            });
        }
    }
    for (per, meter, of) in SINGLE {
        if let Some(node) = fields.get(per) {
            let unit = Ratio::new(MICROS.into(), of).and_then(|scale| unit(node, scale, report));
            sound &= unit.is_some_and(|unit| add(&mut units, meter, unit, node, report));
        }
    }
    if sound && units.is_empty() {
        report.on_with(node, "no price", "what costs nothing has the price 0");
        return None;
    }
    if sound {
        complete(&units, node, report);
    }
    sound.then_some(units)
}

/// The context tiers of a price list: ascending, each for the meters of the list itself.
fn tiers(node: &Node, base: Option<&Units>, report: &mut Report) -> Option<Vec<(u64, Units)>> {
    let (mut last, mut before) = (0, base.cloned());
    node.list(CONTEXT_TIERS_MAX, report, |node, report| {
        let fields = Fields::of(node, &ABOVE, report)?;
        let above = fields.get("input_tokens").and_then(|node| {
            let above = node.whole(1..=CONTEXT_TOKENS_MAX, report)?;
            if above <= last {
                report.on_with(
                    node,
                    "is not above the one before it",
                    "in ascending order: each holds until the next begins",
                );
            }
            last = last.max(above);
            Some(above)
        });
        let units = list(&fields, node, report);
        if let (Some(base), Some(units)) = (base, &units) {
            same_meters(base, units, node, report);
        }
        if let (Some(before), Some(units)) = (&before, &units) {
            let cheaper =
                units.iter().find(|(meter, unit)| before.get(meter).is_some_and(|before| before > unit));
            if let Some((meter, _)) = cheaper {
                let message = format!("{} is cheaper than for shorter input", quoted(meter.as_str()));
                report.warn(node, message, "who fills up the input would pay less");
            }
        }
        before.clone_from(&units);
        Some((above?, units?))
    })
}

/// Every tier says the price of everything: what one left out would be sold at a guess.
fn same_meters(base: &Units, tier: &Units, node: &Node, report: &mut Report) {
    for meter in base.keys().filter(|meter| !tier.contains_key(meter)) {
        let message = format!("no price for {}, which shorter input has", quoted(meter.as_str()));
        report.on_with(node, message, "what costs the same is stated again");
    }
    for meter in tier.keys().filter(|meter| !base.contains_key(meter)) {
        let message = format!("prices {}, which shorter input does not", quoted(meter.as_str()));
        report.on_with(node, message, "the same meters in every tier");
    }
}

/// The meters that a price stands for: of all tokens, those of input and of output.
fn sides(meter: &Meter) -> &[Meter] {
    match meter {
        Meter::Tokens => &[Meter::InputTokens, Meter::OutputTokens],
        one => std::slice::from_ref(one),
    }
}

fn add(units: &mut Units, meter: Meter, unit: Ratio, node: &Node, report: &mut Report) -> bool {
    let first = units.insert(meter, unit).is_none();
    if !first {
        report.on(node, format!("{} has a price already", quoted(meter.as_str())));
    }
    first
}

/// Refuses a price list that would leave delivered tokens of the other side without a price.
fn complete(units: &Units, node: &Node, report: &mut Report) {
    for (meter, base) in units.keys().filter_map(|meter| Some((meter, meter.stand_ins().skip(1).last()?))) {
        if !units.contains_key(&base) {
            report.on(node, format!("prices {} but not {}", quoted(meter.as_str()), quoted(base.as_str())));
        }
    }
    if units.contains_key(&Meter::OutputTokens) && !units.contains_key(&Meter::InputTokens) {
        report.on_with(
            node,
            "prices `output_tokens` but not `input_tokens`",
            "what costs nothing has the price 0",
        );
    }
    if units.contains_key(&Meter::InputTokens) && !units.contains_key(&Meter::OutputTokens) {
        let message = "prices `input_tokens` but not `output_tokens`, which an answer may have";
        report.warn(node, message, "`output_tokens: 0` where there are none, as with embeddings");
    }
}

/// The meter that a key names.
pub(super) fn meter(entry: &Entry, report: &mut Report) -> Option<Meter> {
    let meter = Meter::parse(&entry.key);
    if meter.is_none() {
        let hint = meant::word(&entry.key, Meter::ALL.iter().map(|meter| meter.as_str()));
        let message = format!("unknown meter {}", quoted(&entry.key));
        report.add(entry.mark, &entry.node.path, message, hint);
    }
    meter
}

/// A unit price in micro-credits from a price in credits; `scale` is how many micro-credits per unit
/// one credit is.
fn unit(node: &Node, scale: Ratio, report: &mut Report) -> Option<Ratio> {
    let credits = node.decimal(report)?;
    let unit = credits.checked_mul(scale);
    let fits = unit.filter(|unit| unit.is_portable() && *unit <= Ratio::whole(UNIT_PRICE_MAX));
    if fits.is_none() {
        report.on(
            node,
            "out of range: a price has at most 19 digits and is at most 1,000,000 credits per unit",
        );
    }
    fits
}

/// Fields of one price: what it counts, and of how many units it is the price.
const SINGLE: [(&str, Meter, u128); 3] = [
    ("per_request", Meter::Requests, 1),
    ("per_minute", Meter::Seconds, 60),
    ("per_hour", Meter::Seconds, 3_600),
];
const PER_MILLION: Ratio = Ratio::ONE;
const PER_THOUSAND: Ratio = Ratio::whole(1_000);
const PER_UNIT: Ratio = Ratio::whole(MICROS);
/// Micro-credits in one credit.
const MICROS: u64 = Micros::PER_CREDIT.unsigned_abs();
/// The highest unit price, in micro-credits.
const UNIT_PRICE_MAX: u64 = 1_000_000 * MICROS;
