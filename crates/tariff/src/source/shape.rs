//! What a catalog file may say, as tables: the fields of every kind of mapping, what each holds, and what it means.
//!
//! The readers take their fields from these tables (a field that is not in its table is unknown, a required one
//! that is absent is a problem), and the JSON Schema that editors complete from is written from them, so that
//! neither can know a field that the other does not.

/// A kind of mapping whose field names are fixed.
pub(super) struct Object {
    /// The name of the kind, unique; also what the schema calls it.
    pub(super) name: &'static str,
    /// What it is, in a sentence.
    pub(super) about: &'static str,
    /// Its fields, in the order in which they are best written.
    pub(super) fields: &'static [Field],
}

/// A field of a mapping.
pub(super) struct Field {
    pub(super) name: &'static str,
    /// What it means; where it may be left out, what holds then.
    pub(super) about: &'static str,
    pub(super) required: bool,
    pub(super) shape: Shape,
}

/// What a value may look like.
pub(super) enum Shape {
    /// One line of text for people.
    Text,
    /// A link: `https://…`, `http://…`, `mailto:…`.
    Link,
    /// `true` or `false`.
    Flag,
    /// A whole number within bounds.
    Whole(u64, u64),
    /// An exact decimal of at most six digits after the point, not negative.
    Amount,
    /// An exact decimal, not negative.
    Decimal,
    /// An ISO 8601 duration.
    Period,
    /// An RFC 3339 instant, or a date (00:00 UTC).
    Instant,
    /// A name that is defined here or elsewhere in the file.
    Name,
    /// Such names joined by slashes.
    NamePath,
    /// A model's name in which `*` stands for any run of characters.
    Pattern,
    /// A text, number, `true` or `false`, taken as it stands.
    Scalar,
    /// One of these words.
    Words(fn() -> Vec<&'static str>),
    /// `null`, or the other shape.
    OrNull(&'static Self),
    /// A list.
    List(&'static Self),
    /// A mapping from names (of the kind that the text says) to values.
    Map(&'static str, &'static Self),
    /// A mapping with fixed fields.
    Of(&'static Object),
    /// One of these shapes.
    Either(&'static [Self]),
}

impl Object {
    /// The names of the fields.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + use<'_> {
        self.fields.iter().map(|field| field.name)
    }
}

impl Field {
    /// A field that may be left out.
    pub(super) const fn new(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, about, required: false, shape }
    }

    /// A field that must be there.
    pub(super) const fn required(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, about, required: true, shape }
    }
}

/// The words of a table of words and their values.
pub(super) fn words<T>(table: &[(&'static str, T)]) -> Vec<&'static str> {
    table.iter().map(|(word, _)| *word).collect()
}
