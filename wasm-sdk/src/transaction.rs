//! Private transactions.

use coterie_core::{SignedPrivateTransaction, transaction::recover_address};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::{convert, error::Result, record};

/// The RLP that is hashed and signed.
#[wasm_bindgen(js_name = encodeForSigning)]
pub fn encode_for_signing(transaction: &JsValue) -> Result<String> {
    Ok(convert::hex(&record::transaction(transaction)?.encode_for_signing()))
}

/// The hash that is signed.
#[wasm_bindgen(js_name = signatureHash)]
pub fn signature_hash(transaction: &JsValue) -> Result<String> {
    Ok(convert::hex(record::transaction(transaction)?.signature_hash().as_slice()))
}

/// Signs and returns the signed RLP. Copies of the key are zeroised.
#[wasm_bindgen]
pub fn sign(transaction: &JsValue, private_key: &JsValue) -> Result<String> {
    let transaction = record::transaction(transaction)?;
    let signed = transaction.sign(&convert::private_key(private_key)?)?;
    Ok(convert::hex(&signed.encode()))
}

/// The signed RLP with a signature that was made elsewhere.
#[wasm_bindgen]
pub fn serialize(transaction: &JsValue, signature: &JsValue) -> Result<String> {
    let signed = record::transaction(transaction)?.assemble(record::signature(signature)?)?;
    Ok(convert::hex(&signed.encode()))
}

/// The fields of a signed private transaction.
#[wasm_bindgen]
pub fn decode(raw: &JsValue) -> Result<JsValue> {
    Ok(record::signed_to_object(&signed(raw)?))
}

/// The account that signed a private transaction.
#[wasm_bindgen(js_name = recoverSigner)]
pub fn recover_signer(raw: &JsValue) -> Result<String> {
    Ok(convert::checksummed(&signed(raw)?.recover_signer()?))
}

/// The hash of the signed RLP.
#[wasm_bindgen(js_name = transactionHash)]
pub fn transaction_hash(raw: &JsValue) -> Result<String> {
    Ok(convert::hex(signed(raw)?.hash().as_slice()))
}

/// The account whose signature over this hash this is.
#[wasm_bindgen(js_name = recoverAddress)]
pub fn recover_address_of(hash: &JsValue, signature: &JsValue) -> Result<String> {
    let hash = convert::hash("hash", hash)?;
    Ok(convert::checksummed(&recover_address(&hash, &record::signature(signature)?)?))
}

fn signed(raw: &JsValue) -> Result<SignedPrivateTransaction> {
    Ok(SignedPrivateTransaction::decode(&convert::bytes("raw", raw)?)?)
}
