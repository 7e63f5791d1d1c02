//! How much is looked at, and how far clocks and lifetimes are taken at their word.

/// The largest certificate or response that is looked at, in bytes.
pub const MAX_RESPONSE: usize = 64 * 1024;

/// How far two clocks may differ, in seconds, before a response counts as not
/// yet valid. The value that OpenSSL's own tools, nginx and HAProxy use.
pub const CLOCK_SKEW: i64 = 300;

/// How long a response without nextUpdate counts as fresh, in seconds after its
/// thisUpdate, when the operator did not say otherwise.
pub const LIFE_WITHOUT_NEXT_UPDATE: i64 = 3600;
