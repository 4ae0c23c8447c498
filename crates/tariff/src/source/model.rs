//! Models and flat-price operations, with their prices.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::Fields;
use super::limits::{
    CHANGES_MAX, MODELS_MAX, OUTPUT_TOKENS_MAX, QUANTITY_MAX, SERVICE_TIER_BYTES_MAX, SERVICE_TIERS_MAX,
    VARIANTS_MAX,
};
use super::names::Names;
use super::price::{PRICE, meter, prices};
use super::problem::{Report, quoted};
use super::scalar::{MODEL_NAME_HINT, is_model_name};
use super::shape::{Field, Object, Shape, words};
use super::tree::{Entry, Node, Value};
use crate::catalog::{DatedPrices, Model, ServiceTier, Stated, Variant};
use crate::compile::CREDITS;
use crate::meter::Meter;
use crate::price::Prices;
use crate::ratio::Ratio;

/// A model.
pub(super) static MODEL: Object = Object {
    name: "model",
    about: "A model, or an operation with a flat price. A model that is not listed is refused, never free.",
    fields: &[
        Field::new("provider", Shape::Text, "Who makes it, for people."),
        Field::new(
            "aliases",
            Shape::List(&Shape::Pattern),
            "Further names that clients may use; `*` stands for any run of characters.",
        ),
        Field::required(
            "price",
            Shape::Of(&PRICE),
            "What it costs at base price, in credits (or in its asset).",
        ),
        Field::new(
            "asset",
            Shape::Name,
            "What it is paid in: the asset of the pools that pay for it; `credits`.",
        ),
        Field::new(
            "feature",
            Shape::Name,
            "The feature that a plan needs for it; open to all plans that list it.",
        ),
        Field::new(
            "variants",
            Shape::Map("variant", &Shape::Of(&VARIANT)),
            "Other prices, for requests with certain parameters; the first that matches counts.",
        ),
        Field::new(
            "quantity",
            Shape::Map("meter", &QUANTITY_SHAPE),
            "Meters that the request itself states (so many images, so many seconds): the hold is exact.",
        ),
        Field::new(
            "cost",
            Shape::Of(&PRICE),
            "What the provider takes for it, in US dollars; limits on `cost_usd` count it.",
        ),
        Field::new(
            "service_tiers",
            Shape::Map("service tier", &Shape::Of(&SERVICE_TIER)),
            "Prices by tier of service (`priority`, `flex`, `batch`): of the one that the answer names, else of the \
             one that the request asks for; what is not listed costs the `price`.",
        ),
        Field::new(
            "charge",
            Shape::Words(|| words(CHARGED_BY)),
            "By whose price requests are charged: that of the model `requested`, or of the one that `answered` where \
             it is listed here (routers, fallbacks); requested.",
        ),
        Field::new(
            "price_changes",
            Shape::List(&Shape::Of(&CHANGE)),
            "Prices from later dates on, in the order of the dates; what a date does not state stays as it was.",
        ),
        Field::new(
            "max_output_default",
            Shape::Whole(1, OUTPUT_TOKENS_MAX),
            "Output tokens to hold for when a request states no bound; the catalog's.",
        ),
    ],
};

static VARIANT: Object = Object {
    name: "variant",
    about: "Another price of a model, for requests with certain parameters.",
    fields: &[
        Field::required(
            "when",
            Shape::Map("parameter", &Shape::Either(&[Shape::Scalar, Shape::List(&Shape::Scalar)])),
            "Parameters and the value, or values, that each must have; all must match.",
        ),
        Field::required("price", Shape::Of(&PRICE), "What such a request costs."),
    ],
};

static SERVICE_TIER: Object = Object {
    name: "service_tier",
    about: "What requests cost that the provider served in this tier of service: a `factor` or a `price`.",
    fields: &[
        Field::new(
            "factor",
            Shape::Decimal,
            "How many times the price that they would have otherwise, and how many times the `cost`.",
        ),
        Field::new("price", Shape::Of(&PRICE), "What they cost, on every plan and in every variant."),
        Field::new(
            "cost",
            Shape::Of(&PRICE),
            "What the provider takes for them; `factor` times the model's.",
        ),
    ],
};

