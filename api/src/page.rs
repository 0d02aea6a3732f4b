//! One page of a list.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of a list, in the order asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// Ask again with `?cursor=` this to get the next page; null on the last.
    #[schema(example = json!(null))]
    pub next_cursor: Option<String>,
}
