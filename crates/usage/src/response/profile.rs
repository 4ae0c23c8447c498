//! Provider profiles: where in an answer a dialect keeps what matters, and how its counts add up.
//!
//! A further dialect is a further [`Profile`]: a tree of names that ends in the same [`Field`]s, and the rule
//! that turns native counts into disjoint meters. The reader itself knows no names.

use super::calls::Place;
use super::counts::{Counts, Native};
use super::normalise::Normalised;
use crate::json::{Node, Step};

/// What the reader must know of a dialect.
#[derive(Debug)]
pub(super) struct Profile {
    /// Where things are in a document, or in the data of an event.
    pub(super) tree: &'static Node<Field>,
    /// Where in the frames of an Amazon event stream such a document stands encoded; none where it stands as it is.
    pub(super) wrapper: Option<&'static Node<Field>>,
    /// The data that ends a stream of events and is no JSON; empty where there is none.
    pub(super) end_marker: &'static [u8],
    /// How the native counts add up.
    pub(super) normalise: fn(&Counts) -> Option<Normalised>,
}

/// What a place in an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// The model that answered.
    Model,
    /// How the request was served: the name of a tier of service.
    ServiceTier,
    /// How fast it was served; `fast` is a tier of service of that name, whichever else it was served in.
    Speed,
    /// Where it was served: a tier of service of that name where it is in the usual one, unless that is anywhere.
    Region,
    /// What the provider says that the answer costs, in US dollars times ten to the power of so many less than
    /// millionths of millionths.
    Cost(i16),
    /// An error, unless `null`.
    Error,
    /// One of several answers.
    Choice,
    /// Which of them.
    ChoiceIndex,
    /// Why it ended, unless `null`.
    FinishReason,
    /// What kind of event the document is; those that end a stream.
    EventType(&'static [&'static str]),
    /// The same where each of those events is a delivered item.
    ItemEvent(&'static [&'static str]),
    /// A text that stands only where the answer is over, or whether it is.
    Ended,
    /// A document of the dialect, encoded in base64.
    Wrapped,
    /// An element of an array whose elements are what events are elsewhere.
    Document,
    /// Generated text.
    Content,
    /// Vectors, in place of generated text.
    Vectors,
    /// The object with the counts.
    Usage(Source),
    /// An object with parts of the counts.
    Details(Source),
    /// A count.
    Count(Source, Native),
    /// A count that may be written with a point and zeros behind it.
    Whole(Source, Native),
    /// A list of counts that add up; of several such lists the last one counts.
    Sum(Native),
    /// What in one of its elements has the count.
    Summand(Native),
    /// A count that may have a fraction and is rounded up to the next whole one, as seconds are.
    Measure(Source, Native),
    /// A part of a count by kind of content, an element of a list of such.
    Part(Side),
    /// Its kind.
    PartKind,
    /// Its count.
    PartCount,
    /// The same under another name.
    PartCountElsewhere,
    /// The list of what was billed one by one; it stands for the answer's own counts.
    Iterations,
    /// An element of it.
    Iteration,
    /// The model of an element, which may not be the answer's.
    IterationModel,
    /// What an element was for.
    IterationKind,
    /// A search that the provider made, by its words.
    Query,
    /// The list of an answer's output, in which calls of tools stand.
    Calls,
    /// The list of what was run.
    Runs,
    /// What may be such a call.
    Call(Place),
    /// Its kind.
    CallKind,
    /// How far it has come.
    CallStatus,
    /// What a search does.
    CallAction,
    /// What a call made, where it is a text.
    CallResult,
    /// The container that code runs in.
    CallContainer,
    /// The place of the call among them.
    CallIndex,
    /// The list of what was delivered.
    Items,
    /// An element of it.
    Item,
    /// An element of such a list in which what is said of an item may stand alone.
    Picture,
    /// The item in it.
    PictureData,
    /// What is said of it.
    PictureRemark,
}

/// Which place usage comes from; one where the dialect has it wins, for two objects are not two answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Where the dialect has it.
    Answer,
    /// In the first choice (Moonshot's streams).
    FirstChoice,
    /// In an object of its own: a provider's (Groq's streams), or the platform's around the model (Bedrock).
    Aside,
    /// In one that nobody bills by where anything is said of billing, readable or not (Cohere).
    Unbilled,
    /// In one of several rounds that are billed one by one (Anthropic).
    Iteration,
}

/// Which side of an answer's tokens a part is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// What was read.
    Input,
    /// What of that came from the cache.
    Cached,
    /// What was generated.
    Output,
    /// What was written to the cache, whose kinds are lifetimes.
    CacheWrite,
}

/// In US dollars.
pub(super) const DOLLARS: Field = Field::Cost(12);
/// In ticks, ten thousand millions of which are a US dollar (xAI).
pub(super) const TICKS: Field = Field::Cost(2);

/// What the provider says that an answer costs, among the members of its usage: OpenRouter a number, Perplexity one
/// of several in an object, xAI a whole number of ticks.
pub(super) const COST: Node<Field> = branch("cost", Some(DOLLARS), &[leaf("total_cost", DOLLARS)]);
pub(super) const COST_TICKS: Node<Field> = leaf("cost_in_usd_ticks", TICKS);

pub(super) const fn leaf(name: &'static str, field: Field) -> Node<Field> {
    branch(name, Some(field), &[])
}

pub(super) const fn branch(
    name: &'static str,
    field: Option<Field>,
    below: &'static [Node<Field>],
) -> Node<Field> {
    Node { step: Step::Member(name), field, below }
}

pub(super) const fn element(field: Option<Field>, below: &'static [Node<Field>]) -> Node<Field> {
    Node { step: Step::Element, field, below }
}
