//! What makes entries and accounts findable: rows beside the journal, written with it.

use std::collections::BTreeMap;

use book::StoreError;
use book::entry::{Entry, EntryKind};
use rusqlite::{OptionalExtension as _, params};

use super::tx::SqliteTx;
use super::{failed, rows, sql};

// === impl SqliteTx ===

impl SqliteTx<'_> {
    /// Makes a charge or a grant findable by what makes it unique.
    pub(super) fn index(&self, entry: &Entry) -> Result<(), StoreError> {
        match &entry.kind {
            EntryKind::Charge(charge) => {
                let insert = "INSERT INTO request (request, account, entry) VALUES (?1, ?2, ?3)";
                self.run(insert, params![charge.request, entry.account.as_str(), sql(entry.id)])
            }
            EntryKind::Grant(granted) => {
                let insert =
                    "INSERT INTO reference (account, source, reference, entry) VALUES (?1, ?2, ?3, ?4)";
                let source = rows::word(&granted.source)?;
                self.run(insert, params![entry.account.as_str(), source, granted.reference, sql(entry.id)])
            }
            EntryKind::Settings { settings } => self.label(entry.account.as_str(), settings),
            kind => match book::correction::reference(kind) {
                Some((kind, reference)) => {
                    let insert =
                        "INSERT INTO reference (account, source, reference, entry) VALUES (?1, ?2, ?3, ?4)";
                    self.run(insert, params![entry.account.as_str(), kind, reference, sql(entry.id)])
                }
                None => Ok(()),
            },
        }
    }

    /// Makes an account findable by its reference and labels.
    fn label(&self, account: &str, settings: &book::Settings) -> Result<(), StoreError> {
        let known = "SELECT labels FROM profile WHERE account = ?1";
        let known: Option<String> =
            self.prepare(known)?.query_row([account], |row| row.get(0)).optional().map_err(failed)?;
        let labels = rows::json(&settings.labels)?;
        if known.is_none() && settings.reference.is_none() && settings.labels.is_empty() {
            return Ok(());
        }
        let upsert = "INSERT INTO profile (account, reference, labels) VALUES (?1, ?2, ?3) \
             ON CONFLICT (account) DO UPDATE SET reference = excluded.reference, labels = excluded.labels";
        self.run(upsert, params![account, settings.reference, labels])?;
        if known.as_deref() == Some(labels.as_str()) {
            return Ok(());
        }
        let before: BTreeMap<String, String> =
            known.map_or_else(|| Ok(BTreeMap::new()), |known| rows::parse(&known))?;
        for (name, value) in before {
            self.run(
                "DELETE FROM label WHERE name = ?1 AND value = ?2 AND account = ?3",
                params![name, value, account],
            )?;
        }
        for (name, value) in &settings.labels {
            self.run(
                "INSERT INTO label (name, value, account) VALUES (?1, ?2, ?3)",
                params![name, value, account],
            )?;
        }
        Ok(())
    }
}
