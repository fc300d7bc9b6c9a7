//! What is stored in the enclave: the versioned payload, its text, and what `coterie` rules put
//! before it; and the add blob of `besu` rules.
//!
//! Nothing is encrypted or signed here: the digests are signed where the enclave keys are. Fixed
//! by the protocol specification, 1.5, and the design, 2.3.

mod add_blob;
mod prefix;
mod versioned;

pub use add_blob::{
    ADD_BLOB_ENTRIES_MAX, AddBlobEntry, AddBlobError, decode_add_blob, encode_add_blob,
};
pub use prefix::{
    PREFIX_BYTES, PrefixError, PrefixedPayload, marker_signature_digest, payload_signature_digest,
};
pub use versioned::{TextError, VersionedError, VersionedPrivateTransaction, from_text, to_text};
