//! Marker transactions that a client signs itself.

use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{convert, error::Result, record};

/// The hash of a marker transaction that is signed.
#[wasm_bindgen(js_name = markerSignatureHash)]
pub fn marker_signature_hash(marker: &JsValue) -> Result<String> {
    Ok(convert::hex(record::marker(marker)?.signature_hash().as_slice()))
}

/// The signed RLP of a marker transaction, with a signature that was made elsewhere.
#[wasm_bindgen(js_name = serializeMarker)]
pub fn serialize_marker(marker: &JsValue, signature: &JsValue) -> Result<String> {
    let signed = record::marker(marker)?.assemble(record::signature(signature)?)?;
    Ok(convert::hex(&signed.encode()))
}

/// Signs a marker transaction and returns the signed RLP. Copies of the key are zeroised.
#[wasm_bindgen(js_name = signMarker)]
pub fn sign_marker(marker: &JsValue, private_key: &JsValue) -> Result<String> {
    let signed = record::marker(marker)?.sign(&convert::private_key(private_key)?)?;
    Ok(convert::hex(&signed.encode()))
}
