//! What the tools come to that a provider runs by itself for an answer, and bills beside its tokens.

use tariff::{Meter, Usage};

use super::counts::{Counts, Native};
use crate::limits::COUNT_MAX;

/// Where usage states calls of tools, apart by tool: xAI, Alibaba, Mistral's conversations.
macro_rules! tool_calls {
    ($source:expr, $name:literal, $($tool:literal => $native:ident),+) => {
        $crate::response::profile::branch(
            $name,
            Some($crate::response::profile::Field::Details($source)),
            &[$($crate::response::profile::leaf(
                $tool,
                $crate::response::profile::Field::Count($source, $crate::response::counts::Native::$native),
            )),+],
        )
    };
}
pub(super) use tool_calls;

/// The same where each of them has an object with its count.
macro_rules! tool_counts {
    ($source:expr, $name:literal, $($tool:literal => $native:ident),+) => {
        $crate::response::profile::branch(
            $name,
            Some($crate::response::profile::Field::Details($source)),
            &[$($crate::response::tools::tool_calls!($source, $tool, "count" => $native)),+],
        )
    };
}
pub(super) use tool_counts;

/// What xAI and Alibaba state in both of their OpenAI dialects.
macro_rules! xai_tools {
    ($source:expr) => {
        $crate::response::tools::tool_calls!(
            $source,
            "server_side_tool_usage_details",
            "web_search_calls" => Searches,
            "x_search_calls" => OtherSearches,
            "file_search_calls" => FileSearches,
            "document_search_calls" => OtherFileSearches,
            "code_interpreter_calls" => CodeRuns,
            "image_generation_calls" => Images
        )
    };
}
pub(super) use xai_tools;

macro_rules! alibaba_tools {
    ($source:expr) => {
        $crate::response::tools::tool_counts!(
            $source,
            "x_tools",
            "web_search" => Searches,
            "web_search_image" => OtherSearches,
            "file_search" => FileSearches,
            "code_interpreter" => CodeRuns
        )
    };
}
pub(super) use alibaba_tools;

/// Adds them to the usage of an answer's tokens.
///
/// - What the provider states goes before what its items tell.
/// - Calls that it states and does not tell apart are searches, but for those that the items tell (xAI's older
///   answers); it bills the sources found where it counts these.
/// - Images that another model made for the answer are tokens of that model, which the answer's own do not contain,
///   or else so many images.
pub(super) fn add(counts: &Counts, queries: u64, usage: &mut Usage) {
    let file_searches = sum(counts, Native::FileSearches, Native::OtherFileSearches);
    let code_runs = counts.value(Native::CodeRuns);
    let searches = sum(counts, Native::Searches, Native::OtherSearches);
    let searches = searches.or_else(|| counts.value(Native::SearchesElsewhere));
    let file_searches = file_searches.unwrap_or_else(|| counts.count(Native::FoundFileSearches));
    let code_runs = code_runs.unwrap_or_else(|| counts.count(Native::FoundCodeRuns));
    let known = [file_searches, code_runs, counts.count(Native::FoundOthers)];
    let untold = known.into_iter().fold(counts.count(Native::ToolCalls), u64::saturating_sub);
    let found = [queries, counts.count(Native::Sources), counts.count(Native::FoundSearches), untold];
    let searches = searches.unwrap_or_else(|| found.into_iter().max().unwrap_or(0));

    let is_counted = counts.count(Native::ImageToolOutput) > 0;
    let made = counts.value(Native::Images).unwrap_or_else(|| counts.count(Native::FoundImages));
    let made = if is_counted { 0 } else { made };
    let input = counts.count(Native::ImageToolPrompt);
    let images = counts.count(Native::ImageToolInput).min(input);
    let further = [
        (Meter::Searches, searches),
        (Meter::FileSearches, file_searches),
        (Meter::CodeRuns, code_runs),
        (Meter::Images, made),
        (Meter::InputTokens, input.saturating_sub(images)),
        (Meter::ImageInputTokens, images),
        (Meter::ImageOutputTokens, counts.count(Native::ImageToolOutput)),
    ];
    for (meter, more) in further.into_iter().filter(|(_, more)| *more > 0) {
        usage.set(meter, usage.get(meter).saturating_add(more).min(COUNT_MAX));
    }
}

/// The sum of two counts; none where neither was stated.
fn sum(counts: &Counts, one: Native, other: Native) -> Option<u64> {
    let (one, other) = (counts.value(one), counts.value(other));
    one.or(other).map(|_| one.unwrap_or(0).saturating_add(other.unwrap_or(0)))
}
