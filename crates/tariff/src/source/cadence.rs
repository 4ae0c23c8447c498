//! What plans grant, and further ways to take them.

use super::fields::Fields;
use super::limits::ENTRIES_MAX;
use super::names::Names;
use super::problem::{Report, quoted};
use super::shape::{Field, Object, Shape, words};
use super::tree::{Entry, Mark, Node, Value};
use crate::catalog::{Bonus, BonusOn, Cadence, Grant};
use crate::money::Micros;
use crate::period::Period;
use crate::ratio::Ratio;

/// A grant, written out.
pub(super) static GRANT: Object = Object {
    name: "grant",
    about: "Credits that come with a cycle. The amount alone will do where nothing else is said.",
    fields: &[
        Field::required(
            "amount",
            Shape::Amount,
            "How much, without the bonus; 0 takes away what an extended plan grants.",
        ),
        Field::new(
            "bonus",
            Shape::Either(&[Shape::Decimal, Shape::Of(&BONUS)]),
            "The part of the amount that comes on top, in the same lot: 0.2 is +20 %.",
        ),
        Field::new(
            "once",
            Shape::Flag,
            "Whether it comes with the account's first cycle on the plan alone; false.",
        ),
    ],
};

static BONUS: Object = Object {
    name: "bonus",
    about: "What a grant gives on top. The rate alone will do where it comes with every cycle.",
    fields: &[
        Field::required("rate", Shape::Decimal, "The part of the amount."),
        Field::new(
            "given",
            Shape::Words(occasions),
            "`every_cycle`, or `renewal_only`: not with the first cycle; `every_cycle`.",
        ),
    ],
};

/// Grants by pool.
pub(super) const GRANTS: Shape = Shape::Map("pool", &Shape::Either(&[Shape::Amount, Shape::Of(&GRANT)]));

/// A further way to take a plan.
pub(super) static CADENCE: Object = Object {
    name: "cadence",
    about: "A further way to take a plan, beside the one that its own price, cycle and grants are: yearly, or a pass.",
    fields: &[
        Field::required("billing", Shape::Period, "How often it is paid (P1Y)."),
        Field::required(
            "price_usd",
            Shape::OrNull(&Shape::Amount),
            "What one billing period costs, in US dollars; `null`: on request.",
        ),
        Field::new(
            "cycle",
            Shape::Period,
            "How often it grants; as `billing`. A yearly plan with monthly credits has P1M.",
        ),
        Field::new(
            "grants",
            GRANTS,
            "What each cycle's start grants, by pool; the plan's own grants where the cycle is the plan's, else it must \
             be stated: amounts are never derived from others.",
        ),
        Field::new("renews", Shape::Flag, "False: a pass, which ends with its first billing period; true."),
    ],
};

/// A cadence as a plan states it; the plan's own cycle and grants may yet stand in.
#[derive(Clone)]
pub(super) struct DraftCadence {
    name: String,
    price_usd: Option<Micros>,
    billing: Period,
    cycle: Period,
    grants: Option<Vec<Grant>>,
    renews: bool,
    mark: Mark,
    path: String,
}

/// Grants by pool; those of amount 0 are given too, for what they take away.
pub(super) fn grants(node: &Node, names: &Names<'_>, report: &mut Report) -> Option<Vec<Grant>> {
    let grants = node.referring("pool", &names.pools, report, grant)?;
    Some(grants.into_iter().map(|(pool, grant)| Grant { pool, ..grant }).collect())
}

/// `AMOUNT`, or `{amount, bonus, once}`.
fn grant(node: &Node, report: &mut Report) -> Option<Grant> {
    let plain = |amount| Grant::every_cycle(String::new(), amount);
    if !matches!(node.value, Value::Map(_)) {
        return node.amount(report).map(plain);
    }
    let fields = Fields::of(node, &GRANT, report)?;
    let amount = fields.get("amount").and_then(|node| node.amount(report));
    let bonus = fields.or("bonus", None, |node| bonus(node, report).map(Some));
    let once = fields.or("once", false, |node| node.flag(report));
    let (bonus, once) = (bonus?, once?);
    if once && bonus.is_some_and(|bonus| bonus.on == BonusOn::RenewalOnly) {
        report.on(node, "a grant that comes once has no renewal to give a bonus on");
    }
    Some(Grant { bonus, once, ..plain(amount?) })
}

/// `RATE`, or `{rate, given}`. (`on` as a key is `true` to readers of older YAML.)
fn bonus(node: &Node, report: &mut Report) -> Option<Bonus> {
    if !matches!(node.value, Value::Map(_)) {
        return Some(Bonus { rate: rate(node, report)?, on: BonusOn::EveryCycle });
    }
    let fields = Fields::of(node, &BONUS, report)?;
    let rate = fields.get("rate").and_then(|node| rate(node, report));
    let on = fields.or("given", BonusOn::default(), |node| node.word("occasion", &OCCASIONS, report));
    Some(Bonus { rate: rate?, on: on? })
}

