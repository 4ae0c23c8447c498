//! The tokenizer against serde_json: the same texts accepted, the same values seen, whatever the cuts.
#![expect(clippy::arithmetic_side_effects, reason = "an overflow is a failed test")]

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::tokenizer::Visitor;
use super::{Container, Fault, FaultKind, LENIENT, Literal, Name, Number, STRICT, Tokenizer};
use crate::limits::DEPTH_MAX;
use crate::request::Span;

/// An element, or a member with its name.
type Item = (Vec<u8>, Value);

/// Builds the document from the reports.
#[derive(Debug, Default)]
struct Builder {
    source: Vec<u8>,
    open: Vec<(Container, Vec<Item>)>,
    names: Vec<Vec<u8>>,
    text: Vec<u8>,
    root: Option<Value>,
    integers: Vec<(Number, String)>,
}

impl Builder {
    fn add(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some((Container::Array, items)) => items.push((Vec::new(), value)),
            Some((Container::Object, items)) => items.push((self.names.pop().unwrap(), value)),
        }
    }

    fn source(&self, span: Span) -> String {
        let range = usize::try_from(span.start).unwrap()..usize::try_from(span.end).unwrap();
        String::from_utf8(self.source[range].to_vec()).unwrap()
    }
}

impl Visitor for Builder {
    type Error = Fault;

    fn hashes_name(&self) -> bool {
        false
    }

    fn wants_name(&self) -> bool {
        true
    }

    fn name(&mut self, name: Name<'_>) -> Result<(), Fault> {
        self.names.push(name.bytes.to_vec());
        Ok(())
    }

    fn open(&mut self, container: Container, at: u64) -> Result<(), Fault> {
        let bracket = self.source[usize::try_from(at).unwrap()];
        assert_eq!(bracket, if container == Container::Object { b'{' } else { b'[' });
        self.open.push((container, Vec::new()));
        Ok(())
    }

    fn close(&mut self, end: u64) -> Result<(), Fault> {
        let (container, items) = self.open.pop().unwrap();
        let bracket = self.source[usize::try_from(end).unwrap() - 1];
        assert_eq!(bracket, if container == Container::Object { b'}' } else { b']' });
        let value = match container {
            Container::Array => Value::Array(items.into_iter().map(|(_, value)| value).collect()),
            Container::Object => {
                let text = |name: Vec<u8>| String::from_utf8_lossy(&name).into_owned();
                Value::Object(
                    items.into_iter().map(|(name, value)| (text(name), value)).collect::<Map<_, _>>(),
                )
            }
        };
        self.add(value);
        Ok(())
    }

    fn begin_text(&mut self) -> bool {
        true
    }

    fn text(&mut self, piece: &[u8]) -> Result<(), Fault> {
        assert!(!piece.is_empty());
        self.text.extend_from_slice(piece);
        Ok(())
    }

    fn string(&mut self) -> Result<(), Fault> {
        let text = std::mem::take(&mut self.text);
        self.add(Value::String(String::from_utf8_lossy(&text).into_owned()));
        Ok(())
    }

    fn number(&mut self, number: Number, span: Span) -> Result<(), Fault> {
        let source = self.source(span);
        // serde_json has no value for what overflows a double; its text stands for it on both sides.
        let value = serde_json::from_str(&source).unwrap_or(Value::String(source.clone()));
        self.integers.push((number, source));
        self.add(value);
        Ok(())
    }

    fn literal(&mut self, literal: Literal, span: Span) -> Result<(), Fault> {
        let value = match literal {
            Literal::True => Value::Bool(true),
            Literal::False => Value::Bool(false),
            Literal::Null => Value::Null,
        };
        assert_eq!(self.source(span), value.to_string());
        self.add(value);
        Ok(())
    }
}

