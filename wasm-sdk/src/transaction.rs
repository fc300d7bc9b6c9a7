//! Private transactions. Records are those of module `record`.

use alloc::{string::String, vec::Vec};

use coterie_core::{SignedPrivateTransaction, transaction};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::{convert, error::Result, record};

/// The RLP that is hashed and signed.
#[wasm_bindgen(js_name = encodeForSigning)]
pub fn encode_for_signing(transaction: &str) -> Result<String> {
    Ok(convert::hex(&record::transaction(transaction)?.encode_for_signing()))
}

/// The hash that is signed.
#[wasm_bindgen(js_name = signatureHash)]
pub fn signature_hash(transaction: &str) -> Result<String> {
    Ok(convert::hex(record::transaction(transaction)?.signature_hash().as_slice()))
}

/// Signs and returns the signed RLP. The copy of the key is zeroised.
#[wasm_bindgen]
pub fn sign(transaction: &str, private_key: Vec<u8>) -> Result<String> {
    convert::with_private_key(private_key, |key| {
        Ok(convert::hex(&record::transaction(transaction)?.sign(key)?.encode()))
    })
}

/// The signed RLP with a signature that was made elsewhere.
#[wasm_bindgen]
pub fn serialize(transaction: &str, signature: &str) -> Result<String> {
    let signed = record::transaction(transaction)?.assemble(record::signature(signature)?)?;
    Ok(convert::hex(&signed.encode()))
}

/// The fields of a signed private transaction.
#[wasm_bindgen]
pub fn decode(raw: &str) -> Result<String> {
    Ok(record::signed_transaction(&signed(raw)?))
}

/// The account that signed a private transaction.
#[wasm_bindgen(js_name = recoverSigner)]
pub fn recover_signer(raw: &str) -> Result<String> {
    Ok(convert::checksummed(&signed(raw)?.recover_signer()?))
}

/// The hash of the signed RLP.
#[wasm_bindgen(js_name = transactionHash)]
pub fn transaction_hash(raw: &str) -> Result<String> {
    Ok(convert::hex(signed(raw)?.hash().as_slice()))
}

/// The account whose signature over this hash this is.
#[wasm_bindgen(js_name = recoverAddress)]
pub fn recover_address(hash: &str, signature: &str) -> Result<String> {
    let hash = convert::hash("hash", hash)?;
    let signer = transaction::recover_address(&hash, &record::signature(signature)?)?;
    Ok(convert::checksummed(&signer))
}

fn signed(raw: &str) -> Result<SignedPrivateTransaction> {
    Ok(SignedPrivateTransaction::decode(&convert::bytes("raw", raw)?)?)
}

/// keccak256 of any bytes.
#[wasm_bindgen(js_name = keccak256)]
pub fn keccak256(data: &str) -> Result<String> {
    let hash = alloy_primitives::keccak256(convert::bytes("data", data)?);
    Ok(convert::hex(hash.as_slice()))
}
