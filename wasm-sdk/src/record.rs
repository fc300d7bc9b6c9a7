//! The records that cross: private transactions, marker transactions, signatures, and the objects
//! that come back.

use alloy_primitives::{Bytes, Signature, TxKind, U256};
use coterie_core::{
    EnclaveKey, Marker, PrivateTransaction, Recipients, Restriction, SignedPrivateTransaction,
    marker::MarkerTransaction,
};
use js_sys::{Array, Object, Reflect};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};

use crate::{
    convert,
    error::{Invalid, Result},
};

type Field = core::result::Result<JsValue, JsValue>;

#[wasm_bindgen]
extern "C" {
    /// An object whose fields are read by name; a getter may throw.
    #[wasm_bindgen(js_name = Object)]
    type Record;
    #[wasm_bindgen(method, getter, structural, catch)]
    fn nonce(this: &Record) -> core::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, structural, catch, js_name = gasPrice)]
    fn gas_price(this: &Record) -> core::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, structural, catch, js_name = gasLimit)]
    fn gas_limit(this: &Record) -> core::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, structural, catch)]
    fn to(this: &Record) -> core::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, structural, catch)]
    fn value(this: &Record) -> core::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, structural, catch)]
    fn data(this: &Record) -> core::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, structural, catch, js_name = chainId)]
    fn chain_id(this: &Record) -> core::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, structural, catch, js_name = privateFrom)]
    fn private_from(this: &Record) -> core::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, structural, catch, js_name = privateFor)]
    fn private_for(this: &Record) -> core::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, structural, catch, js_name = privacyGroupId)]
    fn privacy_group_id(this: &Record) -> core::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, structural, catch)]
    fn restriction(this: &Record) -> core::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, structural, catch)]
    fn r(this: &Record) -> core::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, structural, catch)]
    fn s(this: &Record) -> core::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, getter, structural, catch, js_name = yParity)]
    fn y_parity(this: &Record) -> core::result::Result<JsValue, JsValue>;
}

/// Reads `{nonce, gasPrice?, gasLimit, to?, value?, data?, chainId?, privateFrom, privacyGroupId |
/// privateFor, restriction?}`.
pub(crate) fn transaction(value: &JsValue) -> Result<PrivateTransaction> {
    let record = record("the transaction", value)?;
    Ok(PrivateTransaction {
        nonce: convert::number("nonce", &field("nonce", record.nonce())?)?,
        gas_price: number_or_zero("gasPrice", record.gas_price())?,
        gas_limit: convert::number("gasLimit", &field("gasLimit", record.gas_limit())?)?,
        to: match optional("to", record.to())? {
            Some(to) => TxKind::Call(convert::parse_address("to", &to)?),
            None => TxKind::Create,
        },
        value: number_or_zero("value", record.value())?,
        input: match optional("data", record.data())? {
            Some(data) => Bytes::from(convert::decode_hex("data", &data)?),
            None => Bytes::new(),
        },
        chain_id: chain_id(record)?,
        private_from: convert::enclave_key(
            "privateFrom",
            &field("privateFrom", record.private_from())?,
        )?,
        recipients: recipients(record)?,
        restriction: match optional("restriction", record.restriction())?.as_deref() {
            None | Some("restricted") => Restriction::Restricted,
            Some("unrestricted") => Restriction::Unrestricted,
            Some(_) => return Err(Invalid::Restriction.at("restriction")),
        },
    })
}

fn recipients(record: &Record) -> Result<Recipients> {
    let members = field("privateFor", record.private_for())?;
    let members = (!members.is_undefined() && !members.is_null()).then_some(members);
    match (optional("privacyGroupId", record.privacy_group_id())?, members) {
        (Some(id), None) => Ok(Recipients::Group(convert::parse_group_id("privacyGroupId", &id)?)),
        (None, Some(keys)) => Ok(Recipients::Members(convert::enclave_keys("privateFor", &keys)?)),
        (Some(_), Some(_)) | (None, None) => Err(Invalid::Recipients.at("the transaction")),
    }
}

