//! API keys. The key itself is in none of these shapes: it is shown once, by the HTTP layer, at creation.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
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
    /// Its class, by which a plan's limits may leave it out: 1 to 64 visible ASCII characters; absent = `api`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "internal", max_length = 64)]
    pub auth_class: Option<String>,
}

/// `PATCH /v1/accounts/{account}/keys/{key}`; members that are absent stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    /// False: refused as an unknown key would be, until it is enabled again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// When the key stops working; null = never.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Option<Timestamp>>,
    /// A name for people; at most 128 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 128)]
    pub name: Option<String>,
    /// Its class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub auth_class: Option<String>,
    /// The models that the key may use; null = whatever the plan opens.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>, max_items = 64)]
    pub models: Option<Option<Vec<String>>>,
}

/// `POST /v1/accounts/{account}/keys/{key}/rotate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRotation {
    /// How long the old key is good beside the other one, in seconds: 0 (it ends at once) to 7776000 (90 days);
    /// absent = 86400 (a day).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 7776000)]
    pub overlap_seconds: Option<u64>,
    /// When the other key stops working; absent = as the old one would have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The SHA-256 of the other key, where it exists elsewhere; no key is made then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub digest: Option<String>,
}

/// A key that took another one's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyRotated {
    /// The other key.
    #[serde(flatten)]
    pub info: Key,
    /// The old one; `expires_at` says when it ends.
    pub replaced: Key,
}

/// Tells a member that is null from one that is absent.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    json: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(json).map(Some)
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
    /// False: refused until it is enabled again.
    pub enabled: bool,
    /// Its class (`api`).
    pub auth_class: String,
    /// The key that it was made to replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// The key that replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
}
