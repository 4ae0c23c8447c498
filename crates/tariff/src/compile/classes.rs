//! From a plan and what an account's standing is to its funding: which pools pay for which models, which limits
//! bound them, and under which bucket ids.

use std::collections::{BTreeMap, BTreeSet};

use super::CREDITS;
use crate::catalog::{
    Catalog, ExhaustionAction, Limit, Measure, Model, OnExceed, Plan, Pool, PoolModels, Programme,
};
use crate::funding::{Cap, Funding, FundingClass, Overage, Standing};
use crate::glob;
use crate::price::Prices;

impl Catalog {
    /// How requests of an account on a plan are paid; nothing for an unknown plan.
    ///
    /// Every model that the account may ask for is in exactly one class. The last class stands for all models that
    /// no other one names: closed models fall to it, and are refused before it is asked.
    #[must_use]
    pub fn funding(&self, plan: &str, standing: &Standing) -> Option<Funding> {
        let plan = &*self.plan_for(plan, standing)?;
        let mut payers = Payers { catalog: self, plan, standing, usable: BTreeMap::new() };
        for asset in self.pools.iter().map(|pool| pool.asset.as_str()).chain([CREDITS]) {
            let usable = payers.usable(asset);
            payers.usable.insert(asset, usable);
        }
        Some(payers.funding())
    }

    /// Whether a model that the plan does not open can be paid from the pool of a bypass all the same (P10).
    ///
    /// It can be asked for whatever that pool holds: with nothing in it the answer is that credits are missing,
    /// and where to get them.
    pub(crate) fn bypassed(&self, model: &Model) -> bool {
        self.pools.iter().any(|pool| pool.asset == model.asset && self.bypass_pays(pool))
    }

    /// Whether the pool pays for models beyond the plan.
    fn bypass_pays(&self, pool: &Pool) -> bool {
        pool.models == PoolModels::All
            && self.bypasses.iter().any(|bypass| bypass.models && bypass.pool == pool.name)
    }
}

/// Everything that decides who pays.
struct Payers<'a> {
    catalog: &'a Catalog,
    plan: &'a Plan,
    standing: &'a Standing,
    /// The pools that each asset's models may be paid from at all.
    usable: BTreeMap<&'a str, Vec<&'a str>>,
}

/// What pays for a model and bounds it; models with equal funding are one class.
#[derive(PartialEq, Eq)]
struct Paid<'a> {
    asset: &'a str,
    /// Nothing: free.
    pools: Option<Vec<&'a str>>,
    skips: Vec<&'a str>,
    caps: Vec<&'a str>,
}

impl<'a> Payers<'a> {
    fn funding(&self) -> Funding {
        let mut groups: Vec<(Paid<'a>, Vec<&'a str>)> = Vec::new();
        for model in &self.catalog.models {
            if !self.plan.opens(model) && !self.catalog.bypassed(model) {
                continue;
            }
            let paid = self.paid(model);
            match groups.iter_mut().find(|(known, _)| *known == paid) {
                Some((_, models)) => models.push(&model.name),
                None => groups.push((paid, vec![&model.name])),
            }
        }
        let rest = self.rest(&mut groups);
        let ids: Vec<Option<String>> =
            groups.iter().chain([&rest]).map(|(paid, _)| self.bucket(paid, &groups, &rest.0)).collect();
        let classes = groups.iter().chain([&rest]).zip(ids);
        let classes: Vec<FundingClass> =
            classes.map(|((paid, models), bucket)| self.class(paid, models, bucket)).collect();
        let used: BTreeSet<&str> = classes.iter().flat_map(|class| &class.caps).map(String::as_str).collect();
        let caps = self.plan.limits.iter().map(|limit| self.cap(limit));
        let caps = caps.filter(|cap| used.contains(cap.bucket.as_str())).collect();
        Funding { classes, caps }
    }

