//! One plan as the file states it; what it takes from another plan is in `extends`.

use super::cadence::{CADENCE, DraftCadence, GRANTS, cadences, grants};
use super::exhaustion::{EXHAUSTION, exhaustion};
use super::feature::header_problem;
use super::fields::Fields;
use super::limit::{LIMIT, limits};
use super::limits::{CAP_MAX, ENTRIES_MAX, OUTPUT_TOKENS_MAX};
use super::meant;
use super::model::own_prices;
use super::names::Names;
use super::price::PRICE;
use super::problem::{Report, quoted};
use super::rate::{RATE, patterns, rates};
use super::shape::{Field, Object, Shape};
use super::tree::{Entry, Mark, Node};
use crate::catalog::{Exhaustion, Grant, Limit, PlanRate};
use crate::money::Micros;
use crate::period::Period;
use crate::price::Prices;
use crate::ratio::Ratio;

/// A plan.
pub(super) static PLAN: Object = Object {
    name: "plan",
    about: "What accounts can be on.",
    fields: &[
        Field::new("title", Shape::Text, "Its name for people; as the name."),
        Field::new(
            "extends",
            Shape::Name,
            "The plan that it builds on. What it does not state it takes from there: entry by entry where names stand \
             before a colon, as a whole where there is a list or one value. Nothing is added up or compared.",
        ),
        Field::new("aliases", Shape::List(&Shape::Name), "Further names that API calls may use."),
        Field::new(
            "public",
            Shape::Flag,
            "Whether anyone may choose it; only public plans are offered in refusals; true.",
        ),
        Field::new(
            "price_usd",
            Shape::OrNull(&Shape::Amount),
            "The price of one cycle in US dollars; `null`: on request.",
        ),
        Field::new(
            "cycle",
            Shape::Period,
            "How long a billing cycle is: how often it is paid and grants; P1M.",
        ),
        Field::new("grants", GRANTS, "Credits that come with each cycle, by pool."),
        Field::new(
            "cadences",
            Shape::Map("cadence", &Shape::OrNull(&Shape::Of(&CADENCE))),
            "Further ways to take it, by name (`yearly`); `null` takes away what an extended plan has.",
        ),
        Field::new(
            "factors",
            Shape::Map("pool", &Shape::Decimal),
            "What a credit's worth of use takes of a pool: 0.85 is 15 % off; 1.",
        ),
        Field::new("rates", Shape::List(&Shape::Of(&RATE)), "How fast requests may come; at most 4."),
        Field::new("limits", Shape::List(&Shape::Of(&LIMIT)), "How much may be used in a window of time."),
        Field::new("models", Shape::List(&Shape::Pattern), "The models that it offers; all."),
        Field::new("features", Shape::List(&Shape::Name), "The features that it has."),
        Field::new(
            "levels",
            Shape::Map("feature", &Shape::OrNull(&Shape::Name)),
            "The features with levels that it has, and at which level; `null` takes away what an extended plan has.",
        ),
        Field::new(
            "forward",
            Shape::Map("header", &Shape::OrNull(&Shape::Text)),
            "Headers that its requests carry upstream, beside those of levels; `null` takes away what an extended plan has.",
        ),
        Field::new(
            "prices",
            Shape::Map("model", &Shape::OrNull(&Shape::Of(&PRICE))),
            "Prices in the place of the models' own: of a MODEL, its variants included, or of MODEL@VARIANT alone; \
             `null` takes away what an extended plan has.",
        ),
        Field::new(
            "resources",
            Shape::Map("resource", &Shape::OrNull(&Shape::Whole(0, CAP_MAX))),
            "How many of a thing an account may have at one time (`api_keys`); `null` is unlimited.",
        ),
        Field::new(
            "request_limits",
            Shape::Map("parameter", &Shape::OrNull(&Shape::Whole(0, CAP_MAX))),
            "Bounds on what one request may ask for, by parameter; `null` is unlimited.",
        ),
        Field::new(
            "exhaustion",
            Shape::Of(&EXHAUSTION),
            "What happens when the credits are gone; as the catalog's.",
        ),
        Field::new(
            "max_tokens",
            Shape::OrNull(&Shape::Whole(1, OUTPUT_TOKENS_MAX)),
            "Upper bound for the output tokens of one request; none.",
        ),
        Field::new(
            "enforce",
            Shape::Flag,
            "False: shadow mode; everything is counted, nothing refused; true.",
        ),
        Field::new(
            "fail_open",
            Shape::OrNull(&Shape::Of(&FAIL_OPEN)),
            "What a gateway may admit beyond its lease while the ledger cannot be reached, in each outage; nothing.",
        ),
    ],
};

