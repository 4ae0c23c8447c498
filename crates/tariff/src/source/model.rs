//! Models and flat-price operations, with their prices.
//!
//! `NAME: {price: {per_1m | per_1k | per_unit: {METER: DECIMAL}, per_request: DECIMAL}, aliases, …}`

use std::collections::BTreeMap;

use super::fields::Fields;
use super::limits::{MODELS_MAX, OUTPUT_TOKENS_MAX};
use super::problem::{Report, quoted, suggestion};
use super::scalar::{MODEL_NAME_HINT, is_model_name};
use super::tree::{Entry, Node};
use crate::catalog::Model;
use crate::meter::Meter;
use crate::money::Micros;
use crate::price::Prices;
use crate::ratio::Ratio;

/// What the models refer to.
pub(super) struct Context<'a> {
    /// The names of the catalog's features.
    pub(super) features: &'a [&'a str],
    /// What a model holds for where it states nothing of its own.
    pub(super) max_output_default: u64,
}

/// The models, in the file's order.
pub(super) fn models(node: &Node, context: &Context<'_>, report: &mut Report) -> Vec<Model> {
    let Some(entries) = node.definitions(MODELS_MAX, report) else { return Vec::new() };
    let mut aliases =
        Aliases { names: entries.iter().map(|entry| entry.key.as_str()).collect(), owners: BTreeMap::new() };
    entries.iter().filter_map(|entry| model(entry, context, &mut aliases, report)).collect()
}

fn model(
    entry: &Entry,
    context: &Context<'_>,
    aliases: &mut Aliases<'_>,
    report: &mut Report,
) -> Option<Model> {
    let sound = is_model_name(&entry.key);
    if !sound {
        let message = format!("{} is not a model's name", quoted(&entry.key));
        report.add(entry.mark, &entry.node.path, message, Some(MODEL_NAME_HINT.to_owned()));
    }
    let known = ["provider", "aliases", "price", "max_output_default", "feature"];
    let fields = Fields::of(&entry.node, &known, report)?;
    let provider = fields.get("provider").and_then(|node| node.text(report));
    let names = fields.get("aliases").and_then(|node| aliases.read(node, &entry.key, report));
    let prices = fields.require("price", report).and_then(|node| prices(node, report));
    let max_output = fields.get("max_output_default").and_then(|node| max_output(node, report));
    let feature = fields.get("feature").and_then(|node| node.reference("feature", context.features, report));
    let name = sound.then(|| entry.key.clone())?;
    Some(Model {
        aliases: names.unwrap_or_default(),
        provider,
        feature,
        ..Model::named(name, prices?, max_output.unwrap_or(context.max_output_default))
    })
}

/// Output tokens to hold for when a request names no bound.
pub(super) fn max_output(node: &Node, report: &mut Report) -> Option<u64> {
    node.whole(1..=OUTPUT_TOKENS_MAX, report)
}

/// Which model each name and alias belongs to: none may mean two models.
struct Aliases<'t> {
    names: std::collections::BTreeSet<&'t str>,
    owners: BTreeMap<String, String>,
}

impl Aliases<'_> {
    fn read(&mut self, node: &Node, model: &str, report: &mut Report) -> Option<Vec<String>> {
        node.set(report, |node, report| {
            let alias = node.pattern(report)?;
            if self.names.contains(alias.as_str()) {
                report.on(node, format!("{} is the name of a model; it would never be read", quoted(&alias)));
                return None;
            }
            match self.owners.insert(alias.clone(), model.to_owned()) {
                None => Some(alias),
                Some(owner) => {
                    report.on(node, format!("{} is an alias of {} already", quoted(&alias), quoted(&owner)));
                    None
                }
            }
        })
    }
}

/// Unit prices in micro-credits from prices in credits per 1,000,000, per 1,000 or per unit.
fn prices(node: &Node, report: &mut Report) -> Option<Prices> {
    let fields = Fields::of(node, &["per_1m", "per_1k", "per_unit", "per_request"], report)?;
    let mut units: BTreeMap<Meter, Ratio> = BTreeMap::new();
    let mut sound = true;
    for (per, scale) in [("per_1m", 1), ("per_1k", 1_000), ("per_unit", MICROS)] {
        for entry in fields.get(per).and_then(|node| node.map(report)).unwrap_or_default() {
            let meter = meter(entry, report);
            let unit = unit(&entry.node, scale, report);
            sound &= meter
                .zip(unit)
                .is_some_and(|(meter, unit)| add(&mut units, meter, unit, &entry.node, report));
        }
    }
    if let Some(node) = fields.get("per_request") {
        let unit = unit(node, MICROS, report);
        sound &= unit.is_some_and(|unit| add(&mut units, Meter::Requests, unit, node, report));
    }
    if sound && units.is_empty() {
        report.on_with(node, "no price", "what costs nothing has the price 0");
        return None;
    }
    if !sound {
        return None;
    }
    complete(&units, node, report);
    let prices = Prices::new(units);
    if !prices.is_portable() {
        report.on(
            node,
            "these prices have too many digits to be added up: over a common denominator they exceed 64 bits",
        );
    }
    Some(prices)
}

fn add(
    units: &mut BTreeMap<Meter, Ratio>,
    meter: Meter,
    unit: Ratio,
    node: &Node,
    report: &mut Report,
) -> bool {
    let first = units.insert(meter, unit).is_none();
    if !first {
        report.on(node, format!("{} has a price already", quoted(meter.as_str())));
    }
    first
}

/// Refuses a price list that would leave delivered tokens of the other side without a price.
fn complete(units: &BTreeMap<Meter, Ratio>, node: &Node, report: &mut Report) {
    for (meter, base) in units.keys().filter_map(|meter| Some((meter, meter.priced_as()?))) {
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
}

/// The meter that a key names.
fn meter(entry: &Entry, report: &mut Report) -> Option<Meter> {
    let meter = Meter::parse(&entry.key);
    if meter.is_none() {
        let hint = suggestion(&entry.key, Meter::ALL.iter().map(|meter| meter.as_str()));
        let message = format!("unknown meter {}", quoted(&entry.key));
        report.add(entry.mark, &entry.node.path, message, hint);
    }
    meter
}

/// A unit price in micro-credits from a price in credits; `scale` is how many micro-credits per unit
/// one credit is.
fn unit(node: &Node, scale: u64, report: &mut Report) -> Option<Ratio> {
    let credits = node.decimal(report)?;
    let unit = credits.checked_mul(Ratio::whole(scale));
    let fits = unit.filter(|unit| unit.is_portable() && *unit <= Ratio::whole(UNIT_PRICE_MAX));
    if fits.is_none() {
        report.on(
            node,
            "out of range: a price has at most 19 digits and is at most 1,000,000 credits per unit",
        );
    }
    fits
}

/// Micro-credits in one credit.
const MICROS: u64 = Micros::PER_CREDIT.unsigned_abs();
/// The highest unit price, in micro-credits.
const UNIT_PRICE_MAX: u64 = 1_000_000 * MICROS;
