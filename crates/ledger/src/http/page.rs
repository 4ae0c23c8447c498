//! Lists by page: `?limit=&cursor=` in, `{data, next_cursor, has_more}` out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::respond::{Answer, Problem};
use crate::service::{PAGE_MAX, Page, PageRequest};

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Page)]
pub struct PageBody<T> {
    /// The items.
    pub data: Vec<T>,
    /// What to pass as `cursor` for the next page; null at the end.
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
}

/// Which page.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// At most this many items; 50 where absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Items per page where the caller does not say.
const LIMIT_DEFAULT: usize = 50;

// === impl PageQuery ===

impl PageQuery {
    /// What a list with parameters of its own was asked for.
    pub const fn new(limit: Option<usize>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// The page, with the cursor read by `read`.
    ///
    /// # Errors
    /// 400 for a limit out of bounds or a cursor that is none of ours.
    pub fn request<C>(self, read: impl FnOnce(&str) -> Option<C>) -> Answer<PageRequest<C>> {
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(Problem::bad_request("invalid_query", format!("limit: 1 to {PAGE_MAX}")).at("limit"));
        }
        let after = match self.cursor {
            None => None,
            Some(text) => Some(read(&text).ok_or_else(|| {
                Problem::bad_request("invalid_query", "cursor: not one of this list").at("cursor")
            })?),
        };
        Ok(PageRequest { limit, after })
    }
}

// === impl PageBody ===

impl<T> PageBody<T> {
    /// The body of a page, with its cursor in text form.
    pub fn new<C: ToString>(page: Page<T, C>) -> Self {
        let next_cursor = page.next.map(|next| next.to_string());
        Self { data: page.data, has_more: next_cursor.is_some(), next_cursor }
    }
}