/// By whose price requests are charged.
const CHARGED_BY: &[(&str, bool)] = &[("requested", false), ("answered", true)];

const QUANTITY_SHAPE: Shape =
    Shape::Either(&[Shape::Name, Shape::Whole(0, QUANTITY_MAX), Shape::Of(&QUANTITY)]);

static QUANTITY: Object = Object {
    name: "quantity",
    about: "How much of a meter a request asks for. A parameter's name alone, or a number alone, will do too.",
    fields: &[
        Field::new("parameter", Shape::Name, "The parameter that states it; always the default."),
        Field::new("default", Shape::Whole(0, QUANTITY_MAX), "How much where the request does not say; 1."),
        Field::new(
            "max",
            Shape::Whole(1, QUANTITY_MAX),
            "The most that is a valid request; 1000, any number of characters.",
        ),
    ],
};

static CHANGE: Object = Object {
    name: "price_change",
    about: "Prices from an instant on.",
    fields: &[
        Field::required(
            "from",
            Shape::Instant,
            "When they begin: a date (00:00 UTC) or an RFC 3339 instant.",
        ),
        Field::new("price", Shape::Of(&PRICE), "What the model costs from then on; as before."),
        Field::new(
            "variants",
            Shape::Map("variant", &Shape::Of(&PRICE)),
            "What its variants cost from then on, by name; as before.",
        ),
    ],
};

/// The models, in the file's order.
pub(super) fn models(node: &Node, names: &Names<'_>, max_output: u64, report: &mut Report) -> Vec<Model> {
    let Some(entries) = node.definitions(MODELS_MAX, report) else { return Vec::new() };
    let mut aliases =
        Aliases { names: entries.iter().map(|entry| entry.key.as_str()).collect(), owners: BTreeMap::new() };
    entries.iter().filter_map(|entry| model(entry, names, max_output, &mut aliases, report)).collect()
}

fn model(
    entry: &Entry,
    names: &Names<'_>,
    default: u64,
    aliases: &mut Aliases<'_>,
    report: &mut Report,
) -> Option<Model> {
    let sound = is_model_name(&entry.key);
    if !sound {
        let message = format!("{} is not a model's name", quoted(&entry.key));
        report.add(entry.mark, &entry.node.path, message, Some(MODEL_NAME_HINT.to_owned()));
    }
    if names.variants.contains(&entry.key) {
        let message = format!("{} is what a variant of another model is charged as", quoted(&entry.key));
        report.add(entry.mark, &entry.node.path, message, Some("rename one of them".to_owned()));
    }
    let fields = Fields::of(&entry.node, &MODEL, report)?;
    let provider = fields.get("provider").and_then(|node| node.text(report));
    let aliases = fields.get("aliases").and_then(|node| aliases.read(node, &entry.key, report));
    let price = fields.get("price").and_then(|node| prices(node, report));
    let max_output = fields.get("max_output_default").and_then(|node| max_output(node, report));
    let feature = fields.get("feature").and_then(|node| node.reference("feature", &names.features, report));
    let asset = fields.get("asset").and_then(|node| node.name(report));
    let cost = fields.get("cost").and_then(|node| prices(node, report));
    let variants = fields.get("variants").and_then(|node| variants(node, names, report));
    let stated = fields.get("quantity").and_then(|node| quantities(node, names, report));
    let tiers = fields.get("service_tiers").and_then(|node| service_tiers(node, report));
    let by_answered = fields.get("charge").and_then(|node| node.word("charge", CHARGED_BY, report));
    let own: Vec<&str> = variants.iter().flatten().map(|own| own.name.as_str()).collect();
    let dated = fields.get("price_changes").and_then(|node| changes(node, &own, report));
    let name = sound.then(|| entry.key.clone())?;
    Some(Model {
        aliases: aliases.unwrap_or_default(),
        provider,
        feature,
        asset: asset.unwrap_or_else(|| CREDITS.to_owned()),
        cost,
        variants: variants.unwrap_or_default(),
        stated: stated.unwrap_or_default(),
        service_tiers: tiers.unwrap_or_default(),
        by_answered: by_answered.unwrap_or_default(),
        dated: dated.unwrap_or_default(),
        // A price with a problem stands as some price: what refers to the model is checked all the same.
        ..Model::named(name, price.unwrap_or_default(), max_output.unwrap_or(default))
    })
}

