//! Tessera's binary formats between enclaves, LEGACY codec: payload envelopes, party information,
//! privacy-group records.
//!
//! Integers are 8-byte big-endian signed; a field is its length and its bytes; an array is its
//! count and its fields. Decoding is strict where a sloppy reading could be used (lengths, counts,
//! trailing bytes) and never allocates more than the input is long. The CBOR codec is not
//! spoken: peers use this one with a node that does not advertise API 5.0. Formats: enclave
//! specification, 2.3, 2.5 and 2.6.

mod envelope;
mod group_record;
mod party_info;

pub use envelope::{Envelope, Tail};
pub use group_record::{GroupRecord, GroupState, GroupType};
pub use party_info::{PARTIES_MAX, PartyInfo};

/// Largest number of elements in any array.
pub const COUNT_MAX: usize = 4096;

/// The bytes are not of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The input ends inside a value, or a length points behind its end.
    #[error("the input ends inside {0}")]
    Short(&'static str),
    /// A length or count is negative or beyond its limit.
    #[error("{0} has a length or count out of range")]
    Range(&'static str),
    /// Something follows the value.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
    /// Text is not UTF-8, or a name is unknown.
    #[error("{0} is not valid text")]
    Text(&'static str),
}

/// Reads values off the front of a slice.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn finish(&self) -> Result<(), CodecError> {
        if self.0.is_empty() { Ok(()) } else { Err(CodecError::Trailing(self.0.len())) }
    }

    /// A non-negative 8-byte integer that is no longer than what remains could hold.
    fn length(&mut self, what: &'static str) -> Result<usize, CodecError> {
        let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or(CodecError::Short(what))?;
        let length = i64::from_be_bytes(*bytes);
        let length = usize::try_from(length).map_err(|_| CodecError::Range(what))?;
        self.0 = rest;
        if length > rest.len() { Err(CodecError::Short(what)) } else { Ok(length) }
    }

    fn count(&mut self, what: &'static str) -> Result<usize, CodecError> {
        let count = self.length(what)?;
        if count > COUNT_MAX { Err(CodecError::Range(what)) } else { Ok(count) }
    }

    fn field(&mut self, what: &'static str) -> Result<&'a [u8], CodecError> {
        let length = self.length(what)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(CodecError::Short(what))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], CodecError> {
        self.field(what)?.try_into().map_err(|_| CodecError::Range(what))
    }

    fn text(&mut self, what: &'static str) -> Result<String, CodecError> {
        std::str::from_utf8(self.field(what)?)
            .map(str::to_owned)
            .map_err(|_| CodecError::Text(what))
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<Vec<[u8; N]>, CodecError> {
        let count = self.count(what)?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.fixed(what)?);
        }
        Ok(items)
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&(length as u64).to_be_bytes());
}

fn put_field(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_array<const N: usize>(out: &mut Vec<u8>, items: &[[u8; N]]) {
    put_length(out, items.len());
    for item in items {
        put_field(out, item);
    }
}
