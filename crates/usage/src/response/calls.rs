//! Calls of tools that a provider runs by itself, as the items of an answer tell them: for providers that bill them and
//! do not count them in their usage.
//!
//! OpenAI's responses have an item for each call, in the list of their output and in an event of its own, so that a
//! stream tells each of them twice; Groq's messages have a list of what was run, in streams as far as it has come. Code
//! is billed by the container that it runs in where there is one, and all that one answer runs in one is one run.

use super::ToolCalls;
use super::counts::{Counts, Native};
use super::word::Word;
use crate::limits::RUNS_MAX;

/// Calls of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Calls {
    /// Of the items that came one by one.
    events: Tally,
    /// Of the last list of them.
    list: Tally,
    /// The one that is read.
    call: Call,
    /// Of the event that is read.
    item: Option<Call>,
    /// That event says that its item is complete.
    is_done: bool,
    /// Those of a list that is told as far as it has come, by their place, one bit each.
    told: u128,
    /// Those of the list that is read that came before the one at hand.
    position: u64,
}

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the item of an event.
    Event,
    /// In the list of an answer's output.
    List,
    /// In the list of what was run.
    Run,
}

/// Calls by tool.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    searches: u64,
    file_searches: u64,
    code_runs: u64,
    images: u64,
    others: u64,
    /// The container of the last run.
    container: Option<u64>,
}

/// One call.
#[derive(Clone, Copy, Debug, Default)]
struct Call {
    tool: Option<Tool>,
    stage: Stage,
    /// What it made is there.
    has_result: bool,
    /// It searches nothing, but reads what was found.
    is_visit: bool,
    /// A digest of its container's name.
    container: Option<u64>,
    index: Option<u64>,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// To its end, or nothing is said of it.
    #[default]
    Done,
    /// It makes an image, as OpenAI's calls say of themselves in their last word too.
    Generating,
    /// It has begun, or it failed.
    Open,
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Search,
    FileSearch,
    Code,
    /// Code where it runs in a container of the provider's, and not with the client.
    Shell,
    Image,
    Other,
}

/// Beginning and step of the digest of a name (FNV-1a).
const DIGEST: u64 = 0xcbf2_9ce4_8422_2325;
const DIGEST_STEP: u64 = 0x0000_0100_0000_01b3;

impl Calls {
    /// A list of the answer's output begins, which has all of them.
    pub(super) fn begin_list(&mut self) {
        self.list = Tally::default();
    }

    /// A list of what was run begins, as far as it has come.
    pub(super) fn begin_runs(&mut self) {
        self.position = 0;
    }

    pub(super) fn begin(&mut self) {
        self.call = Call::default();
    }

    /// The kind of the call that is read.
    pub(super) fn kind(&mut self, word: Word) {
        self.call.tool = match word.text().unwrap_or_default() {
            b"web_search_call" | b"x_search_call" | b"search" | b"web_search" | b"browser_search"
            | b"browser.search" => Some(Tool::Search),
            b"file_search_call" => Some(Tool::FileSearch),
            b"code_interpreter_call" | b"code_interpreter" | b"python" => Some(Tool::Code),
            b"shell_call" => Some(Tool::Shell),
            b"image_generation_call" => Some(Tool::Image),
            b"mcp_call" => Some(Tool::Other),
            _ => None,
        };
    }

    /// How far the call that is read has come.
    pub(super) fn status(&mut self, word: Word) {
        self.call.stage = match word.text().unwrap_or_default() {
            b"completed" => Stage::Done,
            b"generating" => Stage::Generating,
            _ => Stage::Open,
        };
    }

    /// The call that is read has something to show.
    pub(super) fn result(&mut self) {
        self.call.has_result = true;
    }

    /// What the search that is read does.
    pub(super) fn action(&mut self, word: Word) {
        self.call.is_visit = word.is_one(&["open_page", "find_in_page", "find"]);
    }

