//! Limits of plans, and what lifts them: bypasses and exempt traffic.

use super::fields::Fields;
use super::limits::{CAP_MAX, ENTRIES_MAX, LIMITS_MAX, RULES_MAX};
use super::meant;
use super::names::Names;
use super::problem::{Report, quoted};
use super::rate::{SCOPES, patterns, scopes};
use super::scalar::{NAME_HINT, is_name};
use super::shape::{Field, Object, Shape, words};
use super::tree::{Node, Value};
use crate::catalog::{Bypass, Counted, Exempt, Limit, Measure, Model, OnExceed, Window};
use crate::meter::Meter;
use crate::money::Micros;
use crate::policy::Scope;

/// A limit.
pub(super) static LIMIT: Object = Object {
    name: "limit",
    about: "How much may be used in a window of time. A window ends by itself; nothing is reset.",
    fields: &[
        Field::required(
            "meter",
            Shape::Words(measures),
            "What it counts: `credits` (at base price), `cost_usd` (the provider's, by the models' `cost`), `requests`, or \
             another meter.",
        ),
        Field::required(
            "window",
            Shape::Either(&[Shape::Words(windows), Shape::Period]),
            "`cycle` (the account's billing cycle), the calendar `day`, `week` (from Monday) or `month` in the account's \
             time zone, or windows of a length such as P7D, counted from the start of the billing cycle.",
        ),
        Field::required("max", Shape::OrNull(&Shape::Amount), "The most in one window; `null` is unlimited."),
        Field::new(
            "id",
            Shape::NamePath,
            "Its name in refusals, balances and notices; METER/WINDOW (`requests/day`). It may contain `/`.",
        ),
        Field::new(
            "on_exceed",
            Shape::Words(reactions),
            "At the cap: `deny402` (a larger plan would help), `deny429` (only time does), or `skip_pool`: the pools that \
             it bounds give nothing more in this window, and others pay; `deny402`.",
        ),
        Field::new("pools", Shape::List(&Shape::Name), "The pools that it bounds; all."),
        Field::new("models", Shape::List(&Shape::Pattern), "The models whose requests count; all."),
        Field::new(
            "count",
            Shape::Words(counts),
            "Which requests count: all that were `admitted`, or those that were `delivered`; `delivered`.",
        ),
        Field::new(
            "notify",
            Shape::List(&Shape::Whole(1, 100)),
            "Percentages whose crossing sends a notice, each once per window; none.",
        ),
        Field::new("scope", Shape::Words(scopes), "Whose requests share it; `account`."),
    ],
};

/// What a positive balance lifts.
pub(super) static BYPASS: Object = Object {
    name: "bypass",
    about: "What an account may do beyond its plan while a pool of its has anything in it.",
    fields: &[
        Field::required(
            "pool",
            Shape::Name,
            "The pool whose balance must be above zero; what is held counts as there.",
        ),
        Field::required(
            "lifts",
            Shape::List(&Shape::Words(lifted)),
            "`rates`: they are not enforced. `models`: every model is open; those that are not the plan's are paid from \
             this pool alone.",
        ),
    ],
};

/// Traffic that limits leave out.
pub(super) static EXEMPT: Object = Object {
    name: "exempt",
    about: "Traffic that does not count towards certain meters.",
    fields: &[
        Field::required(
            "auth_classes",
            Shape::List(&Shape::Name),
            "Classes of API keys (`dashboard`, `mcp`).",
        ),
        Field::required(
            "meters",
            Shape::List(&Shape::Words(measures)),
            "The meters that its requests do not count towards.",
        ),
    ],
};

