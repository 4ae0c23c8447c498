//! What is sold in the simulation, and its prices by an arithmetic that is not ours.
//!
//! The catalog is text for the real reader; the tables beside it are what a customer would reckon with.

/// A model of the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Cheap.
    Small,
    /// Dear, with a price that is no whole number of micro-credits.
    Large,
    /// One price per request.
    Search,
}

/// A plan of the catalog: its name, the monthly credits in millionths, what a top-up pays in hundredths.
pub type Plan = (&'static str, i64, i64);

/// The plans.
pub const PLANS: [Plan; 5] = [
    ("payg", 0, 100),
    ("basic", 2_000_000, 85),
    ("plus", 40_000_000, 60),
    ("slow", 40_000_000, 75),
    ("tiny", 30_000, 90),
];

/// The catalog's bound for one request, in micro-credits.
pub const CHARGE_MAX: i64 = 20_000_000;
/// Output tokens held for a request that does not bound them.
pub const OUTPUT_DEFAULT: u64 = 1_000;
/// Catalog versions there are.
pub const VERSIONS: u64 = 3;

/// The catalog of a version.
pub fn catalog(version: u64, clip: bool) -> String {
    let tenths = |tenths: i64| format!("{}.{}", tenths / 10, tenths % 10);
    let model = |model| {
        let (input, output) = rates(version, model);
        format!("{{ input_tokens: {}, output_tokens: {} }}", tenths(input), tenths(output))
    };
    let mut text = format!(
        "name: Simulated\n\
         exhaustion: {{ action: deny402, admission: {} }}\n\
         max_charge_per_request: {}\n\
         max_output_default: {OUTPUT_DEFAULT}\n\
         pools:\n  included: {{ order: 1, expiry: cycle_end }}\n  topup: {{ order: 2, expiry: P12M }}\n\
         models:\n  small: {{ price: {{ per_1m: {} }} }}\n  large: {{ price: {{ per_1m: {} }} }}\n  \
         search: {{ price: {{ per_request: 0.{:06} }} }}\n\
         plans:\n",
        if clip { "clip" } else { "full" },
        CHARGE_MAX / 1_000_000,
        model(Model::Small),
        model(Model::Large),
        flat(version),
    );
    for (name, grant, factor) in PLANS {
        let max = if name == "slow" { 30 } else { 6_000 };
        text += &format!("  {name}:\n    title: {name}\n    price_usd: 0\n    cycle: P30D\n");
        if grant > 0 {
            text += &format!("    grants: {{ included: {}.{:06} }}\n", grant / 1_000_000, grant % 1_000_000);
        }
        if factor != 100 {
            text += &format!("    factors: {{ topup: 0.{factor:02} }}\n");
        }
        text += &format!("    rates:\n      - {{ id: rpm, max: {max}, per: minute }}\n");
    }
    text
}

/// Tenths of a micro-credit per input and per output token.
fn rates(version: u64, model: Model) -> (i64, i64) {
    match (model, version) {
        (Model::Small, 1) => (28, 42),
        (Model::Small, 2) => (31, 47),
        (Model::Small, _) => (14, 21),
        (_, 1) => (303, 1_507),
        (_, 2) => (333, 1_658),
        (_, _) => (150, 753),
    }
}

/// What a search costs, in micro-credits.
fn flat(version: u64) -> i64 {
    match version {
        1 => 500_000,
        2 => 550_001,
        _ => 250_000,
    }
}

/// What so many tokens cost, in tenths of a micro-credit, bounded as the catalog says.
pub fn price_tenths(version: u64, model: Model, input: i64, output: i64) -> i64 {
    let tenths = if model == Model::Search {
        flat(version) * 10
    } else {
        let (per_input, per_output) = rates(version, model);
        input * per_input + output * per_output
    };
    tenths.min(CHARGE_MAX * 10)
}

/// What a request of so many body bytes and so many output tokens at most is reckoned to cost before it is sent:
/// a token per four bytes.
pub fn estimate(version: u64, model: Model, bytes: u64, output: u64) -> i64 {
    let input = i64::try_from(bytes.div_ceil(4)).unwrap_or(i64::MAX);
    if model == Model::Search {
        return flat(version);
    }
    let (per_input, per_output) = rates(version, model);
    round(input * per_input + i64::try_from(output).unwrap_or(i64::MAX) * per_output)
}

/// Tenths of a micro-credit as micro-credits, half up.
pub fn round(tenths: i64) -> i64 {
    (tenths + 5).div_euclid(10)
}

/// The name in requests.
pub const fn name(model: Model) -> &'static str {
    match model {
        Model::Small => "small",
        Model::Large => "large",
        Model::Search => "search",
    }
}

/// What a top-up pays of a credit's worth under a plan, in hundredths.
pub fn factor(plan: &str) -> i64 {
    PLANS.iter().find(|(name, ..)| *name == plan).map_or(100, |(_, _, factor)| *factor)
}
