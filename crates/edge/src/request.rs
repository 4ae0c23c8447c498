//! One request as the edge knows it, from its headers to its settlement.

pub mod credential;
pub mod head;
pub(crate) mod parameter;

use std::rc::Rc;
use std::sync::Arc;

use tariff::{Meter, Unit};
use usage::{RequestFacts, RequestScanner, ResponseReader, UsageChunkFilter};
use wire::{Digest, KeyEntry, VerdictKind};

use crate::account::Account;
use crate::config::Config;
use crate::pricing::Priced;
use crate::record::Need;
use crate::reply::{Code, Refusal};
use crate::route::Operation;
use crate::route::dialect::ErrorShape;
use crate::shared::open::OpenPlace;
use crate::time::Now;

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Key and account are being found.
    Head,
    /// The body is being read.
    Body,
    /// Everything is read; gates, limits and hold decide.
    Admission,
    /// Refused; the reply is sent at the end of the body.
    Draining,
    /// On its way upstream, metered.
    Forwarded,
    /// On its way upstream, not metered (exempt, or shadow mode without a key).
    Passed,
    /// Ended by a local reply.
    Refused,
}

/// One request.
#[derive(Debug)]
pub struct Request {
    /// The configuration that it began with.
    pub config: Rc<Config>,
    /// Its id, unique for ever.
    pub id: Box<str>,
    /// When it began.
    pub began: Now,
    /// What it is.
    pub operation: Operation,
    /// Whose error object its client looks for.
    pub errors: ErrorShape,
    /// How far it has come.
    pub stage: Stage,
    /// The key's digest.
    pub digest: Option<Digest>,
    /// What the key stands for.
    pub key: Option<Arc<KeyEntry>>,
    /// The account's snapshot that it was admitted under.
    pub account: Option<Rc<Account>>,
    /// The request body.
    pub body: RequestBody,
    /// What it waits for at the ledger.
    pub wait: Option<Wait>,
    /// Rates already taken in the header phase, and the record's turn then.
    pub rates_taken: Option<u64>,
    /// Shadow mode: what it would have been refused for.
    pub shadow: Option<Code>,
    /// The refusal that is sent at the end of the body.
    pub refusal: Option<Refusal>,
    /// What it holds.
    pub hold: Option<Hold>,
    /// The answer.
    pub answer: Answer,
}

/// What is known of the request body.
#[derive(Debug, Default)]
pub struct RequestBody {
    /// The scanner, while it reads.
    pub scanner: Option<Box<RequestScanner>>,
    /// What it found.
    pub facts: Option<RequestFacts>,
    /// The model that the path names, until the facts have it.
    pub path_model: Option<Box<str>>,
    /// The tier of service that a header asks for, until the facts have it.
    pub tier: Option<Box<str>>,
    /// The tier of service that its route is sold in, until the facts have it.
    pub sold_tier: Option<Box<str>>,
    /// Bytes of the host's buffer that it has seen.
    pub scanned: usize,
    /// `content-length`, where announced.
    pub announced: Option<u64>,
    /// Nothing more comes.
    pub ended: bool,
    /// The host has said so too. A reply that comes before costs an HTTP/1 client its connection.
    pub closed: bool,
    /// The edits have been made.
    pub edited: bool,
    /// What it asks for goes on when its answer has ended.
    pub outlives: bool,
    /// The usage chunk was asked for by the edge, not by the client.
    pub usage_injected: bool,
    /// The upstream refuses to be asked for it.
    pub usage_not_asked: bool,
    /// The upstream knows no `max_completion_tokens`.
    pub is_old_chat: bool,
}

/// Why a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The key must be looked up.
    Key,
    /// The account's snapshot must be fetched.
    Snapshot,
    /// The catalog version must be fetched.
    Catalog(u64),
    /// The node must hear from the ledger before it admits.
    Liveness,
    /// The node lacks spending power.
    Refill,
    /// The node lacks tokens of a rate, named by its tag; maybe spending power too.
    Tokens(u64),
    /// Its body is still to be edited, which only a root can do: it has ended in trailers.
    Edit,
}

