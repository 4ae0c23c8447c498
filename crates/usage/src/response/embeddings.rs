//! Embeddings: what was read is all that is counted (usage-formats.md §2).

use super::counts::{Counts, Native};
use super::normalise::Normalised;
use super::profile::{COST, Field, Profile, Source, branch, element, leaf};
use crate::json::{Node, Step};
use tariff::{Meter, Usage};

pub(super) static EMBEDDINGS: Profile = Profile { tree: &TREE, wrapper: None, end_marker: b"", normalise };

static TREE: Node<Field> = Node {
    step: Step::Element,
    field: None,
    below: &[
        leaf("model", Field::Model),
        leaf("error", Field::Error),
        branch("usage", Some(Field::Usage(Source::Answer)), USAGE),
        // Vertex AI counts each text by itself.
        branch(
            "predictions",
            Some(Field::Sum(Native::Prompt)),
            &[element(None, &[branch("embeddings", None, &[STATISTICS])])],
        ),
    ],
};

const USAGE: &[Node<Field>] = &[
    COST,
    leaf("prompt_tokens", Field::Count(Source::Answer, Native::Prompt)),
    leaf("input_tokens", Field::Count(Source::Answer, Native::Prompt)),
    leaf("total_tokens", Field::Count(Source::Answer, Native::Total)),
];

const STATISTICS: Node<Field> =
    branch("statistics", Some(Field::Summand(Native::Prompt)), &[leaf("token_count", Field::PartCount)]);

/// The prompt, which is the total too; none where neither was stated. Some state the total alone (Voyage).
fn normalise(counts: &Counts) -> Option<Normalised> {
    let (prompt, total) = (counts.value(Native::Prompt), counts.value(Native::Total));
    let input = prompt.or(total)?;
    Some(Normalised {
        usage: Usage::new().with(Meter::InputTokens, input),
        consistent: true,
        total_mismatch: total.is_some_and(|total| total != input),
    })
}
