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
    let parts = [
        words::exhaustion(catalog.exhaustion),
        words::charge(catalog),
        words::lost(catalog),
        words::links(catalog),
        words::bypasses(catalog),
        words::exempt(catalog),
        words::transitions(catalog),
        words::purchases(catalog),
        words::tiers(catalog),
    ];
    [name].into_iter().chain(parts.into_iter().flatten()).collect()
}

/// The things of one kind with the words for each.
fn kind<T>(things: &[T], name: impl Fn(&T) -> &String, facts: impl Fn(&T) -> Facts) -> Things {
    things.iter().map(|thing| (name(thing).clone(), facts(thing))).collect()
}

fn kinds(catalog: &Catalog) -> [(&'static str, Things); 8] {
    [
        ("pool", kind(&catalog.pools, |pool| &pool.name, words::pool)),
        ("feature", kind(&catalog.gates, |gate| &gate.feature, words::feature)),
        ("parameter", kind(&catalog.parameters, |parameter| &parameter.name, words::parameter)),
        ("model", kind(&catalog.models, |model| &model.name, words::model)),
        ("plan", kind(&catalog.plans, |plan| &plan.name, |plan| words::plan(catalog, plan))),
        ("coupon", kind(&catalog.coupons, |coupon| &coupon.code, words::coupon)),
        ("cohort", kind(&catalog.cohorts, |cohort| &cohort.name, words::cohort)),
        ("programme", kind(&catalog.programmes, |programme| &programme.name, words::programme)),
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

    /// Each replacement in a shipped catalog, and what is said of it.
    #[test]
    fn every_construct_that_changes_is_told() {
        const POOLS: &str = include_str!("../../../../../envoy/catalogs/pools-and-wallet.yaml");
        const UPSTAGE: &str = include_str!("../../../../../envoy/catalogs/upstage.yaml");
        const IMAGES: &str = include_str!("../../../../../envoy/catalogs/image-credits.yaml");
        const MODELUX: &str = include_str!("../../../../../envoy/catalogs/modelux.yaml");
        for (file, old, new, said) in [
            (OLD, "until: 2027-01-01", "until: 2027-02-01", "+   valid: before 2027-02-01\n"),
            (
                OLD,
                "price_usd: 192",
                "price_usd: 200",
                "+   taken yearly: 200 USD a year; 500 credits a month in included\n",
            ),
            (
                OLD,
                "down: { at: period_end }",
                "down: { at: now }",
                "-   switch down: at the end of the billing period",
            ),
            (OLD, "models, read: items", "models, read: value", "  parameter models_per_stack\n"),
            (OLD, "lost: estimate", "lost: zero", "+   a request whose end nobody saw: is charged nothing\n"),
            (
                POOLS,
                "lifts: [rates, models]",
                "lifts: [rates]",
                "+   with anything in wallet: rates are not enforced\n",
            ),
            (
                POOLS,
                "amount: 1000, bonus: { rate: 0.2",
                "amount: 1000, bonus: { rate: 0.25",
                "25 % of it on top\n",
            ),
            (
                POOLS,
                "max: 100, pools: [main]",
                "max: 120, pools: [main]",
                "+   limit credits/day: 120 credits out of main",
            ),
            (POOLS, "floor: 0.1", "floor: 0.2", "20 % at least"),
            (
                POOLS,
                "output_tokens: 0.48",
                "output_tokens: 0.5",
                "+   the provider takes: 0.12 for 1M input tokens, 0.5 for",
            ),
            (POOLS, "creem: 5", "creem: 6", "+   a purchase by creem: 6 USD at least\n"),
            (UPSTAGE, "from_usd: 6000,", "from_usd: 7000,", "  catalog\n-   plan by purchases (yearly)"),
            (UPSTAGE, "max: 20, per: second", "max: 25, per: second", "  cohort legacy\n"),
            (UPSTAGE, "lasts: P1Y", "lasts: P6M", "+   lasts: at most 6 months\n"),
            (UPSTAGE, "action: overage\n", "action: deny402\n", "+   at zero: 402;"),
            (
                IMAGES,
                "{ when: { size: 2048x2048 }, price: { per_unit: { images: 25 } } }",
                "{ when: { size: 2048x2048 }, price: { per_unit: { images: 26 } } }",
                "+   price (xlarge): 26 for an image",
            ),
            (
                IMAGES,
                "default: 5, max: 20",
                "default: 5, max: 30",
                "+   asked for seconds: by `seconds`, 5 where it is not said, at most 30\n",
            ),
            (IMAGES, "header: x-generation-speed", "header: x-speed", "  feature speed\n"),
            (
                MODELUX,
                "mcp], meters",
                "tool], meters",
                "+   not counted: requests of keys of class dashboard, management and tool\n",
            ),
        ] {
            assert!(file.contains(old), "{old}");
            let text = text(&load(file), &load(&file.replacen(old, new, 1)));
            assert!(text.contains(said), "{old} -> {new}: {said}\nis missing in\n{text}");
        }
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