static FAIL_OPEN: Object = Object {
    name: "fail_open",
    about: "What a gateway may admit while the ledger cannot be reached.",
    fields: &[Field::required(
        "credits",
        Shape::Amount,
        "Credits of each account, on each gateway, in each outage.",
    )],
};

/// A plan's own statements; nothing stands for what it does not state.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) mark: Option<Mark>,
    pub(super) path: String,
    pub(super) extends: Option<Parent>,
    pub(super) title: Option<String>,
    pub(super) aliases: Vec<String>,
    pub(super) public: Option<bool>,
    pub(super) price_usd: Option<Option<Micros>>,
    pub(super) cycle: Option<Period>,
    pub(super) grants: Vec<Grant>,
    pub(super) cadences: Vec<(String, Option<DraftCadence>)>,
    pub(super) factors: Vec<(String, Ratio)>,
    pub(super) rates: Option<Vec<PlanRate>>,
    pub(super) limits: Option<Vec<Limit>>,
    pub(super) models: Option<Vec<String>>,
    pub(super) features: Option<Vec<String>>,
    pub(super) levels: Vec<(String, Option<String>)>,
    pub(super) forward: Vec<(String, Option<String>)>,
    pub(super) prices: Vec<(String, Option<Prices>)>,
    pub(super) resources: Vec<(String, Option<u64>)>,
    pub(super) request_limits: Vec<(String, Option<u64>)>,
    pub(super) exhaustion: Option<Exhaustion>,
    pub(super) enforce: Option<bool>,
    pub(super) max_tokens: Option<Option<u64>>,
    pub(super) fail_open: Option<Option<Micros>>,
}

/// The plan that another one builds on, and where that is said.
pub(super) struct Parent {
    pub(super) name: String,
    pub(super) mark: Mark,
    pub(super) path: String,
}

/// Reads one plan. There is always a draft, so that others may still refer to it.
pub(super) fn draft(entry: &Entry, names: &Names<'_>, report: &mut Report) -> Draft {
    entry.defines(report);
    let nameless = Draft {
        name: entry.key.clone(),
        mark: Some(entry.mark),
        path: entry.node.path.clone(),
        ..Draft::default()
    };
    let Some(fields) = Fields::of(&entry.node, &PLAN, report) else { return nameless };
    let caps = |name: &str, report: &mut Report| {
        fields.get(name).and_then(|node| node.named(report, cap)).unwrap_or_default()
    };
    Draft {
        extends: fields.get("extends").and_then(|node| parent(node, names, report)),
        title: fields.get("title").and_then(|node| node.text(report)),
        aliases: fields.get("aliases").and_then(|node| node.set(report, Node::name)).unwrap_or_default(),
        public: fields.get("public").and_then(|node| node.flag(report)),
        price_usd: fields.get("price_usd").and_then(|node| node.or_null(|node| node.amount(report))),
        cycle: fields.get("cycle").and_then(|node| node.period(report)),
        grants: fields.get("grants").and_then(|node| grants(node, names, report)).unwrap_or_default(),
        cadences: fields.get("cadences").map(|node| cadences(node, names, report)).unwrap_or_default(),
        factors: fields
            .get("factors")
            .and_then(|node| node.referring("pool", &names.pools, report, factor))
            .unwrap_or_default(),
        rates: fields.get("rates").and_then(|node| rates(node, names, report)),
        limits: fields.get("limits").and_then(|node| limits(node, names, report)),
        models: fields.get("models").and_then(|node| patterns(node, names, report)),
        features: fields.get("features").and_then(|node| features(node, names, report)),
        levels: fields.get("levels").map(|node| levels(node, names, report)).unwrap_or_default(),
        forward: fields.get("forward").map(|node| forward(node, report)).unwrap_or_default(),
        prices: fields.get("prices").and_then(|node| own_prices(node, names, report)).unwrap_or_default(),
        resources: caps("resources", report),
        request_limits: caps("request_limits", report),
        exhaustion: fields.get("exhaustion").and_then(|node| exhaustion(node, report)),
        enforce: fields.get("enforce").and_then(|node| node.flag(report)),
        max_tokens: fields
            .get("max_tokens")
            .and_then(|node| node.or_null(|node| node.whole(1..=OUTPUT_TOKENS_MAX, report))),
        fail_open: fields.get("fail_open").and_then(|node| node.or_null(|node| fail_open(node, report))),
        ..nameless
    }
}

