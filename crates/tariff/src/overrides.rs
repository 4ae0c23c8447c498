//! What one customer has instead of what its plan says: own limits, rates, resources, prices (C12, L14).
//!
//! A plan with overrides is a plan: everything that is compiled from plans takes it as one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Limit, Measure, OnExceed, Plan, PlanRate};
use crate::funding::Standing;
use crate::money::Micros;
use crate::price::Prices;

/// One customer's own terms over its plan; what is not named stays the plan's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrides {
    /// Rates, by id: in the place of the plan's of that id, else beside the plan's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<PlanRate>,
    /// The most of limits of the plan, by id; nothing: unlimited.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Option<Micros>>,
    /// Caps on things that are kept; nothing: unlimited.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, Option<u64>>,
    /// Bounds on what one request may ask for; nothing: unlimited.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub request_limits: BTreeMap<String, Option<u64>>,
    /// The plan whose own prices count, in the place of this one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices_of: Option<String>,
}

impl Overrides {
    /// The most overrides of one account, of each kind.
    pub const MAX: usize = 16;

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Catalog {
    /// The plan as an account of a standing has it; nothing for an unknown plan.
    #[must_use]
    pub fn plan_for(&self, plan: &str, standing: &Standing) -> Option<Cow<'_, Plan>> {
        self.plan_as(plan, &standing.overrides, standing.lapsed)
    }

    /// The plan with a customer's own terms, less what is to be paid for where its billing period is not; nothing for
    /// an unknown plan.
    #[must_use]
    pub fn plan_as(&self, plan: &str, overrides: &Overrides, lapsed: bool) -> Option<Cow<'_, Plan>> {
        let own = self.overridden(plan, overrides)?;
        Some(if lapsed { Cow::Owned(own.into_owned().unpaid()) } else { own })
    }

    /// The plan with a customer's own terms; nothing for an unknown plan.
    #[must_use]
    pub fn overridden(&self, plan: &str, overrides: &Overrides) -> Option<Cow<'_, Plan>> {
        let plan = self.plan(plan)?;
        if overrides.is_empty() {
            return Some(Cow::Borrowed(plan));
        }
        let mut own = plan.clone();
        for rate in &overrides.rates {
            match own.rates.iter_mut().find(|known| known.id == rate.id) {
                Some(known) => known.clone_from(rate),
                None => own.rates.push(rate.clone()),
            }
        }
        for limit in &mut own.limits {
            if let Some(max) = overrides.limits.get(&limit.id) {
                limit.max = *max;
            }
        }
        let extend = |into: &mut BTreeMap<String, Option<u64>>, from: &BTreeMap<String, Option<u64>>| {
            into.extend(from.iter().map(|(name, max)| (name.clone(), *max)));
        };
        extend(&mut own.resources, &overrides.resources);
        extend(&mut own.request_limits, &overrides.request_limits);
        if let Some(prices) = overrides.prices_of.as_ref().and_then(|card| self.plan(card)) {
            own.prices.clone_from(&prices.prices);
        }
        Some(Cow::Owned(own))
    }

    /// A plan's own price of a model or its variant, or that of the plan whose prices a customer has instead (C12).
    #[must_use]
    pub fn own_prices(
        &self,
        plan: &str,
        standing: &Standing,
        model: &str,
        variant: Option<&str>,
    ) -> Option<&Prices> {
        let card = standing.overrides.prices_of.as_ref().and_then(|card| self.plan(card));
        card.or_else(|| self.plan(plan))?.own_prices(model, variant)
    }

    /// The name of the price card of a plan with overrides: that of the plan whose prices count.
    pub(crate) fn card_of(&self, plan: &Plan, overrides: &Overrides) -> Option<String> {
        let named = overrides.prices_of.as_ref().filter(|card| self.plan(card).is_some());
        (!plan.prices.is_empty()).then(|| named.unwrap_or(&plan.name).clone())
    }
}

