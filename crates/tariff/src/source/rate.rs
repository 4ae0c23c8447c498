//! Rates: how fast requests may come, of plans and of cohorts.

use super::fields::Fields;
use super::limits::{ENTRIES_MAX, RATE_AMOUNT_MAX};
use super::meant;
use super::names::Names;
use super::problem::{Report, quoted, suggestion};
use super::shape::{Field, Object, Shape, words};
use super::tree::{Node, Value};
use crate::catalog::{Model, PlanRate};
use crate::glob;
use crate::meter::Meter;
use crate::policy::{RATES_MAX, Scope};

/// A rate.
pub(super) static RATE: Object = Object {
    name: "rate",
    about: "So many requests in a short time, refilled evenly; above it the answer is 429.",
    fields: &[
        Field::required("id", Shape::Name, "Its name in refusals and `RateLimit` headers (`rpm`)."),
        Field::required("max", Shape::Whole(1, RATE_AMOUNT_MAX), "Units per period."),
        Field::required(
            "per",
            Shape::Either(&[Shape::Words(periods), Shape::Period]),
            "The period: `second`, `minute`, `hour`, `day`, or such as PT10S.",
        ),
        Field::new(
            "burst",
            Shape::Whole(1, RATE_AMOUNT_MAX),
            "How many may come at once after a rest; as `max`.",
        ),
        Field::new("models", Shape::List(&Shape::Pattern), "The models whose requests it counts; all."),
        Field::new(
            "meter",
            Shape::Words(meters),
            "What it counts: `requests`, or what is known of each once it is answered (`pages`, `output_tokens`): then the rate \
             may be overdrawn, and refuses until it has refilled; `requests`.",
        ),
        Field::new("scope", Shape::Words(scopes), "Whose requests share it; `account`."),
    ],
};

/// The rates of a list.
pub(super) fn rates(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Vec<PlanRate>> {
    let mut ids: Vec<String> = Vec::new();
    if let Value::List(items) = &node.value
        && items.len() > RATES_MAX
    {
        let message = format!("{} rates; {RATES_MAX} are the most that a gateway keeps", items.len());
        report.on_with(node, message, "one rate can count several models");
    }
    node.list(ENTRIES_MAX, report, |node, report| {
        let rate = rate(node, names, report)?;
        if ids.contains(&rate.id) {
            report.on(node, format!("a second rate with the id {}", quoted(&rate.id)));
        }
        ids.push(rate.id.clone());
        Some(rate)
    })
}

fn rate(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<PlanRate> {
    let fields = Fields::of(node, &RATE, report)?;
    let id = fields.get("id").and_then(|node| node.name(report));
    let max = fields.get("max").and_then(|node| node.whole(1..=RATE_AMOUNT_MAX, report));
    let per = fields.get("per").and_then(|node| per_ms(node, report));
    let burst = fields.get("burst").map(|node| node.whole(1..=RATE_AMOUNT_MAX, report));
    let meter = fields.or("meter", Meter::Requests, |node| node.word("meter of a rate", &table(), report));
    let models = fields.or("models", vec![Model::ANY.to_owned()], |node| patterns(node, names, report));
    let scope = fields.or("scope", Scope::Account, |node| node.word("scope of a rate", &SCOPES, report));
    Some(PlanRate {
        id: id?,
        amount: max?,
        per_ms: per?,
        burst: burst.unwrap_or(max)?,
        meter: meter?,
        models: models?,
        scope: scope?,
    })
}

/// A period of fixed length: a word, or ISO 8601 without months and days.
fn per_ms(node: &Node, report: &mut Report) -> Option<u64> {
    let text = node.plain_text().unwrap_or_default();
    if let Some((_, ms)) = PERIODS.iter().find(|(word, _)| *word == text) {
        return Some(*ms);
    }
    if let Some(hint) = meant::pace(text) {
        report.on_with(node, format!("unknown period {}", quoted(text)), hint);
        return None;
    }
    let ms = node.period(report)?.fixed_ms();
    if ms.is_none() {
        report.on_with(
            node,
            "a rate's period has a fixed length",
            "second, minute, hour, day, or such as PT10S; for months and weeks there are limits",
        );
    }
    ms
}

/// Patterns over the names of models, each of which must mean at least one: what no pattern names
/// has no price.
pub(super) fn patterns(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Vec<String>> {
    node.set(report, |node, report| {
        let pattern = node.pattern(report)?;
        if !names.models.iter().any(|model| glob::matches(&pattern, model)) {
            let hint = suggestion(&pattern, names.models.iter().copied());
            let message = format!("no model has the name {}, so there is no price for it", quoted(&pattern));
            report.add(node.mark, &node.path, message, hint);
        }
        Some(pattern)
    })
}

/// Whose requests a rate or limit may count: what the edge enforces. Other words are refused, since a rate that is
/// read and not enforced would be worse than none.
pub(super) const SCOPES: [(&str, Scope); 1] = [("account", Scope::Account)];
const PERIODS: [(&str, u64); 4] =
    [("second", 1_000), ("minute", 60_000), ("hour", 3_600_000), ("day", 86_400_000)];

fn meters() -> Vec<&'static str> {
    Meter::ALL.iter().map(|meter| meter.as_str()).collect()
}

fn table() -> Vec<(&'static str, Meter)> {
    Meter::ALL.iter().map(|meter| (meter.as_str(), *meter)).collect()
}

pub(super) fn scopes() -> Vec<&'static str> {
    words(&SCOPES)
}

fn periods() -> Vec<&'static str> {
    words(&PERIODS)
}
