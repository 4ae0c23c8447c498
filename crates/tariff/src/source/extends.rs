//! Plans that build on others: `extends: OTHER`.
//!
//! What a plan does not state it takes from the plan that it extends, entry by entry for `grants`,
//! `factors`, `resources` and `request_limits`, as a whole for lists and single values. `title` and
//! `public` say what a plan itself is and are never taken. Nothing is ever combined by value: a lower
//! limit stays the lower one (M7).

use super::plan::{Draft, Parent};
use super::problem::{Report, quoted};
use crate::catalog::{Grant, Model, Plan};
use crate::money::Micros;
use crate::period::Period;

/// The plans with everything they take from others, in the file's order.
pub(super) fn resolve(drafts: &[Draft], report: &mut Report) -> Vec<Plan> {
    let mut plans = Vec::new();
    for draft in drafts {
        match lineage(draft, drafts) {
            Ok(lineage) => plans.push(plan(draft, &lineage)),
            Err(cycle) => cycle.report(report),
        }
    }
    plans
}

/// A plan and those that it builds on, itself first.
fn lineage<'d>(draft: &'d Draft, drafts: &'d [Draft]) -> Result<Vec<&'d Draft>, Cycle<'d>> {
    let mut lineage = vec![draft];
    let mut last = draft;
    while let Some(parent) = &last.extends {
        let Some(next) = drafts.iter().find(|other| other.name == parent.name) else { break };
        if let Some(start) = lineage.iter().position(|member| member.name == next.name) {
            return Err(Cycle { members: lineage.split_off(start), of: draft, closing: parent, drafts });
        }
        lineage.push(next);
        last = next;
    }
    Ok(lineage)
}

/// Plans that build on each other in a ring.
struct Cycle<'d> {
    members: Vec<&'d Draft>,
    of: &'d Draft,
    closing: &'d Parent,
    drafts: &'d [Draft],
}

impl Cycle<'_> {
    /// Reports the ring once: at its first plan in the file, whoever leads into it.
    fn report(&self, report: &mut Report) {
        let ring = |draft: &&Draft| self.members.iter().any(|member| member.name == draft.name);
        let first = self.drafts.iter().find(ring);
        if first.is_none_or(|first| first.name != self.of.name) {
            return;
        }
        let names =
            self.members.iter().map(|member| member.name.as_str()).chain([self.closing.name.as_str()]);
        let names: Vec<&str> = names.collect();
        let at = self.of.extends.as_ref().unwrap_or(self.closing);
        report.add(
            at.mark,
            &at.path,
            format!("plans extend each other: {}", quoted(&names.join(" -> "))),
            None,
        );
    }
}

/// Folds a lineage, the nearest statement winning.
fn plan(draft: &Draft, lineage: &[&Draft]) -> Plan {
    Plan {
        title: draft.title.clone().unwrap_or_else(|| draft.name.clone()),
        public: draft.public.unwrap_or(true),
        price_usd: nearest(lineage, |draft| draft.price_usd).flatten(),
        cycle: nearest(lineage, |draft| draft.cycle).unwrap_or(Period::MONTH),
        grants: merged(lineage, |draft| draft.grants.clone())
            .into_iter()
            .filter(|(_, amount)| *amount > Micros::ZERO)
            .map(|(pool, amount)| Grant::every_cycle(pool, amount))
            .collect(),
        factors: merged(lineage, |draft| draft.factors.clone()),
        rates: nearest(lineage, |draft| draft.rates.clone()).unwrap_or_default(),
        models: nearest(lineage, |draft| draft.models.clone()).unwrap_or_else(|| vec![Model::ANY.to_owned()]),
        features: nearest(lineage, |draft| draft.features.clone()).unwrap_or_default(),
        resources: merged(lineage, |draft| draft.resources.clone()).into_iter().collect(),
        request_limits: merged(lineage, |draft| draft.request_limits.clone()).into_iter().collect(),
        enforce: nearest(lineage, |draft| draft.enforce).unwrap_or(true),
        max_tokens: nearest(lineage, |draft| draft.max_tokens).flatten(),
        fail_open: nearest(lineage, |draft| draft.fail_open)
            .flatten()
            .filter(|credits| *credits > Micros::ZERO),
        ..Plan::named(draft.name.clone())
    }
}

fn nearest<T>(lineage: &[&Draft], field: impl Fn(&Draft) -> Option<T>) -> Option<T> {
    lineage.iter().find_map(|draft| field(draft))
}

/// All entries by name, the nearest statement of each; the farthest plan's entries come first.
fn merged<T, I: IntoIterator<Item = (String, T)>>(
    lineage: &[&Draft],
    field: impl Fn(&Draft) -> I,
) -> Vec<(String, T)> {
    let mut entries: Vec<(String, T)> = Vec::new();
    for (name, value) in lineage.iter().rev().flat_map(|draft| field(draft)) {
        match entries.iter_mut().find(|(known, _)| *known == name) {
            Some((_, slot)) => *slot = value,
            None => entries.push((name, value)),
        }
    }
    entries
}
