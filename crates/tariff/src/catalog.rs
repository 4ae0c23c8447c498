//! The catalog as validated plain types: what the ledger books by and compiles plans from.
//!
//! Reading files, with positions and problems, is the `source` feature's. A value of [`Catalog`] that
//! came from there holds what these docs state; one built by hand in a test must keep to it.
//! What a plan becomes at the edge is in `compile`.

mod cadence;
mod dated;
mod exhaustion;
mod limit;
mod parameter;
mod pool;
mod purchase;
mod service_tier;
mod transition;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::meter::Meter;
use crate::money::Micros;
use crate::period::Period;
use crate::policy::Scope;
use crate::price::Prices;
use crate::ratio::Ratio;

pub use self::cadence::{Bonus, BonusOn, Cadence, Grant, Rollover, name_of};
pub use self::dated::{Cohort, DatedPrices, Programme};
pub use self::exhaustion::{Admission, Exhaustion, ExhaustionAction};
pub use self::limit::{Bypass, Counted, Exempt, Limit, Measure, OnExceed, Window};
pub use self::parameter::{Parameter, ParameterRead, Stated, Variant};
pub use self::pool::{Expiry, Pool, PoolModels};
pub use self::purchase::{Coupon, Purchases, Refund, TierBy, Tiers};
pub use self::service_tier::ServiceTier;
pub use self::transition::{CycleOnSwitch, LotsOnSwitch, Proration, SwitchAt, Transition, Transitions};

/// One version of everything that is sold: models with their prices, pools, plans.
///
/// Names are unique among their kind, and every reference names something that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// The name, for people.
    pub name: String,
    /// Models and flat-price operations, in the file's order (which decides between aliases).
    pub models: Vec<Model>,
    /// Sources of credits; no two have the same order.
    pub pools: Vec<Pool>,
    /// What accounts can be on, in the file's order.
    pub plans: Vec<Plan>,
    /// Features that plans may have and models may ask for.
    pub gates: Vec<FeatureGate>,
    /// What happens when the credits are gone.
    pub exhaustion: Exhaustion,
    /// Where refusals may point to.
    pub links: Links,
    /// The most that one request is charged, in micro-credits; the excess is recorded as disputed.
    pub max_charge_per_request: Option<Micros>,
    /// What a request is charged whose end nobody saw.
    #[serde(default)]
    pub lost: Lost,
    /// Members of request bodies that prices and limits refer to.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Traffic that limits leave out.
    #[serde(default)]
    pub exempt: Vec<Exempt>,
    /// What a positive balance lifts.
    #[serde(default)]
    pub bypasses: Vec<Bypass>,
    /// What switching plans does.
    #[serde(default)]
    pub transitions: Transitions,
    /// How credits are bought.
    #[serde(default)]
    pub purchases: Purchases,
    /// Plans that follow from what was bought.
    #[serde(default)]
    pub tiers: Option<Tiers>,
    /// Accounts with other terms for a time; the first that an account belongs to counts.
    #[serde(default)]
    pub cohorts: Vec<Cohort>,
    /// Models for nothing, for enrolled accounts.
    #[serde(default)]
    pub programmes: Vec<Programme>,
    /// What is off prices of plans.
    #[serde(default)]
    pub coupons: Vec<Coupon>,
}

/// A model, or a flat-price operation (a model with only a price per request).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The name in catalog, journal and API.
    pub name: String,
    /// Further names that mean it (patterns); an exact name of any model goes first.
    pub aliases: Vec<String>,
    /// Who makes it, for people.
    pub provider: Option<String>,
    /// Unit prices at base price; never empty.
    pub prices: Prices,
    /// Output tokens to hold for when the request names no bound.
    pub max_output_default: u64,
    /// The feature that a plan needs to use it, where it is not open to all.
    pub feature: Option<String>,
    /// What it is paid in: the asset of the pools that pay it.
    #[serde(default = "credits")]
    pub asset: String,
    /// The provider's prices, in millionths of a US dollar per unit; what a limit on cost counts by (P8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Prices>,
    /// Other prices, for requests with certain parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
    /// Meters that requests state themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stated: Vec<Stated>,
    /// Other prices, for requests that the provider served in another tier of service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_tiers: Vec<ServiceTier>,
    /// Whether requests are charged by the model that answered, where the catalog has it and it is paid in the same
    /// asset: routers, fallbacks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_answered: bool,
    /// Prices from later instants on, ascending; empty in what [`Catalog::at`] gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dated: Vec<DatedPrices>,
}

