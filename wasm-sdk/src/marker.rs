//! Marker transactions that a client signs itself. Records are those of module `record`.

use alloc::{string::String, vec::Vec};

use wasm_bindgen::prelude::wasm_bindgen;

use crate::{convert, error::Result, record};

/// The hash of a marker transaction that is signed.
#[wasm_bindgen(js_name = markerSignatureHash)]
pub fn marker_signature_hash(marker: &str) -> Result<String> {
    Ok(convert::hex(record::marker(marker)?.signature_hash().as_slice()))
}

/// The signed RLP of a marker transaction, with a signature that was made elsewhere.
#[wasm_bindgen(js_name = serializeMarker)]
pub fn serialize_marker(marker: &str, signature: &str) -> Result<String> {
    let signed = record::marker(marker)?.assemble(record::signature(signature)?)?;
    Ok(convert::hex(&signed.encode()))
}

/// Signs a marker transaction and returns the signed RLP. The copy of the key is zeroised.
#[wasm_bindgen(js_name = signMarker)]
pub fn sign_marker(marker: &str, private_key: Vec<u8>) -> Result<String> {
    convert::with_private_key(private_key, |key| {
        Ok(convert::hex(&record::marker(marker)?.sign(key)?.encode()))
    })
}