impl Plan {
    /// The plan while its billing period is not paid (P11): nothing is open of what it counts, and credits that were
    /// bought are used at base price. Limits on credits and cost stay: what they bound is bought.
    #[must_use]
    fn unpaid(mut self) -> Self {
        let counts = |limit: &&mut Limit| {
            matches!(limit.measure, Measure::Meter(_)) && limit.on_exceed != OnExceed::SkipPool
        };
        self.limits.iter_mut().filter(counts).for_each(|limit| limit.max = Some(Micros::ZERO));
        self.factors.clear();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Counted, Model, Window};
    use crate::meter::Meter;
    use crate::policy::Scope;
    use crate::ratio::Ratio;

    fn rate(id: &str, amount: u64) -> PlanRate {
        let models = vec!["*".to_owned()];
        let meter = Meter::Requests;
        PlanRate {
            id: id.to_owned(),
            meter,
            models,
            amount,
            per_ms: 60_000,
            burst: amount,
            scope: Scope::Account,
        }
    }

    fn catalog() -> Catalog {
        let limit = Limit {
            id: "requests/cycle".to_owned(),
            measure: Measure::Meter(Meter::Requests),
            window: Window::Cycle,
            max: Some(Micros(10_000_000)),
            models: vec!["*".to_owned()],
            pools: Vec::new(),
            scope: Scope::Account,
            on_exceed: OnExceed::Deny402,
            count: Counted::Delivered,
            notify: Vec::new(),
        };
        let team = Plan {
            rates: vec![rate("rpm", 60)],
            limits: vec![limit],
            resources: [("projects".to_owned(), Some(3)), ("keys".to_owned(), Some(5))].into(),
            ..Plan::named("team")
        };
        let prices = Prices::new([(Meter::Requests, Ratio::whole(2))]);
        let models = vec![Model::named("m", prices.clone(), 1)];
        let acme =
            Plan { prices: [("m".to_owned(), prices)].into(), public: false, ..Plan::named("acme_card") };
        Catalog { plans: vec![team, acme], models, ..Catalog::named("t") }
    }

    #[test]
    fn c12_a_customers_own_terms_stand_in_the_place_of_the_plans() {
        let catalog = catalog();
        let overrides = Overrides {
            rates: vec![rate("rpm", 600), rate("burst", 5)],
            limits: [("requests/cycle".to_owned(), Some(Micros(99_000_000)))].into(),
            resources: [("projects".to_owned(), Some(40))].into(),
            prices_of: Some("acme_card".to_owned()),
            ..Overrides::default()
        };
        let standing = Standing { overrides, ..Standing::default() };
        let policy = catalog.policy("team", &standing).unwrap();
        let rates: Vec<(&str, u64)> =
            policy.rates.iter().map(|rate| (rate.id.as_str(), rate.amount)).collect();
        assert_eq!(rates, [("rpm", 600), ("burst", 5)]);
        assert_eq!(policy.card.as_deref(), Some("acme_card"));
        let plan = catalog.plan_for("team", &standing).unwrap();
        assert_eq!(plan.limits[0].max, Some(Micros(99_000_000)));
        assert_eq!((plan.resource("projects"), plan.resource("keys")), (Some(40), Some(5)));
        assert!(plan.prices.contains_key("m"));
        let price = |standing: &Standing| catalog.own_prices("team", standing, "m", None).cloned();
        assert_eq!((price(&standing), price(&Standing::default())), (plan.prices.get("m").cloned(), None));
        assert_eq!(catalog.plan_for("gone", &standing), None);
        // The plan itself is untouched for everyone else.
        let plain = catalog.policy("team", &Standing::default()).unwrap();
        assert_eq!((plain.rates[0].amount, plain.card), (60, None));
    }

    #[test]
    fn l14_an_unlimited_override_takes_the_cap_away() {
        let catalog = catalog();
        let capped = catalog.funding("team", &Standing::default()).unwrap();
        assert_eq!(capped.caps.len(), 1);
        let overrides = Overrides {
            limits: [("requests/cycle".to_owned(), None)].into(),
            resources: [("keys".to_owned(), None)].into(),
            ..Overrides::default()
        };
        let standing = Standing { overrides, ..Standing::default() };
        let plan = catalog.plan_for("team", &standing).unwrap();
        assert_eq!((plan.limits[0].max, plan.resource("keys")), (None, None));
        assert!(catalog.funding("team", &standing).unwrap().caps.is_empty());
    }
}
