//! Every bound of the edge in one place, with what it bounds.
//!
//! Per worker VM: keys 32,768 x ~0.2 KB = 6.5 MB, accounts 8,192 x ~0.5 KB = 4 MB, the ring's unsent events
//! 8,192 x ~0.5 KB = 4 MB at worst. Per Envoy process (shared data): records 4,096 x 4.5 KB = 18 MB, rings
//! 64 x 8,192 x ~0.5 KB and open requests 64 x 4,096 x ~0.3 KB, of which only the slots of living workers are
//! ever filled, and of open requests only as many as there were at once.
//! Keys and accounts are set by the configuration; `tables` derives the rest.

/// Keys that a VM remembers, and its process in shared data (default).
pub const KEYS_MAX: usize = 32_768;
/// Unknown keys that a VM remembers, each for [`MISS_US`].
pub const MISSES_MAX: usize = 4_096;
/// How long an unknown key is remembered, in microseconds.
pub const MISS_US: u64 = 1_000_000;
/// Accounts whose snapshot a VM remembers, and its process in shared data (default).
pub const ACCOUNTS_MAX: usize = 8_192;
/// Distinct policies that a VM keeps.
pub const POLICIES_MAX: usize = 1_024;
/// Buckets that a VM remembers to be dry, beside what records and snapshots say.
pub const DENIALS_MAX: usize = 4_096;
/// Catalog versions that a VM keeps.
pub const CATALOGS_MAX: usize = 4;

/// Account records in one value of shared data.
pub const RECORDS_PER_SHARD: usize = 5;
/// Keys or snapshots in one value of shared data.
pub const ENTRIES_PER_SHARD: usize = 8;
/// The longest value of keys or snapshots in shared data, in bytes.
pub const SHARD_BYTES_MAX: usize = 16_384;
/// Tries of one compare-and-swap before the request is refused as overloaded.
pub const SWAP_TRIES: usize = 256;
/// No call of any worker was answered for so long: an outage, in microseconds. Above the time between two calls.
pub const OUTAGE_US: u64 = 1_250_000;
/// Tries of one compare-and-swap where the outcome must not be lost (settling, grants).
pub const SWAP_TRIES_MUST: usize = 16_384;

/// Worker slots in shared data: one bit each of a record's marks. A worker that was renewed or swapped while requests
/// were open has two for a while, so an Envoy may have half as many workers.
pub const SLOTS: u32 = 64;
/// Events in one lane's ring.
pub const RING: u64 = 8_192;
/// Places of a ring that admission leaves free beside two for each open request (its settlement, and the end
/// of a lease): for records that make room.
pub const RING_SPARE: u64 = 64;
/// Open requests of one lane in shared data: no more are admitted than leave room for two events each.
pub const OPEN: usize = 4_096;
/// The largest event, in bytes: one value of the ring.
pub const EVENT_BYTES_MAX: usize = 4_096;
/// A lane that is silent for this long is adopted, in microseconds.
pub const LANE_SILENT_US: u64 = 3_000_000;
/// Looks at an unchanged lane, [`ADOPTION_US`] apart, before it is adopted: whoever looks must have lived
/// through the silence, or all VMs of a process that stood still would adopt one another.
pub const LANE_LOOKS: u8 = 4;
/// How often silent lanes are looked for, in microseconds.
pub const ADOPTION_US: u64 = 1_000_000;
/// A VM whose last heartbeat is this old asks whether it still has its lane before it changes anything, in
/// microseconds; well below [`LANE_SILENT_US`].
pub const LANE_STALE_US: u64 = 2_000_000;
/// Lost requests that the log names for one adopted lane; the rest is a number.
pub const LOST_NAMED: usize = 32;