/// Reads `{nonce, gasPrice, gasLimit, to, value?, data, chainId?}`.
pub(crate) fn marker(value: &JsValue) -> Result<MarkerTransaction> {
    let record = record("the marker transaction", value)?;
    let data = convert::bytes("data", &field("data", record.data())?)?;
    Ok(MarkerTransaction {
        nonce: convert::number("nonce", &field("nonce", record.nonce())?)?,
        gas_price: convert::number("gasPrice", &field("gasPrice", record.gas_price())?)?,
        gas_limit: convert::number("gasLimit", &field("gasLimit", record.gas_limit())?)?,
        to: convert::address("to", &field("to", record.to())?)?,
        value: number_or_zero("value", record.value())?,
        marker: Marker::parse(&data).map_err(|_| Invalid::MarkerData.at("data"))?,
        chain_id: chain_id(record)?,
    })
}

/// Reads `{r, s, yParity}`.
pub(crate) fn signature(value: &JsValue) -> Result<Signature> {
    let record = record("the signature", value)?;
    convert::signature(
        &field("r", record.r())?,
        &field("s", record.s())?,
        &field("yParity", record.y_parity())?,
    )
}

/// A decoded private transaction as an object, with its signature, hash and, if there is one, its
/// signer.
pub(crate) fn signed_to_object(signed: &SignedPrivateTransaction) -> JsValue {
    let transaction = &signed.transaction;
    let mut out = Output::new();
    out.text("nonce", &convert::quantity(U256::from(transaction.nonce)));
    out.text("gasPrice", &convert::quantity(transaction.gas_price));
    out.text("gasLimit", &convert::quantity(U256::from(transaction.gas_limit)));
    if let TxKind::Call(to) = &transaction.to {
        out.text("to", &convert::checksummed(to));
    }
    out.text("value", &convert::quantity(transaction.value));
    out.text("data", &convert::hex(&transaction.input));
    if let Some(chain_id) = transaction.chain_id {
        out.text("chainId", &convert::quantity(U256::from(chain_id)));
    }
    out.text("privateFrom", &transaction.private_from.to_base64());
    match &transaction.recipients {
        Recipients::Group(id) => out.text("privacyGroupId", &id.to_base64()),
        Recipients::Members(keys) => out.set("privateFor", &keys_to_array(keys)),
    }
    match &transaction.restriction {
        Restriction::Restricted => out.text("restriction", "restricted"),
        Restriction::Unrestricted => out.text("restriction", "unrestricted"),
        Restriction::Unsupported(text) => out.text("restriction", &convert::hex(text)),
    }
    out.text("v", &convert::quantity(U256::from(signed.v())));
    out.text("r", &convert::quantity(signed.signature.r()));
    out.text("s", &convert::quantity(signed.signature.s()));
    out.text("hash", &convert::hex(signed.hash().as_slice()));
    if let Ok(signer) = signed.recover_signer() {
        out.text("from", &convert::checksummed(&signer));
    }
    out.into_js()
}

/// Keys as an array of base64 texts.
pub(crate) fn keys_to_array(keys: &[EnclaveKey]) -> JsValue {
    let array = Array::new();
    for key in keys {
        array.push(&key.to_base64().into());
    }
    array.into()
}

/// An object being built.
#[derive(Debug)]
pub(crate) struct Output(Object);

impl Output {
    pub(crate) fn new() -> Self {
        Self(Object::new())
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.set(name, &text.into());
    }

    pub(crate) fn set(&mut self, name: &str, value: &JsValue) {
        // Setting a property of a fresh object cannot fail.
        let _ = Reflect::set(&self.0, &name.into(), value);
    }

    pub(crate) fn into_js(self) -> JsValue {
        self.0.into()
    }
}

fn record<'a>(name: &str, value: &'a JsValue) -> Result<&'a Record> {
    if value.is_undefined() || value.is_null() {
        return Err(Invalid::Missing.at(name));
    }
    if !value.is_object() {
        return Err(Invalid::NotAnObject.at(name));
    }
    Ok(value.unchecked_ref())
}

/// A field, whose getter may have thrown: then it counts as missing.
fn field(name: &str, field: Field) -> Result<JsValue> {
    field.map_err(|_| Invalid::Missing.at(name))
}

fn optional(name: &str, value: Field) -> Result<Option<String>> {
    convert::optional_text(name, &field(name, value)?)
}

fn number_or_zero(name: &str, value: Field) -> Result<U256> {
    match optional(name, value)? {
        Some(number) => convert::parse_number(name, &number),
        None => Ok(U256::ZERO),
    }
}

fn chain_id(record: &Record) -> Result<Option<u64>> {
    let id = optional("chainId", record.chain_id())?;
    id.map(|id| convert::parse_number("chainId", &id)).transpose()
}
