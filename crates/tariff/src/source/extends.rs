//! Plans that build on others: `extends: OTHER`.
//!
//! What a plan does not state it takes from the plan that it extends, entry by entry where names stand
//! before a colon (`grants`, `factors`, `resources` …), as a whole for lists and single values. `title`,
//! `aliases` and `public` say what a plan itself is and are never taken; `null` for an entry takes it away. Nothing is ever combined by
//! value: a lower limit stays the lower one (M7).

use std::collections::BTreeMap;

use super::cadence::positive;
use super::plan::{Draft, Parent};
use super::problem::{Report, quoted};
use crate::catalog::{Grant, Model, Plan, name_of};
use crate::money::Micros;
use crate::period::Period;

/// The plans with everything they take from others, in the file's order.
pub(super) fn resolve(drafts: &[Draft], report: &mut Report) -> Vec<Plan> {
    let mut plans = Vec::new();
    for draft in drafts {
        match lineage(draft, drafts) {
            Ok(lineage) => plans.push(plan(draft, &lineage, report)),
            Err(cycle) => cycle.report(report),
        }
    }
    one_name_each(drafts, report);
    plans
}

/// Reports aliases that mean two plans.
fn one_name_each(drafts: &[Draft], report: &mut Report) {
    let mut owners: BTreeMap<&str, &str> =
        drafts.iter().map(|draft| (draft.name.as_str(), draft.name.as_str())).collect();
    for draft in drafts {
        for alias in &draft.aliases {
            if let (Some(owner), Some(mark)) = (owners.insert(alias, &draft.name), draft.mark) {
                let message = format!("the alias {} means plan {} already", quoted(alias), quoted(owner));
                report.add(mark, &draft.path, message, None);
            }
        }
    }
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
fn plan(draft: &Draft, lineage: &[&Draft], report: &mut Report) -> Plan {
    let cycle = nearest(lineage, |draft| draft.cycle).unwrap_or(Period::MONTH);
    let grants = positive(granted(lineage));
    let cadences = kept(lineage, |draft| draft.cadences.clone());
    let own = name_of(cycle);
    Plan {
        title: draft.title.clone().unwrap_or_else(|| draft.name.clone()),
        aliases: draft.aliases.clone(),
        public: draft.public.unwrap_or(true),
        price_usd: nearest(lineage, |draft| draft.price_usd).flatten(),
        cycle,
        cadences: cadences
            .iter()
            .map(|(_, cadence)| cadence.resolve((&own, cycle, &grants), report))
            .collect(),
        grants,
        factors: merged(lineage, |draft| draft.factors.clone()),
        rates: nearest(lineage, |draft| draft.rates.clone()).unwrap_or_default(),
        limits: nearest(lineage, |draft| draft.limits.clone()).unwrap_or_default(),
        models: nearest(lineage, |draft| draft.models.clone()).unwrap_or_else(|| vec![Model::ANY.to_owned()]),
        features: nearest(lineage, |draft| draft.features.clone()).unwrap_or_default(),
        levels: kept(lineage, |draft| draft.levels.clone()).into_iter().collect(),
        forward: kept(lineage, |draft| draft.forward.clone()),
        prices: kept(lineage, |draft| draft.prices.clone()).into_iter().collect(),
        resources: merged(lineage, |draft| draft.resources.clone()).into_iter().collect(),
        request_limits: merged(lineage, |draft| draft.request_limits.clone()).into_iter().collect(),
        exhaustion: nearest(lineage, |draft| draft.exhaustion),
        enforce: nearest(lineage, |draft| draft.enforce).unwrap_or(true),
        max_tokens: nearest(lineage, |draft| draft.max_tokens).flatten(),
        fail_open: nearest(lineage, |draft| draft.fail_open)
            .flatten()
            .filter(|credits| *credits > Micros::ZERO),
        ..Plan::named(draft.name.clone())
    }
}

fn granted(lineage: &[&Draft]) -> Vec<Grant> {
    let by_pool = |draft: &Draft| -> Vec<(String, Grant)> {
        draft.grants.iter().map(|grant| (grant.pool.clone(), grant.clone())).collect()
    };
    merged(lineage, by_pool).into_iter().map(|(_, grant)| grant).collect()
}

fn nearest<T>(lineage: &[&Draft], field: impl Fn(&Draft) -> Option<T>) -> Option<T> {
    lineage.iter().find_map(|draft| field(draft))
}

/// All entries by name, without those that the nearest statement takes away.
fn kept<T, I: IntoIterator<Item = (String, Option<T>)>>(
    lineage: &[&Draft],
    field: impl Fn(&Draft) -> I,
) -> Vec<(String, T)> {
    let stated = merged(lineage, field).into_iter();
    stated.filter_map(|(name, value)| Some((name, value?))).collect()
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
