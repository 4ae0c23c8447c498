//! How a command fails, and what the process says and returns then.

use std::io::{self, Write as _};
use std::process::ExitCode;

use crate::config::ConfigError;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// It was refused, or it failed: exit status 1.
    Refused(String),
    /// What the user gave cannot be used: exit status 2.
    BadInput(String),
    /// Whoever reads standard output has stopped reading: nothing is left to say.
    OutputClosed,
}

/// A command's outcome.
pub type Outcome<T = ()> = Result<T, Failure>;

// === impl Failure ===

impl Failure {
    /// Says it on standard error and gives the exit status.
    pub fn report(self) -> ExitCode {
        let (text, status) = match self {
            Self::Refused(text) => (text, 1),
            Self::BadInput(text) => (text, 2),
            Self::OutputClosed => return ExitCode::SUCCESS,
        };
        // Where standard error is closed too, the status says it all.
        let _ = writeln!(io::stderr().lock(), "{text}");
        ExitCode::from(status)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Randomness(_) => Self::Refused(format!("bursar: {error}")),
            // Lines of the form FILE:LINE:COL stay as editors and CI read them.
            ConfigError::Catalog(_) => Self::BadInput(error.to_string()),
            ConfigError::File { .. } | ConfigError::Store(_) | ConfigError::Token { .. } => {
                Self::BadInput(format!("bursar: {error}"))
            }
        }
    }
}
