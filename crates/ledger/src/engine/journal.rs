//! The engine as [`Journal`]: what is looked up in the committed journal, beside the writer.

use std::sync::Arc;
use std::time::Duration;

use book::command;
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};

use super::{Engine, report, view};
use crate::dto;
use crate::service::{Export, IncidentQuery, Journal, LineFilter, Page, PageRequest, Reply, ServiceError};
use crate::store::{IncidentFilter, IncidentRow, Reader};

/// The most lines that one page looks at.
const LOOKED_AT_MAX: usize = 100_000;
/// The most lines of an account whose past is asked for.
const PAST_LINES_MAX: usize = 500_000;
/// The most exports and looks into the past at a time.
const LONG_READS_MAX: usize = 4;
/// Pieces of an export that wait for their reader.
const PIECES_MAX: usize = 2;
/// The longest that an export waits for its reader.
const READER_TIME_MAX: Duration = Duration::from_secs(60);

/// What long reads are done with: a connection of their own, so that short ones do not wait.
pub struct LongReads {
    reader: Arc<Reader>,
    room: Arc<Semaphore>,
}

// === impl LongReads ===

impl LongReads {
    /// Long reads through a connection of their own.
    pub fn new(reader: Reader) -> Self {
        Self { reader: Arc::new(reader), room: Arc::new(Semaphore::new(LONG_READS_MAX)) }
    }
}

impl Journal for Engine {
    fn entries(
        &self,
        account: String,
        filter: LineFilter,
        page: PageRequest<u64>,
    ) -> Reply<'_, Page<dto::Entry, u64>> {
        Box::pin(async move {
            let head = self.head(&account).await?;
            report::read(&self.reader, move |reader| {
                let mut next = match page.after {
                    Some(after) => reader.line_before(&account, after)?,
                    None => head,
                };
                let (begin, end) = filter.span();
                let (mut data, mut looked_at, mut last) = (Vec::new(), 0_usize, None);
                while next > 0 && looked_at < LOOKED_AT_MAX {
                    let (lines, after) = reader.some_lines(next, begin)?;
                    for entry in &lines {
                        if data.len() == page.limit {
                            return Ok(Page { data, next: last });
                        }
                        last = Some(entry.id);
                        let line = view::entry(entry).filter(|_| entry.at < end);
                        data.extend(line.filter(|line| filter.lets_through(line)));
                    }
                    looked_at = looked_at.saturating_add(lines.len());
                    next = after;
                }
                Ok(Page { data, next: last.filter(|_| next > 0) })
            })
            .await
        })
    }

    fn entries_of_request(&self, request: String) -> Reply<'_, Vec<dto::ExportedEntry>> {
        Box::pin(async move {
            let read = report::read(&self.reader, move |reader| reader.entries_of_request(&request));
            Ok(read.await?.iter().filter_map(exported).collect())
        })
    }

    fn export(&self, account: Option<String>, filter: LineFilter) -> Reply<'_, Export> {
        Box::pin(async move {
            let head = match &account {
                Some(account) => Some(self.head(account).await?),
                None => None,
            };
            let Ok(room) = Arc::clone(&self.long.room).try_acquire_owned() else {
                return Err(ServiceError::Overloaded);
            };
            let (sender, receiver) = mpsc::channel(PIECES_MAX);
            let reader = Arc::clone(&self.long.reader);
            let runtime = tokio::runtime::Handle::current();
            tokio::task::spawn_blocking(move || {
                let _room = room;
                let send = |piece| runtime.block_on(sender.send_timeout(piece, READER_TIME_MAX)).is_ok();
                if let Err(error) = pieces(&reader, head, &filter, |piece| send(Ok(piece))) {
                    send(Err(ServiceError::internal(error)));
                }
            });
            Ok(receiver)
        })
    }

    fn balance_at(&self, account: String, at: Timestamp) -> Reply<'_, dto::Balance> {
        Box::pin(async move {
            let at = at.as_millisecond();
            let found = self.look(move |tx, now| {
                let account = command::touched(tx, &account, now)?;
                Ok((account.id.clone(), account.last_line, account.created_at, now.wall))
            });
            let (id, head, _, now) = found.await?;
            if at > now {
                return Err(ServiceError::invalid("at", "is in the future"));
            }
            let Ok(_room) = Arc::clone(&self.long.room).try_acquire_owned() else {
                return Err(ServiceError::Overloaded);
            };
            let name = id.clone();
            let read = report::read(&self.long.reader, move |reader| {
                reader.account_at(&name, head, at, PAST_LINES_MAX)
            });
            let Some(past) = read.await? else {
                let detail = format!("the account has more than {PAST_LINES_MAX} lines: export them instead");
                return Err(ServiceError::invalid("at", detail));
            };
            if past.last_entry == 0 {
                return Err(ServiceError::invalid("at", "is before the account was opened"));
            }
            Ok(dto::Balance { at: Some(view::time(at)), ..view::balance(&past, None) })
        })
    }

    fn incidents(&self, query: IncidentQuery, page: PageRequest<u64>) -> Reply<'_, Page<dto::Incident, u64>> {
        Box::pin(async move {
            let IncidentQuery { code, account, from, to } = query;
            let span = (from.map(Timestamp::as_millisecond), to.map(Timestamp::as_millisecond));
            let filter = IncidentFilter { code, account, span };
            let limit = page.limit.saturating_add(1);
            let read = report::read(&self.reader, move |reader| reader.incidents(&filter, page.after, limit));
            Ok(Page::cut(read.await?, page.limit, |row| row.id).map(incident))
        })
    }
}

/// Hands out the pieces of an export until it ends or nobody takes them.
fn pieces(
    reader: &Reader,
    head: Option<u64>,
    filter: &LineFilter,
    mut take: impl FnMut(Vec<dto::ExportedEntry>) -> bool,
) -> Result<(), book::StoreError> {
    let (begin, end) = filter.span();
    let mut next = match head {
        Some(head) => head,
        None => reader.first_entry_at(end)?,
    };
    while next > 0 {
        let (entries, after) = match head {
            Some(_) => reader.some_lines(next, begin)?,
            None => reader.some_entries(next, begin)?,
        };
        let lines = entries.iter().filter(|entry| entry.at < end).filter_map(exported);
        let piece: Vec<dto::ExportedEntry> = lines.filter(|line| filter.lets_through(&line.entry)).collect();
        if !piece.is_empty() && !take(piece) {
            return Ok(());
        }
        next = after;
    }
    Ok(())
}

fn exported(entry: &book::Entry) -> Option<dto::ExportedEntry> {
    let account = entry.account.to_string();
    view::entry(entry).map(|entry| dto::ExportedEntry { account, entry })
}

fn incident(row: IncidentRow) -> dto::Incident {
    dto::Incident {
        id: row.id.to_string(),
        time: view::time(row.at),
        code: row.code,
        account: row.account,
        node: row.event.map(|(lane, _)| lane.node.to_string()),
        lane: row.event.map(|(lane, _)| format!("{}/{}", lane.slot, lane.incarnation)),
        seq: row.event.map(|(_, seq)| seq),
        detail: row.detail,
    }
}