/// What an account can be on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The name in catalog, metrics and API.
    pub name: String,
    /// The name for people.
    pub title: String,
    /// Whether anyone may choose it; only public plans are offered in refusals.
    pub public: bool,
    /// The price of one cycle in millionths of a US dollar; absent: on request.
    pub price_usd: Option<Micros>,
    /// How long one billing cycle is.
    pub cycle: Period,
    /// What each cycle's start grants; amounts are positive, pools are named at most once.
    pub grants: Vec<Grant>,
    /// What a credit's worth of use at base price takes of a pool (at most 1), by pool; 1 where
    /// absent (M3).
    pub factors: Vec<(String, Ratio)>,
    /// How fast requests may come.
    pub rates: Vec<PlanRate>,
    /// The models that the plan offers: patterns over the catalog's names of models.
    pub models: Vec<String>,
    /// The features that the plan has.
    pub features: Vec<String>,
    /// How many of a thing an account may have at one time (`api_keys`); absent, or present with
    /// nothing: unlimited.
    pub resources: BTreeMap<String, Option<u64>>,
    /// Bounds on what one request may ask for (`models_per_stack`); read as `resources` is.
    pub request_limits: BTreeMap<String, Option<u64>>,
    /// False: shadow mode; everything is decided, counted and logged, nothing is refused.
    pub enforce: bool,
    /// Upper bound for the output tokens of one request.
    pub max_tokens: Option<u64>,
    /// What a node may admit of an account beyond its lease while the ledger cannot be reached, in each outage.
    #[serde(default)]
    pub fail_open: Option<Micros>,
    /// Further names that API calls may use (W6).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Further ways to take it, beside the one that its own fields state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cadences: Vec<Cadence>,
    /// How much may be used in a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// The level of those features that have levels (W7).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: BTreeMap<String, String>,
    /// Headers that its requests carry upstream: name, value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forward: Vec<(String, String)>,
    /// Prices in the place of the models' own, by the catalog's name of a model, or by `MODEL@VARIANT` (C12).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<String, Prices>,
    /// What happens when the credits are gone, in the place of the catalog's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exhaustion: Option<Exhaustion>,
}

/// A token bucket over time, as a plan states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanRate {
    /// Name, as refusals and `RateLimit` headers show it (`rpm`); unique in its plan.
    pub id: String,
    /// What it counts.
    pub meter: Meter,
    /// The models that it counts: patterns over the catalog's names of models.
    pub models: Vec<String>,
    /// Units per [`PlanRate::per_ms`]; positive.
    pub amount: u64,
    /// The period, in milliseconds; positive.
    pub per_ms: u64,
    /// Units that may be taken at once after a rest; positive.
    pub burst: u64,
    /// Whose requests share it.
    pub scope: Scope,
}

/// A feature that plans may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureGate {
    /// The feature's name.
    pub feature: String,
    /// The name for people.
    pub title: String,
    /// The levels that a plan may have it at, lowest first; empty: a plan has it or not (W7).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<String>,
    /// The header that tells the upstream the plan's level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
}

/// What a request is charged that its VM's end cut off, so that its usage is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// All that it held.
    Hold,
    /// One request and its input as estimated at admission, never above the hold.
    #[default]
    Estimate,
    /// Nothing.
    Zero,
}

/// Where refusals may point to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// Where to buy credits.
    pub top_up: Option<String>,
    /// Where to change the plan.
    pub upgrade: Option<String>,
    /// Whom to ask for what is on no public plan.
    pub contact: Option<String>,
}

fn credits() -> String {
    crate::compile::CREDITS.to_owned()
}

impl Catalog {
    /// A catalog without anything in it.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            models: Vec::new(),
            pools: Vec::new(),
            plans: Vec::new(),
            gates: Vec::new(),
            exhaustion: Exhaustion::default(),
            links: Links::default(),
            max_charge_per_request: None,
            lost: Lost::default(),
            parameters: Vec::new(),
            exempt: Vec::new(),
            bypasses: Vec::new(),
            transitions: Transitions::default(),
            purchases: Purchases::default(),
            tiers: None,
            cohorts: Vec::new(),
            programmes: Vec::new(),
            coupons: Vec::new(),
        }
    }

    /// The plan of that name.
    #[must_use]
    pub fn plan(&self, name: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.name == name)
    }

    /// The model that a client's name means: by exact name first, then by the aliases in the
    /// catalog's order.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Model> {
        let exact = self.models.iter().find(|model| model.name == name);
        exact.or_else(|| self.models.iter().find(|model| crate::glob::matches_any(&model.aliases, name)))
    }

    /// The model that a request is charged by: the one that answered, where the requested one says so and the
    /// catalog has it in the same asset, else the requested one.
    #[must_use]
    pub fn charged_by<'c>(&'c self, requested: &'c Model, answered: Option<&str>) -> &'c Model {
        let answered = answered.filter(|_| requested.by_answered).and_then(|name| self.model(name));
        answered.filter(|model| model.asset == requested.asset).unwrap_or(requested)
    }

    /// The pool of that name.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.name == name)
    }

    /// The pools, first drawn first.
    #[must_use]
    pub fn pools_in_draw_order(&self) -> Vec<&Pool> {
        let mut pools: Vec<&Pool> = self.pools.iter().collect();
        pools.sort_by_key(|pool| pool.order);
        pools
    }

    /// What a credit's worth of use at base price takes of a pool, on a plan (M3); 1 where the plan
    /// states nothing or is not there.
    #[must_use]
    pub fn factor(&self, plan: &str, pool: &str) -> Ratio {
        self.plan(plan).map_or(Ratio::ONE, |plan| plan.factor(pool))
    }
}

