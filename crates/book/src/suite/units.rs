//! Random catalogs, one micro-credit at a time: who pays, what is left, what may be leased, reckoned by taking single
//! units from plain lists, with none of the book's own arithmetic.

use tariff::catalog::{Counted, Measure, PoolModels, Window};
use tariff::{
    Catalog, Expiry, Limit, Meter, Micros, Model, OnExceed, Plan, Pool, Prices, Ratio, Scope, Usage,
};
use wire::{Settle, VerdictKind};

use super::pages::{deliver, settlement, takes, want};
use super::world::{Subject, Worker, World};
use crate::funds::Funds;

/// A catalog and steps on it, as numbers.
pub type Numbers = (Vec<u8>, Vec<(u8, u8, u8)>);

/// A lot, in the order of grants.
struct UnitLot {
    pool: String,
    left: i64,
}

/// A cap that skips pools: which, for which models, how much is left of it.
struct UnitCap {
    id: String,
    pools: Vec<String>,
    models: Vec<String>,
    left: i64,
}

/// The oracle: lists, and nothing is remembered but what is left.
struct Units {
    /// Pools in draw order, and the models that each pays for.
    pools: Vec<(String, Vec<String>)>,
    lots: Vec<UnitLot>,
    caps: Vec<UnitCap>,
    debt: i64,
}

/// Numbers one after another; zero when there are no more.
struct Draw<'n>(std::slice::Iter<'n, u8>);

impl Draw<'_> {
    fn below(&mut self, sides: u8) -> u8 {
        self.0.next().copied().unwrap_or(0) % sides
    }

    /// Some of the names, at least one.
    fn some(&mut self, names: &[String]) -> Vec<String> {
        let bits = self.below(255);
        let picked =
            (0_u8..).zip(names).filter(|(at, _)| bits & (1 << at) != 0).map(|(_, name)| name.clone());
        let picked: Vec<String> = picked.collect();
        if picked.is_empty() { vec![names[0].clone()] } else { picked }
    }
}

fn names(prefix: &str, count: u8) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

/// Up to four pools for up to four models, up to three caps.
fn random(draw: &mut Draw<'_>) -> (Catalog, Units) {
    let models = names("m", 1 + draw.below(4));
    let pool_names = names("p", 1 + draw.below(4));
    let price = Prices::new([(Meter::InputTokens, Ratio::ONE)]);
    let mut pools = Vec::new();
    let mut units = Units { pools: Vec::new(), lots: Vec::new(), caps: Vec::new(), debt: 0 };
    for (order, name) in (1..).zip(&pool_names) {
        let paid = if draw.below(2) == 0 { models.clone() } else { draw.some(&models) };
        let pays = if paid.len() == models.len() { PoolModels::All } else { PoolModels::Named(paid.clone()) };
        pools.push(Pool { models: pays, ..Pool::named(name.clone(), order, Expiry::Never) });
        units.pools.push((name.clone(), paid));
    }
    let mut limits = Vec::new();
    for id in names("cap", draw.below(4)) {
        let of_models = if draw.below(3) == 0 { draw.some(&models) } else { vec!["*".to_owned()] };
        let of_pools = draw.some(&pool_names);
        let max = i64::from(draw.below(40));
        units.caps.push(UnitCap {
            id: id.clone(),
            pools: of_pools.clone(),
            models: if of_models == ["*"] { models.clone() } else { of_models.clone() },
            left: max,
        });
        limits.push(Limit {
            id,
            measure: Measure::Credits,
            window: Window::Day,
            max: Some(Micros(max)),
            models: of_models,
            pools: of_pools,
            scope: Scope::Account,
            on_exceed: OnExceed::SkipPool,
            count: Counted::Delivered,
            notify: Vec::new(),
        });
    }
    let catalog = Catalog {
        models: models.iter().map(|name| Model::named(name.clone(), price.clone(), 1)).collect(),
        pools,
        plans: vec![Plan { limits, ..Plan::named("plan") }],
        ..Catalog::named("units")
    };
    (catalog, units)
}

// === impl Units ===

impl Units {
    /// The lot that the next micro-credit of a model is drawn from.
    fn next(&self, model: &str) -> Option<usize> {
        let pays = |pool: &String| {
            let listed = self.pools.iter().any(|(name, models)| name == pool && has(models, model));
            let mut caps = self.caps.iter().filter(|cap| has(&cap.models, model) && has(&cap.pools, pool));
            listed && caps.all(|cap| cap.left > 0)
        };
        let in_order = self.pools.iter().map(|(name, _)| name).filter(|name| pays(name));
        let mut lots =
            in_order.filter_map(|name| self.lots.iter().position(|lot| lot.pool == *name && lot.left > 0));
        lots.next()
    }

    fn take(&mut self, model: &str, lot: usize) {
        self.lots[lot].left -= 1;
        let pool = self.lots[lot].pool.clone();
        for cap in self.caps.iter_mut().filter(|cap| has(&cap.models, model) && has(&cap.pools, &pool)) {
            cap.left -= 1;
        }
    }

    /// Draws a price; gives what each lot pays.
    fn draw(&mut self, model: &str, price: i64) -> Vec<(usize, i64)> {
        let mut slices: Vec<(usize, i64)> = Vec::new();
        for _ in 0..price {
            let Some(lot) = self.next(model) else {
                self.debt += 1;
                continue;
            };
            self.take(model, lot);
            match slices.iter_mut().find(|(own, _)| *own == lot) {
                Some((_, paid)) => *paid += 1,
                None => slices.push((lot, 1)),
            }
        }
        slices
    }