/// Requests parked per account and VM.
pub const PARKED_PER_ACCOUNT: usize = 256;
/// Requests parked per VM.
pub const PARKED: usize = 4_096;
/// Requests parked for a key look-up per VM.
pub const PARKED_LOOKUPS: usize = 512;
/// How long a request waits for the ledger, in microseconds.
pub const PARK_US: u64 = 1_000_000;
/// Calls that may ask for one request in a row; then it is asked for every [`ASK_AGAIN_US`].
pub const ASKS_AT_ONCE: u32 = 8;
/// When a request that the ledger has said nothing of is asked for again, in microseconds.
pub const ASK_AGAIN_US: u64 = 100_000;
/// Key look-ups that wait for a call.
pub const LOOKUPS_QUEUED: usize = 1_024;
/// How much longer a request waits where the ledger answers and waits for reports of others, in microseconds.
pub const PARK_FOR_REPORTS_US: u64 = 1_500_000;
/// The same for tokens of a rate that another node refilled: with [`PARK_US`] and two ticks longer than the ledger
/// waits for a node that has fallen silent ([`wire::RATE_SILENT_MS`]), so that nobody is refused for its sake.
pub const PARK_FOR_TOKENS_US: u64 = 2_500_000;
const _: () =
    assert!(PARK_US + PARK_FOR_TOKENS_US >= wire::RATE_SILENT_MS * 1_000 + 2 * TICK_MS as u64 * 1_000);
/// Key look-ups per second and VM; beyond, unknown keys are refused with 503.
pub const LOOKUPS_PER_SECOND: u64 = 2_000;

/// Period of the root's tick, in milliseconds.
pub const TICK_MS: u32 = 250;
/// Period of the sync call while a VM is in use, in microseconds.
pub const SYNC_US: u64 = 1_000_000;
/// Changed accounts are asked for this long after the last that were, in microseconds, unless they fill a call: where the
/// cycles of thousands end at once, the ledger is not asked about each by itself.
pub const REFRESH_US: u64 = 100_000;
/// A VM that saw no request for this long does not sync, in microseconds.
pub const IDLE_US: u64 = 60_000_000;
/// Events that wait before a sync is sent ahead of its time.
pub const EAGER_EVENTS: usize = 500;
/// Bytes of events in one batch.
pub const BATCH_BYTES_MAX: usize = 1_000_000;
/// A lease unused for this long is returned, in microseconds.
pub const LEASE_IDLE_US: u64 = 300_000_000;
/// A call is given up this long after its time limit, in microseconds: the host would have answered it, so
/// its root has gone.
pub const FLIGHT_SLACK_US: u64 = 500_000;
/// The largest amount of one hold or use, in micro-units: the ledger believes no larger one.
pub const AMOUNT_MAX: i64 = 1 << 53;
/// Leased tokens of rates that are not used for this long are given back, in microseconds, unless the ledger says
/// that they are not missed elsewhere.
pub const TOKENS_IDLE_US: u64 = 2_000_000;
/// Accounts whose leased tokens a VM watches, and reports of rates that wait for a call. Beyond, the ledger
/// counts tokens as used, and a node as one that refills by itself, for longer than it need.
pub const RATES_WATCHED: usize = 8_192;
/// A worker refuses by what it knows of an account for this long after its last answered call, in microseconds: two
/// calls may be lost.
pub const CURRENT_US: u64 = 3_000_000;
/// How long `in_flight` is remembered, in microseconds.
pub const IN_FLIGHT_US: u64 = 250_000;

/// Body bytes handed to the scanner at once.
pub const SLICE: usize = 65_536;
/// The default cap for metered request bodies, in bytes.
pub const BODY_LIMIT_DEFAULT: u64 = 1_048_576;
/// The longest API key, in bytes.
pub const KEY_BYTES_MAX: usize = 256;
/// Routes of a configuration.
pub const ROUTES_MAX: usize = 1_024;
/// Headers of an answer that a generic route reads counts from: each costs a host call.
pub const COUNT_HEADERS_MAX: usize = 8;
/// The longest path that routes are matched against, in bytes.
pub const PATH_BYTES_MAX: usize = 8_192;
/// Plans that metrics tell apart; the rest is counted as `other`.
pub const METRIC_PLANS_MAX: usize = 64;
/// The longest label of a node, in bytes: the ledger refuses calls with a longer one.
pub const LABEL_BYTES_MAX: usize = 253;
