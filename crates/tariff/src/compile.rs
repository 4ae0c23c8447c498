//! From a catalog to what the edge reads: the price list, and the policy of one plan.
//!
//! Depends on the catalog alone. What depends on an account or an instant (window keys, who is the
//! sole node, when credits come back) is left at its default for the ledger to fill in.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, Model, Plan, PlanRate};
use crate::edge_catalog::{EdgeCatalog, EdgeModel};
use crate::policy::{Bucket, Class, Gate, Help, Policy, Rate, Scope, Unit, Unlock};
use crate::price::Prices;

/// The id of the bucket of credits.
pub const CREDITS: &str = "credits";

impl Catalog {
    /// The catalog as the edge reads it, under the version that terms name.
    #[must_use]
    pub fn edge(&self, version: u64) -> EdgeCatalog {
        EdgeCatalog {
            version,
            models: self.models.iter().map(Model::edge).collect(),
            lost: self.lost,
            parameters: self.parameters.clone(),
            cards: self.cards(),
        }
    }

    /// What the edge enforces for accounts on a plan; nothing for an unknown plan.
    ///
    /// Left to the ledger: [`Rate::sole`] (false), [`Policy::bypass_rates`] (false) and
    /// [`Help::resets_at`] (nothing).
    #[must_use]
    pub fn policy(&self, plan: &str) -> Option<Policy> {
        let plan = self.plan(plan)?;
        Some(Policy {
            plan: plan.name.clone(),
            enforce: plan.enforce,
            rates: plan.rates.iter().map(PlanRate::edge).collect(),
            buckets: vec![credits()],
            classes: self.classes(),
            gates: self.closed(plan),
            max_tokens: plan.max_tokens,
            fail_open: plan.fail_open,
            request_limits: Vec::new(),
            card: (!plan.prices.is_empty()).then(|| plan.name.clone()),
            forward: Vec::new(),
            bypass_rates: false,
            help: Help {
                top_up_url: self.links.top_up.clone(),
                resets_at: None,
                unlocks: self.offers(|other| other.granted() > plan.granted()),
            },
        })
    }

    /// The plans' own prices.
    fn cards(&self) -> BTreeMap<String, BTreeMap<String, Prices>> {
        let own = self.plans.iter().filter(|plan| !plan.prices.is_empty());
        own.map(|plan| (plan.name.clone(), plan.prices.clone())).collect()
    }

    /// Free models take no credits, so that they stay open at zero; all others take them.
    fn classes(&self) -> Vec<Class> {
        let free: Vec<String> =
            self.models.iter().filter(|model| model.is_free()).map(|model| model.name.clone()).collect();
        let paid = Class { models: vec![Model::ANY.to_owned()], buckets: vec![CREDITS.to_owned()] };
        let free = (!free.is_empty()).then_some(Class { models: free, buckets: Vec::new() });
        free.into_iter().chain([paid]).collect()
    }

    /// The models that a plan does not open; those with the same feature and the same way out share
    /// a gate (L3).
    fn closed(&self, plan: &Plan) -> Vec<Gate> {
        let mut gates: Vec<Gate> = Vec::new();
        for model in self.models.iter().filter(|model| !plan.opens(model)) {
            let missing = model.feature.as_ref().filter(|feature| !plan.features.contains(feature));
            let unlocks = self.offers(|other| other.opens(model));
            let same =
                gates.iter_mut().find(|gate| gate.feature.as_ref() == missing && gate.unlocks == unlocks);
            match same {
                Some(gate) => gate.models.push(model.name.clone()),
                None => {
                    gates.push(Gate { models: vec![model.name.clone()], feature: missing.cloned(), unlocks })
                }
            }
        }
        gates
    }

    /// The public plans that help, cheapest first; those with a price on request come last, equal
    /// prices in the catalog's order.
    fn offers(&self, helps: impl Fn(&Plan) -> bool) -> Vec<Unlock> {
        let mut plans: Vec<&Plan> = self.plans.iter().filter(|plan| plan.public && helps(plan)).collect();
        plans.sort_by_key(|plan| (plan.price_usd.is_none(), plan.price_usd));
        plans
            .into_iter()
            .map(|plan| Unlock { plan: plan.name.clone(), url: self.links.upgrade.clone() })
            .collect()
    }
}

impl Model {
    fn edge(&self) -> EdgeModel {
        EdgeModel {
            name: self.name.clone(),
            aliases: self.aliases.clone(),
            prices: self.prices.clone(),
            max_output_default: self.max_output_default,
            cost: self.cost.clone(),
            variants: self.variants.clone(),
            stated: self.stated.clone(),
        }
    }
}

impl PlanRate {
    fn edge(&self) -> Rate {
        Rate {
            id: self.id.clone(),
            meter: self.meter,
            models: self.models.clone(),
            amount: self.amount,
            per_ms: self.per_ms,
            burst: self.burst,
            scope: self.scope,
            sole: false,
        }
    }
}

fn credits() -> Bucket {
    Bucket {
        id: CREDITS.to_owned(),
        unit: Unit::Credits,
        scope: Scope::Account,
        unlimited: false,
        unless_auth_class: Vec::new(),
        admitted: false,
        waits: false,
        limit: None,
    }
}
