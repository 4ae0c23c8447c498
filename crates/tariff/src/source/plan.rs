//! One plan as the file states it; what it takes from another plan is in `extends`.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::limits::{CAP_MAX, ENTRIES_MAX, OUTPUT_TOKENS_MAX, RATE_AMOUNT_MAX};
use super::problem::{Report, quoted};
use super::tree::{Entry, Mark, Node};
use crate::catalog::{Model, PlanRate};
use crate::glob;
use crate::meter::Meter;
use crate::money::Micros;
use crate::period::Period;
use crate::policy::{RATES_MAX, Scope};
use crate::ratio::Ratio;

/// What the plans refer to.
pub(super) struct Context<'a> {
    /// The names of the catalog's pools.
    pub(super) pools: &'a [&'a str],
    /// The names of the catalog's features.
    pub(super) features: &'a [&'a str],
    /// The names of the catalog's models, read or not.
    pub(super) models: &'a [&'a str],
    /// The names of all plans.
    pub(super) plans: &'a [&'a str],
}

/// A plan's own statements; nothing stands for what it does not state.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) extends: Option<Parent>,
    pub(super) title: Option<String>,
    pub(super) public: Option<bool>,
    pub(super) price_usd: Option<Option<Micros>>,
    pub(super) cycle: Option<Period>,
    pub(super) grants: Vec<(String, Micros)>,
    pub(super) factors: Vec<(String, Ratio)>,
    pub(super) rates: Option<Vec<PlanRate>>,
    pub(super) models: Option<Vec<String>>,
    pub(super) features: Option<Vec<String>>,
    pub(super) resources: BTreeMap<String, Option<u64>>,
    pub(super) request_limits: BTreeMap<String, Option<u64>>,
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

const FIELDS: [&str; 15] = [
    "extends",
    "title",
    "public",
    "price_usd",
    "cycle",
    "grants",
    "factors",
    "rates",
    "models",
    "features",
    "resources",
    "request_limits",
    "enforce",
    "max_tokens",
    "fail_open",
];

/// Reads one plan. There is always a draft, so that others may still refer to it.
pub(super) fn draft(entry: &Entry, context: &Context<'_>, report: &mut Report) -> Draft {
    entry.defines(report);
    let nameless = Draft { name: entry.key.clone(), ..Draft::default() };
    let Some(fields) = Fields::of(&entry.node, &FIELDS, report) else { return nameless };
    let caps = |name: &str, report: &mut Report| {
        let caps = fields.get(name).and_then(|node| node.named(report, cap));
        caps.unwrap_or_default().into_iter().collect()
    };
    Draft {
        extends: fields.get("extends").and_then(|node| parent(node, context, report)),
        title: fields.get("title").and_then(|node| node.text(report)),
        public: fields.get("public").and_then(|node| node.flag(report)),
        price_usd: fields.get("price_usd").and_then(|node| node.or_null(|node| node.amount(report))),
        cycle: fields.get("cycle").and_then(|node| node.period(report)),
        grants: fields
            .get("grants")
            .and_then(|node| node.referring("pool", context.pools, report, Node::amount))
            .unwrap_or_default(),
        factors: fields
            .get("factors")
            .and_then(|node| node.referring("pool", context.pools, report, factor))
            .unwrap_or_default(),
        rates: fields.get("rates").and_then(|node| rates(node, context, report)),
        models: fields.get("models").and_then(|node| patterns(node, context, report)),
        features: fields.get("features").and_then(|node| {
            node.set(report, |node, report| node.reference("feature", context.features, report))
        }),
        resources: caps("resources", report),
        request_limits: caps("request_limits", report),
        enforce: fields.get("enforce").and_then(|node| node.flag(report)),
        max_tokens: fields
            .get("max_tokens")
            .and_then(|node| node.or_null(|node| node.whole(1..=OUTPUT_TOKENS_MAX, report))),
        fail_open: fields.get("fail_open").and_then(|node| node.or_null(|node| fail_open(node, report))),
        ..nameless
    }
}

fn parent(node: &Node, context: &Context<'_>, report: &mut Report) -> Option<Parent> {
    let name = node.reference("plan", context.plans, report)?;
    Some(Parent { name, mark: node.mark, path: node.path.clone() })
}

