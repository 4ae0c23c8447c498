//! Answers that deliver items or processed units, not text: images, pages, seconds of media.
//!
//! OpenAI's images API answers with a list `data`, one element for each image; others call it `images`, Vertex AI
//! `predictions`, where an image that was withheld has an element too. Streamed, each image has an event of its own
//! beside those of its drafts. What else was used stands in `usage`: `pages` (document parsing), `seconds`,
//! `characters`, and tokens where a model is sold by them.

use super::counts::{Counts, Native};
use super::normalise::{Normalised, inclusive};
use super::profile::{COST, COST_TICKS, Field, Profile, Source, branch, element, leaf};
use crate::json::{Node, Step};
use tariff::{Meter, Usage};

pub(super) static ITEMS: Profile = Profile { tree: &TREE, wrapper: None, end_marker: b"[DONE]", normalise };

static TREE: Node<Field> = Node {
    step: Step::Element,
    field: None,
    below: &[
        leaf("model", Field::Model),
        leaf("error", Field::Error),
        leaf("type", Field::ItemEvent(LAST)),
        branch("data", Some(Field::Items), ITEM),
        branch("images", Some(Field::Items), ITEM),
        branch("predictions", Some(Field::Items), PREDICTION),
        branch("usage", Some(Field::Usage(Source::Answer)), USAGE),
        // Mistral's reading of documents.
        branch(
            "usage_info",
            Some(Field::Usage(Source::Answer)),
            &[leaf("pages_processed", Field::Count(Source::Answer, Native::Pages))],
        ),
    ],
};

/// The events that an image comes with, and its usage.
const LAST: &[&str] = &["image_generation.completed", "image_edit.completed"];

const ITEM: &[Node<Field>] = &[element(Some(Field::Item), &[])];

/// What is said of an image stands in an element of its own too, with the reason where it was withheld.
const PREDICTION: &[Node<Field>] = &[element(
    Some(Field::Picture),
    &[
        leaf("bytesBase64Encoded", Field::PictureData),
        leaf("gcsUri", Field::PictureData),
        leaf("raiFilteredReason", Field::PictureRemark),
        branch("safetyAttributes", Some(Field::PictureRemark), &[]),
    ],
)];

pub(super) const USAGE: &[Node<Field>] = &[
    COST,
    COST_TICKS,
    leaf("images", Field::Count(Source::Answer, Native::Images)),
    leaf("pages", Field::Count(Source::Answer, Native::Pages)),
    leaf("seconds", Field::Count(Source::Answer, Native::Seconds)),
    leaf("characters", Field::Count(Source::Answer, Native::Characters)),
    leaf("input_tokens", Field::Count(Source::Answer, Native::Prompt)),
    leaf("prompt_tokens", Field::Count(Source::Answer, Native::Prompt)),
    leaf("output_tokens", Field::Count(Source::Answer, Native::Completion)),
    leaf("completion_tokens", Field::Count(Source::Answer, Native::Completion)),
    leaf("total_tokens", Field::Count(Source::Answer, Native::Total)),
    branch("input_tokens_details", Some(Field::Details(Source::Answer)), INPUT_DETAILS),
    branch("input_token_details", Some(Field::Details(Source::Answer)), INPUT_DETAILS),
    branch(
        "output_tokens_details",
        Some(Field::Details(Source::Answer)),
        &[leaf("image_tokens", Field::Count(Source::Answer, Native::ImageOutput))],
    ),
];

pub(super) const INPUT_DETAILS: &[Node<Field>] = &[
    leaf("image_tokens", Field::Count(Source::Answer, Native::ImageInput)),
    leaf("audio_tokens", Field::Count(Source::Answer, Native::AudioInput)),
    leaf("cached_tokens", Field::Count(Source::Answer, Native::Cached)),
];

/// The units stated, and tokens where they are.
pub(super) fn normalise(counts: &Counts) -> Option<Normalised> {
    let units = [
        (Native::Images, Meter::Images),
        (Native::Pages, Meter::Pages),
        (Native::Seconds, Meter::Seconds),
        (Native::Characters, Meter::Characters),
    ];
    // Where both are stated, what is billed goes before how long it was.
    let length = counts.value(Native::Seconds).is_none().then_some((Native::Length, Meter::Seconds));
    let stated = units.into_iter().chain(length);
    let stated = stated.filter_map(|(native, meter)| Some((meter, counts.value(native)?)));
    let mut stated = stated.peekable();
    let tokens = inclusive(counts);
    if stated.peek().is_none() && tokens.is_none() {
        return None;
    }
    let empty = Normalised { usage: Usage::new(), consistent: true, total_mismatch: false };
    let mut all = tokens.unwrap_or(empty);
    stated.for_each(|(meter, count)| all.usage.set(meter, count));
    Some(all)
}
