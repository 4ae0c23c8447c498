//! How two catalogs differ, thing by thing and fact by fact.

use tariff::Catalog;

use super::words::{self, Facts};
use crate::cli::print::printable;

/// The differences, one thing below the other; empty where there is none.
pub fn text(old: &Catalog, new: &Catalog) -> String {
    let mut text = String::new();
    changed(&mut text, "catalog", &general(old), &general(new));
    let all = [kinds(old), kinds(new)];
    let [old, new] = &all;
    for (kind, before) in old {
        let after = new.iter().find(|(name, _)| name == kind).map_or(&[][..], |(_, things)| things);
        things(&mut text, kind, before, after);
    }
    text
}

/// Things of one kind, by name.
type Things = Vec<(String, Facts)>;

fn general(catalog: &Catalog) -> Facts {
    let name = ("name".to_owned(), catalog.name.clone());
    [name].into_iter().chain(words::exhaustion(catalog)).chain(words::links(catalog)).collect()
}

fn kinds(catalog: &Catalog) -> [(&'static str, Things); 4] {
    let gate = |gate: &tariff::catalog::FeatureGate| {
        (gate.feature.clone(), vec![("title".to_owned(), gate.title.clone())])
    };
    [
        ("pool", catalog.pools.iter().map(|pool| (pool.name.clone(), words::pool(pool))).collect()),
        ("feature", catalog.gates.iter().map(gate).collect()),
        ("model", catalog.models.iter().map(|model| (model.name.clone(), words::model(model))).collect()),
        ("plan", catalog.plans.iter().map(|plan| (plan.name.clone(), words::plan(catalog, plan))).collect()),
    ]
}

fn things(text: &mut String, kind: &str, old: &[(String, Facts)], new: &[(String, Facts)]) {
    let found = |list: &[(String, Facts)], name: &str| {
        list.iter().find(|(own, _)| own == name).map(|(_, facts)| facts.clone())
    };
    for (name, before) in old {
        match found(new, name) {
            Some(after) => changed(text, &format!("{kind} {name}"), before, &after),
            None => text.push_str(&format!("- {kind} {}\n", printable(name))),
        }
    }
    for (name, facts) in new.iter().filter(|(name, _)| found(old, name).is_none()) {
        text.push_str(&format!("+ {kind} {}\n", printable(name)));
        facts.iter().for_each(|fact| line(text, '+', fact));
    }
}

fn changed(text: &mut String, title: &str, old: &Facts, new: &Facts) {
    let gone: Vec<_> = old.iter().filter(|fact| !new.contains(fact)).collect();
    let come: Vec<_> = new.iter().filter(|fact| !old.contains(fact)).collect();
    if gone.is_empty() && come.is_empty() {
        return;
    }
    text.push_str(&format!("  {}\n", printable(title)));
    gone.into_iter().for_each(|fact| line(text, '-', fact));
    come.into_iter().for_each(|fact| line(text, '+', fact));
}

fn line(text: &mut String, sign: char, (name, said): &(String, String)) {
    text.push_str(&format!("{sign}   {}: {}\n", printable(name), printable(said)));
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = include_str!("../../../../../envoy/catalogs/modelstack.yaml");

    fn load(text: &str) -> Catalog {
        tariff::source::load(text).unwrap()
    }

    #[test]
    fn a_catalog_does_not_differ_from_itself() {
        assert_eq!(text(&load(OLD), &load(OLD)), "");
    }

    #[test]
    fn what_changes_is_named_with_both_sides() {
        let new = OLD
            .replace("{ id: rpm, max: 15, per: minute }", "{ id: rpm, max: 20, per: minute, burst: 5 }")
            .replace("input_tokens: 2.8,", "input_tokens: 3,")
            .replace("expiry: P12M", "expiry: never")
            .replace("  max:\n    title: Max", "  ultra:\n    title: Ultra");
        let text = text(&load(OLD), &load(&new));
        for said in [
            "  plan starter\n-   rate rpm: 15 requests a minute\n+   rate rpm: 20 requests a minute, 5 at once after a rest\n",
            "-   price: 2.8 for 1M input tokens, 4.2 for 1M output tokens (credits)\n",
            "+   price: 3 for 1M input tokens, 4.2 for 1M output tokens (credits)\n",
            "+   credits: do not end\n",
            "- plan max\n",
            "+ plan ultra\n+   price: 100 USD a month\n",
        ] {
            assert!(text.contains(said), "{said}\nis missing in\n{text}");
        }
    }
}
