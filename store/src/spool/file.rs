//! What a file in the spool may be.

/// What stands in a file instead of certificates if root, or the agent's own user, wants
/// the certificate of the file's name removed from the store.
pub const REMOVE: &[u8] = b"remove\n";

/// The longest file in the spool, in bytes.
pub const MAX_FILE: usize = 64 * 1024;
