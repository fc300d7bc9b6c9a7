//! The records that cross: their fields one a line, in a fixed order, `-` for one that is missing.

use alloc::{string::String, vec::Vec};

use alloy_primitives::{Bytes, Signature, TxKind, U256};
use coterie_core::{
    Marker, PrivateTransaction, Recipients, Restriction, SignedPrivateTransaction,
    marker::MarkerTransaction,
};

use crate::{
    convert,
    error::{Invalid, Result},
};

const MISSING: &str = "-";

/// Reads nonce, gasPrice, gasLimit, to, value, data, chainId, privateFrom, privacyGroupId,
/// restriction, privateFor.
pub(crate) fn transaction(text: &str) -> Result<PrivateTransaction> {
    let mut fields = Fields(text.split('\n'));
    let transaction = PrivateTransaction {
        nonce: fields.short_number("nonce")?,
        gas_price: fields.number_or_zero("gasPrice")?,
        gas_limit: fields.short_number("gasLimit")?,
        to: match fields.next() {
            Some(to) => TxKind::Call(convert::address("to", to)?),
            None => TxKind::Create,
        },
        value: fields.number_or_zero("value")?,
        input: match fields.next() {
            Some(data) => Bytes::from(convert::bytes("data", data)?),
            None => Bytes::new(),
        },
        chain_id: fields.chain_id()?,
        private_from: convert::enclave_key("privateFrom", fields.required("privateFrom")?)?,
        // These two come last, the list at the very end.
        recipients: Recipients::Members(Vec::new()),
        restriction: Restriction::Restricted,
    };
    let group = fields.next();
    let restriction = match fields.next() {
        None | Some("restricted") => Restriction::Restricted,
        Some("unrestricted") => Restriction::Unrestricted,
        Some(_) => return Err(Invalid::Restriction.at("restriction")),
    };
    let recipients = match (group, fields.next()) {
        (Some(id), None) => Recipients::Group(convert::group_id("privacyGroupId", id)?),
        (None, Some(keys)) => Recipients::Members(convert::enclave_keys("privateFor", keys)?),
        (Some(_), Some(_)) | (None, None) => return Err(Invalid::Recipients.at("the transaction")),
    };
    fields.end()?;
    Ok(PrivateTransaction { recipients, restriction, ..transaction })
}

/// Reads nonce, gasPrice, gasLimit, to, value, data, chainId.
pub(crate) fn marker(text: &str) -> Result<MarkerTransaction> {
    let mut fields = Fields(text.split('\n'));
    let transaction = MarkerTransaction {
        nonce: fields.short_number("nonce")?,
        gas_price: convert::number("gasPrice", fields.required("gasPrice")?)?,
        gas_limit: fields.short_number("gasLimit")?,
        to: convert::address("to", fields.required("to")?)?,
        value: fields.number_or_zero("value")?,
        marker: Marker::parse(&convert::bytes("data", fields.required("data")?)?)
            .map_err(|_| Invalid::MarkerData.at("data"))?,
        chain_id: fields.chain_id()?,
    };
    fields.end()?;
    Ok(transaction)
}

/// Reads r, s, yParity.
pub(crate) fn signature(text: &str) -> Result<Signature> {
    let mut fields = Fields(text.split('\n'));
    let r = convert::padded_number("r", fields.required("r")?)?;
    let s = convert::padded_number("s", fields.required("s")?)?;
    let odd = match fields.required("yParity")? {
        "0" => false,
        "1" => true,
        _ => return Err(Invalid::Parity.at("yParity")),
    };
    fields.end()?;
    Ok(Signature::new(r, s, odd))
}

/// Writes the fields of a transaction in the order of [`transaction`], then v, r, s, hash, from.
pub(crate) fn signed_transaction(signed: &SignedPrivateTransaction) -> String {
    let transaction = &signed.transaction;
    let mut out = Output::default();
    out.number(U256::from(transaction.nonce));
    out.number(transaction.gas_price);
    out.number(U256::from(transaction.gas_limit));
    out.optional(transaction.to.to().map(convert::checksummed));
    out.number(transaction.value);
    out.line(&convert::hex(&transaction.input));
    out.optional(transaction.chain_id.map(|id| convert::quantity(U256::from(id))));
    out.line(&transaction.private_from.to_base64());
    let (group, members) = match &transaction.recipients {
        Recipients::Group(id) => (Some(id.to_base64()), None),
        Recipients::Members(keys) => (None, Some(convert::list(keys))),
    };
    out.optional(group);
    match &transaction.restriction {
        Restriction::Restricted => out.line("restricted"),
        Restriction::Unrestricted => out.line("unrestricted"),
        Restriction::Unsupported(text) => out.line(&convert::hex(text)),
    }
    out.optional(members);
    out.number(U256::from(signed.v()));
    out.number(signed.signature.r());
    out.number(signed.signature.s());
    out.line(&convert::hex(signed.hash().as_slice()));
    out.optional(signed.recover_signer().ok().map(|signer| convert::checksummed(&signer)));
    out.into_text()
}

/// A record being read.
#[derive(Debug)]
struct Fields<'a>(core::str::Split<'a, char>);

impl<'a> Fields<'a> {
    /// The next field; `None` if it is missing.
    #[inline(never)]
    fn next(&mut self) -> Option<&'a str> {
        self.0.next().filter(|field| *field != MISSING)
    }

    fn required(&mut self, name: &str) -> Result<&'a str> {
        self.next().ok_or_else(|| Invalid::Missing.at(name))
    }

    #[inline(never)]
    fn short_number(&mut self, name: &str) -> Result<u64> {
        convert::short_number(name, self.required(name)?)
    }

    #[inline(never)]
    fn number_or_zero(&mut self, name: &str) -> Result<U256> {
        self.next().map_or(Ok(U256::ZERO), |number| convert::number(name, number))
    }

    fn chain_id(&mut self) -> Result<Option<u64>> {
        self.next().map(|id| convert::short_number("chainId", id)).transpose()
    }

    fn end(mut self) -> Result<()> {
        self.0.next().map_or(Ok(()), |_| Err(Invalid::Surplus.at("the record")))
    }
}

/// A record being written.
#[derive(Debug, Default)]
pub(crate) struct Output(String);

impl Output {
    #[inline(never)]
    pub(crate) fn line(&mut self, field: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(field);
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    fn number(&mut self, number: U256) {
        self.line(&convert::quantity(number));
    }

    fn optional(&mut self, field: Option<String>) {
        self.line(field.as_deref().unwrap_or(MISSING));
    }
}