fn parent(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Parent> {
    let name = node.reference("plan", &names.plans, report)?;
    Some(Parent { name, mark: node.mark, path: node.path.clone() })
}

/// A number, or `null` for no bound.
fn cap(node: &Node, report: &mut Report) -> Option<Option<u64>> {
    node.or_null(|node| node.whole(0..=CAP_MAX, report))
}

/// A factor above 0 and up to 1: a pool at factor 0 would never run dry, and one above 1 would let a
/// hold at base price draw more than was held.
fn factor(node: &Node, report: &mut Report) -> Option<Ratio> {
    if let Some(hint) = node.plain_text().and_then(meant::rest) {
        report.on_with(node, "a factor is what is paid of a price", hint);
        return None;
    }
    let factor = node.decimal(report)?;
    if factor.is_zero() || factor > Ratio::ONE {
        report.on_with(node, "must be above 0 and at most 1", "0.85 is 15 % off");
        return None;
    }
    Some(factor)
}

/// Features without levels; those with levels have a place of their own.
fn features(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Vec<String>> {
    node.set(report, |node, report| {
        let feature = node.reference("feature", &names.features, report)?;
        let gate = names.gates.iter().find(|gate| gate.feature == feature);
        if let Some(level) = gate.and_then(|gate| gate.levels.first()) {
            let message = format!("{} has levels; which one is not said", quoted(&feature));
            report.on_with(node, message, format!("levels: {{{feature}: {level}}}"));
        }
        Some(feature)
    })
}

fn levels(node: &Node, names: &Names<'_>, report: &mut Report) -> Vec<(String, Option<String>)> {
    let mut levels = Vec::new();
    for entry in node.bounded(ENTRIES_MAX, report).unwrap_or_default() {
        let Some(gate) = names.gates.iter().find(|gate| gate.feature == entry.key) else {
            let hint = super::problem::suggestion(&entry.key, names.features.iter().copied());
            report.add(entry.mark, &entry.node.path, format!("unknown feature {}", quoted(&entry.key)), hint);
            continue;
        };
        if gate.levels.is_empty() {
            let message = format!("{} has no levels", quoted(&entry.key));
            report.on_with(&entry.node, message, "name it under `features`");
            continue;
        }
        let known: Vec<&str> = gate.levels.iter().map(String::as_str).collect();
        let level = entry.node.or_null(|node| node.reference("level", &known, report));
        levels.extend(level.map(|level| (entry.key.clone(), level)));
    }
    levels
}

fn forward(node: &Node, report: &mut Report) -> Vec<(String, Option<String>)> {
    let mut forward = Vec::new();
    for entry in node.bounded(ENTRIES_MAX, report).unwrap_or_default() {
        if let Some(problem) = header_problem(&entry.key) {
            report.add(entry.mark, &entry.node.path, format!("{} {problem}", quoted(&entry.key)), None);
        }
        let value = entry.node.or_null(|node| header_value(node, report));
        forward.extend(value.map(|value| (entry.key.clone(), value)));
    }
    forward
}

fn header_value(node: &Node, report: &mut Report) -> Option<String> {
    let value = node.text(report)?;
    if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        report.on(node, "a header's value is visible ASCII");
        return None;
    }
    Some(value)
}

/// What a node admits while the ledger cannot be reached; 0 is as much as not to say it.
fn fail_open(node: &Node, report: &mut Report) -> Option<Micros> {
    let fields = Fields::of(node, &FAIL_OPEN, report)?;
    fields.get("credits")?.amount(report)
}

const _: () = assert!(PLAN.fields.len() <= ENTRIES_MAX, "a plan may state all of its fields");
