//! Recorded answers, to be played through a real Envoy: those of `crates/usage/samples`, or a folder of the same
//! layout that `BURSAR_RECORDINGS` names. A recording is the body of an answer as it was on the wire; beside it
//! stands, as `NAME.expect.json`, what it must come to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use testbed::http::Request;
use testbed::mock::{Replay, SCRIPT_HEADER, Script, TAG_HEADER};
use testbed::tools::{repository, run_folder};
use testbed::{Account, Stack};

use crate::funded;
use crate::ground::Ground;

/// Prices that tell all meters of tokens apart, in micro-credits for one.
const TOKENS: &[(&str, i64)] = &[
    ("input_tokens", 2),
    ("cached_tokens", 3),
    ("cache_write_tokens", 5),
    ("cache_write_hour_tokens", 7),
    ("audio_input_tokens", 11),
    ("image_input_tokens", 13),
    ("output_tokens", 17),
    ("reasoning_tokens", 19),
    ("audio_output_tokens", 23),
    ("image_output_tokens", 29),
    ("searches", 31),
];
/// The same for one of anything else.
const UNIT: i64 = 37;
/// The model that is sold by tokens alone, whatever a request calls it.
const BY_TOKENS: &str = "tokens";

/// Bytes of a piece of a body that is cut regardless of its events.
const PIECE: usize = 97;

/// A recorded answer.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its file, below the folder of all.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// The body.
    pub body: Vec<u8>,
    /// The meter of its route.
    pub meter: String,
    /// The answer's content type.
    pub content_type: String,
    /// The request's path.
    pub path: String,
    /// The answer's other headers.
    pub headers: Vec<(String, String)>,
    /// What it must be charged for; nothing where the answer does not say.
    pub usage: Option<BTreeMap<String, u64>>,
    /// How sure that is: `complete`, `partial`, `failed`.
    pub status: String,
    /// The model that answered.
    pub model: Option<String>,
    /// Whether the provider's total is at odds with its parts, where that is told.
    pub total_mismatch: Option<bool>,
}