    /// The name of the container begins.
    pub(super) fn begin_container(&mut self) {
        self.call.container = Some(DIGEST);
    }

    /// The next piece of it.
    pub(super) fn container(&mut self, piece: &[u8]) {
        let digest = self.call.container.unwrap_or(DIGEST);
        let step = |digest: u64, byte: &u8| (digest ^ u64::from(*byte)).wrapping_mul(DIGEST_STEP);
        self.call.container = Some(piece.iter().fold(digest, step));
    }

    /// The place of the call that is read among those that were run.
    pub(super) fn index(&mut self, index: u64) {
        self.call.index = Some(index);
    }

    /// The call that is read ends.
    pub(super) fn end(&mut self, place: Place) {
        match place {
            // It counts where the event says that it is done.
            Place::Event => self.item = Some(Call { has_result: true, ..self.call }),
            Place::List => self.list.add(self.call),
            Place::Run => {
                let index = self.call.index.unwrap_or(self.position);
                let index = u32::try_from(index).unwrap_or(u32::MAX).min(RUNS_MAX.saturating_sub(1));
                let bit = 1_u128.checked_shl(index).unwrap_or(0);
                if self.told & bit == 0 {
                    self.events.add(self.call);
                }
                self.told |= bit;
                self.position = self.position.saturating_add(1);
            }
        }
    }

    /// The event that is read is of a complete item.
    pub(super) fn done(&mut self) {
        self.is_done = true;
    }

    /// An event ends.
    pub(super) fn end_event(&mut self) {
        if let Some(item) = self.item.take().filter(|_| self.is_done) {
            self.events.add(item);
        }
        self.is_done = false;
    }

    /// What was found, the larger where the list and the events are at odds: either may be cut.
    pub(super) fn found(&self) -> ToolCalls {
        let Tally { searches, file_searches, code_runs, images, .. } = self.all();
        ToolCalls { searches, file_searches, code_runs, images, image_tokens: 0 }
    }

    /// States it.
    pub(super) fn state_in(&self, counts: &mut Counts) {
        let found = self.all();
        let natives = [
            (Native::FoundSearches, found.searches),
            (Native::FoundFileSearches, found.file_searches),
            (Native::FoundCodeRuns, found.code_runs),
            (Native::FoundImages, found.images),
            (Native::FoundOthers, found.others),
        ];
        natives.into_iter().for_each(|(native, count)| counts.find(native, count));
    }

    fn all(&self) -> Tally {
        let (one, other) = (&self.events, &self.list);
        Tally {
            searches: one.searches.max(other.searches),
            file_searches: one.file_searches.max(other.file_searches),
            code_runs: one.code_runs.max(other.code_runs),
            images: one.images.max(other.images),
            others: one.others.max(other.others),
            container: None,
        }
    }
}

impl Call {
    /// Whether it has come to its end: an image has once it is there, whatever is said of it.
    fn is_over(&self) -> bool {
        match self.stage {
            Stage::Done => true,
            Stage::Generating => self.tool == Some(Tool::Image) && self.has_result,
            Stage::Open => false,
        }
    }
}

impl Tally {
    fn add(&mut self, call: Call) {
        let is_again = call.container.is_some() && call.container == self.container;
        let count = match call.tool {
            _ if !call.is_over() => return,
            Some(Tool::Search) if !call.is_visit => &mut self.searches,
            Some(Tool::FileSearch) => &mut self.file_searches,
            Some(Tool::Shell) if call.container.is_none() => return,
            Some(Tool::Code | Tool::Shell) if is_again => return,
            Some(Tool::Code | Tool::Shell) => {
                self.container = call.container;
                &mut self.code_runs
            }
            Some(Tool::Image) => &mut self.images,
            Some(Tool::Other) => &mut self.others,
            Some(Tool::Search) | None => return,
        };
        *count = count.saturating_add(1);
    }
}