/// A request that waits for the ledger.
#[derive(Debug)]
pub struct Wait {
    /// Why.
    pub reason: Reason,
    /// Until when, in microseconds.
    pub until_us: u64,
    /// What the ledger said of it.
    pub verdict: Option<VerdictKind>,
    /// The account's version that it is about.
    pub version: u64,
    /// Not to be asked for again before, in microseconds.
    pub ask_after_us: u64,
    /// Another worker's refill is under way: it is asked for when that one has ended.
    pub blocked: bool,
    /// It waits for other nodes, and was given more time for that.
    pub others: bool,
    /// How many calls have asked for it.
    pub asked: u32,
    /// What it must hold, for [`Reason::Refill`] and [`Reason::Tokens`]; nothing that is zero.
    pub needs: Vec<(String, Need)>,
    /// The account that it is counted under; none while its key is looked up.
    pub counted: Option<Box<str>>,
}

/// What an admitted request holds.
#[derive(Debug)]
pub struct Hold {
    /// What it is charged as.
    pub model: Rc<Priced>,
    /// The record's epoch; `None` where nothing is held of it.
    pub epoch: Option<u64>,
    /// Node generation of the record.
    pub node: u64,
    /// What is held of each bucket: id, tag, amount.
    pub takes: Vec<Held>,
    /// The hold in credits, at base price.
    pub credits: i64,
    /// The tier of service that it is charged in unless the answer names one: the one that the request asks for, where
    /// its model has a price for it that is not below that of the route's tier, or else of the usual one; else the route's.
    pub tier: Option<Box<str>>,
    /// Input tokens as estimated.
    pub input_estimate: u64,
    /// What the request states itself of items and the like.
    pub stated: Vec<(Meter, u64)>,
    /// Where it stands in the table of open requests.
    pub open: Option<OpenPlace>,
    /// Another VM took this one for dead and has settled it.
    pub lost: bool,
    /// Balance for the client, at admission.
    pub remaining: Option<i64>,
    /// `RateLimit` header, where there are rates.
    pub rate_limit: Option<String>,
}

/// What is held of one bucket.
#[derive(Debug)]
pub struct Held {
    /// The bucket's id.
    pub bucket: Rc<str>,
    /// Its tag.
    pub tag: u64,
    /// How much.
    pub amount: i64,
    /// What one unit is.
    pub unit: Unit,
    /// True: taken even where nothing is delivered.
    pub admitted: bool,
    /// True: there is always enough.
    pub unlimited: bool,
}

/// What is known of the answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// The status, once there is one.
    pub status: Option<u32>,
    /// Reads usage.
    pub reader: Option<Box<ResponseReader>>,
    /// The first byte of the body tells how to read it.
    pub undecided: bool,
    /// Drops the usage chunk that the client had not asked for.
    pub filter: Option<Box<UsageChunkFilter>>,
    /// Body bytes seen.
    pub bytes: u64,
    /// The answer is in a coding that cannot be read.
    pub encoded: bool,
}

impl Reason {
    /// Whether tokens of a rate are lacking.
    #[must_use]
    pub fn is_tokens(self) -> bool {
        matches!(self, Self::Tokens(_))
    }

    /// Whether what is lacking is asked for in a want.
    #[must_use]
    pub fn is_wanted(self) -> bool {
        matches!(self, Self::Refill | Self::Tokens(_))
    }
}

impl Hold {
    /// What is set aside in credits; the price itself where credits are not rationed. Less than the price
    /// where the ledger clipped the hold (M9).
    #[must_use]
    pub fn held_credits(&self) -> i64 {
        self.takes.iter().find(|take| take.unit == Unit::Credits).map_or(self.credits, |take| take.amount)
    }
}

impl Request {
    /// The key of the plan in metrics.
    #[must_use]
    pub fn plan(&self) -> &str {
        self.account.as_ref().map_or("none", |account| &account.policy.policy.plan)
    }

    /// Whether refusals are enforced for it.
    #[must_use]
    pub fn enforced(&self) -> bool {
        let by_plan = self.account.as_ref().is_none_or(|account| account.policy.policy.enforce);
        self.config.enforce && by_plan
    }
}
