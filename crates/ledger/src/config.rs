//! What `bursar serve` is told, checked as a whole before anything is opened.

use std::fs;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tariff::catalog::Catalog;

use crate::http::{Token, TokenError, Tokens};
use crate::keys::{self, RandomnessError};

/// What the user said, unchecked.
#[derive(Clone)]
pub struct Options {
    /// The catalog file.
    pub catalog: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The store's address, `sqlite:PATH`.
    pub store: String,
    /// The admin token.
    pub admin_token: TokenSource,
    /// The edge token.
    pub edge_token: TokenSource,
}

/// Where a token comes from.
#[derive(Clone)]
pub enum TokenSource {
    /// It was given.
    Text(String),
    /// The first line of a file.
    File(PathBuf),
    /// Nobody gave one: it is made for this run.
    Generate,
}

/// What `serve` runs with.
#[derive(Debug)]
pub struct Config {
    /// The catalog.
    pub catalog: Catalog,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The SQLite file.
    pub store: PathBuf,
    /// Who may call.
    pub tokens: Tokens,
}

/// Tokens that were made for this run, to be shown once.
#[derive(Default)]
pub struct Generated {
    /// The admin token.
    pub admin: Option<String>,
    /// The edge token.
    pub edge: Option<String>,
}

/// Why the configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The catalog file has problems: one per line, each with its place.
    #[error("{}", .0.join("\n"))]
    Catalog(Vec<String>),
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The store's address is none that is known.
    #[error("store `{0}`: expected sqlite:PATH, such as sqlite:bursar.db")]
    Store(String),
    /// A token cannot be taken.
    #[error("{name} token: {error}")]
    Token {
        /// `admin` or `edge`.
        name: &'static str,
        /// Why.
        error: TokenError,
    },
    /// No token could be made.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
}

// === impl Config ===

impl Config {
    /// Checks everything.
    ///
    /// # Errors
    /// The first thing that is wrong; of a catalog all that is wrong with it.
    pub fn new(options: &Options) -> Result<(Self, Generated), ConfigError> {
        let store = sqlite_path(&options.store)?;
        let catalog = load_catalog(&options.catalog)?;
        let (admin, admin_made) = token("admin", &options.admin_token)?;
        let (edge, edge_made) = token("edge", &options.edge_token)?;
        let tokens = Tokens::new(admin, edge).map_err(|error| ConfigError::Token { name: "edge", error })?;
        let generated = Generated { admin: admin_made, edge: edge_made };
        Ok((Self { catalog, listen: options.listen, store, tokens }, generated))
    }
}

/// Reads a catalog file.
///
/// # Errors
/// [`ConfigError::File`] where it cannot be read, [`ConfigError::Catalog`] with every problem in it.
pub fn load_catalog(path: &Path) -> Result<Catalog, ConfigError> {
    read_catalog(path).map(|(catalog, _)| catalog)
}

/// Reads a catalog file, with what is allowed in it and probably not meant.
///
/// # Errors
/// As those of [`load_catalog`].
pub fn read_catalog(path: &Path) -> Result<(Catalog, Vec<tariff::source::Problem>), ConfigError> {
    // A file beyond what may be one is not read to its end.
    let most = u64::try_from(tariff::source::FILE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(|error| ConfigError::File { path: path.to_owned(), error })?;
    tariff::source::read(bytes).map_err(|problems| {
        let file = path.display().to_string();
        ConfigError::Catalog(problems.iter().map(|problem| problem.in_file(&file).to_string()).collect())
    })
}

/// The file of a store's address.
///
/// # Errors
/// [`ConfigError::Store`] for anything but `sqlite:PATH`.
pub fn sqlite_path(store: &str) -> Result<PathBuf, ConfigError> {
    match store.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => Ok(PathBuf::from(path)),
        _ => Err(ConfigError::Store(store.to_owned())),
    }
}

/// The text of a token file: its first line.
///
/// # Errors
/// [`ConfigError::File`] where it cannot be read.
pub fn read_token_file(path: &Path) -> Result<String, ConfigError> {
    let text =
        fs::read_to_string(path).map_err(|error| ConfigError::File { path: path.to_owned(), error })?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

fn token(name: &'static str, source: &TokenSource) -> Result<(Token, Option<String>), ConfigError> {
    let (text, made) = match source {
        TokenSource::Text(text) => (text.clone(), None),
        TokenSource::File(path) => (read_token_file(path)?, None),
        TokenSource::Generate => {
            let text = keys::fresh_token()?;
            (text.clone(), Some(text))
        }
    };
    let token = Token::new(&text).map_err(|error| ConfigError::Token { name, error })?;
    Ok((token, made))
}
