//! From a catalog to what the edge reads: the price list, and the policy of one plan.
//!
//! Depends on the catalog and the account's [`Standing`] alone. What depends on the instant (who is the sole
//! node, when credits come back) is left at its default for the ledger to fill in.

mod classes;

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Bypass, Catalog, Counted, Grant, Measure, Model, OnExceed, Plan, PlanRate};
use crate::edge_catalog::{EdgeCatalog, EdgeModel};
use crate::funding::{Cap, Funding, FundingClass, Overage, Standing};
use crate::policy::{Bucket, Class, Gate, Help, LimitHelp, Policy, Rate, RequestLimit, Scope, Unit, Unlock};
use crate::price::Prices;

/// The asset of models and pools that name none, and the id of the bucket of all its pools.
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

    /// What the edge enforces for accounts of a standing on a plan; nothing for an unknown plan.
    ///
    /// Left to the ledger: [`Rate::sole`] (false), [`Help::resets_at`] and [`LimitHelp::resets_at`] (nothing).
    #[must_use]
    pub fn policy(&self, plan: &str, standing: &Standing) -> Option<Policy> {
        let funding = self.funding(plan, standing)?;
        let plan = &*self.plan_for(plan, standing)?;
        let in_force = |wanted: fn(&Bypass) -> bool| {
            self.bypasses.iter().any(|bypass| wanted(bypass) && standing.positive.contains(&bypass.pool))
        };
        let cohort = standing.cohort.as_ref();
        let cohort = cohort.and_then(|name| self.cohorts.iter().find(|own| own.name == *name));
        let rates = cohort.map_or(&plan.rates, |cohort| &cohort.rates);
        Some(Policy {
            plan: plan.name.clone(),
            enforce: plan.enforce,
            rates: rates.iter().map(PlanRate::edge).collect(),
            buckets: self.buckets(plan, &funding),
            classes: funding.classes.iter().map(FundingClass::edge).collect(),
            gates: self.closed(plan),
            max_tokens: plan.max_tokens,
            fail_open: plan.fail_open,
            request_limits: self.request_limits(plan),
            card: self.card_of(plan, &standing.overrides),
            forward: self.forward(plan),
            bypass_rates: in_force(|bypass| bypass.rates),
            help: Help {
                top_up_url: self.links.top_up.clone(),
                resets_at: None,
                unlocks: self.offers(|other| self.granted(other) > self.granted(plan)),
                contact_url: self.links.contact.clone(),
            },
        })
    }

    /// What is rationed: the credits of each class once, then the limits.
    fn buckets(&self, plan: &Plan, funding: &Funding) -> Vec<Bucket> {
        let mut buckets: Vec<Bucket> = Vec::new();
        for class in &funding.classes {
            let Some(id) = class.bucket.as_ref().filter(|id| buckets.iter().all(|own| own.id != **id)) else {
                continue;
            };
            buckets.push(Bucket {
                id: id.clone(),
                unit: Unit::Credits,
                scope: Scope::Account,
                unlimited: class.overage == Overage::Unlimited,
                unless_auth_class: self.exempted(Measure::Credits),
                admitted: false,
                waits: false,
                limit: None,
            });
        }
        buckets.extend(funding.caps.iter().map(|cap| self.cap(plan, cap)));
        buckets
    }

    fn cap(&self, plan: &Plan, cap: &Cap) -> Bucket {
        let limit = plan.limits.iter().find(|limit| limit.id == cap.limit);
        let max = limit.and_then(|limit| limit.max);
        Bucket {
            id: cap.bucket.clone(),
            unit: match cap.measure {
                Measure::Credits => Unit::Credits,
                Measure::Cost => Unit::Cost,
                Measure::Meter(meter) => Unit::Count(meter),
            },
            scope: cap.scope,
            unlimited: false,
            unless_auth_class: self.exempted(cap.measure),
            admitted: limit.is_some_and(|limit| limit.count == Counted::Admitted),
            waits: limit.is_some_and(|limit| limit.on_exceed == OnExceed::Deny429),
            limit: max.map(|max| LimitHelp {
                id: cap.limit.clone(),
                max,
                resets_at: None,
                unlocks: self.offers(|other| {
                    let theirs = other.limits.iter().find(|limit| limit.id == cap.limit);
                    theirs.and_then(|limit| limit.max).is_none_or(|theirs| theirs > max)
                        && self.covers(other, plan)
                }),
            }),
        }
    }

    /// The classes of keys whose requests a measure leaves out (L11).
    fn exempted(&self, measure: Measure) -> Vec<String> {
        let rules = self.exempt.iter().filter(|rule| rule.measures.contains(&measure));
        let classes: BTreeSet<&String> = rules.flat_map(|rule| &rule.auth_classes).collect();
        classes.into_iter().cloned().collect()
    }

    /// The plan's bounds on parameters that the catalog knows how to read from requests.
    fn request_limits(&self, plan: &Plan) -> Vec<RequestLimit> {
        let read = |name: &str| self.parameters.iter().any(|parameter| parameter.name == name);
        let bounded = plan.request_limits.iter().filter_map(|(name, max)| Some((name, (*max)?)));
        bounded
            .filter(|(name, _)| read(name))
            .map(|(name, max)| RequestLimit {
                parameter: name.clone(),
                max,
                unlocks: self.offers(|other| {
                    other.request_limits.get(name).copied().flatten().is_none_or(|theirs| theirs > max)
                        && self.covers(other, plan)
                }),
            })
            .collect()
    }

    /// The levels that have a header, by it, then the plan's own headers (W7). What a client sends under the name
    /// of a header that its plan does not set goes no further.
    fn forward(&self, plan: &Plan) -> Vec<(String, String)> {
        let levels = self.gates.iter().filter_map(|gate| {
            let level = plan.levels.get(&gate.feature)?;
            Some((gate.header.clone()?, level.clone()))
        });
        let mut set: Vec<(String, String)> = levels.chain(plan.forward.iter().cloned()).collect();
        let gates = self.gates.iter().filter_map(|gate| gate.header.as_ref());
        let others = self.plans.iter().flat_map(|plan| plan.forward.iter().map(|(name, _)| name));
        for name in gates.chain(others) {
            if set.iter().all(|(own, _)| !own.eq_ignore_ascii_case(name)) {
                set.push((name.clone(), String::new()));
            }
        }
        set
    }

    /// What each cycle's start grants in credits; grants of other assets leave the credits as they are.
    fn granted(&self, plan: &Plan) -> i64 {
        let credits = |grant: &&Grant| self.pool(&grant.pool).is_none_or(|pool| pool.asset == CREDITS);
        plan.grants.iter().filter(credits).fold(0, |sum, grant| sum.saturating_add(grant.amount.get()))
    }

    /// The plans' own prices.
    fn cards(&self) -> BTreeMap<String, BTreeMap<String, Prices>> {
        let own = self.plans.iter().filter(|plan| !plan.prices.is_empty());
        own.map(|plan| (plan.name.clone(), plan.prices.clone())).collect()
    }

    /// The models that a plan does not open; those with the same feature and the same way out share
    /// a gate (L3).
    fn closed(&self, plan: &Plan) -> Vec<Gate> {
        let mut gates: Vec<Gate> = Vec::new();
        for model in self.models.iter().filter(|model| !plan.opens(model) && !self.bypassed(model)) {
            let missing = model.feature.as_ref().filter(|feature| !plan.has(feature));
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

    /// Whether a plan opens every model that another one opens: only then does more of something in it help whoever
    /// asks for one of those.
    fn covers(&self, other: &Plan, plan: &Plan) -> bool {
        self.models.iter().all(|model| other.opens(model) || !plan.opens(model))
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
            service_tiers: self.service_tiers.clone(),
            by_answered: self.by_answered,
            asset: Some(&self.asset).filter(|asset| *asset != CREDITS).cloned(),
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

impl FundingClass {
    fn edge(&self) -> Class {
        Class {
            models: self.models.clone(),
            buckets: self.bucket.iter().chain(&self.caps).cloned().collect(),
        }
    }
}