/// The limits of a plan.
pub(super) fn limits(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Vec<Limit>> {
    let mut ids: Vec<String> = Vec::new();
    node.list(LIMITS_MAX, report, |node, report| {
        let limit = limit(node, names, report)?;
        if ids.contains(&limit.id) {
            let message = format!("a second limit with the id {}", quoted(&limit.id));
            report.on_with(node, message, "give one of them an `id`");
        }
        ids.push(limit.id.clone());
        Some(limit)
    })
}

fn limit(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Limit> {
    let fields = Fields::of(node, &LIMIT, report)?;
    let measure = fields.get("meter").and_then(|node| measure(node, report));
    let window = fields.get("window").and_then(|node| window(node, report));
    let max = fields.get("max").and_then(|node| max(node, measure?, report));
    let own_id = fields.or("id", None, |node| id(node, report).map(Some));
    let on_exceed =
        fields.or("on_exceed", OnExceed::default(), |node| node.word("reaction", &REACTIONS, report));
    let pools = fields.or("pools", Vec::new(), |node| {
        node.set(report, |node, report| node.reference("pool", &names.pools, report))
    });
    let models = fields.or("models", vec![Model::ANY.to_owned()], |node| patterns(node, names, report));
    let count = fields.or("count", Counted::default(), |node| node.word("way of counting", &COUNTS, report));
    let notify = fields.or("notify", Vec::new(), |node| notify(node, report));
    let scope = fields.or("scope", Scope::Account, |node| node.word("scope of a limit", &SCOPES, report));
    if let (Some(Measure::Credits | Measure::Cost), Some(Counted::Admitted), Some(node)) =
        (measure, count, fields.get("count"))
    {
        report.on_with(node, "what was not delivered has no price", "leave it out, or count `requests`");
    }
    let (measure, window) = (measure?, window?);
    Some(Limit {
        id: own_id?.unwrap_or_else(|| format!("{}/{}", measure_name(measure), window_name(window))),
        measure,
        window,
        max: max?,
        models: models?,
        pools: pools?,
        scope: scope?,
        on_exceed: on_exceed?,
        count: count?,
        notify: notify?,
    })
}

fn measure(node: &Node, report: &mut Report) -> Option<Measure> {
    let table: Vec<(&str, Measure)> =
        measures().into_iter().filter_map(|word| Some((word, measure_of(word)?))).collect();
    node.word("meter of a limit", &table, report)
}

fn measure_of(word: &str) -> Option<Measure> {
    match word {
        CREDITS => Some(Measure::Credits),
        COST => Some(Measure::Cost),
        meter => Meter::parse(meter).map(Measure::Meter),
    }
}

/// A measure's word in files.
pub(super) const fn measure_name(measure: Measure) -> &'static str {
    match measure {
        Measure::Credits => CREDITS,
        Measure::Cost => COST,
        Measure::Meter(meter) => meter.as_str(),
    }
}

fn window(node: &Node, report: &mut Report) -> Option<Window> {
    match node.plain_text() {
        Some(text) if !text.starts_with('P') => {
            let known = WINDOWS.iter().any(|(word, _)| *word == text);
            match meant::window(text).filter(|_| !known) {
                Some(hint) => {
                    report.on_with(node, format!("unknown window {}", quoted(text)), hint);
                    None
                }
                None => node.word("window", &WINDOWS, report),
            }
        }
        _ => node.period(report).map(Window::Anchored),
    }
}

fn window_name(window: Window) -> String {
    match window {
        Window::Anchored(period) => period.to_string().to_ascii_lowercase(),
        named => WINDOWS
            .iter()
            .find(|(_, own)| *own == named)
            .map(|(word, _)| (*word).to_owned())
            .unwrap_or_default(),
    }
}

/// The most, in millionths: amounts of money have digits after the point, counts have none.
fn max(node: &Node, measure: Measure, report: &mut Report) -> Option<Option<Micros>> {
    node.or_null(|node| match measure {
        Measure::Credits | Measure::Cost => node.amount(report),
        Measure::Meter(_) => {
            let count = node.whole(0..=CAP_MAX, report)?;
            i64::try_from(count).ok()?.checked_mul(Micros::PER_CREDIT).map(Micros)
        }
    })
}

/// Names joined by slashes.
fn id(node: &Node, report: &mut Report) -> Option<String> {
    let text = node.value(report)?;
    if !text.split('/').all(is_name) {
        report.on_with(node, format!("{} is not a limit's name", quoted(&text)), NAME_HINT);
        return None;
    }
    Some(text)
}

fn notify(node: &Node, report: &mut Report) -> Option<Vec<u8>> {
    let mut last = 0;
    node.list(ENTRIES_MAX, report, |node, report| {
        let percent = node.whole(1..=100, report)?;
        if percent <= last {
            report.on_with(node, "not above the one before it", "notify: [80, 100]");
        }
        last = percent;
        u8::try_from(percent).ok()
    })
}

/// What positive balances lift.
pub(super) fn bypasses(node: &Node, names: &Names<'_>, report: &mut Report) -> Vec<Bypass> {
    let read = |node: &Node, report: &mut Report| {
        let fields = Fields::of(node, &BYPASS, report)?;
        let pool = fields.get("pool").and_then(|node| node.reference("pool", &names.pools, report));
        let lifts = fields.get("lifts").and_then(|lifts| {
            if matches!(&lifts.value, Value::List(items) if items.is_empty()) {
                report.on_with(lifts, "lifts nothing", "lifts: [rates, models]");
            }
            lifts.list(LIFTED.len(), report, |node, report| node.word("thing to lift", &LIFTED, report))
        });
        let (pool, lifts) = (pool?, lifts?);
        Some(Bypass { pool, rates: lifts.contains(&Lifted::Rates), models: lifts.contains(&Lifted::Models) })
    };
    node.list(RULES_MAX, report, read).unwrap_or_default()
}

/// Traffic that limits leave out.
pub(super) fn exempt(node: &Node, report: &mut Report) -> Vec<Exempt> {
    let read = |node: &Node, report: &mut Report| {
        let fields = Fields::of(node, &EXEMPT, report)?;
        let auth_classes = fields.get("auth_classes").and_then(|node| node.set(report, Node::name));
        let meters = fields.get("meters").and_then(|node| node.list(ENTRIES_MAX, report, measure));
        Some(Exempt { auth_classes: auth_classes?, measures: meters? })
    };
    node.list(RULES_MAX, report, read).unwrap_or_default()
}

/// What a bypass can lift.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lifted {
    Rates,
    Models,
}

const CREDITS: &str = "credits";
const COST: &str = "cost_usd";
const LIFTED: [(&str, Lifted); 2] = [("rates", Lifted::Rates), ("models", Lifted::Models)];
const WINDOWS: [(&str, Window); 4] =
    [("cycle", Window::Cycle), ("day", Window::Day), ("week", Window::Week), ("month", Window::Month)];
const REACTIONS: [(&str, OnExceed); 3] =
    [("deny402", OnExceed::Deny402), ("deny429", OnExceed::Deny429), ("skip_pool", OnExceed::SkipPool)];
const COUNTS: [(&str, Counted); 2] = [("admitted", Counted::Admitted), ("delivered", Counted::Delivered)];

fn measures() -> Vec<&'static str> {
    [CREDITS, COST].into_iter().chain(Meter::ALL.iter().map(|meter| meter.as_str())).collect()
}

fn windows() -> Vec<&'static str> {
    words(&WINDOWS)
}

fn reactions() -> Vec<&'static str> {
    words(&REACTIONS)
}

fn counts() -> Vec<&'static str> {
    words(&COUNTS)
}

fn lifted() -> Vec<&'static str> {
    words(&LIFTED)
}