    /// Takes the class out that is written as `*`: the one of most models that take credits; where nothing takes
    /// credits, that of all pools of credits, or the largest one where there are none.
    fn rest(&self, groups: &mut Vec<(Paid<'a>, Vec<&'a str>)>) -> (Paid<'a>, Vec<&'a str>) {
        let has_credits = self.catalog.pools.iter().any(|pool| pool.asset == CREDITS);
        let paid = groups.iter().any(|(paid, _)| paid.pools.is_some());
        let eligible = |paid_group: &Paid<'_>| paid_group.pools.is_some() || (!paid && !has_credits);
        let sizes = groups.iter().enumerate().filter(|(_, (group, _))| eligible(group));
        let largest = sizes.max_by_key(|(at, (_, models))| (models.len(), std::cmp::Reverse(*at)));
        let (paid, _) = match largest.map(|(at, _)| at) {
            Some(at) => groups.remove(at),
            None => (self.default(), Vec::new()),
        };
        (paid, vec![Model::ANY])
    }

    /// What pays where the catalog has no model that takes credits.
    fn default(&self) -> Paid<'a> {
        let pools = self.usable.get(CREDITS).cloned().unwrap_or_default();
        Paid { asset: CREDITS, pools: Some(pools), skips: Vec::new(), caps: Vec::new() }
    }

    fn paid(&self, model: &'a Model) -> Paid<'a> {
        let free = self.is_free(model);
        let pools = if free { Vec::new() } else { self.pools(model, &self.standing.dry) };
        let asset = if free { CREDITS } else { model.asset.as_str() };
        let bounding = |limit: &&'a Limit| {
            limit.max.is_some()
                && glob::matches_any(&limit.models, &model.name)
                && !(free && limit.measure == Measure::Credits)
                && self.concerns(limit, asset, &pools)
        };
        let bounding: Vec<&Limit> = self.plan.limits.iter().filter(bounding).collect();
        let names = |wanted: fn(&Limit) -> bool| {
            bounding.iter().filter(|limit| wanted(limit)).map(|limit| limit.id.as_str()).collect::<Vec<_>>()
        };
        Paid {
            skips: names(is_skip),
            caps: names(|limit| !is_skip(limit)),
            asset,
            pools: (!free).then_some(pools),
        }
    }

    /// Whether a limit has a say where these pools pay. One that names pools needs one of them; one on credits
    /// that names none counts credits alone, no other asset.
    fn concerns(&self, limit: &Limit, asset: &str, pools: &[&str]) -> bool {
        let named = limit.pools.iter().any(|pool| pools.contains(&pool.as_str()));
        match (limit.pools.is_empty(), limit.on_exceed, limit.measure) {
            (false, _, _) => named,
            (true, OnExceed::SkipPool, _) => !pools.is_empty(),
            (true, _, Measure::Credits) => asset == CREDITS,
            (true, _, Measure::Cost | Measure::Meter(_)) => true,
        }
    }

    /// The pools that pay for a model, in draw order.
    fn pools(&self, model: &Model, dry: &[String]) -> Vec<&'a str> {
        let opened = self.plan.opens(model);
        let lists = |pool: &Pool| match &pool.models {
            PoolModels::All => opened || self.catalog.bypass_pays(pool),
            PoolModels::Plan => opened,
            PoolModels::Named(patterns) => opened && glob::matches_any(patterns, &model.name),
        };
        let allowed = |pool: &Pool| !pool.opt_in || self.standing.opted_in.contains(&pool.name);
        let dried = |pool: &Pool| {
            self.plan.limits.iter().any(|limit| {
                dry.contains(&limit.id)
                    && limit.on_exceed == OnExceed::SkipPool
                    && glob::matches_any(&limit.models, &model.name)
                    && (limit.pools.is_empty() || limit.pools.contains(&pool.name))
            })
        };
        let pools = self.catalog.pools_in_draw_order().into_iter();
        pools
            .filter(|pool| pool.asset == model.asset && lists(pool) && allowed(pool) && !dried(pool))
            .map(|pool| pool.name.as_str())
            .collect()
    }

    /// All pools of an asset that pay for any model, whatever limit has run dry; of a catalog without a model
    /// that takes any, all that the account may use.
    fn usable(&self, asset: &str) -> Vec<&'a str> {
        let models =
            || self.catalog.models.iter().filter(|model| model.asset == asset && !self.is_free(model));
        let paying: BTreeSet<&str> = models().flat_map(|model| self.pools(model, &[])).collect();
        let allowed = |pool: &Pool| !pool.opt_in || self.standing.opted_in.contains(&pool.name);
        let none = models().next().is_none();
        let pools = self.catalog.pools_in_draw_order().into_iter().filter(|pool| pool.asset == asset);
        pools
            .filter(|pool| if none { allowed(pool) } else { paying.contains(pool.name.as_str()) })
            .map(|pool| pool.name.as_str())
            .collect()
    }

    /// Free: by its prices for this plan, or by a programme that the account is enrolled in (C11).
    fn is_free(&self, model: &Model) -> bool {
        let enrolled = |programme: &Programme| {
            self.standing.programmes.contains(&programme.name)
                && glob::matches_any(&programme.models, &model.name)
        };
        let variants = model.variants.iter().map(|variant| Some(variant.name.as_str()));
        let mut prices = variants.chain([None]).map(|variant| self.catalog.prices(self.plan, model, variant));
        let by_price =
            !model.has_further_prices() && prices.all(|prices| prices.is_some_and(Prices::is_free));
        by_price || self.catalog.programmes.iter().any(enrolled)
    }

    /// The id of a class's credit bucket: the asset's name where all its pools pay, else with their names; where
    /// classes of the same pools are bounded differently, with the limits' names too.
    fn bucket(
        &self,
        paid: &Paid<'a>,
        groups: &[(Paid<'a>, Vec<&'a str>)],
        rest: &Paid<'a>,
    ) -> Option<String> {
        let pools = paid.pools.as_ref()?;
        let (mut id, joined) = (paid.asset.to_owned(), pools.join("+"));
        if self.usable.get(paid.asset) != Some(pools) {
            id.push('/');
            // No pool has this name: it starts with a dash.
            id.push_str(if pools.is_empty() { "-" } else { &joined });
        }
        let same = |other: &Paid<'_>| other.asset == paid.asset && other.pools == paid.pools;
        let mut all = groups.iter().map(|(other, _)| other).chain([rest]);
        if !paid.skips.is_empty() && all.any(|other| same(other) && other.skips != paid.skips) {
            id.push('~');
            id.push_str(&paid.skips.join("+"));
        }
        Some(id)
    }

    fn class(&self, paid: &Paid<'a>, models: &[&str], bucket: Option<String>) -> FundingClass {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let exhaustion = self.plan.exhaustion.unwrap_or(self.catalog.exhaustion);
        let overage =
            bucket.is_some() && paid.asset == CREDITS && exhaustion.action == ExhaustionAction::Overage;
        let caps = self.plan.limits.iter().filter(|limit| paid.caps.contains(&limit.id.as_str()));
        FundingClass {
            models: owned(models),
            bucket,
            asset: paid.asset.to_owned(),
            pools: paid.pools.as_deref().map(owned).unwrap_or_default(),
            skips: owned(&paid.skips),
            caps: caps.map(|limit| self.cap(limit).bucket).collect(),
            overage: if overage { self.standing.overage } else { Overage::None },
        }
    }

    /// A limit as a bucket; its id has the key of the window that runs.
    fn cap(&self, limit: &Limit) -> Cap {
        let running = self.standing.windows.iter().find(|window| window.limit == limit.id);
        let bucket = match running {
            Some(window) => format!("{}/{}", limit.id, window.key),
            None => limit.id.clone(),
        };
        Cap { bucket, limit: limit.id.clone(), measure: limit.measure, scope: limit.scope }
    }
}

/// Whether a limit bounds what pools give, inside a class's capacity; all others are buckets of their own.
fn is_skip(limit: &Limit) -> bool {
    limit.on_exceed == OnExceed::SkipPool && limit.measure == Measure::Credits
}
