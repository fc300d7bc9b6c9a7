//! Errors as JavaScript sees them: a real `Error` with `name` and `code`.

use coterie_core::transaction::{DecodeError, SignError, SignatureError};
use wasm_bindgen::JsValue;

/// What every binding returns.
pub(crate) type Result<T> = core::result::Result<T, Thrown>;

/// An error on its way out: `name`, `code` and message of the JavaScript error.
#[derive(Debug)]
pub struct Thrown {
    name: &'static str,
    code: &'static str,
    message: String,
}

/// An argument that the core never sees.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidArgument {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} must be a string")]
    NotAString(&'static str),
    #[error("{0} must be 0x-prefixed hex")]
    Hex(&'static str),
    #[error("{0} must be a 0x-prefixed number without leading zeros, within its width")]
    Number(&'static str),
    #[error("{0} must be an address")]
    Address(&'static str),
    #[error("{0} must be an enclave key: 32 or 91 bytes in base64")]
    EnclaveKey(&'static str),
    #[error("{0} must be a privacy group id: 32 bytes in base64")]
    GroupId(&'static str),
    #[error("give either privacyGroupId or privateFor")]
    Recipients,
    #[error("restriction must be \"restricted\" or \"unrestricted\"")]
    Restriction,
    #[error("the private key must be 32 bytes within the order of the curve")]
    PrivateKey,
    #[error("the platform gives no random numbers")]
    NoEntropy,
}

impl From<InvalidArgument> for Thrown {
    fn from(error: InvalidArgument) -> Self {
        let code = match error {
            InvalidArgument::NoEntropy => "NO_ENTROPY",
            InvalidArgument::PrivateKey => "PRIVATE_KEY",
            InvalidArgument::Missing(_)
            | InvalidArgument::NotAString(_)
            | InvalidArgument::Hex(_)
            | InvalidArgument::Number(_)
            | InvalidArgument::Address(_)
            | InvalidArgument::EnclaveKey(_)
            | InvalidArgument::GroupId(_)
            | InvalidArgument::Recipients
            | InvalidArgument::Restriction => "INVALID_ARGUMENT",
        };
        Self { name: "InvalidArgumentError", code, message: error.to_string() }
    }
}

impl From<DecodeError> for Thrown {
    fn from(error: DecodeError) -> Self {
        Self { name: "DecodeError", code: error.code(), message: error.to_string() }
    }
}

impl From<SignError> for Thrown {
    fn from(error: SignError) -> Self {
        Self { name: "SignError", code: error.code(), message: error.to_string() }
    }
}

impl From<SignatureError> for Thrown {
    fn from(error: SignatureError) -> Self {
        Self { name: "SignatureError", code: "INVALID_SIGNATURE", message: error.to_string() }
    }
}

impl From<Thrown> for JsValue {
    fn from(thrown: Thrown) -> Self {
        let error = js_sys::Error::new(&thrown.message);
        error.set_name(thrown.name);
        // Setting a property of a fresh object cannot fail.
        let _ = js_sys::Reflect::set(&error, &"code".into(), &thrown.code.into());
        error.into()
    }
}
