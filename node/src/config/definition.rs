//! The network's definition file: what changes the results of private execution, the same on all
//! members. What the fields mean is in [`NetworkDefinition`].

use std::path::Path;

use alloy_primitives::{Address, B256, Bytes, U256};
use coterie_core::{
    NetworkDefinition,
    contracts::CODE_HASHES,
    definition::{Activation, Beneficiary, Fork, GenesisAccount, Rules},
};

use super::{
    ConfigError, amount,
    raw::{RawDefinition, RawFork, RawGenesisAccount},
};

/// Gives `raw`, which was read from `path`, its meaning, and validates it.
pub(super) fn resolve(path: &Path, raw: RawDefinition) -> Result<NetworkDefinition, ConfigError> {
    let wrong = |key: &str, found: &str, expected| ConfigError::Value {
        path: path.to_owned(),
        key: key.to_owned(),
        found: found.to_owned(),
        expected,
    };
    let rule = |rule| ConfigError::Rule { path: path.to_owned(), rule };
    let default = NetworkDefinition::coterie(&raw.name, raw.chain_id, CODE_HASHES);
    let rules = match raw.rules.as_deref() {
        None => Rules::Coterie,
        Some(text) => text.parse().map_err(|_| wrong("rules", text, "\"coterie\" or \"besu\""))?,
    };
    let management_code_hashes = match (&raw.management_code_hashes, rules) {
        (Some(texts), _) => {
            let [first, second] = texts.each_ref().map(|text| {
                let hash = text.parse::<B256>();
                hash.map_err(|_| wrong("management_code_hashes", text, "32 bytes in hex"))
            });
            [first?, second?]
        }
        (None, Rules::Coterie) => CODE_HASHES,
        (None, Rules::Besu) => {
            return Err(rule("under besu rules management_code_hashes must be given"));
        }
    };
    let beneficiary = match raw.beneficiary.as_deref() {
        None => default.beneficiary,
        Some("header") => Beneficiary::Header,
        Some(text) => Beneficiary::Fixed(
            text.parse()
                .map_err(|_| wrong("beneficiary", text, "\"header\" or an address in hex"))?,
        ),
    };
    let accounts = raw.genesis_accounts.iter().map(|it| account(it, &wrong));
    let mut genesis_accounts: Vec<GenesisAccount> = accounts.collect::<Result<_, _>>()?;
    genesis_accounts.sort_by_key(|it| it.address);
    let forks = match raw.forks {
        None => default.forks,
        Some(forks) => forks.iter().map(|it| fork(it, &wrong)).collect::<Result<_, _>>()?,
    };
    let definition = NetworkDefinition {
        name: raw.name,
        rules,
        chain_id: raw.chain_id,
        private_gas_cap: raw.private_gas_cap.unwrap_or(default.private_gas_cap),
        public_reads_max: raw.public_reads_max.unwrap_or(default.public_reads_max),
        members_max: raw.members_max.unwrap_or(default.members_max),
        beneficiary,
        management_code_hashes,
        genesis_accounts,
        forks,
    };
    let invalid = |source| ConfigError::Definition { path: path.to_owned(), source };
    definition.validate().map_err(invalid)?;
    Ok(definition)
}

fn account(
    raw: &RawGenesisAccount,
    wrong: &impl Fn(&str, &str, &'static str) -> ConfigError,
) -> Result<GenesisAccount, ConfigError> {
    let key = |field: &str| format!("genesis_accounts.{}.{field}", raw.address);
    let number = "a number, or text in decimal or hex";
    let address: Address = raw.address.parse().map_err(|_| {
        wrong("genesis_accounts.address", &raw.address, "an address: 20 bytes in hex")
    })?;
    let balance = match &raw.balance {
        None => U256::ZERO,
        Some(it) => {
            amount(it).ok_or_else(|| wrong(&key("balance"), &it.text(), "an amount in wei"))?
        }
    };
    let code: Bytes = match &raw.code {
        None => Bytes::new(),
        Some(text) => {
            text.parse().map_err(|_| wrong(&key("code"), &abridged(text), "bytes in hex"))?
        }
    };
    let mut storage = Vec::with_capacity(raw.storage.len());
    for (slot, value) in &raw.storage {
        let text = super::raw::NumberOrText::Text(slot.clone());
        let slot = amount(&text).ok_or_else(|| wrong(&key("storage"), slot, number))?;
        let value = amount(value).ok_or_else(|| wrong(&key("storage"), &value.text(), number))?;
        storage.push((slot, value));
    }
    storage.sort_unstable();
    Ok(GenesisAccount { address, nonce: raw.nonce, balance, code, storage })
}

fn fork(
    raw: &RawFork,
    wrong: &impl Fn(&str, &str, &'static str) -> ConfigError,
) -> Result<(Fork, Activation), ConfigError> {
    let fork = raw.name.parse().map_err(|_| {
        let expected = "berlin, london, paris, shanghai, cancun, prague or osaka";
        wrong("forks.name", &raw.name, expected)
    })?;
    let activation = match (raw.block, raw.time) {
        (Some(block), None) => Activation::Block(block),
        (None, Some(time)) => Activation::Time(time),
        (Some(_), Some(_)) | (None, None) => {
            return Err(wrong("forks", &raw.name, "a fork with either block or time"));
        }
    };
    Ok((fork, activation))
}

/// The first characters of a text that may be long.
fn abridged(text: &str) -> String {
    if text.chars().count() <= 40 {
        return text.to_owned();
    }
    text.chars().take(40).chain(['…']).collect()
}