/// What a text comes to, cut at these offsets.
fn read<const CHECKED: bool>(text: &[u8], cuts: &[usize]) -> (Result<bool, Fault>, Builder) {
    let mut builder = Builder { source: text.to_vec(), ..Builder::default() };
    let mut tokenizer = Tokenizer::<CHECKED>::new();
    let mut from = 0;
    for to in cuts.iter().copied().chain([text.len()]) {
        if let Err(fault) = tokenizer.feed(&text[from..to], &mut builder) {
            return (Err(fault), builder);
        }
        from = to;
    }
    (tokenizer.finish(&mut builder), builder)
}

fn is_accepted<const CHECKED: bool>(text: &[u8]) -> bool {
    read::<CHECKED>(text, &[]).0 == Ok(true)
}

/// serde_json skips over values without looking into strings, so that lone surrogates pass; UTF-8 is asked
/// apart.
fn is_json(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok() && serde_json::from_slice::<IgnoredAny>(text).is_ok()
}

/// Every cut gives the same outcome; and the same reports, unless it fails.
fn assert_cuts_do_not_matter(text: &[u8], cuts: &[usize]) {
    let (whole, whole_builder) = read::<STRICT>(text, &[]);
    let (cut, cut_builder) = read::<STRICT>(text, cuts);
    assert_eq!(whole, cut, "{:?} cut at {cuts:?}", String::from_utf8_lossy(text));
    assert_eq!(whole_builder.root, cut_builder.root);
    assert_eq!(whole_builder.integers, cut_builder.integers);
}

fn assert_no_cut_matters(text: &[u8]) {
    for first in 0..=text.len() {
        assert_cuts_do_not_matter(text, &[first]);
        if text.len() <= 40 {
            for second in first..=text.len() {
                assert_cuts_do_not_matter(text, &[first, second]);
            }
        }
    }
    let every: Vec<usize> = (0..text.len()).collect();
    assert_cuts_do_not_matter(text, &every);
}

const VALID: &[&str] = &[
    "{}",
    "[]",
    " [ ] ",
    "\t\r\n{ \"a\" : [ 1 , 2 ] }\n",
    "0",
    "-0",
    "12",
    "1.5",
    "1e3",
    "1E-3",
    "-1.25e+10",
    "1e999",
    "18446744073709551615",
    "18446744073709551616",
    "true",
    "false",
    "null",
    r#""""#,
    r#""a\"b\\c\/d\b\f\n\r\te""#,
    r#""\u0041\u00e9\u20ac\ud83d\ude00""#,
    "\"\u{7f}é€😀\"",
    r#"{"a":{"a":[{"a":null}]},"b":"","c":[[],{}]}"#,
    r#"{"":0}"#,
];

const INVALID: &[&str] = &[
    "",
    " ",
    "{",
    "[",
    "}",
    "]",
    "{]",
    "[}",
    "[1,]",
    "{\"a\":1,}",
    "{,}",
    "[,]",
    "{\"a\"}",
    "{\"a\":}",
    "{a:1}",
    "{'a':1}",
    "[1 2]",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{1:2}",
    "01",
    "-01",
    "[1 \"a\"]",
    "{\"a\":1 \"b\":2}",
    "-",
    "-a",
    "+1",
    ".5",
    "1.",
    "1.e3",
    "1e",
    "1e+",
    "0x10",
    "NaN",
    "Infinity",
    "-Infinity",
    "nul",
    "nulL",
    "truee",
    "tru e",
    "True",
    "\"",
    "\"\\",
    "\"\\x41\"",
    "\"\\u12\"",
    "\"\\u12g4\"",
    "\"\\u 123\"",
    "\"\n\"",
    "\"\t\"",
    "\"\0\"",
    "\"a\u{1f}\"",
    "{}{}",
    "[] 1",
    "1 1",
    "/* */1",
    "1//",
    "\u{feff}{}",
    "\u{a0}1",
    "\u{c}1",
];

#[test]
fn valid_texts_are_read_as_serde_json_reads_them() {
    for text in VALID {
        let (result, builder) = read::<STRICT>(text.as_bytes(), &[]);
        assert_eq!(result, Ok(true), "{text}");
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            assert_eq!(builder.root, Some(value), "{text}");
        }
        assert!(is_json(text.as_bytes()) && is_accepted::<LENIENT>(text.as_bytes()), "{text}");
        assert_no_cut_matters(text.as_bytes());
    }
}