impl Plan {
    /// A public plan without price, grants or bounds, for every model.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            title: name.clone(),
            name,
            public: true,
            price_usd: None,
            cycle: Period::MONTH,
            grants: Vec::new(),
            factors: Vec::new(),
            rates: Vec::new(),
            models: vec![Model::ANY.to_owned()],
            features: Vec::new(),
            resources: BTreeMap::new(),
            request_limits: BTreeMap::new(),
            enforce: true,
            max_tokens: None,
            fail_open: None,
            aliases: Vec::new(),
            cadences: Vec::new(),
            limits: Vec::new(),
            levels: BTreeMap::new(),
            forward: Vec::new(),
            prices: BTreeMap::new(),
            exhaustion: None,
        }
    }

    /// What a credit's worth of use at base price takes of a pool; 1 where nothing is stated.
    #[must_use]
    pub fn factor(&self, pool: &str) -> Ratio {
        self.factors.iter().find(|(name, _)| name == pool).map_or(Ratio::ONE, |(_, factor)| *factor)
    }

    /// What each cycle's start grants in all.
    #[must_use]
    pub fn granted(&self) -> Micros {
        Micros(self.grants.iter().fold(0, |sum, grant| sum.saturating_add(grant.amount.get())))
    }

    /// How many of a thing an account may have at one time; nothing: unlimited.
    #[must_use]
    pub fn resource(&self, name: &str) -> Option<u64> {
        self.resources.get(name).copied().flatten()
    }

    /// Whether the plan opens a model: its list names it, and it has the model's feature.
    #[must_use]
    pub fn opens(&self, model: &Model) -> bool {
        let listed = crate::glob::matches_any(&self.models, &model.name);
        listed && model.feature.as_ref().is_none_or(|feature| self.has(feature))
    }

    /// The plan's own prices of a model: those of the variant, else those of the model.
    #[must_use]
    pub fn own_prices(&self, model: &str, variant: Option<&str>) -> Option<&Prices> {
        let of_variant = variant.and_then(|variant| self.prices.get(&format!("{model}@{variant}")));
        of_variant.or_else(|| self.prices.get(model))
    }

    /// Whether the plan has a feature, at whatever level.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|own| own == feature) || self.levels.contains_key(feature)
    }
}

impl Model {
    /// A model with prices alone.
    #[must_use]
    pub fn named(name: impl Into<String>, prices: Prices, max_output_default: u64) -> Self {
        Self {
            name: name.into(),
            aliases: Vec::new(),
            provider: None,
            prices,
            max_output_default,
            feature: None,
            asset: credits(),
            cost: None,
            variants: Vec::new(),
            stated: Vec::new(),
            service_tiers: Vec::new(),
            by_answered: false,
            dated: Vec::new(),
        }
    }

    /// The pattern for every model.
    pub const ANY: &str = "*";

    /// Whether every price of it is zero, of its variants and tiers of service too, and it is charged by no other:
    /// its requests take no credits.
    #[must_use]
    pub fn is_free(&self) -> bool {
        let own = self.prices.is_free() && self.variants.iter().all(|variant| variant.prices.is_free());
        own && !self.has_further_prices()
    }

    /// Whether requests may be charged by prices that are neither its own, nor its variants', nor derived from
    /// these, and not zero.
    #[must_use]
    pub fn has_further_prices(&self) -> bool {
        self.by_answered || self.has_dearer_tiers()
    }

    /// Whether a tier of service has prices of its own that are not zero.
    #[must_use]
    pub fn has_dearer_tiers(&self) -> bool {
        let mut tiers = self.service_tiers.iter().filter_map(|tier| tier.prices.as_ref());
        tiers.any(|prices| !prices.is_free())
    }

    /// The tier of service of that name.
    #[must_use]
    pub fn service_tier(&self, name: &str) -> Option<&ServiceTier> {
        self.service_tiers.iter().find(|tier| tier.name == name)
    }
}
