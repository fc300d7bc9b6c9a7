//! Errors as JavaScript sees them: a real `Error` with `name`, `code`, message and hint.

use alloc::string::{String, ToString};

use coterie_core::{
    management::{ManagementCallError, ManagementEventError, MembersError},
    transaction::{DecodeError, SignError, SignatureError},
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

/// What every binding returns.
pub(crate) type Result<T> = core::result::Result<T, Thrown>;

/// An error on its way out.
#[derive(Debug)]
pub struct Thrown {
    pub(crate) name: &'static str,
    pub(crate) code: &'static str,
    message: String,
    hint: &'static str,
}

/// What is wrong with an argument that the core never sees. What is wrong with its type in
/// JavaScript is judged in the package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    Missing,
    Surplus,
    Hex,
    Number,
    Address,
    Hash,
    EnclaveKey,
    NotAWord,
    GroupId,
    PayloadKey,
    PrivateKey,
    MarkerData,
    Recipients,
    Restriction,
    Abi,
    Parity,
}

impl Invalid {
    /// An error about the argument or field of this name.
    #[cold]
    #[inline(never)]
    pub(crate) fn at(self, name: &str) -> Thrown {
        let (code, problem, hint) = self.words();
        let mut message = String::from(name);
        message.push_str(problem);
        Thrown { name: "InvalidInputError", code, message, hint }
    }

    /// Code, problem (after the name of what has it), hint.
    #[rustfmt::skip]
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Missing => ("MISSING", " is missing", "undefined and null count as missing"),
            Self::Surplus => ("UNKNOWN", " is unknown", "a bug in this package, please report it"),
            Self::Hex => ("INVALID_HEX", " must be 0x-prefixed hex",
                "an even number of hexadecimal digits after 0x"),
            Self::Number => ("INVALID_NUMBER",
                " must be a 0x-prefixed number without leading zeros, within its width",
                "nonce, gasLimit and chainId have 64 bits, everything else 256; zero is 0x0"),
            Self::Address => ("INVALID_ADDRESS", " must be an address", "20 bytes of 0x-prefixed hex"),
            Self::Hash => ("INVALID_HASH", " must be a hash", "32 bytes of 0x-prefixed hex"),
            Self::EnclaveKey => ("INVALID_ENCLAVE_KEY", " must be an enclave key",
                "32 or 91 bytes in standard base64 with padding, as the node prints them"),
            Self::NotAWord => ("ENCLAVE_KEY_TOO_LONG", " does not fit the older member ABI",
                "bytes32 holds keys of 32 bytes only; use the ABI \"bytes\""),
            Self::GroupId => ("INVALID_GROUP_ID", " must be a privacy group id",
                "32 bytes in standard base64 with padding (44 characters)"),
            Self::PayloadKey => ("INVALID_PAYLOAD_KEY", " must be a payload key",
                "32 bytes in standard base64 with padding, or as 0x-prefixed hex"),
            Self::PrivateKey => ("INVALID_PRIVATE_KEY", " must be a private key",
                "a Uint8Array of 32 bytes, between 1 and the order of secp256k1"),
            Self::MarkerData => ("INVALID_MARKER", " is no marker's",
                "the 32 bytes of the payload key that distributing returned (64 from some nodes)"),
            Self::Recipients => ("INVALID_RECIPIENTS", " must name either privacyGroupId or privateFor",
                "privacyGroupId for flexible groups, privateFor for legacy ones, never both"),
            Self::Restriction => ("INVALID_RESTRICTION",
                " must be \"restricted\" or \"unrestricted\"",
                "leave it out: nodes accept \"restricted\" only"),
            Self::Abi => ("INVALID_ABI", " must be \"bytes\" or \"bytes32\"",
                "\"bytes\" for coterie and for Besu since 22.10, \"bytes32\" for older ones"),
            Self::Parity => ("INVALID_PARITY", " must be 0 or 1", "the recovery id of the signature"),
        }
    }
}

impl From<DecodeError> for Thrown {
    fn from(error: DecodeError) -> Self {
        let hint = "the bytes must be the signed RLP of a private transaction, twelve items";
        Self { name: "DecodeError", code: error.code(), message: error.to_string(), hint }
    }
}

impl From<SignError> for Thrown {
    fn from(error: SignError) -> Self {
        let hint = "nothing was signed";
        Self { name: "SignError", code: error.code(), message: error.to_string(), hint }
    }
}

impl From<SignatureError> for Thrown {
    fn from(error: SignatureError) -> Self {
        let hint = "r, s and the parity do not come from one signature over this hash";
        let code = "INVALID_SIGNATURE";
        Self { name: "SignatureError", code, message: error.to_string(), hint }
    }
}

impl From<MembersError> for Thrown {
    fn from(error: MembersError) -> Self {
        let hint = "the answer of another function, or an empty one because the group is unknown?";
        Self { name: "DecodeError", code: "MEMBERS_ABI", message: error.to_string(), hint }
    }
}

impl From<ManagementCallError> for Thrown {
    fn from(error: ManagementCallError) -> Self {
        let hint = "only calls to the group's management contract at 0x…7c can be read";
        Self { name: "DecodeError", code: "MANAGEMENT_CALL", message: error.to_string(), hint }
    }
}

impl From<ManagementEventError> for Thrown {
    fn from(error: ManagementEventError) -> Self {
        let hint = "the log's topics name a management event, its data is something else";
        Self { name: "DecodeError", code: "MANAGEMENT_EVENT", message: error.to_string(), hint }
    }
}

#[wasm_bindgen]
extern "C" {
    /// JavaScript's own.
    type Error;
    #[wasm_bindgen(constructor)]
    fn new(message: &str) -> Error;
    #[wasm_bindgen(method, setter, structural)]
    fn set_name(this: &Error, name: &str);
    #[wasm_bindgen(method, setter, structural)]
    fn set_code(this: &Error, code: &str);
    #[wasm_bindgen(method, setter, structural)]
    fn set_hint(this: &Error, hint: &str);
}

impl From<Thrown> for JsValue {
    fn from(thrown: Thrown) -> Self {
        let error = Error::new(&thrown.message);
        error.set_name(thrown.name);
        error.set_code(thrown.code);
        error.set_hint(thrown.hint);
        error.into()
    }
}