/// A number, or `null` for no bound.
fn cap(node: &Node, report: &mut Report) -> Option<Option<u64>> {
    node.or_null(|node| node.whole(0..=CAP_MAX, report))
}

/// A factor above 0 and up to 1: a pool at factor 0 would never run dry, and one above 1 would let a
/// hold at base price draw more than was held.
fn factor(node: &Node, report: &mut Report) -> Option<Ratio> {
    let factor = node.decimal(report)?;
    if factor.is_zero() || factor > Ratio::ONE {
        report.on_with(node, "must be above 0 and at most 1", "0.85 is 15 % off");
        return None;
    }
    Some(factor)
}

/// What a node admits while the ledger cannot be reached; 0 is as much as not to say it.
fn fail_open(node: &Node, report: &mut Report) -> Option<Micros> {
    let fields = Fields::of(node, &["credits"], report)?;
    fields.require("credits", report)?.amount(report)
}

fn rates(node: &Node, context: &Context<'_>, report: &mut Report) -> Option<Vec<PlanRate>> {
    let mut ids: Vec<String> = Vec::new();
    node.list(RATES_MAX, report, |node, report| {
        let rate = rate(node, context, report)?;
        if ids.contains(&rate.id) {
            report.on(node, format!("a second rate with the id {}", quoted(&rate.id)));
        }
        ids.push(rate.id.clone());
        Some(rate)
    })
}

fn rate(node: &Node, context: &Context<'_>, report: &mut Report) -> Option<PlanRate> {
    let fields = Fields::of(node, &["id", "max", "per", "burst", "meter", "models", "scope"], report)?;
    let id = fields.require("id", report).and_then(|node| node.name(report));
    let max = fields.require("max", report).and_then(|node| node.whole(1..=RATE_AMOUNT_MAX, report));
    let per = fields.require("per", report).and_then(|node| per_ms(node, report));
    let burst = fields.get("burst").map(|node| node.whole(1..=RATE_AMOUNT_MAX, report));
    let meter = fields.get("meter").map(|node| node.word("meter of a rate", &METERS, report));
    let models = fields.get("models").map(|node| patterns(node, context, report));
    let scope = fields.get("scope").map(|node| node.word("scope of a rate", &SCOPES, report));
    Some(PlanRate {
        id: id?,
        amount: max?,
        per_ms: per?,
        burst: burst.unwrap_or(max)?,
        meter: meter.unwrap_or(Some(Meter::Requests))?,
        models: models.unwrap_or_else(|| Some(vec![Model::ANY.to_owned()]))?,
        scope: scope.unwrap_or(Some(Scope::Account))?,
    })
}

/// A period of fixed length: a word, or ISO 8601 without months and days.
fn per_ms(node: &Node, report: &mut Report) -> Option<u64> {
    let text = node.plain_text().unwrap_or_default();
    if let Some((_, ms)) = PERIODS.iter().find(|(word, _)| *word == text) {
        return Some(*ms);
    }
    let ms = node.period(report)?.fixed_ms();
    if ms.is_none() {
        report.on_with(
            node,
            "a rate's period has a fixed length",
            "second, minute, hour, day, or such as PT10S",
        );
    }
    ms
}

/// Patterns over the names of models, each of which must mean at least one: what no pattern names
/// has no price.
fn patterns(node: &Node, context: &Context<'_>, report: &mut Report) -> Option<Vec<String>> {
    node.set(report, |node, report| {
        let pattern = node.pattern(report)?;
        if !context.models.iter().any(|model| glob::matches(&pattern, model)) {
            let hint = super::problem::suggestion(&pattern, context.models.iter().copied());
            let message = format!("no model has the name {}, so there is no price for it", quoted(&pattern));
            report.add(node.mark, &node.path, message, hint);
        }
        Some(pattern)
    })
}

/// What a rate may count: what the edge takes from it at admission. Other words are refused, since a
/// rate that is read and not enforced would be worse than none.
const METERS: [(&str, Meter); 1] = [("requests", Meter::Requests)];
/// Whose requests a rate may count, by the same rule.
const SCOPES: [(&str, Scope); 1] = [("account", Scope::Account)];
const PERIODS: [(&str, u64); 4] =
    [("second", 1_000), ("minute", 60_000), ("hour", 3_600_000), ("day", 86_400_000)];
const _: () = assert!(FIELDS.len() <= ENTRIES_MAX, "a plan may state all of its fields");
