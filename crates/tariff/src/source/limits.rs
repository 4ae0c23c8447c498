//! The bounds of a catalog file, all of them.

/// The largest file: 1 MiB, some five thousand models.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// How deep lists and mappings may lie in each other; the format itself needs 8.
pub(super) const DEPTH_MAX: usize = 16;
/// After how many problems a report is cut off.
pub(super) const PROBLEMS_MAX: usize = 100;
/// Models and operations in a catalog.
pub(super) const MODELS_MAX: usize = 4_096;
/// Pools in a catalog.
pub(super) const POOLS_MAX: usize = 16;
/// Plans in a catalog.
pub(super) const PLANS_MAX: usize = 256;
/// Features in a catalog.
pub(super) const FEATURES_MAX: usize = 256;
/// Parameters in a catalog: the filter looks for each in every request that may need it.
pub(super) const PARAMETERS_MAX: usize = 16;
/// Cohorts, programmes or coupons in a catalog.
pub(super) const RULES_MAX: usize = 64;
/// Limits of one plan.
pub(super) const LIMITS_MAX: usize = 16;
/// Variants of one model.
pub(super) const VARIANTS_MAX: usize = 64;
/// Tiers of service of one model.
pub(super) const SERVICE_TIERS_MAX: usize = 8;
/// Bytes of the name of a tier of service, as answers have them.
pub(super) const SERVICE_TIER_BYTES_MAX: usize = 24;
/// Dated prices of one model.
pub(super) const CHANGES_MAX: usize = 16;
/// Context tiers of one price list.
pub(super) const CONTEXT_TIERS_MAX: usize = 4;
/// The longest input that a context tier may begin above, in tokens.
pub(super) const CONTEXT_TOKENS_MAX: u64 = 100_000_000;
/// Entries of a list or mapping inside a model or plan.
pub(super) const ENTRIES_MAX: usize = 64;
/// Bytes of a plan's, pool's, feature's, rate's or resource's name: they become metric names.
pub(super) const NAME_BYTES_MAX: usize = 64;
/// Bytes of a model's name or of a pattern for such names.
pub(super) const MODEL_NAME_BYTES_MAX: usize = 128;
/// Bytes of a text for people, or of a link.
pub(super) const TEXT_BYTES_MAX: usize = 1_024;
/// Characters of the file's own text that a message repeats.
pub(super) const QUOTED_CHARS_MAX: usize = 48;
/// The largest amount, in credits (or US dollars): it leaves room to add up thousands of them.
pub(super) const AMOUNT_MAX: i64 = 1_000_000_000;
/// The largest number of output tokens that a request may be held or capped for.
pub(super) const OUTPUT_TOKENS_MAX: u64 = 100_000_000;
/// The largest amount or burst of a rate.
pub(super) const RATE_AMOUNT_MAX: u64 = 1_000_000_000_000;
/// The largest cap of a resource, of a request's parameter, or of a limit on a meter.
pub(super) const CAP_MAX: u64 = 1_000_000_000_000;
/// The largest count that a request may state of a meter.
pub(super) const QUANTITY_MAX: u64 = 1_000_000_000;
