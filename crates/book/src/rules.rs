//! What binds a term: who pays for which models, which limits count, under which ids.
//!
//! Compiled from the catalog when a term is opened and pinned by it, so that capacity, drawing and
//! counting need no catalog. Ids of limits stand here without window; a term has the windows.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use tariff::compile::CREDITS;
use tariff::{Exempt, Funding, FundingClass, Limit, Measure, Micros, Model, OnExceed, Overage, glob};

use crate::account::Term;

/// The rules of a term.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// How requests are paid, by model; its caps are named by their limits alone.
    pub funding: Funding,
    /// The plan's limits.
    pub limits: Vec<Limit>,
    /// What limits leave out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exempt: Vec<Exempt>,
    /// Pools whose being above zero lifts something (P10).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bypasses: Vec<String>,
    /// The most that may be owed for overage in one cycle; absent: no bound (C8).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overage_cap: Option<Micros>,
    /// True: a cycle that begins brings nothing, so that waiting for it does not help (W8).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub barren: bool,
    /// True: one class, which all pools of the term pay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain: bool,
}

/// The id under which overage is counted: no limit's name starts with a tilde.
pub const OVERAGE: &str = "~overage";

static PLAIN: LazyLock<Rules> = LazyLock::new(|| {
    let class = FundingClass {
        models: vec![Model::ANY.to_owned()],
        bucket: Some(CREDITS.to_owned()),
        asset: CREDITS.to_owned(),
        pools: Vec::new(),
        skips: Vec::new(),
        caps: Vec::new(),
        overage: Overage::None,
    };
    let funding = Funding { classes: vec![class], caps: Vec::new() };
    Rules { funding, plain: true, ..Rules::default() }
});

// === impl Rules ===

impl Rules {
    /// Those of a term that states none.
    #[must_use]
    pub fn plain() -> &'static Self {
        &PLAIN
    }

    /// The class that a model is in, by its name with or without a variant.
    #[must_use]
    pub fn class(&self, model: &str) -> Option<&FundingClass> {
        let (classes, bare) = (&self.funding.classes, without_variant(model));
        let exact = |name: &str| classes.iter().find(|class| class.models.iter().any(|own| own == name));
        let matching = || classes.iter().find(|class| names(&class.models, model));
        exact(model).or_else(|| exact(bare)).or_else(matching).or(classes.last())
    }

    /// Whether there is one bucket of credits, which all pools pay, and nothing else is rationed.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let mut paid = self.funding.classes.iter().filter(|class| class.bucket.is_some());
        let plain = |class: &FundingClass| {
            class.asset == CREDITS && class.skips.is_empty() && class.overage == Overage::None
        };
        self.funding.caps.is_empty() && paid.next().is_none_or(plain) && paid.next().is_none()
    }

    /// The pools that pay for a class, in draw order.
    pub fn pools<'r>(&'r self, term: &'r Term, class: &'r FundingClass) -> Vec<&'r str> {
        if self.plain {
            return term.pools.iter().map(|pool| &*pool.pool).collect();
        }
        class.pools.iter().map(String::as_str).collect()
    }

    /// Whether a pool pays for a class under a term: those of its list; pools that the catalog no longer has, last;
    /// where the class takes no credits and something is to be paid all the same, all pools of its asset.
    #[must_use]
    pub fn pays(&self, term: &Term, class: &FundingClass, pool: &str, asset: &str) -> bool {
        let listed = term.pools.iter().any(|own| *own.pool == *pool);
        let named = class.pools.iter().any(|name| name == pool);
        *class.asset == *asset && (self.plain || !listed || class.bucket.is_none() || named)
    }

    /// A limit.
    #[must_use]
    pub fn limit(&self, id: &str) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.id == id)
    }

    /// The limits that bound pools of a class from within its capacity, with their caps.
    pub fn skips<'r>(&'r self, class: &'r FundingClass) -> impl Iterator<Item = (&'r Limit, Micros)> {
        class.skips.iter().filter_map(|id| self.limit(id)).filter_map(|limit| Some((limit, limit.max?)))
    }

    /// The limit that a cap's bucket is of, where it is one of a term's.
    #[must_use]
    pub fn limit_of_bucket<'r>(&'r self, term: &Term, bucket: &str) -> Option<&'r Limit> {
        let cap = self.funding.caps.iter().find(|cap| bucket_id(term, &cap.limit) == bucket)?;
        self.limit(&cap.limit)
    }
}

/// A model's name without the variant that priced it (`MODEL@VARIANT`).
#[must_use]
pub fn without_variant(model: &str) -> &str {
    model.rsplit_once('@').map_or(model, |(name, _)| name)
}

/// Whether patterns name a model, with or without a variant; models' own names may have an `@` too.
#[must_use]
pub fn names(patterns: &[String], model: &str) -> bool {
    glob::matches_any(patterns, model) || glob::matches_any(patterns, without_variant(model))
}

/// The id of the bucket of a limit under a term: with the key of the window that runs.
#[must_use]
pub fn bucket_id(term: &Term, limit: &str) -> String {
    match term.window_key(limit) {
        "" => limit.to_owned(),
        key => format!("{limit}/{key}"),
    }
}

/// Whether a limit, once reached, makes the pools that it bounds give nothing, by the next term (P8).
#[must_use]
pub fn runs_dry(limit: &Limit) -> bool {
    limit.on_exceed == OnExceed::SkipPool && limit.measure != Measure::Credits
}
