//! `bursar catalog`: check a file, say in words what a plan gets, compare two files, put one in force, print the
//! JSON Schema.

mod diff;
mod words;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::client::{Answer, ClientArgs};
use super::failure::{Failure, Outcome};
use super::print::{self, Table};
use crate::config::{ConfigError, load_catalog, read_catalog};
use crate::dto::{CatalogDiff, CatalogInfo, CatalogVersion};
use crate::http::PageBody;

/// Check, explain, compare and publish catalog files.
#[derive(Debug, Subcommand)]
pub enum Catalog {
    /// Print every problem of a catalog file
    ///
    /// Each on a line of its own, as editors and CI read them: FILE:LINE:COLUMN: PATH: message.
    /// Exit status 2 where there is one. What is allowed and probably not meant is said as a warning.
    #[command(after_help = "Example:\n  bursar catalog check catalog.yaml")]
    Check {
        /// The catalog, YAML or JSON
        file: PathBuf,
    },
    /// Say in plain words what a customer on a plan gets
    #[command(after_help = "Examples:\n  bursar catalog show catalog.yaml\n  \
        bursar catalog show catalog.yaml --plan starter")]
    Show {
        /// The catalog, YAML or JSON
        file: PathBuf,
        /// This plan alone [default: all of them]
        #[arg(long)]
        plan: Option<String>,
    },
    /// Tell how a catalog differs from another: what each plan, model and pool gains and loses
    #[command(after_help = "Example:\n  bursar catalog diff old.yaml new.yaml")]
    Diff {
        /// The catalog as it was
        old: PathBuf,
        /// The catalog as it is to be
        new: PathBuf,
    },
    /// Print the JSON Schema of catalog files, for editors that complete and check them
    ///
    /// Editors read it from a file's first line: # yaml-language-server: $schema=catalog.schema.json
    #[command(after_help = "Example:\n  bursar catalog schema > catalog.schema.json")]
    Schema,
    /// List the versions that a running ledger has, or tell how one differs from another
    #[command(after_help = "Examples:\n  bursar catalog versions\n  bursar catalog versions --diff 3\n  \
        bursar catalog versions --diff 3 --to 5")]
    Versions {
        /// Tell how the version in force differs from this one
        #[arg(long, value_name = "VERSION")]
        diff: Option<u64>,
        /// … or how this one does
        #[arg(long, value_name = "VERSION", requires = "diff")]
        to: Option<u64>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Put a catalog file in force at a running ledger
    ///
    /// Accounts move to it by themselves; requests admitted before are charged by the version of their
    /// admission. A start of the ledger puts its own file (--catalog) in force again: change that too, or
    /// change that alone and send the ledger a SIGHUP.
    #[command(after_help = "Example:\n  bursar catalog publish catalog.yaml")]
    Publish {
        /// The catalog, YAML or JSON
        file: PathBuf,
        /// Change nothing: tell what would change, and for how many accounts
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
}

// === impl Catalog ===

impl Catalog {
    /// Runs the command.
    pub fn run(self) -> Outcome {
        match self {
            Self::Check { file } => check(&file),
            Self::Show { file, plan } => {
                let catalog = load_catalog(&file)?;
                let known: Vec<&str> = catalog.plans.iter().map(|plan| plan.name.as_str()).collect();
                if let Some(name) = plan.as_deref().filter(|name| !known.contains(name)) {
                    let text = format!("bursar: there is no plan `{name}` (known: {})", known.join(", "));
                    return Err(Failure::BadInput(print::printable(&text)));
                }
                let shown =
                    catalog.plans.iter().filter(|own| plan.as_ref().is_none_or(|name| own.name == *name));
                let sections: Vec<String> = shown.map(|plan| words::section(&catalog, plan)).collect();
                print::out(&sections.join("\n"))
            }
            Self::Diff { old, new } => {
                let text = diff::text(&load_catalog(&old)?, &load_catalog(&new)?);
                print::out(if text.is_empty() { "no difference\n" } else { &text })
            }
            Self::Schema => print::out(&tariff::source::schema()),
            Self::Versions { diff, to, client } => versions(diff, to, &client),
            Self::Publish { file, dry_run, client } => publish(file, dry_run, &client),
        }
    }
}

fn check(file: &Path) -> Outcome {
    let (catalog, warnings) = read_catalog(file)?;
    let name = file.display().to_string();
    let mut text = String::new();
    for warning in &warnings {
        text.push_str(&format!("{}\n", print::printable(&format!("{} [warning]", warning.in_file(&name)))));
    }
    let count = |n: usize, thing: &str| format!("{n} {thing}{}", if n == 1 { "" } else { "s" });
    text.push_str(&format!(
        "{name}: no problems: {}, {}, {}\n",
        count(catalog.plans.len(), "plan"),
        count(catalog.models.len(), "model"),
        count(catalog.pools.len(), "pool"),
    ));
    print::out(&text)
}

/// How two catalogs differ, in words; empty where they say the same.
#[must_use]
pub fn differences(old: &tariff::Catalog, new: &tariff::Catalog) -> String {
    diff::text(old, new)
}

fn versions(diff: Option<u64>, to: Option<u64>, args: &ClientArgs) -> Outcome {
    let client = args.client()?;
    if let Some(from) = diff {
        let to = to.map(|to| format!("&to={to}")).unwrap_or_default();
        let answer: Answer<CatalogDiff> = client.get(&format!("/v1/catalog/diff?from={from}{to}"))?;
        let text = if args.json { format!("{}\n", answer.json) } else { answer.value.diff };
        return print::out(if text.is_empty() { "no difference\n" } else { &text });
    }
    let answer: Answer<PageBody<CatalogInfo>> = client.get("/v1/catalog/versions")?;
    if args.json {
        return print::out(&format!("{}\n", answer.json));
    }
    let mut table = Table::new(&[">version", "since", "in force", "name", "plans"]);
    for info in answer.value.data {
        let in_force = if info.in_force { "yes" } else { "" }.to_owned();
        table.row([
            info.version.to_string(),
            info.since.to_string(),
            in_force,
            info.name,
            info.plans.join(" "),
        ]);
    }
    print::out(&table.text("no versions"))
}

fn publish(file: PathBuf, dry_run: bool, client: &ClientArgs) -> Outcome {
    // Here problems come with the file's name and its lines.
    load_catalog(&file)?;
    let bytes = std::fs::read(&file).map_err(|error| ConfigError::File { path: file, error })?;
    let path = if dry_run { "/v1/catalog?dry_run=true" } else { "/v1/catalog" };
    let answer: Answer<CatalogVersion> = client.client()?.post_yaml(path, bytes)?;
    if client.json {
        return print::out(&format!("{}\n", answer.json));
    }
    let CatalogVersion { version, changed, diff, accounts_left_behind, .. } = answer.value;
    if dry_run {
        for (plan, accounts) in accounts_left_behind {
            print::note(&format!(
                "{accounts} accounts are on the plan {plan}, which the file does not have"
            ))?;
        }
        let diff = diff.unwrap_or_default();
        return print::out(if changed { &diff } else { "no difference\n" });
    }
    let said = if changed { "in force" } else { "was in force already: nothing has changed" };
    print::out(&format!("version {version} {said}\n"))
}