#[test]
fn invalid_texts_are_refused() {
    for text in INVALID {
        assert!(!is_accepted::<STRICT>(text.as_bytes()), "{text}");
        assert!(!is_json(text.as_bytes()), "{text}");
        assert_no_cut_matters(text.as_bytes());
    }
}

#[test]
fn strings_must_be_utf8_in_strict_mode_only() {
    let broken: [&[u8]; 8] = [
        b"\"\xff\"",
        b"\"\xc3\"",
        b"\"\xc3(\"",
        b"\"\xe2\x82\"",
        b"\"\xed\xa0\x80\"",
        b"\"\xc0\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\"a\xe2\x01\"",
    ];
    for text in broken {
        assert!(
            matches!(read::<STRICT>(text, &[]).0, Err(Fault { kind: FaultKind::InvalidUtf8, .. })),
            "{text:?}"
        );
        assert_no_cut_matters(text);
        assert!(is_accepted::<LENIENT>(text));
    }
    assert!(!is_accepted::<STRICT>(b"\xc3\xa9"));
    assert!(!is_accepted::<LENIENT>(b"\xc3\xa9"));
}

#[test]
fn lone_surrogates_are_tolerated() {
    for text in [r#""\ud800""#, r#""\udc00x""#, r#""\ud800\ud800\udc00""#, r#"{"\ud800\u0041":"\ud83d"}"#] {
        assert!(is_accepted::<STRICT>(text.as_bytes()), "{text}");
        assert_no_cut_matters(text.as_bytes());
    }
}

#[test]
fn faults_tell_their_offset() {
    let fault = |text: &str| read::<STRICT>(text.as_bytes(), &[]).0.unwrap_err();
    assert_eq!(fault("[1,]"), Fault { kind: FaultKind::UnexpectedByte, at: 3 });
    assert_eq!(fault("{\"a\": \"x\ny\"}"), Fault { kind: FaultKind::ControlCharacter, at: 8 });
    assert_eq!(fault("[\"\\x\"]"), Fault { kind: FaultKind::InvalidEscape, at: 3 });
    assert_eq!(fault("[nule]"), Fault { kind: FaultKind::UnexpectedByte, at: 4 });
}

#[test]
fn depth_is_limited_without_recursion() {
    let depth = usize::try_from(DEPTH_MAX).unwrap();
    let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
    assert!(is_accepted::<STRICT>(&nested(depth)));
    let too_deep = Err(Fault { kind: FaultKind::TooDeep, at: u64::from(DEPTH_MAX) });
    assert_eq!(read::<STRICT>(&nested(depth + 1), &[]).0, too_deep);
    assert_eq!(read::<STRICT>(&b"[".repeat(10_000), &[]).0, too_deep);
    let mixed = "{\"a\":[".repeat(depth / 2) + &"]}".repeat(depth / 2);
    assert!(is_accepted::<STRICT>(mixed.as_bytes()));
}

