//! What `alloy-rlp` does not offer: lists whose items are already encoded.

use alloc::vec::Vec;

use alloy_rlp::Header;

/// The list whose encoded items are `items`.
pub(crate) fn list_of(items: &[u8]) -> Vec<u8> {
    let header = Header { list: true, payload_length: items.len() };
    let mut out = Vec::with_capacity(header.length() + items.len());
    header.encode(&mut out);
    out.extend_from_slice(items);
    out
}

/// Takes a list off the front of `buf` and returns it with its header, not looking inside.
pub(crate) fn split_list<'a>(buf: &mut &'a [u8]) -> alloy_rlp::Result<&'a [u8]> {
    let start = *buf;
    Header::decode_bytes(buf, true)?;
    let taken = start.len() - buf.len();
    start.get(..taken).ok_or(alloy_rlp::Error::InputTooShort)
}