/// Output tokens to hold for when a request names no bound.
pub(super) fn max_output(node: &Node, report: &mut Report) -> Option<u64> {
    node.whole(1..=OUTPUT_TOKENS_MAX, report)
}

fn variants(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Vec<Variant>> {
    let mut variants = Vec::new();
    for entry in node.bounded(VARIANTS_MAX, report)? {
        let sound = entry.defines(report);
        let Some(fields) = Fields::of(&entry.node, &VARIANT, report) else { continue };
        let when = fields.get("when").and_then(|node| {
            let when = node.referring("parameter", &names.parameters, report, values)?;
            if when.is_empty() {
                report.on_with(node, "no condition", "the model's own price is the one without conditions");
            }
            Some(when)
        });
        let price = fields.get("price").and_then(|node| prices(node, report));
        if let (true, Some(when), Some(prices)) = (sound, when, price) {
            variants.push(Variant { name: entry.key.clone(), when, prices });
        }
    }
    Some(variants)
}

/// Tiers of service, by the names that providers give them.
fn service_tiers(node: &Node, report: &mut Report) -> Option<Vec<ServiceTier>> {
    let mut tiers = Vec::new();
    for entry in node.bounded(SERVICE_TIERS_MAX, report)? {
        let mut sound = entry.defines(report);
        if NO_TIERS.contains(&entry.key.as_str()) || entry.key.len() > SERVICE_TIER_BYTES_MAX {
            let message = format!("no answer names the tier {}", quoted(&entry.key));
            let hint = "`priority`, `flex`, `batch` ...: `auto` is what requests ask for, not what they get";
            report.add(entry.mark, &entry.node.path, message, Some(hint.to_owned()));
            sound = false;
        }
        let Some(fields) = Fields::of(&entry.node, &SERVICE_TIER, report) else { continue };
        let factor = fields.or("factor", None, |node| factor(node, report).map(Some));
        let price = fields.or("price", None, |node| prices(node, report).map(Some));
        let cost = fields.or("cost", None, |node| prices(node, report).map(Some));
        if fields.get("factor").is_some() == fields.get("price").is_some() {
            let hint = "`factor: 0.5` is half of the model's price, `price` stands in its place";
            report.on_with(&entry.node, "needs a `factor` or a `price`, and not both", hint);
            sound = false;
        }
        if let (true, Some(factor), Some(prices), Some(cost)) = (sound, factor, price, cost) {
            tiers.push(ServiceTier { name: entry.key.clone(), factor, prices, cost });
        }
    }
    Some(tiers)
}

/// How many times a price: so few digits that a price times it is still one that can be added up.
fn factor(node: &Node, report: &mut Report) -> Option<Ratio> {
    let factor = node.decimal(report)?;
    let fine = factor.checked_mul(Ratio::whole(FACTOR_STEPS)).is_some_and(|steps| steps.parts().1 == 1);
    if !fine || factor > Ratio::whole(FACTOR_MAX) {
        report.on(
            node,
            format!("out of range: at most {FACTOR_MAX}, with at most four digits after the point"),
        );
        return None;
    }
    Some(factor)
}

/// The highest factor of a tier of service, and how many parts of one it may be told in.
const FACTOR_MAX: u64 = 100;
const FACTOR_STEPS: u64 = 10_000;
/// Names that no answer has.
const NO_TIERS: &[&str] = &["auto", "standard_only"];

/// One value, or a list of them.
fn values(node: &Node, report: &mut Report) -> Option<Vec<String>> {
    match node.value {
        Value::List(_) => {
            let values = node.set(report, Node::value)?;
            if values.is_empty() {
                report.on(node, "no value matches an empty list");
            }
            Some(values)
        }
        _ => node.value(report).map(|value| vec![value]),
    }
}

/// The most that a request may ask for where the catalog does not say: a text is as long as bodies may be.
fn most(parameter: &str, names: &Names<'_>) -> u64 {
    if names.texts.contains(&parameter) { QUANTITY_MAX } else { DEFAULT_QUANTITY_MAX }
}

fn quantities(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Vec<Stated>> {
    let mut stated = Vec::new();
    for entry in node.map(report)? {
        let meter = meter(entry, report);
        if meter == Some(Meter::Tokens) {
            let hint = "input is counted from the request and output from the answer";
            report.on_with(&entry.node, "requests do not state their `tokens`", hint);
            continue;
        }
        let read = quantity(&entry.node, names, report);
        if let (Some(meter), Some((parameter, default, max))) = (meter, read) {
            stated.push(Stated { meter, parameter, default, max });
        }
    }
    Some(stated)
}

/// `PARAMETER`, `NUMBER`, or `{parameter, default, max}`.
fn quantity(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<(Option<String>, u64, u64)> {
    if let Some(text) = node.plain_text() {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let always = node.whole(0..=QUANTITY_MAX, report)?;
            return Some((None, always, always));
        }
        let parameter = node.reference("parameter", &names.parameters, report)?;
        let max = most(&parameter, names);
        return Some((Some(parameter), DEFAULT_QUANTITY, max));
    }
    let fields = Fields::of(node, &QUANTITY, report)?;
    let whole = |node: &Node, report: &mut Report| node.whole(0..=QUANTITY_MAX, report);
    let parameter =
        fields.get("parameter").map(|node| node.reference("parameter", &names.parameters, report));
    let default = fields.or("default", DEFAULT_QUANTITY, |node| whole(node, report));
    let most =
        parameter.as_ref().and_then(Option::as_ref).map_or(DEFAULT_QUANTITY_MAX, |own| most(own, names));
    let max = fields.or("max", most, |node| node.whole(1..=QUANTITY_MAX, report));
    let (parameter, default, max) = (parameter.unwrap_or(Some(String::new()))?, default?, max?);
    if default > max {
        report.on(node, format!("the default {default} is above the most, {max}"));
    }
    Some((Some(parameter).filter(|name| !name.is_empty()), default, max))
}

/// Prices from dates on, of a model with these variants.
fn changes(node: &Node, own: &[&str], report: &mut Report) -> Option<Vec<DatedPrices>> {
    let mut last: Option<i64> = None;
    node.list(CHANGES_MAX, report, |node, report| {
        let fields = Fields::of(node, &CHANGE, report)?;
        let from = fields.get("from").and_then(|node| {
            let from = node.instant(report)?;
            if last.is_some_and(|last| from <= last) {
                report.on_with(
                    node,
                    "overlaps the one before it",
                    "in the order of their dates, each date once: each holds until the next begins",
                );
            }
            last = last.max(Some(from));
            Some(from)
        });
        let price = fields.or("price", None, |node| prices(node, report).map(Some));
        let variants =
            fields.or("variants", Vec::new(), |node| node.referring("variant", own, report, prices));
        if price == Some(None) && variants.as_ref().is_some_and(Vec::is_empty) {
            report.on_with(node, "changes nothing", "state `price`, or `variants` with theirs");
        }
        Some(DatedPrices { from: from?, prices: price?, variants: variants? })
    })
}

/// A plan's own prices: `MODEL: PRICE`, and `MODEL@VARIANT: PRICE`; `null` takes away what an extended plan has.
pub(super) fn own_prices(
    node: &Node,
    names: &Names<'_>,
    report: &mut Report,
) -> Option<Vec<(String, Option<Prices>)>> {
    let known: Vec<&str> =
        names.models.iter().copied().chain(names.variants.iter().map(String::as_str)).collect();
    node.referring("model", &known, report, |node, report| node.or_null(|node| prices(node, report)))
}

/// Which model each name and alias belongs to: none may mean two models.
struct Aliases<'t> {
    names: BTreeSet<&'t str>,
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

/// What a request asks for where it does not say.
const DEFAULT_QUANTITY: u64 = 1;
/// The most that a request may ask for where the catalog does not say.
const DEFAULT_QUANTITY_MAX: u64 = 1_000;
