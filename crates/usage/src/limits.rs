//! Every bound of this crate in one place: what one stream may keep in memory, and what is refused beyond.

/// Open objects and arrays within one another.
///
/// The tokenizer keeps one bit for each, so that depth costs neither recursion nor heap.
pub const DEPTH_MAX: u32 = 128;

/// Bytes of a member's name that are kept; a longer name is none that this crate knows.
pub const NAME_BYTES_MAX: usize = 64;

/// Bytes of a model's name, asked for or answered.
pub const MODEL_BYTES_MAX: usize = 256;

/// Members of a request's top-level object.
pub const MEMBERS_MAX: usize = 64;

/// Pointers of one route to what its answers state.
pub const POINTERS_MAX: usize = 32;

/// Parts of a form.
pub const PARTS_MAX: usize = 64;

/// Bytes of the headers of one part of a form, and of a form's boundary (RFC 2046 §5.1.1).
pub const PART_HEAD_BYTES_MAX: usize = 1024;
/// See [`PART_HEAD_BYTES_MAX`].
pub const BOUNDARY_BYTES_MAX: usize = 70;

/// Objects within one another that a path of a parameter may lead through.
pub const NOTED_DEPTH: usize = 4;

/// Bytes of the path of a parameter.
pub const NOTED_PATH_MAX: usize = 128;

/// Bytes of a text that a parameter may have as its value.
pub const NOTED_TEXT_MAX: usize = 64;

/// Members below the top level that are noted, and bytes of paths and texts from which on no more are.
pub const NOTED_MAX: usize = 256;
/// See [`NOTED_MAX`].
pub const NOTED_BYTES_MAX: usize = 16 * 1024;

/// Answers that one request may ask for (`n`), and choices of an answer that are told apart.
pub const CHOICES_MAX: u32 = 128;

/// Calls of a list that streams tell as far as it has come, told apart by their place: further ones are taken for the
/// last of these.
pub const RUNS_MAX: u32 = 128;

/// The largest count or bound that is believed: JSON's exact integers.
pub const COUNT_MAX: u64 = tariff::meter::COUNT_MAX;

/// Bytes of the name of a service tier.
pub const TIER_BYTES_MAX: usize = 24;

/// The largest cost of one answer that is believed, in millionths of a millionth of a US dollar: about $9,007.
pub const COST_MAX: u64 = COUNT_MAX;

/// Bytes of an unfinished event that the chunk filter holds back; a longer event is never dropped.
pub const HELD_BYTES_MAX: usize = 4096;

/// Bytes of the headers of a frame of an Amazon event stream, as its format bounds them.
pub const FRAME_HEADERS_MAX: u32 = 128 * 1024;

/// Bytes of the payload of such a frame, likewise.
pub const FRAME_PAYLOAD_MAX: u32 = 24 * 1024 * 1024;

/// Bytes of an event that are read at once where another document is inside it, encoded.
pub const WRAPPED_BYTES_MAX: usize = 1024;

// The tokenizer's stack is one u128, and so are the sets of choices and of calls.
const _: () = assert!(DEPTH_MAX <= u128::BITS && CHOICES_MAX <= u128::BITS && RUNS_MAX <= u128::BITS);