#[test]
fn numbers_are_told_apart() {
    let number = |text: &str| read::<STRICT>(text.as_bytes(), &[]).1.integers.pop().unwrap().0;
    assert_eq!(number("0"), Number::Integer(0));
    assert_eq!(number("[90071992547409930 ]"), Number::Integer(90_071_992_547_409_930));
    assert_eq!(number("18446744073709551615"), Number::Integer(u64::MAX));
    assert_eq!(number("18446744073709551616"), Number::TooLarge);
    assert_eq!(number(&"9".repeat(5000)), Number::TooLarge);
    assert_eq!(number("-0"), Number::Negative);
    assert_eq!(number("-1.5"), Number::Negative);
    for (text, up) in [
        ("0.0", 0),
        ("1.0", 1),
        ("1.01", 2),
        ("8.470000267028809", 9),
        ("7.999", 8),
        ("18446744073709551615.0", u64::MAX),
    ] {
        assert_eq!(number(text).rounded_up(), Number::Integer(up), "{text}");
        assert!(matches!(number(text), Number::Fraction(_)), "{text}");
    }
    assert_eq!(number("18446744073709551616.0"), Number::TooLarge);
    for (text, whole) in [("12.0", 12), ("0.00", 0), ("7", 7)] {
        assert_eq!(number(text).whole(), Number::Integer(whole), "{text}");
    }
    for other in ["12.5", "0.01", "1e3", "1.0e1", "-1.0"] {
        assert_eq!(number(other).whole(), number(other), "{other}");
    }
    for beyond in ["1e3", "1.5e3", "0.0E0", "1e30", "1e-30"] {
        assert!(matches!(number(beyond).rounded_up(), Number::Fraction(_)), "{beyond}");
    }
    for (text, power, times) in [
        ("1.5e3", 0, Some(1_500)),
        ("25e-1", 0, Some(3)),
        ("24e-1", 0, Some(2)),
        ("7", 2, Some(700)),
        ("7", -1, Some(1)),
        ("1e-30", 12, Some(0)),
        ("0e99", 99, Some(0)),
        ("1e20", 0, None),
        ("18446744073709551615", 0, Some(u64::MAX)),
        ("-1.0", 0, None),
    ] {
        assert_eq!(number(text).times_ten_to(power), times, "{text}");
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        "[a-z]{0,80}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,12}", inner), 0..6)
                .prop_map(|members| { Value::Object(members.into_iter().collect()) }),
        ]
    })
}

/// The text of a value, with or without white space and with characters beyond ASCII escaped or not.
fn json_text() -> impl Strategy<Value = String> {
    (json_value(), any::<bool>(), any::<bool>()).prop_map(|(value, pretty, escaped)| {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.unwrap();
        let escape = |character: char| {
            let mut units = [0; 2];
            character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>()
        };
        match escaped {
            false => text,
            true => text.chars().map(|c| if c.is_ascii() { c.to_string() } else { escape(c) }).collect(),
        }
    })
}

/// Bytes that are often nearly JSON.
fn near_json() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[\\[\\]{}:,\"\\\\ \n\t0-9eE+.\\-tfnrulase\u{e9}\u{1}]{0,24}".prop_map(String::into_bytes),
        "(\\[|\\]|\\{|\\}|\"a\"|\"\\\\u[0-9a-fD]{3,4}\"|:|,|-?[0-9]{1,2}(\\.[0-9])?(e[+-]?[0-9])?|true|null| ){0,14}"
            .prop_map(String::into_bytes),
        (json_text(), any::<prop::sample::Index>(), any::<u8>(), 0..3_u8).prop_map(|(text, at, byte, how)| {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
            bytes
        }),
        prop::collection::vec(any::<u8>(), 0..24),
    ]
}

fn cuts_in(len: usize, cuts: &[prop::sample::Index]) -> Vec<usize> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(len + 1)).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text_is_read_as_serde_json_reads_it(text in json_text(), cuts: [prop::sample::Index; 4]) {
        let (result, builder) = read::<STRICT>(text.as_bytes(), &cuts_in(text.len(), &cuts));
        prop_assert_eq!(result, Ok(true));
        prop_assert_eq!(builder.root, Some(serde_json::from_str(&text).unwrap()));
        for (number, source) in &builder.integers {
            let integer = source.parse::<u64>().ok().map(Number::Integer);
            prop_assert_eq!(matches!(number, Number::Integer(_)), integer.is_some());
            prop_assert!(integer.is_none_or(|integer| integer == *number));
        }
    }

    #[test]
    fn accepts_what_serde_json_accepts(text in near_json()) {
        prop_assert_eq!(is_accepted::<STRICT>(&text), is_json(&text), "{:?}", String::from_utf8_lossy(&text));
        // What is lenient about strings is strict about everything else.
        prop_assert!(is_accepted::<LENIENT>(&text) || !is_json(&text));
    }

    #[test]
    fn cuts_never_matter(text in near_json(), cuts: [prop::sample::Index; 5]) {
        assert_cuts_do_not_matter(&text, &cuts_in(text.len(), &cuts));
    }
}