/// Every recording, in the order of their names.
///
/// # Errors
/// A file cannot be read, or one does not say what it must come to.
pub fn samples() -> Result<Vec<Sample>> {
    let own = std::env::var_os("BURSAR_RECORDINGS").filter(|folder| !folder.is_empty());
    let root = own.map_or_else(|| repository().join("crates/usage/samples"), PathBuf::from);
    let mut files = Vec::new();
    collect(&root, &mut files).with_context(|| root.display().to_string())?;
    files.retain(|file| file.to_string_lossy().ends_with(".expect.json"));
    files.sort();
    ensure!(!files.is_empty(), "no recordings in {}", root.display());
    let read = |file: &PathBuf| Sample::read(&root, file).with_context(|| file.display().to_string());
    files.iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

impl Sample {
    fn read(root: &Path, expectation: &Path) -> Result<Self> {
        let file = std::path::absolute(expectation.with_extension("").with_extension(""))?;
        let json: Value = serde_json::from_slice(&std::fs::read(expectation)?)?;
        let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
        let stated = |name: &str| text(name).with_context(|| format!("no {name}"));
        let headers = json.get("headers").and_then(Value::as_object).into_iter().flatten();
        let header = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        let counts = |counts: &Map<String, Value>| -> Result<BTreeMap<String, u64>> {
            let count = |(name, count): (&String, &Value)| {
                Ok((name.clone(), count.as_u64().with_context(|| format!("{name} is no count"))?))
            };
            counts.iter().map(count).collect()
        };
        Ok(Self {
            name: expectation.strip_prefix(root)?.with_extension("").with_extension("").display().to_string(),
            body: std::fs::read(&file)?,
            file,
            meter: stated("meter")?,
            content_type: stated("content_type")?,
            path: stated("path")?,
            headers: headers.filter_map(header).collect(),
            usage: json.get("usage").and_then(Value::as_object).map(counts).transpose()?,
            status: stated("status")?,
            model: text("model"),
            total_mismatch: json.get("total_mismatch").and_then(Value::as_bool),
        })
    }

    /// Whether it is a stream of server-sent events.
    #[must_use]
    pub fn is_events(&self) -> bool {
        self.content_type.starts_with("text/event-stream")
    }

    /// Whether its request's body asks for a stream.
    fn is_streamed(&self) -> bool {
        let kinds = ["text/event-stream", "application/x-ndjson", "application/stream+json"];
        kinds.iter().any(|kind| self.content_type.starts_with(kind))
    }

    /// Whether the edge asks for the usage of such a stream where the client does not.
    #[must_use]
    pub fn is_asked_for(&self) -> bool {
        self.is_events() && ["openai_chat", "openai_completions"].contains(&self.meter.as_str())
    }

    /// The model of its request: one that is sold by what the answer must be charged for.
    fn asked_model(&self) -> String {
        let units: Vec<&str> = self.units().collect();
        let also = if units.is_empty() || self.counts_tokens() { &[BY_TOKENS][..] } else { &[] };
        [also, &units].concat().join("-")
    }

    /// Whether tokens are among what it must be charged for.
    fn counts_tokens(&self) -> bool {
        self.usage.as_ref().is_some_and(|usage| usage.len() > self.units().count())
    }

    fn units(&self) -> impl Iterator<Item = &str> {
        let names = self.usage.iter().flatten().map(|(name, _)| name.as_str());
        names.filter(|name| TOKENS.iter().all(|(token, _)| token != name))
    }

    /// The request that it answers. The body has a word for each API, as all take what they do not know.
    #[must_use]
    pub fn request(&self, key: &str, tag: &str, script: &Script, asks_for_usage: bool) -> Request {
        let mut body = json!({
            "model": self.asked_model(),
            "messages": [{"role": "user", "content": "Say something."}],
            "contents": [{"role": "user", "parts": [{"text": "Say something."}]}],
            "prompt": "Say something.",
            "input": "Say something.",
            "query": "something",
            "documents": ["one"],
            "stream": self.is_streamed(),
        });
        if let Some(body) = body.as_object_mut().filter(|_| asks_for_usage) {
            body.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
        Request::post(&self.path, &body)
            .header(TAG_HEADER, tag)
            .header(SCRIPT_HEADER, &script.header())
            .bearer(key)
    }

    /// The script that plays it.
    #[must_use]
    pub fn script(&self) -> Script {
        let replay = Replay {
            file: self.file.clone(),
            content_type: Some(self.content_type.clone()),
            headers: self.headers.clone(),
        };
        Script { replay: Some(replay), ..Script::default() }
    }

    /// Where its events end, or where else it may be cut into pieces of a line's length.
    #[must_use]
    pub fn pieces(&self, by_event: bool) -> Vec<&[u8]> {
        if !by_event {
            return self.body.chunks(PIECE).collect();
        }
        let mut pieces = Vec::new();
        let mut rest = &*self.body;
        while let Some((piece, more)) = after_blank_line(rest) {
            pieces.push(piece);
            rest = more;
        }
        pieces.extend(Some(rest).filter(|rest| !rest.is_empty()));
        pieces
    }

    /// What counts cost, in micro-credits.
    #[must_use]
    pub fn price(counts: &BTreeMap<String, u64>) -> i64 {
        let price =
            |name: &str| TOKENS.iter().find(|(own, _)| *own == name).map_or(UNIT, |(_, price)| *price);
        let cost = |(name, count): (&String, &u64)| {
            price(name).saturating_mul(i64::try_from(*count).unwrap_or(i64::MAX))
        };
        counts.iter().filter(|(name, _)| *name != "requests").map(cost).sum()
    }
}

/// What stands before and behind the first blank line.
fn after_blank_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let ends = [&b"\n\n"[..], b"\r\n\r\n", b"\r\r"];
    let found = |end: &&[u8]| Some(text.windows(end.len()).position(|window| window == *end)? + end.len());
    text.split_at_checked(ends.iter().filter_map(found).min()?)
}

/// Whether an event has no choices and says the usage.
#[must_use]
pub fn is_usage_only(event: &str) -> bool {
    let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
    let Ok(json) = serde_json::from_str::<Value>(&data) else { return false };
    let is_empty = json.get("choices").and_then(Value::as_array).is_some_and(Vec::is_empty);
    is_empty && json.get("usage").is_some_and(Value::is_object)
}

/// A stack that sells these recordings, and an account with plenty of credits.
///
/// # Errors
/// It does not start.
pub async fn selling(name: &str, ground: Ground, samples: &[Sample]) -> Result<(Stack, Account)> {
    let folder = run_folder("recordings")?;
    let file = folder.join("catalog.yaml");
    std::fs::write(&file, catalog(samples))?;
    let mut setup = ground.setup(name).catalog(&file);
    setup.plans.clear();
    let stack = setup.start().await?;
    std::fs::remove_dir_all(folder)?;
    let account = funded(&stack, "100000").await?;
    Ok((stack, account))
}

/// A catalog by which these recordings can be sold.
fn catalog(samples: &[Sample]) -> String {
    let mut models: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let price = |(name, price): (&str, i64)| format!("{name}: {price}");
    let tokens = || TOKENS.iter().map(|(name, each)| price((name, *each)));
    models.insert(BY_TOKENS.to_owned(), tokens().collect());
    for sample in samples {
        let units = || sample.units().map(|unit| price((unit, UNIT)));
        let has_tokens = sample.counts_tokens() || units().next().is_none();
        let prices = tokens().filter(|_| has_tokens).chain(units());
        models.insert(sample.asked_model(), prices.collect());
    }
    let model = |(name, prices): (String, Vec<String>)| {
        let aliases = if name == BY_TOKENS { "aliases: [\"*\"], " } else { "" };
        format!("  {name}: {{ {aliases}price: {{ per_1m: {{ {} }} }} }}\n", prices.join(", "))
    };
    let models: String = models.into_iter().map(model).collect();
    format!(
        "name: Recordings\nmax_charge_per_request: 1000000\npools: {{ topup: {{ order: 1, expiry: P12M }} }}\n\
         exhaustion: {{ action: deny402, admission: full }}\nmodels:\n{models}plans:\n  bulk: {{ title: Bulk }}\n"
    )
}