    /// All that a model could draw.
    fn worth(&self, model: &str) -> i64 {
        let mut copy = Self {
            pools: self.pools.clone(),
            lots: self.lots.iter().map(|lot| UnitLot { pool: lot.pool.clone(), left: lot.left }).collect(),
            caps: self.caps.iter().map(UnitCap::copy).collect(),
            debt: 0,
        };
        let mut worth = 0;
        while let Some(lot) = copy.next(model) {
            copy.take(model, lot);
            worth += 1;
        }
        worth
    }

    /// Whether every model can draw the same, by the same caps: one bucket, and no sharing.
    fn is_one_class(&self, models: usize) -> bool {
        let all = |named: &[String]| named.len() == models;
        self.pools.iter().all(|(_, named)| all(named)) && self.caps.iter().all(|cap| all(&cap.models))
    }
}

impl UnitCap {
    fn copy(&self) -> Self {
        let (id, pools, models) = (self.id.clone(), self.pools.clone(), self.models.clone());
        Self { id, pools, models, left: self.left }
    }
}

fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|own| own == name)
}

/// Plays steps on a random catalog: grants, charges, leases and their settlements, each reckoned unit by unit.
pub fn play<S: Subject>(make: impl FnOnce(Catalog) -> S, (catalog, steps): &Numbers) {
    let (catalog, mut units) = random(&mut Draw(catalog.iter()));
    let models: Vec<String> = catalog.models.iter().map(|model| model.name.clone()).collect();
    let mut world = World::on(make, catalog, "plan", "2026-11-02T12:00:00Z");
    let mut worker = Worker::new(1);
    let mut ids: Vec<u64> = Vec::new();
    for (number, (kind, which, amount)) in steps.iter().enumerate() {
        let model = models[usize::from(*which) % models.len()].clone();
        let amount = i64::from(*amount % 30);
        match kind % 4 {
            0 => {
                let pool = units.pools[usize::from(*which) % units.pools.len()].0.clone();
                world.fill(&pool, Micros(amount + 1), &number.to_string());
                let repaid = units.debt.min(amount + 1);
                units.debt -= repaid;
                units.lots.push(UnitLot { pool, left: amount + 1 - repaid });
                ids = world
                    .subject
                    .journal()
                    .iter()
                    .filter(|entry| is_grant(&entry.kind))
                    .map(|e| e.id)
                    .collect();
            }
            1 => charge(&mut world, &mut worker, &mut units, &ids, (&model, amount, &[])),
            _ => lease(&mut world, &mut worker, &mut units, &ids, (&model, amount)),
        }
        check(&mut world, &units, &models);
    }
}

const fn is_grant(kind: &crate::entry::EntryKind) -> bool {
    matches!(kind, crate::entry::EntryKind::Grant(_))
}

fn charge<S: Subject>(
    world: &mut World<S>,
    worker: &mut Worker,
    units: &mut Units,
    ids: &[u64],
    (model, price, taken): (&str, i64, &[(&str, i64)]),
) {
    let request = format!("r{}", world.subject.journal().len());
    let tokens = u64::try_from(price).unwrap();
    let settle = settlement(world, &request, model, Usage::new().with(Meter::InputTokens, tokens));
    let before = units.debt;
    let charge = deliver(world, worker, Settle { takes: takes(taken), ..settle });
    let expected: Vec<(u64, i64)> =
        units.draw(model, price).into_iter().map(|(lot, paid)| (ids[lot], paid)).collect();
    let found: Vec<(u64, i64)> = charge.slices.iter().map(|slice| (slice.lot, slice.amount.get())).collect();
    assert_eq!(found, expected, "{model} {price}");
    assert_eq!(charge.debt.get(), units.debt - before);
}

/// A request is leased what it needs, uses it, and draws just that: what is leased can be drawn.
fn lease<S: Subject>(
    world: &mut World<S>,
    worker: &mut Worker,
    units: &mut Units,
    ids: &[u64],
    (model, need): (&str, i64),
) {
    let account = world.account();
    let class = account.rules(account.term().unwrap()).class(model).unwrap().clone();
    let (Some(bucket), true) = (class.bucket, need > 0) else { return };
    let fits = need <= units.worth(model) && units.debt == 0;
    let answer = want(world, worker, "w", &[(&bucket, need)]);
    let is_served = answer.verdicts.is_empty();
    if units.debt == 0 {
        assert_eq!(is_served, fits, "{model} needs {need} of {bucket}: {answer:?}");
    }
    let held = match answer.verdicts.first().map(|verdict| &verdict.kind) {
        None => need,
        Some(VerdictKind::Clip(clip)) => clip.need.get(),
        Some(_) => return,
    };
    assert!(held <= units.worth(model), "{model} was leased {held}");
    let before = units.debt;
    charge(world, worker, units, ids, (model, held, &[(&bucket, held)]));
    assert_eq!(units.debt, before, "what is leased can be drawn");
}

/// What the book says is left is what single units come to.
fn check<S: Subject>(world: &mut World<S>, units: &Units, models: &[String]) {
    let account = world.account();
    let (term, funds) = (account.term().unwrap().clone(), Funds::of(&account));
    for model in models {
        let class = account.rules(&term).class(model).unwrap();
        let Some(bucket) = &class.bucket else { continue };
        let left = funds.left(bucket).unwrap().get();
        if units.debt == 0 {
            assert_eq!(left, units.worth(model), "{model} of {bucket}");
        } else if units.is_one_class(models.len()) {
            assert_eq!(left, (units.worth(model) - units.debt).max(0), "{model} of {bucket}");
        }
    }
    for cap in &units.caps {
        let (key, max) =
            (term.window_key(&cap.id), account.rules(&term).limit(&cap.id).unwrap().max.unwrap());
        assert_eq!(account.used(&cap.id, key).get(), max.get() - cap.left, "{}", cap.id);
    }
    assert_eq!(account.debt.get(), units.debt);
}