/// A bonus: a mistake is more likely than one above ten times the amount.
pub(super) fn rate(node: &Node, report: &mut Report) -> Option<Ratio> {
    let rate = node.decimal(report)?;
    if rate > Ratio::whole(BONUS_MAX) {
        report.on_with(node, format!("must be at most {BONUS_MAX}"), "0.2 is +20 %");
        return None;
    }
    if rate > Ratio::ONE {
        report.warn(node, "more than the amount itself comes on top", "0.2 is +20 %");
    }
    Some(rate)
}

/// The further ways to take a plan; nothing for those that it does not take over from the one that it extends.
pub(super) fn cadences(
    node: &Node,
    names: &Names<'_>,
    report: &mut Report,
) -> Vec<(String, Option<DraftCadence>)> {
    let entries = node.bounded(ENTRIES_MAX, report).unwrap_or_default();
    let read = entries.iter().filter_map(|entry| {
        let read = if entry.node.is_null() { None } else { Some(cadence(entry, names, report)?) };
        Some((entry.key.clone(), read))
    });
    read.collect()
}

fn cadence(entry: &Entry, names: &Names<'_>, report: &mut Report) -> Option<DraftCadence> {
    let sound = entry.defines(report);
    let fields = Fields::of(&entry.node, &CADENCE, report)?;
    let billing = fields.get("billing").and_then(|node| node.period(report));
    let cycle = fields.get("cycle").map_or(billing, |node| node.period(report));
    let price_usd = fields.or("price_usd", None, |node| node.or_null(|node| node.amount(report)));
    let grants = fields.or("grants", None, |node| grants(node, names, report).map(Some));
    let renews = fields.or("renews", true, |node| node.flag(report));
    let (billing, cycle) = (billing?, cycle?);
    if !is_whole_number_of(billing, cycle) {
        let node = fields.get("cycle").unwrap_or(&entry.node);
        let message = format!("{billing} is not a whole number of cycles of {cycle}");
        report.on_with(node, message, "P1Y with cycles of P1M; a month is no number of days");
    }
    Some(DraftCadence {
        name: sound.then(|| entry.key.clone())?,
        price_usd: price_usd?,
        billing,
        cycle,
        grants: grants?,
        renews: renews?,
        mark: entry.mark,
        path: entry.node.path.clone(),
    })
}

/// Whether a billing period is so many cycles, whatever the calendar.
fn is_whole_number_of(billing: Period, cycle: Period) -> bool {
    let parts = |period: Period| [period.months(), period.days(), period.seconds()];
    let pairs = parts(billing).into_iter().zip(parts(cycle));
    let count = pairs.clone().find_map(|(billing, cycle)| billing.checked_div(cycle)).unwrap_or(0);
    count > 0 && pairs.into_iter().all(|(billing, cycle)| cycle.checked_mul(count) == Some(billing))
}

impl DraftCadence {
    /// The cadence on a plan of this cycle with these grants.
    pub(super) fn resolve(&self, plan: (&str, Period, &[Grant]), report: &mut Report) -> Cadence {
        let (own_name, own_cycle, own_grants) = plan;
        if self.name == own_name {
            let message = format!("the plan's own cadence is {} already", quoted(own_name));
            report.add(self.mark, &self.path, message, Some("give this one another name".to_owned()));
        }
        let grants = match &self.grants {
            Some(grants) => grants.clone(),
            None if self.cycle == own_cycle => own_grants.to_vec(),
            None => {
                let message = "its cycle is not the plan's, and it does not say what it grants".to_owned();
                let hint = "state `grants` (`{}` for none); amounts are never derived from others".to_owned();
                report.add(self.mark, &self.path, message, Some(hint));
                Vec::new()
            }
        };
        Cadence {
            name: self.name.clone(),
            price_usd: self.price_usd,
            billing: self.billing,
            cycle: self.cycle,
            grants: positive(grants),
            renews: self.renews,
        }
    }
}

/// The grants of something.
pub(super) fn positive(mut grants: Vec<Grant>) -> Vec<Grant> {
    grants.retain(|grant| grant.amount > Micros::ZERO);
    grants
}

const OCCASIONS: [(&str, BonusOn); 2] =
    [("every_cycle", BonusOn::EveryCycle), ("renewal_only", BonusOn::RenewalOnly)];
/// The highest rate of a bonus.
const BONUS_MAX: u64 = 10;

fn occasions() -> Vec<&'static str> {
    words(&OCCASIONS)
}
