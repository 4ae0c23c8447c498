//! Speech and transcripts (usage-formats.md §2).
//!
//! A transcript states tokens, or how many seconds were read; as `verbose_json` the length of what was read; as a
//! stream in its last event. Spoken text states tokens in the last event of a stream, and nothing where the answer
//! is the sound itself. Seconds may have a fraction: the next whole second counts.

use super::counts::Native;
use super::items::{INPUT_DETAILS, USAGE, normalise};
use super::profile::{Field, Profile, Source, branch, leaf};
use crate::json::{Node, Step};

pub(super) static TRANSCRIPT: Profile =
    Profile { tree: &TRANSCRIPT_TREE, wrapper: None, end_marker: b"[DONE]", normalise };

static TRANSCRIPT_TREE: Node<Field> = Node {
    step: Step::Element,
    field: None,
    below: &[
        leaf("model", Field::Model),
        leaf("error", Field::Error),
        leaf("type", Field::EventType(&["transcript.text.done", "transcription.done"])),
        leaf("text", Field::Content),
        leaf("delta", Field::Content),
        leaf("duration", Field::Measure(Source::Answer, Native::Length)),
        branch("usage", Some(Field::Usage(Source::Answer)), TRANSCRIPT_USAGE),
    ],
};

const TRANSCRIPT_USAGE: &[Node<Field>] = &[
    leaf("seconds", Field::Measure(Source::Answer, Native::Seconds)),
    // Mistral.
    leaf("prompt_audio_seconds", Field::Measure(Source::Answer, Native::Seconds)),
    leaf("input_tokens", Field::Count(Source::Answer, Native::Prompt)),
    leaf("prompt_tokens", Field::Count(Source::Answer, Native::Prompt)),
    leaf("output_tokens", Field::Count(Source::Answer, Native::Completion)),
    leaf("completion_tokens", Field::Count(Source::Answer, Native::Completion)),
    leaf("total_tokens", Field::Count(Source::Answer, Native::Total)),
    leaf("num_cached_tokens", Field::Count(Source::Answer, Native::CachedElsewhere)),
    branch("input_token_details", Some(Field::Details(Source::Answer)), INPUT_DETAILS),
    branch("prompt_tokens_details", Some(Field::Details(Source::Answer)), INPUT_DETAILS),
];

pub(super) static SPEECH: Profile =
    Profile { tree: &SPEECH_TREE, wrapper: None, end_marker: b"[DONE]", normalise };

static SPEECH_TREE: Node<Field> = Node {
    step: Step::Element,
    field: None,
    below: &[
        leaf("error", Field::Error),
        leaf("type", Field::EventType(&["speech.audio.done"])),
        branch("usage", Some(Field::Usage(Source::Answer)), USAGE),
    ],
};
