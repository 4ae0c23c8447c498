//! API keys. The key itself is in none of these shapes: it is shown once, by the HTTP layer, at creation.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/accounts/{account}/keys`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyCreation {
    /// A name for people; at most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "ci", max_length = 128)]
    pub name: Option<String>,
    /// The models that the key may use: names with `*` for any run of characters, at most 64; absent =
    /// whatever the plan opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["gpt-4o*"]), max_items = 64)]
    pub models: Option<Vec<String>>,
    /// When the key stops working; absent = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Takes over a key that exists elsewhere: the SHA-256 of the whole key, in lower-case hexadecimal.
    /// No key is made then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub digest: Option<String>,
}

/// A key, as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Key {
    /// Its id, as the journal shows it.
    #[schema(example = "key_4Kd0fYz2Qx")]
    pub id: String,
    /// The account it spends for.
    pub account: String,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// The first eight hexadecimal digits of its SHA-256: tells keys apart without showing any of them.
    #[schema(example = "9f86d081")]
    pub digest_id: String,
    /// The models it may use; absent = whatever the plan opens.
    pub models: Option<Vec<String>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working, where it does.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, where it was.
    pub revoked_at: Option<Timestamp>,
}
